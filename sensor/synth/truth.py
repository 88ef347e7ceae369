"""Ground truth of synthetic flows, to count what a detector found and what it missed."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from ipaddress import ip_address
from typing import NamedTuple, TextIO

BENIGN = "benign"


class Packet(NamedTuple):
    """One frame at the sensor."""

    ts_ns: int  # since 1970 UTC
    frame: bytes


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
    scenario: str
    technique: str  # "benign" or a MITRE ATT&CK technique id

    @property
    def attack(self) -> bool:
        """Whether the flow belongs to an attack."""
        return self.technique != BENIGN


@dataclass(frozen=True, slots=True)
class Exchange:
    """The packets of one flow, or of one exchange without IP."""

    packets: tuple[Packet, ...]
    truth: FlowTruth | None  # None for an exchange without IP


@dataclass(frozen=True, slots=True)
class Purpose:
    """Labels of a flow."""

    scenario: str  # that generated it
    technique: str = BENIGN  # "benign" or a MITRE ATT&CK technique id


def flow(
    packets: Iterable[Packet],
    purpose: Purpose,
    protocol: int,
    initiator: tuple[bytes, int],
    target: tuple[bytes, int],
) -> Exchange:
    """The exchange of one flow from its packets, at least one; initiator and target are (address bytes, port)."""
    seen = tuple(sorted(packets))
    truth = FlowTruth(
        start_ns=seen[0].ts_ns,
        end_ns=seen[-1].ts_ns,
        protocol=protocol,
        initiator=str(ip_address(initiator[0])),
        initiator_port=initiator[1],
        target=str(ip_address(target[0])),
        target_port=target[1],
        packets=len(seen),
        scenario=purpose.scenario,
        technique=purpose.technique,
    )
    return Exchange(seen, truth)


def write_truth(truths: Iterable[FlowTruth], out: TextIO) -> None:
    """Write ground truth as CSV with a header line, in the order given."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(field.name for field in fields(FlowTruth))
    writer.writerows(astuple(truth) for truth in truths)
