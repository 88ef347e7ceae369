"""Ground truth of flows, to count what a detector found and what it missed: one format for all made traffic."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any, TextIO

BENIGN = "benign"


@dataclass(frozen=True, slots=True)
class FlowTruth:
    """Ground truth of one flow; times are nanoseconds since 1970 UTC."""

    start_ns: int  # first packet
    end_ns: int  # last packet
    protocol: int
    initiator: str
    initiator_port: int  # 0 where the protocol has none
    target: str
    target_port: int  # 0 where the protocol has none
    packets: int
    scenario: str  # or the episode of a scenario, by its name
    technique: str  # "benign" or a MITRE ATT&CK technique id

    @property
    def attack(self) -> bool:
        """Whether the flow belongs to an attack."""
        return self.technique != BENIGN


def write_truth(truths: Iterable[FlowTruth], out: TextIO) -> None:
    """Write ground truth as CSV with a header line, in the order given."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(field.name for field in fields(FlowTruth))
    writer.writerows(astuple(truth) for truth in truths)


def read_truth(lines: Iterable[str]) -> list[FlowTruth]:
    """Ground truth of a CSV file as write_truth leaves it. Raises ValueError for another header or a bad number."""
    reader = csv.DictReader(lines)
    expected = [field.name for field in fields(FlowTruth)]
    if reader.fieldnames != expected:
        raise ValueError(f"found columns {reader.fieldnames}, expected {expected}")
    numbers = {field.name for field in fields(FlowTruth) if field.type is int}
    rows: list[FlowTruth] = []
    for row in reader:
        values: dict[str, Any] = {name: int(row[name]) if name in numbers else row[name] for name in expected}
        rows.append(FlowTruth(**values))
    return rows
