"""Packets in one line: tcp("10.0.0.1:40000", "10.0.0.2:80", "S", at=0.0). Lengths are as an IP header states them."""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from flows.batch import FlowBatch
from flows.block import PacketBlock, block_of
from flows.meter import Meter, concatenate

EPOCH_NS = 1_700_000_000 * 10**9
FLAG_BITS = dict(zip("FSRPAUEC", (1, 2, 4, 8, 16, 32, 64, 128), strict=True))


@dataclass(frozen=True)
class Packet:
    frame: bytes
    ts_ns: int


def tcp(source, target, flags="A", *, at=0.0, payload=0, window=64240, vlan=()):
    """TCP segment without options. source, target: "address:port"; at: seconds; payload: bytes."""
    (source, sport), (target, dport) = source.rsplit(":", 1), target.rsplit(":", 1)
    bits = sum(FLAG_BITS[flag] for flag in flags)
    header = struct.pack("!HHIIBBHHH", int(sport), int(dport), 0, 0, 0x50, bits, window, 0, 0)
    return ip(source, target, 6, header + bytes(payload), at=at, vlan=vlan)


def udp(source, target, *, at=0.0, payload=0, vlan=()):
    """UDP datagram."""
    (source, sport), (target, dport) = source.rsplit(":", 1), target.rsplit(":", 1)
    header = struct.pack("!HHHH", int(sport), int(dport), 8 + payload, 0)
    return ip(source, target, 17, header + bytes(payload), at=at, vlan=vlan)


def ip(source, target, protocol, content, *, at=0.0, vlan=()):
    """Ethernet frame with an IPv4 or IPv6 packet, by the form of the addresses."""
    source, target = ip_address(source.strip("[]")), ip_address(target.strip("[]"))
    if source.version == 4:
        packet = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0, 64, protocol, 0)
        ethertype = 0x0800
    else:
        packet = struct.pack("!IHBB", 6 << 28, len(content), protocol, 64)
        ethertype = 0x86DD
    tags = b"".join(struct.pack("!HH", 0x8100, tag) for tag in vlan)
    frame = bytes(12) + tags + struct.pack("!H", ethertype) + packet + source.packed + target.packed + content
    return Packet(frame, EPOCH_NS + round(at * 1e9))


def block(packets) -> PacketBlock:
    return block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])


def metered(packets, **settings) -> FlowBatch:
    """Records of a whole capture."""
    meter = Meter(**({"capacity": 64} | settings))
    return concatenate([meter.feed(block(packets)), meter.drain()])


def segments(*turns: str) -> list[Packet]:
    """TCP segments of the client 10.0.0.1:40000 and the server 10.0.0.2:443 by turns.

    "> S" is the client's SYN, "< PA 10" ten bytes of the server's.
    """
    client, server = "10.0.0.1:40000", "10.0.0.2:443"
    packets = []
    for number, turn in enumerate(turns):
        direction, flags, *payload = turn.split()
        ends = (client, server) if direction == ">" else (server, client)
        packets.append(tcp(*ends, flags, at=number * 0.01, payload=int(payload[0]) if payload else 0))
    return packets
