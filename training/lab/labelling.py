"""Flows of a capture with what each is, by the claims of the run.

A flow is what has the same five-tuple, either way, until it is silent for IDLE_NS or belongs to somebody else. An ICMP
error belongs to whom the packet belongs that it is about. What IPv6 does by ICMPv6 that IPv4 does by ARP, and where
hosts listen, are flows of nobody's doing, "neighbours".
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from flows.truth import BENIGN, FlowTruth
from training.lab.claims import GRACE_NS, Claim, Ends
from training.lab.packets import ARP, LabPacket

IDLE_NS: Final = 120_000_000_000
UNKNOWN: Final = Claim("unaccounted", "unknown", reach=None)  # type: ignore[arg-type]  # of nobody, so it reaches nobody
NEIGHBOURS: Final = Claim("neighbours", BENIGN, reach=None)  # type: ignore[arg-type]  # told by what the packets are


class Owners(Protocol):
    """Who knows whose a flow is."""

    def of(self, ends: Ends, now_ns: int) -> Claim | None:
        """Whose flow this is, None where nobody's."""


@dataclass(slots=True)
class _Flow:
    ends: Ends
    claim: Claim
    start_ns: int
    end_ns: int
    packets: int = 0


@dataclass(slots=True)
class Labelled:
    """What a capture held."""

    truths: list[FlowTruth] = field(default_factory=list)  # by start
    packets: int = 0  # all frames
    arp: dict[str, list[int]] = field(default_factory=dict)  # times of frames, ns, by hardware address of the sender
    others: Counter[str] = field(default_factory=Counter)  # frames that are neither IP nor ARP, by EtherType


def label(packets: Iterable[LabPacket], claims: Owners) -> Labelled:
    """Put the packets together to flows, and say of each flow what it is."""
    labelled = Labelled()
    running: dict[Ends, _Flow] = {}
    for packet in packets:
        labelled.packets += 1
        if packet.ends is None:
            if packet.kind == ARP:
                labelled.arp.setdefault(packet.source_mac.hex(), []).append(packet.ts_ns)
            else:
                labelled.others[f"{packet.kind:#06x}"] += 1
            continue
        flow = _flow_of(packet, packet.ends, claims, running, labelled.truths)
        flow.packets += 1
        flow.end_ns = packet.ts_ns
    labelled.truths += [_truth(flow) for flow in {id(flow): flow for flow in running.values()}.values()]
    labelled.truths.sort(key=lambda truth: (truth.start_ns, truth.initiator, truth.initiator_port, truth.target_port))
    return labelled


def _flow_of(
    packet: LabPacket, ends: Ends, claims: Owners, running: dict[Ends, _Flow], ended: list[FlowTruth]
) -> _Flow:
    """The flow of a packet: the one that goes on, or a new one."""
    flow = running.get(ends)
    if flow is not None and packet.ts_ns - flow.end_ns <= IDLE_NS and not _reused(packet, flow):
        if packet.neighbours:
            return flow
        # Once its episode is over, the same ports may be somebody else's.
        over = packet.ts_ns > flow.claim.end_ns + GRACE_NS
        if not over or _attributed(packet, ends, claims)[1] in (UNKNOWN, flow.claim):
            return flow
    if flow is not None:
        ended.append(_truth(flow))
    begun, claim = _attributed(packet, ends, claims)
    flow = _Flow(begun, claim, packet.ts_ns, packet.ts_ns)
    running[ends] = running[ends.turned()] = flow
    return flow


def _reused(packet: LabPacket, flow: _Flow) -> bool:
    """Whether a packet begins something anew by the same ports: a connection after a while, echoes after neighbours."""
    if flow.claim is NEIGHBOURS:
        return not packet.neighbours
    return packet.begins and packet.ts_ns - flow.end_ns > IDLE_NS // 4


def _attributed(packet: LabPacket, ends: Ends, claims: Owners) -> tuple[Ends, Claim]:
    """Who began a flow, and whose it is."""
    if packet.neighbours:
        return ends, NEIGHBOURS
    if packet.about is not None:
        for about in (packet.about, packet.about.turned()):
            if (claim := claims.of(about, packet.ts_ns)) is not None:
                return ends, claim
    turns = (ends.turned(), ends) if packet.answer else (ends, ends.turned())
    for turn in turns:
        if (claim := claims.of(turn, packet.ts_ns)) is not None:
            return turn, claim
    return turns[0], UNKNOWN


def _truth(flow: _Flow) -> FlowTruth:
    ends = flow.ends
    return FlowTruth(
        start_ns=flow.start_ns,
        end_ns=flow.end_ns,
        protocol=ends.protocol,
        initiator=ends.text(ends.initiator),
        initiator_port=ends.initiator_port,
        target=ends.text(ends.target),
        target_port=ends.target_port,
        packets=flow.packets,
        scenario=flow.claim.name,
        technique=flow.claim.technique,
    )
