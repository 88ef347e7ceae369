"""Changed captures through the readers: all at once, in pieces of any size, and straight through a walker.

A capture must read the same however its bytes arrive and whatever the size of the buffer, end with at most one line,
and put no packet outside what was read. The walker's buffer ends where the capture ends, so that with
NUMBA_BOUNDSCHECK=1 a read past it raises.
"""

import gzip
import re
import struct
from collections.abc import Iterator
from itertools import product

import numpy as np
import zstandard

import sensor.sources.captures.files
from flows.block import Bytes
from flows.meter import Meter
from flows.pcap import FILE_HEADER, MAX_CAPLEN, PcapWalker, Walk
from flows.pcapng import SHORTEST_SECTION_HEADER, PcapngWalker
from sensor.errors import InputError
from sensor.sources.captures.files import CaptureFile
from tests.fuzz.mutation import Corpus
from tests.fuzz.promises import require
from tests.fuzz.times import LATEST_NS
from tests.support import capture_bytes as form
from tests.support.capture_bytes import Arriving, Packet

WIDTH, ROOM, BATCH = 1536, 4096, 256
STORED, GZIP, ZSTD = range(3)  # kinds: as it is, and to be packed after it was changed
BUFFERS = (512, 600, 4096, 1 << 20)  # bytes
PACKETS = [
    Packet(b"\x02" * 12 + b"\x08\x00" + b"\x45" + bytes(39), 10**18, 54),
    Packet(b"", 10**18 + 5, 0),
    Packet(bytes(range(90)), 10**18 + 9, 1500),
]

Outcome = tuple[list[Packet], str | None] | str


def seeds() -> Iterator[tuple[int, bytes]]:
    """Captures of every format, version, byte order, clock and block type, plain and packed."""
    plain = [*captures()]
    for content in plain:
        yield STORED, content
        yield GZIP, content
        yield ZSTD, content
    for kind in (GZIP, ZSTD):
        packed = [pack(content, kind) for content in plain[:4]]
        yield from ((STORED, content) for content in packed)
        yield STORED, packed[0][:-9] + packed[1]
        yield STORED, packed[0] + packed[1]
    yield STORED, gzip.compress(plain[0][:50], mtime=0) + gzip.compress(plain[0][50:], mtime=0) + bytes(600)
    yield from (
        (STORED, magic + bytes(60)) for magic in (b"\x28\xb5\x2f\xfd", b"snoop\0\0\0", b"\xfd7zXZ\0", b"text\n")
    )


def pack(content: bytes, kind: int) -> bytes:
    """A capture as it would be stored."""
    if kind == GZIP:
        return gzip.compress(content, 1, mtime=0)
    return zstandard.ZstdCompressor(1, write_checksum=True).compress(content) if kind == ZSTD else content


def captures() -> Iterator[bytes]:
    yield form.pcap(PACKETS)
    yield form.pcapng(PACKETS)
    for order in "<>":
        for magic, unit, extra in ((0xA1B2C3D4, 1000, 0), (0xA1B23C4D, 1, 0), (0xA1B2CD34, 1000, 8)):
            for minor in (4, 3, 2):
                head = form.pcap_header(order=order, magic=magic, version=(2, minor))
                records = [form.pcap_record(p, order=order, unit_ns=unit, extra=bytes(extra)) for p in PACKETS]
                yield head + b"".join(records)
        yield every_block(order)
        yield from clocks(order)
    yield form.pcap(PACKETS) + form.pcap(PACKETS, order=">")
    yield form.pcapng(PACKETS) + form.pcapng(PACKETS, order=">")


def every_block(order: str) -> bytes:
    """pcapng with options, several interfaces, all packet blocks and some that carry none."""
    comment = form.option(1, b"a comment", order=order)
    parts = [
        form.section(order=order, options=comment + form.option(0, b"", order=order)),
        form.interface(1, 0, comment + form.option(2, b"eth0", order=order), order=order),
        form.interface(113, 60, form.option(9, b"\x09", order=order), order=order),
        *(form.enhanced(p, p.ts_ns, i % 2, order=order, options=comment) for i, p in enumerate(PACKETS)),
        form.obsolete(PACKETS[0], 10**15, 1, order=order), form.simple(PACKETS[2], order=order),
        form.block(4, bytes(8), order=order), form.block(5, bytes(12), order=order),
        form.block(0x40000BAD, b"custom", order=order), form.interface(276, order=order),
        form.enhanced(PACKETS[0], 1, 2, order=order),
    ]  # fmt: skip
    return b"".join(parts)


