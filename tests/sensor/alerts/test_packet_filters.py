"""The filters of an alert select its packets: of one source, of a pair, or of a target under many sources."""

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sensor.alerts.packet_filters import capture_filter, display_filter
from sensor.synth.generate import generate
from sensor.synth.pcap import WHOLE, pcap_bytes, write_pcap
from sensor.synth.scenarios.floods import forged_syn_flood
from sensor.synth.scenarios.logins import guessing
from sensor.synth.scenarios.reflection import reflection
from sensor.synth.scenarios.scenario import Scenario
from tests.support.alerts import SPREAD, an_alert
from tests.support.command import flowvigil

pytestmark = pytest.mark.ux

VICTIM = "10.20.0.10"


@dataclass(frozen=True)
class Selected:
    """Packets of a capture that a display filter selects: source and destination of each."""

    pairs: list[tuple[str, str]]

    @property
    def sources(self) -> int:
        return len({address for pair in self.pairs for address in pair} - {VICTIM})


def selected(capture: Path, display: str) -> Selected:
    fields = ("-T", "fields", "-E", "occurrence=f", "-e", "ip.src", "-e", "ip.dst")
    run = subprocess.run(
        ["tshark", "-n", "-r", capture, "-Y", display, *fields], capture_output=True, check=True, timeout=60, text=True
    )
    return Selected([(source, target) for source, target in map(str.split, run.stdout.splitlines())])


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize(
    ("scenario", "technique", "sources"),
    [
        (reflection(), "T1498.002", 200),
        (forged_syn_flood(), "T1498.001", 1000),
        (guessing(service="ssh", sources=40), "T1110.001", 30),
    ],
    ids=lambda each: each.name if isinstance(each, Scenario) else str(each),
)
def test_of_a_target_its_packets_with_every_source_are_selected(
    scenario: Scenario, technique: str, sources: int, tmp_path: Path
) -> None:
    capture = tmp_path / "many.pcap"
    write_pcap(capture, pcap_bytes(generate([scenario], 7).packets, WHOLE))
    alerts = [json.loads(line) for line in flowvigil("read", capture, "-q").stdout.splitlines()]
    told = [alert for alert in alerts if technique in alert["threat"]["technique"]["subtechnique"]["id"]][-1]
    own = told["flowvigil"]
    found = selected(capture, own["packets_filter"])
    assert (told["destination"]["ip"], own["targets"]) == (VICTIM, 1)
    assert own["origins"] >= sources
    assert len(found.pairs) >= own["packets"]
    assert found.sources >= own["origins"]
    assert all(VICTIM in pair for pair in found.pairs)


def test_of_a_pair_both_addresses_and_the_port() -> None:
    display, capture = display_filter(an_alert()), capture_filter(an_alert())
    assert display.startswith("ip.addr == 192.0.2.10 && ip.addr == 198.51.100.7 && tcp.port == 22 && ")
    assert capture == "host 192.0.2.10 and host 198.51.100.7 and tcp port 22"


@pytest.mark.parametrize(("origins", "more"), [(2, False), (1, True)])
def test_of_a_target_no_source_is_singled_out(origins: int, more: bool) -> None:
    alert = an_alert(spread=replace(SPREAD, origins=origins, origins_more=more))
    assert display_filter(alert).startswith("ip.addr == 198.51.100.7 && tcp.port == 22 && ")
    assert capture_filter(alert) == "host 198.51.100.7 and tcp port 22"


def test_of_a_storm_no_source_is_singled_out() -> None:
    assert "192.0.2.10" not in display_filter(an_alert(hosts_merged=30))
    assert "192.0.2.10" not in capture_filter(an_alert(hosts_merged=30))
