"""Captures of several made networks with their truth and an index, for the tests of what spans networks."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.batch import START_NS, FlowBatch
from flows.truth import write_truth
from models.fusion import Hybrid
from sensor.cli.replay import DefaultSensor
from sensor.synth.generate import generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.scenarios.scenario import Scenario
from training.evaluation.networks.sensor import RaisedAlert

COLUMNS = ("path", "kind", "network", "group", "expect", "truth", "sha256")
SECOND_NS = 1_000_000_000
NETWORKS = ("north", "south", "west")


def write_index(directory: Path, rows: Sequence[dict[str, str]], columns: Sequence[str] = COLUMNS) -> Path:
    """An index of these rows; cells that a row does not have are empty."""
    path = directory / "index.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_capture(
    path: Path, scenarios: Sequence[Scenario], seed: int, minutes: float, truth: Path | None = None
) -> Path:
    """A capture of these scenarios, nanoseconds and whole frames, and what each of its flows is."""
    traffic = generate(scenarios, seed, minutes)
    path.write_bytes(pcap_bytes(traffic.packets, WHOLE, nanoseconds=True))
    if truth is not None:
        with truth.open("w", encoding="utf-8", newline="") as out:
            write_truth(traffic.truth, out)
    return path


def made_networks(directory: Path) -> Path:
    """Three networks, each with a normal capture and one that a truth labels, and a scan labelled as a whole."""
    rows = []
    for seed, network in enumerate(NETWORKS, start=1):
        write_capture(directory / f"{network}.pcap", [NORMAL], seed, 1.0)
        rows.append({"path": f"{network}.pcap", "kind": "benign", "network": network, "group": "office"})
        attacks = [PORTSCAN, SSH_GUESSING] if network == "north" else [PORTSCAN]
        write_capture(
            directory / f"{network}-attacked.pcap", [NORMAL, *attacks], seed + 10, 1.0, directory / f"{network}.csv"
        )
        labelled = {"path": f"{network}-attacked.pcap", "kind": "labelled", "truth": f"{network}.csv"}
        rows.append({**labelled, "network": network, "group": "office"})
    write_capture(directory / "scan.pcap", [PORTSCAN], 9, 0.2)
    whole = {"path": "scan.pcap", "kind": "attack", "network": "elsewhere", "group": "scan", "expect": "T1046 T1595"}
    return write_index(directory, [*rows, whole])


class ScriptedSensor:
    """The sensor's own meter, and alerts that a script makes of the records; none by default."""

    def __init__(self, script: Callable[[FlowBatch], list[RaisedAlert]] = lambda _: []) -> None:
        self.models: list[Hybrid] = []  # that were asked, in order
        self._sensor = DefaultSensor()
        self._script = script

    def metered(self, capture: Path) -> tuple[FlowBatch, Sequence[str]]:
        return self._sensor.metered(capture)

    def alerts(self, hybrid: Hybrid, records: FlowBatch) -> list[RaisedAlert]:
        self.models.append(hybrid)
        return self._script(records)


def raised(
    records: FlowBatch, rows: Sequence[int], technique: str = "T1046", severity: int = 40, after_s: float = 5.0
) -> RaisedAlert:
    """An alert on some records of a capture, opened so long after its first packet."""
    return RaisedAlert(
        opened_ns=int(records.identity[:, START_NS].min()) + int(after_s * SECOND_NS),
        verdict="uncertain",
        severity=severity,
        technique=technique,
        message=f"{technique} on {len(rows)} records",
        flows=tuple(tuple(records.identity[row].tolist()) for row in rows),
    )
