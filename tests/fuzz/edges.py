"""Inputs that change alone seldom comes to: full tables, far places in a chain of headers, stores that are odd.

They begin every run beside the frames and captures of the other modules, and what measures coverage takes them too.
"""

import bz2
import errno
import gzip
import lzma
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

import lz4.frame
import numpy as np
import zstandard

from flows.compression import unpacked
from flows.fragments import ENTRIES
from flows.pcapng import MAX_INTERFACES
from sensor.errors import InputError
from sensor.sources.captures.files import captures_in, captures_of_stream, open_capture, skipped_in
from tests.fuzz import frames, readers
from tests.support import capture_bytes as form
from tests.support.capture_bytes import Arriving, Packet

TOKEN_RING, ATM_RFC1483, MPLS = 6, 100, 219


def edge_frames() -> Iterator[tuple[int, bytes]]:
    """Frames and their link types."""
    inner = frames.v4(17, frames.udp(b"q"))
    ethernet = frames.ethernet(0x0800, inner)
    dot11 = b"\x08\x00" + bytes(22) + b"\xaa\xaa\x03\x00\x00\x00\x08\x00" + inner
    for body in (*tzsp(ethernet, inner, dot11), *gtp(inner)):
        yield 1, frames.ethernet(0x0800, frames.v4(17, body))
    for flags, kind, behind in (
        (0xB000, 0x0800, bytes(12) + inner), (0x4000, 0x0800, inner), (0x2001, 0x0800, inner), (3, 0x0800, inner),
        (0x3001, 0x880B, bytes(4)), (0x30A1, 0x880B, bytes(8) + b"\xff\x03\x00\x21" + inner), (0, 0x88BE, ethernet),
        (0x1000, 0x22EB, bytes(15) + b"\x01" + bytes(8) + ethernet), (0x1000, 0x22EB, bytes(6)),
        (0, 0x6559, b"\xcc" + inner),
    ):  # fmt: skip
        yield 1, frames.ethernet(0x0800, frames.v4(47, struct.pack("!HH", flags, kind) + behind))
    yield TOKEN_RING, bytes(14) + b"\xaa\xaa\x03\x00\x00\x00\x08\x00" + inner
    yield TOKEN_RING, bytes(8) + b"\x80" + bytes(5) + b"\x06" + bytes(5) + b"\xaa\xaa\x03\x00\x00\x00\x08\x00" + inner
    yield ATM_RFC1483, b"\xaa\xaa\x03\x00\x80\xc2\x00\x07" + ethernet
    yield ATM_RFC1483, inner
    yield 123, bytes(4) + b"\xaa\xaa\x03\x00\x00\x00\x08\x00" + inner
    for nlpid in (b"\xcc" + inner, b"\x00\xcc" + inner, b"\x8e" + frames.v6(17, frames.udp(b"")), b"\x00",
                  b"\x80\x00\x00\x00\x08\x00" + inner, b"\x81"):  # fmt: skip
        yield 107, b"\x18\x41\x03" + nlpid
    yield 107, b"\x18\x40\x40\x40\x41\x03\xcc" + inner
    yield 107, b"\x18\x40\x40\x40\x40\x40\x40"
    yield 107, b"\x18\x41\x08\x00" + inner
    yield 166, b"\x00\x00\xff\x03\x00\x21" + inner
    for protocol in (b"\x02\x81", b"\x02\x83", b"\x21", b"\x57", b"\xff\x03\x02\x81", b"\xff\x03"):
        yield 9, protocol + b"\x00\x01\x01\x40" + inner
    for ethertype in (0x880B, 0x8903, 0x88E7, 0x8926, 0x893F, 0x6558, 0x8847, 0x6559, 0x88A8, 0x88E5):
        for behind in (b"", b"\x01", bytes(2), bytes(5), bytes(16), ethernet):
            yield 1, frames.ethernet(ethertype, behind)
    yield 1, frames.ethernet(0x6559, b"\xcc" + inner)
    for label in (b"\x00\x01\x01\x40" + ethernet, b"\x00\x01\x01\x40\x00\x00\x00\x00" + ethernet, b"\x00\x01\x01\x40"):
        yield MPLS, label
        yield 1, frames.ethernet(0x8847, label)
    attribute = struct.pack("<HHI", 8, 1, 0)
    packet = struct.pack("<HH", 4 + len(inner), 9) + inner
    for attributes in (b"", struct.pack("<HH", 3, 1), attribute * 40, attribute + packet):
        yield 239, bytes(4) + attributes
    for flags in (0, 2, 0x80):
        yield 178, b"MGC" + bytes([flags]) + struct.pack("!H", 4) + bytes(4) + ethernet
    yield 1, MAC_LENGTH + b"\xfe\xfe\x03\xcc" + inner
    yield 1, MAC_LENGTH + b"\xaa\xaa\x03\x00\x80\xc2\x00\x07" + ethernet
    yield 1, MAC_LENGTH + b"\xaa\xaa\x03\x00\x00\x0c\x00\x07" + ethernet
    yield from transport()


