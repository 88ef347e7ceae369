"""Classic pcap records: bytes of a capture in, PacketBlocks out.

Refuses to know where the bytes come from: the caller owns the buffer, refills it and keeps the part of a record that
has not arrived completely. Source: draft-ietf-opsawg-pcap; the "modified" magic is Alexey Kuznetzov's patch of
libpcap, which adds eight bytes to each record header.
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy import int64

from flows.block import Bytes, Int64s, PacketBlock
from flows.magics import PCAP_MAGICS
from flows.reuse import ReusedArrays
from kernels.jit import U, entry, inner

FILE_HEADER: Final = 24  # bytes
MAX_CAPLEN: Final = 262_144  # bytes; no writer captures more of one packet, so a larger length is damage
MAX_PACKETS: Final = 16_384  # packets of one block

# Which of the two lengths of a record comes first: captured (2.4), original (before 2.3), either (2.3).
CAPTURED_FIRST, ORIGINAL_FIRST, SMALLER_IS_CAPTURED = range(3)

# The same as numbers, which are one set in either byte order: captures may follow one another in a file.
MAGIC_NUMBERS: Final = tuple(int.from_bytes(magic, "big") for magic in PCAP_MAGICS)

# Why a walk over records stopped.
FULL, MORE, TOO_LONG, NEXT_HEADER = range(4)


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk over a buffer took.

    position: where in the buffer the first record begins that was not taken. wanted: bytes from there on that are
    needed to take it, as far as is known, 0 when the block is merely full. corrupt: what is wrong with that record,
    None when it can be read once all its bytes are there.
    """

    block: PacketBlock
    position: int
    wanted: int
    corrupt: str | None = None


@dataclass(frozen=True, slots=True)
class PacketArrays:
    """Room for packets; (n,) int64 each, named as in PacketBlock."""

    offset: Int64s
    caplen: Int64s
    wirelen: Int64s
    ts_ns: Int64s
    linktype: Int64s

    def block(self, buffer: Bytes, count: int) -> PacketBlock:
        """First `count` packets, without copying."""
        return PacketBlock(
            buffer,
            self.offset[:count],
            self.caplen[:count],
            self.wirelen[:count],
            self.ts_ns[:count],
            self.linktype[:count],
        )


def packet_arrays(packets: int) -> PacketArrays:
    """Zeroed room for `packets` packets."""
    return PacketArrays(*(np.zeros(packets, dtype=np.int64) for _ in range(5)))


class PacketRoom:
    """Room for the packets of one block after the other, each of which has it for itself while it is referred to."""

    def __init__(self, packets: int) -> None:
        """packets: of a block at most."""
        self._packets = packets
        self._reused: ReusedArrays[Int64s] = ReusedArrays(lambda: np.empty((5, packets), dtype=np.int64))
        self._rows = self._reused.take()
        self._used = 0
        self.left = PacketArrays(*self._rows)  # for the next block

    def take(self, packets: int) -> bool:
        """Leave the first packets of what was left to a block. Whether what is left now is elsewhere."""
        self._used += packets
        elsewhere = self._packets - self._used < (self._packets + 1) // 2
        if elsewhere:
            self._rows = self._reused.take()
            self._used = 0
        self.left = PacketArrays(*self._rows[:, self._used :])
        return elsewhere


@inner
def u16(buffer: Bytes, at: int, big: bool) -> int:
    """Unsigned 16-bit number as int64, in the byte order of the capture."""
    first, second = int64(buffer[U(at)]), int64(buffer[U(at + 1)])
    return int((first << 8) | second if big else (second << 8) | first)


@inner
def u32(buffer: Bytes, at: int, big: bool) -> int:
    """Unsigned 32-bit number as int64, in the byte order of the capture."""
    first, second = int64(buffer[U(at)]), int64(buffer[U(at + 1)])
    third, fourth = int64(buffer[U(at + 2)]), int64(buffer[U(at + 3)])
    if big:
        return int((first << 24) | (second << 16) | (third << 8) | fourth)
    return int((fourth << 24) | (third << 16) | (second << 8) | first)


