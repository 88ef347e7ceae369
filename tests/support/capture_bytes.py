"""Captures as bytes, built field by field after the specifications, and what a source makes of them."""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flows.block import PacketBlock
from sensor.sources.captures.files import CaptureFile


class Packet(NamedTuple):
    """A packet as a source tells it; a classic capture has one link type for all."""

    frame: bytes
    ts_ns: int = 0
    wirelen: int = 0
    linktype: int = 1


def packet(size: int, ts_ns: int = 0, linktype: int = 1) -> Packet:
    """A packet of `size` bytes that count up from the size, captured whole."""
    return Packet(bytes((size + i) % 256 for i in range(size)), ts_ns, size, linktype)


def packets_of(blocks: Iterable[PacketBlock]) -> list[Packet]:
    """All packets of blocks; what a block holds is copied before the next one is asked for."""
    return [
        Packet(block.buffer[start : start + caplen].tobytes(), ts_ns, wirelen, linktype)
        for block in blocks
        for start, caplen, ts_ns, wirelen, linktype in zip(
            block.offset.tolist(),
            block.caplen.tolist(),
            block.ts_ns.tolist(),
            block.wirelen.tolist(),
            block.linktype.tolist(),
            strict=True,
        )
    ]


def pcap_header(
    *, order: str = "<", magic: int = 0xA1B2C3D4, version: tuple[int, int] = (2, 4), linktype: int = 1
) -> bytes:
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65535, linktype)


def pcap_record(item: Packet, *, order: str = "<", unit_ns: int = 1000, extra: bytes = b"") -> bytes:
    seconds, fraction = divmod(item.ts_ns, 10**9)
    lengths = (len(item.frame), item.wirelen)
    return struct.pack(order + "IIII", seconds, fraction // unit_ns, *lengths) + extra + item.frame


def pcap(packets: Sequence[Packet], *, order: str = "<") -> bytes:
    """Microsecond capture of Ethernet packets."""
    return pcap_header(order=order) + b"".join(pcap_record(item, order=order) for item in packets)


def block(kind: int, body: bytes, *, order: str = "<") -> bytes:
    """A pcapng block; the body is padded to 4 bytes."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(code: int, value: bytes, *, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(*, order: str = "<", version: tuple[int, int] = (1, 0), options: bytes = b"") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1) + options, order=order)


def interface(linktype: int = 1, snaplen: int = 0, options: bytes = b"", *, order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", linktype, 0, snaplen) + options, order=order)


def enhanced(item: Packet, ticks: int, index: int = 0, *, order: str = "<", options: bytes = b"") -> bytes:
    """Enhanced Packet Block."""
    words = (index, ticks >> 32, ticks & 0xFFFFFFFF, len(item.frame), item.wirelen)
    frame = item.frame + bytes(-len(item.frame) % 4)
    return block(6, struct.pack(order + "5I", *words) + frame + options, order=order)


def obsolete(item: Packet, ticks: int, index: int = 0, *, order: str = "<") -> bytes:
    """Packet Block of the drafts before 2009; the second half-word counts drops."""
    words = (index, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(item.frame), item.wirelen)
    return block(2, struct.pack(order + "HH4I", *words) + item.frame, order=order)


def simple(item: Packet, *, order: str = "<") -> bytes:
    """Simple Packet Block."""
    return block(3, struct.pack(order + "I", item.wirelen) + item.frame, order=order)


def pcapng(packets: Sequence[Packet], *, order: str = "<", digits: int = 6) -> bytes:
    """One section with one Ethernet interface, whose stamps have so many digits of a second."""
    unit_ns, resolution = 10 ** (9 - digits), b"" if digits == 6 else option(9, bytes([digits]), order=order)
    body = b"".join(enhanced(item, item.ts_ns // unit_ns, order=order) for item in packets)
    return section(order=order) + interface(options=resolution, order=order) + body


class Arriving:
    """A raw file whose content arrives in pieces of the given sizes, then as asked."""

    def __init__(self, content: bytes, sizes: Iterable[int] = ()) -> None:
        self._content = content
        self._at = 0
        self._sizes = iter(sizes)
        self.closed = False

    def readinto(self, view: memoryview, /) -> int | None:
        size = min(next(self._sizes, len(view)), len(view), len(self._content) - self._at)
        view[:size] = self._content[self._at : self._at + size]
        self._at += size
        return size

    def fileno(self) -> int:
        raise OSError("no descriptor")

    def close(self) -> None:
        self.closed = True


def read(content: bytes, sizes: Iterable[int] = ()) -> tuple[list[Packet], str | None]:
    """Packets of a capture that arrives in pieces, and how it ended. Raises InputError."""
    source = CaptureFile(Arriving(content, sizes), "test")
    return packets_of(source), source.problem