def clocks(order: str) -> Iterator[bytes]:
    """pcapng with interface clocks of many resolutions and offsets."""
    ticks = (0, 10**15, (1 << 64) - 1)
    for resolution, offset_s in product((0, 3, 6, 9, 12, 19, 20, 0x80, 0x8A, 0xA0, 0xBF, 0xC0), (0, -1 << 63, 10**9)):
        described = form.option(9, bytes([resolution]), order=order)
        described += form.option(14, struct.pack(order + "q", offset_s), order=order)
        body = b"".join(form.enhanced(PACKETS[0], tick, order=order) for tick in ticks)
        yield form.section(order=order) + form.interface(1, 0, described, order=order) + body


def fuzz_captures(rng: np.random.Generator, corpus: Corpus, captures: int) -> int:
    """Read that many changed captures; returns the packets found. Raises BrokenPromiseError or what a reader raises."""
    found = done = 0
    while done < captures:
        rows, lengths, kinds = corpus.draw(rng, min(BATCH, captures - done))
        meter = Meter(64)
        for row, length, kind in zip(rows, lengths.tolist(), kinds.tolist(), strict=True):
            read = check_capture(rng, row[:length], kind, meter)
            corpus.notice(outcome(read, kind), row[:length], kind)
            found += 0 if isinstance(read, str) else len(read[0])
        stats = meter.stats
        require(stats.packets == stats.metered + sum(stats.undecoded.values()), f"packets do not add up: {stats}")
        done += len(rows)
    return found


def check_capture(rng: np.random.Generator, row: Bytes, kind: int, meter: Meter) -> Outcome:
    """Read a capture every way; what it holds."""
    content = pack(row.tobytes(), kind)
    whole = read(content, (), 1 << 20, meter)
    sizes = rng.integers(1, int(rng.choice([2, 20, 700])) + 1, 64).tolist()
    pieces = read(content, sizes, int(rng.choice(BUFFERS)), None)
    require(whole == pieces, f"a capture reads differently in pieces: {outcome(whole, kind)}, {outcome(pieces, kind)}")
    walk_alone(row.copy())
    if not isinstance(whole, str):
        require(all(0 <= packet.ts_ns <= LATEST_NS + 2**32 for packet in whole[0]), "a stamp outside 1970 to 2116")
        require(all(len(packet.frame) <= MAX_CAPLEN for packet in whole[0]), "a packet too long")
        require(whole[1] is None or "\n" not in whole[1], "more than one line")
    return whole


def read(content: bytes, sizes: list[int] | tuple[()], buffer: int, meter: Meter | None) -> Outcome:
    """Packets and how it ended, or why it was refused; buffer: bytes that the reader begins with."""
    sensor.sources.captures.files.BUFFER_BYTES = buffer  # type: ignore[misc]  # small ones make it move and grow
    packets: list[Packet] = []
    try:
        source = CaptureFile(Arriving(content, sizes), "test")
    except InputError as refusal:
        return str(refusal)
    for block in source:
        packets += form.packets_of([block])
        if meter is not None:
            meter.feed(block)
    return packets, source.problem


def walk_alone(content: Bytes) -> None:
    """Walk a capture in a buffer of its own size."""
    head = content[:SHORTEST_SECTION_HEADER].tobytes()
    walker: PcapWalker | PcapngWalker
    try:
        walker, start = PcapWalker(head[:FILE_HEADER]), FILE_HEADER
    except ValueError:
        try:
            walker, start = PcapngWalker(head), 0
        except ValueError:
            return
    walk: Walk = walker.walk(content, start, len(content))
    block = walk.block
    require((block.offset >= start).all() and (block.caplen >= 0).all(), "a packet before the capture")
    require((block.offset + block.caplen <= len(content)).all(), "a packet that ends behind the capture")
    require(start <= walk.position <= len(content), "a walk that ends outside the capture")


def outcome(read: Outcome, kind: int) -> tuple[object, ...]:
    """What reading came to, without the numbers."""
    if isinstance(read, str):
        return kind, re.sub(r"\d+|beginning [0-9a-f ]*", "", read)
    packets, problem = read
    linktypes = tuple(sorted({packet.linktype for packet in packets}))[:3]
    lengths = sum(len(packet.frame) for packet in packets).bit_length()
    return kind, len(packets), linktypes, lengths, re.sub(r"\d+", "", problem or "")