@inner
def is_file_header(buffer: Bytes, at: int) -> bool:
    """Whether what begins with a magic number goes on as a file header: version 2.x and two zeros.

    As a record it would be an empty packet of no length, which nobody captures.
    """
    first = int64(buffer[U(at + 4)]) | int64(buffer[U(at + 5)])
    second = int64(buffer[U(at + 6)]) | int64(buffer[U(at + 7)])
    zeros = int64(0)
    for i in range(8, 16):
        zeros |= int64(buffer[U(at + i)])
    return bool(first == 2 and second <= 4 and zeros == 0)


@entry
def walk_records(
    buffer: Bytes,
    start: int,
    end: int,
    big: bool,
    header: int,
    unit_ns: int,
    lengths: int,
    taken: int,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
) -> tuple[int, int, int, int]:
    """Take the whole records of buffer[start:end]: (position, packets taken, why it stopped, bytes wanted).

    buffer: (b,) uint8, writable or not but always the same kind. The last four arrays hold `taken` packets already.
    """
    position = start
    count = taken
    while count < len(offset):
        frame = position + header
        if frame > end:
            return position, count, MORE, header
        if u32(buffer, position, big) in MAGIC_NUMBERS and is_file_header(buffer, position):
            return position, count, NEXT_HEADER, FILE_HEADER
        captured = u32(buffer, position + 8, big)
        original = u32(buffer, position + 12, big)
        if lengths == ORIGINAL_FIRST or (lengths == SMALLER_IS_CAPTURED and captured > original):
            captured, original = original, captured
        if captured > MAX_CAPLEN:
            return position, count, TOO_LONG, captured
        if frame + captured > end:
            return position, count, MORE, header + captured
        offset[U(count)] = frame
        caplen[U(count)] = captured
        wirelen[U(count)] = original
        ts_ns[U(count)] = u32(buffer, position, big) * 1_000_000_000 + u32(buffer, position + 4, big) * unit_ns
        count += 1
        position = frame + captured
    return position, count, FULL, 0


class PcapWalker:
    """Walks the records that follow a pcap file header, and those of further captures behind it."""

    def __init__(self, header: bytes, packets: int = MAX_PACKETS) -> None:
        """header: the FILE_HEADER bytes that open the file. packets: of a block at most.

        Raises ValueError, saying what was found, when they are cut short, of no known magic or of another version.
        """
        self._room = PacketRoom(packets)
        self._read_header(header)
        self._room.left.linktype.fill(self._linktype)

    def walk(self, buffer: Bytes, start: int, end: int) -> Walk:
        """Take the whole records of buffer[start:end], as many as a block may have. It has arrays of its own."""
        room = self._room.left
        position, count, corrupt = start, 0, None
        while True:
            position, count, stop, wanted = walk_records(
                buffer,
                position,
                end,
                self._big,
                self._header,
                self._unit_ns,
                self._lengths,
                count,
                room.offset,
                room.caplen,
                room.wirelen,
                room.ts_ns,
            )
            if stop != NEXT_HEADER or end - position < FILE_HEADER:
                break
            try:
                self._read_header(buffer[position : position + FILE_HEADER].tobytes())
            except ValueError as error:
                corrupt = str(error)
                break
            room.linktype[count:].fill(self._linktype)
            position += FILE_HEADER
        if stop == TOO_LONG:
            corrupt = f"a packet of {wanted} bytes, expected at most {MAX_CAPLEN}"
        block = room.block(buffer, count)
        if self._room.take(count):
            self._room.left.linktype.fill(self._linktype)
        return Walk(block, position, 0 if corrupt else wanted, corrupt)

    def _read_header(self, header: bytes) -> None:
        if header[:4] not in PCAP_MAGICS:
            raise ValueError("no pcap magic")
        if len(header) < FILE_HEADER:
            raise ValueError(f"a pcap header cut short after {len(header)} of {FILE_HEADER} bytes")
        self._big, self._unit_ns, self._header = PCAP_MAGICS[header[:4]]
        major, minor, linktype = struct.unpack(">4xHH12xI" if self._big else "<4xHH12xI", header[:FILE_HEADER])
        if major != 2:
            raise ValueError(f"pcap version {major}.{minor} instead of 2.4")
        self._lengths = CAPTURED_FIRST if minor > 3 else SMALLER_IS_CAPTURED if minor == 3 else ORIGINAL_FIRST
        # The upper 16 bits hold the length of the frame check sequence and reserved bits.
        self._linktype = linktype & 0xFFFF