MAC_LENGTH = frames.MACS + struct.pack("!H", 100)  # of an 802.3 frame


def transport() -> Iterator[tuple[int, bytes]]:
    """IP packets whose headers claim less or more than there is, or are many."""
    for protocol, least in ((6, 20), (17, 8), (1, 2), (58, 2), (132, 12), (51, 12)):
        for length in (20, 20 + least - 1, 20 + least):
            yield 101, frames.v4(protocol, bytes(60), length=length)
        for length in (0, least - 1, least):
            yield 101, frames.v6(protocol, bytes(60), length=length)
    for count in (7, 8, 9, 20):
        yield 101, frames.v6(60, b"".join(bytes([60, 0]) + bytes(6) for _ in range(count)) + bytes(20))
    yield 101, b"\x4f" + frames.v4(17, frames.udp(b"x"))[1:]
    yield 101, b"\x41" + frames.v4(17, frames.udp(b"x"))[1:]


def tzsp(ethernet: bytes, packet: bytes, dot11: bytes) -> Iterator[bytes]:
    """TZSP of every encapsulation, with tags, without an end, and too many."""
    prism = struct.pack("!II", 0x44, 144) + bytes(136)
    avs = struct.pack(">II", 0x80211001, 64) + bytes(56)
    for kind, behind in (
        (1, ethernet),
        (7, packet),
        (18, dot11),
        (119, prism + dot11),
        (127, avs + dot11),
        (5, packet),
    ):
        for tags in (b"\x01", b"\x00\x00\x01", b"\x0a\x01\x07\x01", b"", b"\x00" * 40, b"\x0a\xff"):
            for packet_type in (0, 1, 4):
                yield frames.udp(struct.pack("!BBH", 1, packet_type, kind) + tags + behind, 37008)


def gtp(packet: bytes) -> Iterator[bytes]:
    """GTP-U with extension headers of all lengths."""
    for extension in (b"\x00", b"\x85", b"\x85\x00", b"\x85\x01\x00\x00\x85\x01\x00\x00\x00", b"\x85\xff",
                      b"\x85" + b"\x01\x00\x00\x85" * 12):  # fmt: skip
        yield frames.udp(struct.pack("!BBHI", 0x34, 255, 8, 1) + bytes(3) + extension + packet, 2152)
    yield frames.udp(struct.pack("!BBHI", 0x30, 255, 0, 1), 2152)
    yield frames.udp(struct.pack("!BBHI", 0x34, 255, 0, 1) + bytes(3), 2152)


def many_fragments() -> Iterator[tuple[int, bytes]]:
    """More datagrams in fragments than are remembered; later ones of the same hosts at both ends, and of tunnels."""
    for number in range(ENTRIES + 40):
        yield 101, numbered(frames.v4(17, frames.udp(b"first"), fragment=0x2000), number)
    for number in (ENTRIES + 39, 0):
        yield 101, numbered(frames.v4(17, bytes(8), fragment=2), number)
    same = frames.v4(17, frames.udp(b"first"), fragment=0x2000)
    same = same[:12] + same[16:20] * 2 + same[20:]
    later = frames.v4(17, bytes(8), fragment=2)
    later = later[:12] + later[16:20] * 2 + later[20:]
    for first in (same, same[:20] + same[22:24] + same[20:22] + same[24:]):
        yield 101, first
        yield 101, later
    tunnel = frames.v4(4, frames.v4(17, frames.udp(b"inside")), fragment=0x2000)
    yield 101, numbered(tunnel, 9)
    yield 101, numbered(frames.v4(4, bytes(16), fragment=6), 9)


