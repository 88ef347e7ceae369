"""Packets of synthetic flows with their ground truth."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from flows.truth import BENIGN, FlowTruth


class Packet(NamedTuple):
    """One frame at the sensor."""

    ts_ns: int  # since 1970 UTC
    frame: bytes


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
