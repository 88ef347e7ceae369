"""Ground truth: what each made flow is, so that a judge can say what was found and what was missed."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from ipaddress import ip_address
from typing import NamedTuple, TextIO

BENIGN = "benign"


class Packet(NamedTuple):
    """One frame on the wire and when the sensor sees it, in nanoseconds since 1970 UTC."""

    ts_ns: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class FlowTruth:
    """One flow as its maker meant it.

    technique is "benign" or a MITRE ATT&CK technique id. Ports are 0 where the protocol has none.
    start_ns and end_ns are the first and the last packet's, nanoseconds since 1970 UTC.
    """

    start_ns: int
    end_ns: int
    protocol: int
    initiator: str
    initiator_port: int
    target: str
    target_port: int
    packets: int
    scenario: str
    technique: str

    @property
    def attack(self) -> bool:
        """Whether the flow belongs to an attack."""
        return self.technique != BENIGN


@dataclass(frozen=True, slots=True)
class Exchange:
    """The packets of one flow, or of one non-IP chat, with their truth (None where there is no flow)."""

    packets: tuple[Packet, ...]
    truth: FlowTruth | None


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a flow exists: the scenario that made it, and its technique id or "benign"."""

    scenario: str
    technique: str = BENIGN


def flow(
    packets: Iterable[Packet],
    purpose: Purpose,
    protocol: int,
    initiator: tuple[bytes, int],
    target: tuple[bytes, int],
) -> Exchange:
    """Exchange of one flow; initiator and target are (address bytes, port). packets are not empty."""
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
    """Truth as CSV with a header line, in the order given."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(field.name for field in fields(FlowTruth))
    writer.writerows(astuple(truth) for truth in truths)
