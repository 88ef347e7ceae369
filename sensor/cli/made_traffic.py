"""The product's own generator as training asks for it: captures of scenarios by name, and the truth of their flows."""

from collections.abc import Collection, Sequence
from pathlib import Path

from flows.truth import write_truth
from sensor.cli.replay import DefaultSensor
from sensor.synth.catalogue import CATALOGUE
from sensor.synth.generate import generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from training.datasets.sources import CaptureTools


class MadeTraffic:
    """Writes traffic of sensor.synth (training.datasets.captures.generated.TrafficGenerator)."""

    def __init__(self) -> None:
        self._by_name = {scenario.name: scenario for scenario in CATALOGUE}

    @property
    def scenarios(self) -> Collection[str]:
        """Names of all scenarios, as `python -m sensor.synth --list` gives them."""
        return self._by_name.keys()

    def write(self, scenarios: Sequence[str], seed: int, minutes: float | None, capture: Path, truth: Path) -> None:
        """Write a capture of whole frames with nanoseconds, and its truth. Raises OSError."""
        traffic = generate([self._by_name[name] for name in scenarios], seed, minutes)
        capture.write_bytes(pcap_bytes(traffic.packets, WHOLE, nanoseconds=True))
        with truth.open("w", encoding="utf-8", newline="") as out:
            write_truth(traffic.truth, out)


def capture_tools(lab: Path) -> CaptureTools:
    """What training meters and makes captures with. lab: directory of the lab's runs."""
    return CaptureTools(DefaultSensor().metered, MadeTraffic(), lab)