def numbered(packet: bytes, number: int) -> bytes:
    """An IPv4 packet with that identification."""
    return packet[:4] + struct.pack("!H", number) + packet[6:]


def cut_short(rng: np.random.Generator, seeds: list[tuple[int, bytes]], each: int) -> Iterator[tuple[int, bytes]]:
    """Each frame cut at some places, most often among its first bytes."""
    for kind, content in seeds:
        for place in (rng.random(each) ** 1.5 * len(content)).astype(int).tolist():
            yield kind, content[:place]


def edge_captures() -> Iterator[bytes]:
    """Captures too large, with too many interfaces, and packed in every way."""
    many = form.pcap([Packet(b"", i, 0) for i in range(140_000)])
    yield many
    yield form.pcapng([Packet(b"", i, 0) for i in range(70_000)])
    yield form.section() + form.interface(1) * (MAX_INTERFACES + 1)
    yield form.section() + form.block(1, bytes(4))
    whole = form.pcap(readers.PACKETS)
    yield whole + whole[:10]
    yield whole + whole[:4] + struct.pack("<HH", 3, 0) + whole[8:]
    yield form.section()[:11]
    yield form.section()[:8] + b"\x00\x01\x02\x03" + form.section()[12:]
    yield form.section() + struct.pack("<II", 6, 11)
    yield form.section() + form.interface(1) + struct.pack("<IIIIIII", 6, 600_000, 0, 0, 0, 599_000, 599_000)
    for padded in (gzip.compress(whole, mtime=0), bz2.compress(whole), lzma.compress(whole)):
        yield padded + bytes(70_000) + padded
    yield lz4.frame.compress(whole) + b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + lz4.frame.compress(whole)
    yield zstandard.ZstdCompressor().compress(whole) + b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"


def read_edge_captures() -> None:
    """Read all of them, at once and in pieces."""
    for content in edge_captures():
        readers.read(content, (), 1 << 20, None)
        readers.read(content[:5000], (1, 7, 300) * 40, 512, None)
        stream = unpacked(Arriving(content, (3, 1000)))
        while stream.readinto(memoryview(bytearray(4096))):
            pass


def read_odd_places(scratch: Path) -> None:
    """Open what stands in a directory: captures, others, links in a circle, what is missing, and a pipe."""
    (scratch / "below").mkdir(exist_ok=True)
    whole = form.pcap(readers.PACKETS)
    (scratch / "below" / "one.pcap").write_bytes(whole)
    (scratch / "below" / ".hidden").write_bytes(whole)
    (scratch / "two.gz").write_bytes(gzip.compress(whole))
    pieces = [whole[at : at + 40] for at in range(0, len(whole), 40)]
    (scratch / "pieces.gz").write_bytes(b"".join(gzip.compress(piece, mtime=0) for piece in pieces))
    (scratch / "text").write_text("no capture")
    (scratch / "dangling").symlink_to(scratch / "nowhere")
    (scratch / "below" / "circle").symlink_to(scratch)
    names = [str(scratch), str(scratch / "text"), "-"]
    for name in (
        *captures_of_stream([*names, str(scratch / "nowhere"), str(scratch / "two.gz")]),
        *captures_in(names[:2]),
        *skipped_in(names),
        str(scratch / "nowhere"),
        str(scratch),
        "\0"[:0] or "x" * 300,
    ):
        with suppress(InputError):
            source = open_capture(name, check=lambda _unpacked: None)
            for _ in source:
                source.bytes_read  # noqa: B018  # as progress asks for it
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    later = threading.Timer(0.05, lambda: (os.write(writing, whole), os.close(writing)))
    later.start()
    # as it is where somebody made standard input non-blocking
    for _ in open_capture(f"/dev/fd/{reading}", opened=lambda _name: FileIO(reading, closefd=False)):
        pass
    later.join()
    os.close(reading)
    with suppress(InputError):
        open_capture(scratch / "two.gz", opened=Refusing)


class Refusing(FileIO):
    """A file that the system opens and does not read."""

    def readinto(self, _view: object, /) -> int:
        """Fail as a disk does."""
        raise OSError(errno.EIO, os.strerror(errno.EIO))
