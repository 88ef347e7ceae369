"""Attacks cut out of a capture by its truth: the packets of each episode's flows, and nothing else.

Packets are told by their IPv4 addresses, protocol and ports, and by when. Later fragments, which have no ports, and
frames that are not Ethernet are left behind.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.batch import WITH_PORTS
from flows.block import PacketBlock
from flows.linktypes import ETHERNET
from flows.matching import TOLERANCE_NS
from flows.truth import FlowTruth
from sensor.rehearsal.episode import AttackEpisode
from sensor.rehearsal.hosts import HomeGuess
from sensor.synth.truth import Packet

MOST_PACKETS: Final = 100_000  # of an episode: the first ones
MOST_BYTES: Final = 64 << 20  # of its frames
_VLAN_TAGS: Final = 2
_TAGGED: Final = (0x8100, 0x88A8)
_IPV4: Final = 0x0800
_HEADERS: Final = 24  # bytes of IPv4 and of ports

Int64s = NDArray[np.int64]


class _Ends(NamedTuple):
    """What packets say of their flows; (n,) each, one row a packet."""

    source: Int64s
    target: Int64s
    ports: Int64s  # source << 16 | target, 0 where the protocol has none
    protocol: Int64s
    row: Int64s  # of the block


def cut_episodes(blocks: Iterable[PacketBlock], truths: Sequence[FlowTruth], run: str) -> list[AttackEpisode]:
    """The attacks in a capture, in the order of their beginning; those of which it has no packets are left out.

    truths: of its flows, also of those that are no attack: they say which networks are inside. run: who made it.
    """
    attacks = [truth for truth in truths if truth.attack and _ipv4_ends(truth)]
    flows: dict[tuple[int, ...], list[FlowTruth]] = defaultdict(list)
    for truth in attacks:
        flows[_flow_key(truth)].append(truth)
    inside = HomeGuess()
    for ends in filter(None, map(_ipv4_ends, truths)):
        inside.add(*ends)
    home = inside.networks()
    hosts = np.array(sorted({end for key in flows for end in key[:2]}), dtype=np.int64)
    packets: dict[tuple[str, str], list[Packet]] = defaultdict(list)
    sizes: Counter[tuple[str, str]] = Counter()
    for block in blocks:
        for packet, key in _packets_between(block, hosts):
            owner = _flow_at(flows.get(key, ()), packet.ts_ns)
            if owner is None:
                continue
            told = owner.scenario, owner.technique
            if len(packets[told]) < MOST_PACKETS and sizes[told] < MOST_BYTES:
                packets[told].append(packet)
                sizes[told] += len(packet.frame)
    found = []
    for (name, technique), own in packets.items():
        own.sort(key=lambda packet: packet.ts_ns)
        until_ns = own[-1].ts_ns + TOLERANCE_NS
        kept = tuple(
            truth
            for truth in attacks
            if (truth.scenario, truth.technique) == (name, technique) and truth.start_ns <= until_ns
        )
        found.append(AttackEpisode(name, technique, run, tuple(own), kept, home))
    return sorted(found, key=lambda episode: episode.start_ns)


def _ipv4_ends(truth: FlowTruth) -> tuple[int, ...]:
    """Both ends of a flow as numbers, nothing of one that is not IPv4."""
    ends = ip_address(truth.initiator), ip_address(truth.target)
    return tuple(map(int, ends)) if ends[0].version == ends[1].version == 4 else ()


def _flow_at(truths: Sequence[FlowTruth], ts_ns: int) -> FlowTruth | None:
    return next((each for each in truths if each.start_ns - TOLERANCE_NS <= ts_ns <= each.end_ns + TOLERANCE_NS), None)


def _flow_key(truth: FlowTruth) -> tuple[int, ...]:
    ports = (truth.initiator_port, truth.target_port) if truth.protocol in WITH_PORTS else (0, 0)
    initiator, target = _ipv4_ends(truth)
    return _ordered(initiator, target, *ports, truth.protocol)


def _ordered(source: int, target: int, source_port: int, target_port: int, protocol: int) -> tuple[int, ...]:
    """One key for both directions."""
    if (source, source_port) <= (target, target_port):
        return source, target, source_port, target_port, protocol
    return target, source, target_port, source_port, protocol


def _packets_between(block: PacketBlock, hosts: Int64s) -> Iterator[tuple[Packet, tuple[int, ...]]]:
    """Packets with both ends among some hosts, and the key of each one's flow."""
    ends = _ends_of(block)
    ours = np.flatnonzero(np.isin(ends.source, hosts) & np.isin(ends.target, hosts))
    columns = (ends.source, ends.target, ends.ports, ends.protocol, ends.row)
    for source, target, ports, protocol, row in zip(*(column[ours].tolist() for column in columns), strict=True):
        offset, caplen = int(block.offset[row]), int(block.caplen[row])
        frame = block.buffer[offset : offset + caplen].tobytes()
        key = _ordered(source, target, ports >> 16, ports & 0xFFFF, protocol)
        yield Packet(int(block.ts_ns[row]), frame), key


def _ends_of(block: PacketBlock) -> _Ends:
    """The ends of the Ethernet packets of a block that are IPv4 and no later fragment."""
    row = np.flatnonzero((block.linktype == ETHERNET) & (block.caplen >= 14 + _HEADERS))
    at, end = block.offset[row] + 12, (block.offset + block.caplen)[row]
    for _ in range(_VLAN_TAGS):
        at = at + 4 * np.isin(_word(block, at), _TAGGED)
    ip = at + 2
    inside = (ip + _HEADERS <= end) & (_word(block, at) == _IPV4)
    row, ip, end = row[inside], ip[inside], end[inside]
    layer4 = ip + 4 * (block.buffer[ip].astype(np.int64) & 0x0F)
    whole = (layer4 + 4 <= end) & (_word(block, ip + 6) & 0x1FFF == 0)
    row, ip, layer4 = row[whole], ip[whole], layer4[whole]
    protocol = block.buffer[ip + 9].astype(np.int64)
    ports = np.where(np.isin(protocol, sorted(WITH_PORTS)), _word(block, layer4) << 16 | _word(block, layer4 + 2), 0)
    source, target = (_word(block, ip + first) << 16 | _word(block, ip + first + 2) for first in (12, 16))
    return _Ends(source, target, ports, protocol, row)


def _word(block: PacketBlock, at: Int64s) -> Int64s:
    """Two bytes each as a number, in network order."""
    words: Int64s = block.buffer[at].astype(np.int64) << 8 | block.buffer[at + 1]
    return words
