"""Packets of a lab capture as their ends: addresses, protocol, ports; fragments and ICMP errors as what they belong to.

It reads classic pcap files with nanoseconds of Ethernet frames, which the fabric writes. RFC 791, 792, 768, 4443, 8200,
9293.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from training.lab.claims import Ends
from training.lab.fabric import NANOSECOND_PCAP
from training.lab.traffic import ICMP, ICMPV6, NEIGHBOURS, TCP, UDP

ARP: Final = 0x0806
IPV4: Final = 0x0800
IPV6: Final = 0x86DD
_ERRORS: Final = (3, 4, 5, 11, 12)  # ICMP types that carry the packet that they are about
_ECHO_REPLY: Final = 0
_ERRORS6: Final = (1, 2, 3, 4)
_ECHO_REPLY6: Final = 129
_LISTENERS: Final = (130, 131, 132, 143)  # where hosts listen: RFC 2710, 3810
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS = 0, 43, 44, 60  # headers before that of layer 4
_FRAGMENTS: Final = 4096  # datagrams whose ports are remembered for their later fragments


class LabPacket(NamedTuple):
    """One frame."""

    ts_ns: int
    source_mac: bytes
    kind: int  # EtherType
    ends: Ends | None  # of its own addresses; None where it is not IP
    about: Ends | None  # of the packet that an ICMP error is about
    begins: bool  # a SYN without ACK
    answer: bool  # an echo reply or a SYN with ACK, so that the other side began
    neighbours: bool = False  # ICMPv6 by which hosts of a link find each other, or tell where they listen


class _Layer4(NamedTuple):
    """Where layer 4 of an IP packet begins, and what was before it."""

    protocol: int
    at: int
    datagram: tuple[bytes, bytes]  # what all fragments of a packet have alike
    first: bool  # a fragment that others follow
    later: bool  # a fragment without the header of layer 4


def packets_of(path: Path) -> Iterator[LabPacket]:
    """The frames of a capture in order. Raises OSError, and ValueError for another kind of file or a cut one."""
    ports: dict[tuple[bytes, bytes], tuple[int, int]] = {}
    with path.open("rb") as stream:
        for ts_ns, frame in _frames(stream, path):
            kind = struct.unpack_from("!H", frame, 12)[0]
            if kind in (IPV4, IPV6):
                yield _ip_packet(ts_ns, kind, frame, ports)
            else:
                yield LabPacket(ts_ns, frame[6:12], kind, None, None, False, False)


def _frames(stream: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    if stream.read(len(NANOSECOND_PCAP)) != NANOSECOND_PCAP:
        raise ValueError(f"{path}: is no capture of the lab")
    while header := stream.read(16):
        if len(header) < 16:
            raise ValueError(f"{path}: is cut short")
        seconds, rest, length, _ = struct.unpack("<IIII", header)
        frame = stream.read(length)
        if len(frame) < length:
            raise ValueError(f"{path}: is cut short")
        yield seconds * 1_000_000_000 + rest, frame


def _ip_packet(ts_ns: int, kind: int, frame: bytes, ports: dict[tuple[bytes, bytes], tuple[int, int]]) -> LabPacket:
    layer4 = _layer4(frame) if kind == IPV4 else _layer4_of_ipv6(frame, 14)
    protocol, at = layer4.protocol, layer4.at
    source_port = target_port = 0
    about, begins, answer, neighbours = None, False, False, False
    if layer4.later:
        source_port, target_port = ports.get(layer4.datagram, (0, 0))
    elif protocol in (TCP, UDP) and len(frame) >= at + 4:
        source_port, target_port = struct.unpack_from("!HH", frame, at)
        if layer4.first:
            if len(ports) >= _FRAGMENTS:
                ports.pop(next(iter(ports)))
            ports[layer4.datagram] = (source_port, target_port)
        if protocol == TCP and len(frame) >= at + 14:
            flags = frame[at + 13] & 0x12
            begins, answer = flags == 0x02, flags == 0x12
    elif protocol == ICMP and len(frame) > at:
        answer = frame[at] == _ECHO_REPLY
        about = _inner(frame, at + 8) if frame[at] in _ERRORS else None
    elif protocol == ICMPV6 and len(frame) > at:
        answer = frame[at] == _ECHO_REPLY6
        about = _inner6(frame, at + 8) if frame[at] in _ERRORS6 else None
        neighbours = frame[at] in _LISTENERS or NEIGHBOURS[0] <= frame[at] <= NEIGHBOURS[1]
    ends = Ends(protocol, *_ends(frame, kind, 14, source_port, target_port))
    return LabPacket(ts_ns, frame[6:12], kind, ends, about, begins, answer, neighbours)


def _layer4(frame: bytes) -> _Layer4:
    offset = struct.unpack_from("!H", frame, 20)[0]
    at = 14 + (frame[14] & 0x0F) * 4
    return _Layer4(frame[23], at, (frame[18:20], frame[26:34]), bool(offset & 0x2000), bool(offset & 0x1FFF))


def _layer4_of_ipv6(frame: bytes, ip: int) -> _Layer4:
    """Layer 4 behind the extension headers of a packet that begins at a byte. RFC 8200, 4."""
    protocol, at = frame[ip + 6], ip + 40
    datagram, first, later = (b"", frame[ip + 8 : ip + 40]), False, False
    while protocol in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _OPTIONS) and len(frame) >= at + 8 and not later:
        following, size = frame[at], 8
        if protocol == _FRAGMENT:
            offset = struct.unpack_from("!H", frame, at + 2)[0]
            datagram = (frame[at + 4 : at + 8], datagram[1])
            first, later = offset & 0xFFF9 == 1, bool(offset & 0xFFF8)
        else:
            size = (frame[at + 1] + 1) * 8
        protocol, at = following, at + size
    return _Layer4(protocol, at, datagram, first, later)


def _ends(frame: bytes, kind: int, ip: int, source_port: int, target_port: int) -> tuple[int, int, int, int]:
    """Addresses of the packet that begins at a byte, with its ports."""
    if kind == IPV4:
        source, target = struct.unpack_from("!II", frame, ip + 12)
    else:
        source = int.from_bytes(frame[ip + 8 : ip + 24], "big")
        target = int.from_bytes(frame[ip + 24 : ip + 40], "big")
    return source, source_port, target, target_port


def _inner(frame: bytes, at: int) -> Ends | None:
    """Ends of the IPv4 packet that begins at a byte of an ICMP error; None where there is none."""
    if len(frame) < at + 24:
        return None
    protocol = frame[at + 9]
    ports = _inner_ports(frame, at + (frame[at] & 0x0F) * 4, protocol)
    return Ends(protocol, *_ends(frame, IPV4, at, *ports))


def _inner6(frame: bytes, at: int) -> Ends | None:
    """The same of an ICMPv6 error."""
    if len(frame) < at + 44:
        return None
    layer4 = _layer4_of_ipv6(frame, at)
    ports = _inner_ports(frame, layer4.at, layer4.protocol)
    return Ends(layer4.protocol, *_ends(frame, IPV6, at, *ports))


def _inner_ports(frame: bytes, at: int, protocol: int) -> tuple[int, int]:
    if protocol not in (TCP, UDP) or len(frame) < at + 4:
        return 0, 0
    source_port, target_port = struct.unpack_from("!HH", frame, at)
    return source_port, target_port
