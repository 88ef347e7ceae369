"""Packets of a lab capture as their ends: addresses, protocol, ports; fragments and ICMP errors as what they belong to.

It reads classic pcap files with nanoseconds of Ethernet frames, which the fabric writes. RFC 791, 792, 768, 9293.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from training.lab.claims import Ends
from training.lab.fabric import NANOSECOND_PCAP
from training.lab.traffic import ICMP, TCP, UDP

ARP: Final = 0x0806
IPV4: Final = 0x0800
_ERRORS: Final = (3, 4, 5, 11, 12)  # ICMP types that carry the packet that they are about
_ECHO_REPLY: Final = 0
_FRAGMENTS: Final = 4096  # datagrams whose ports are remembered for their later fragments


class LabPacket(NamedTuple):
    """One frame."""

    ts_ns: int
    source_mac: bytes
    kind: int  # EtherType
    ends: Ends | None  # of its own addresses; None where it is not IPv4
    about: Ends | None  # of the packet that an ICMP error is about
    begins: bool  # a SYN without ACK
    answer: bool  # an echo reply or a SYN with ACK, so that the other side began


def packets_of(path: Path) -> Iterator[LabPacket]:
    """The frames of a capture in order. Raises OSError, and ValueError for another kind of file or a cut one."""
    ports: dict[tuple[bytes, bytes], tuple[int, int]] = {}
    with path.open("rb") as stream:
        for ts_ns, frame in _frames(stream, path):
            kind = struct.unpack_from("!H", frame, 12)[0]
            if kind == IPV4:
                yield _ip_packet(ts_ns, frame, ports)
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


def _ip_packet(ts_ns: int, frame: bytes, ports: dict[tuple[bytes, bytes], tuple[int, int]]) -> LabPacket:
    protocol = frame[23]
    at = 14 + (frame[14] & 0x0F) * 4
    offset = struct.unpack_from("!H", frame, 20)[0]
    source_port = target_port = 0
    about, begins, answer = None, False, False
    datagram = (frame[18:20], frame[26:34])
    if offset & 0x1FFF:
        source_port, target_port = ports.get(datagram, (0, 0))
    elif protocol in (TCP, UDP) and len(frame) >= at + 4:
        source_port, target_port = struct.unpack_from("!HH", frame, at)
        if offset & 0x2000:
            if len(ports) >= _FRAGMENTS:
                ports.pop(next(iter(ports)))
            ports[datagram] = (source_port, target_port)
        if protocol == TCP and len(frame) >= at + 14:
            flags = frame[at + 13] & 0x12
            begins, answer = flags == 0x02, flags == 0x12
    elif protocol == ICMP and len(frame) > at:
        answer = frame[at] == _ECHO_REPLY
        about = _inner(frame, at + 8) if frame[at] in _ERRORS else None
    ends = Ends(protocol, *_ends(frame, 26, source_port, target_port))
    return LabPacket(ts_ns, frame[6:12], IPV4, ends, about, begins, answer)


def _ends(frame: bytes, at: int, source_port: int, target_port: int) -> tuple[int, int, int, int]:
    source, target = struct.unpack_from("!II", frame, at)
    return source, source_port, target, target_port


def _inner(frame: bytes, at: int) -> Ends | None:
    """Ends of the IPv4 packet that begins at a byte of an ICMP error; None where there is none."""
    if len(frame) < at + 24:
        return None
    protocol = frame[at + 9]
    ports_at = at + (frame[at] & 0x0F) * 4
    ports = (
        struct.unpack_from("!HH", frame, ports_at) if protocol in (TCP, UDP) and len(frame) >= ports_at + 4 else (0, 0)
    )
    return Ends(protocol, *_ends(frame, at + 12, *ports))
