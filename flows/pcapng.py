"""pcapng blocks: bytes of a capture in, PacketBlocks out; several sections, interfaces and clocks.

Refuses to know where the bytes come from (see flows.pcap) and what options say, except the two that date a packet.
Blocks that carry no packet are skipped. Source: draft-ietf-opsawg-pcapng.
"""

import struct
from typing import Final

import numpy as np
from numpy import int64
from numpy.typing import NDArray

from flows.block import Bytes, Int64s
from flows.magics import PCAPNG_MAGIC
from flows.pcap import MAX_CAPLEN, MAX_PACKETS, PacketRoom, Walk, u16, u32
from kernels.jit import U, entry, inner

Interfaces = NDArray[np.int64]  # (k, INTERFACE_WIDTH), a row for each interface of the section, columns below

SECTION_HEADER, INTERFACE_DESCRIPTION, OBSOLETE_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
BYTE_ORDERS: Final = {b"\x1a\x2b\x3c\x4d": True, b"\x4d\x3c\x2b\x1a": False}  # big-endian or not
SHORTEST_SECTION_HEADER: Final = 28  # bytes

MAX_BLOCK: Final = 16 << 20  # bytes; libpcap's bound, so that a damaged length cannot ask for 4 GiB
MAX_INTERFACES: Final = 65_536  # of one section; keeps a hostile capture from filling memory
MAX_BARE: Final = 131_072  # sections and interfaces that a capture may have beside one for each packet
MAX_OPTIONS: Final = 256  # of an interface
LATEST_NS: Final = 2**62 - 1  # in the year 2116, later than classic pcap can say; two of them still fit int64

OPTION_END, OPTION_TSRESOL, OPTION_TSOFFSET = 0, 9, 14

# Columns of Interfaces. A clock tick is MULTIPLY ns long (after LAST_TICK of them comes LATEST_NS), or DIVIDE of
# them make one ns, or 2**SHIFT of them a second; the two others are 0.
LINKTYPE, SNAPLEN, MULTIPLY, LAST_TICK, DIVIDE, SHIFT, OFFSET_NS, INTERFACE_WIDTH = range(8)

# Why a walk over blocks stopped; WHOLE does not stop it, and from BAD_LENGTH on the block cannot be read.
WHOLE, FULL, MORE, SECTION, INTERFACE, BAD_LENGTH, BAD_TRAILER, NO_INTERFACE, TOO_LONG, OVERRUN = range(10)
FAULTS: Final = {
    BAD_LENGTH: "a block length of {}, expected a multiple of 4 from 12 to " + str(MAX_BLOCK),
    BAD_TRAILER: "a block whose two lengths differ, the second is {}",
    NO_INTERFACE: "a packet of interface {}, which was not described",
    TOO_LONG: "a packet of {} bytes, expected at most " + str(MAX_CAPLEN),
    OVERRUN: "a packet of {} bytes in a block too short for it",
}


@inner
def binary_nanoseconds(ticks: np.uint64, shift: int) -> int:
    """Nanoseconds of ticks of 2**-shift s, rounded down, clamped to LATEST_NS."""
    seconds = ticks >> U(shift)
    if seconds >= U(LATEST_NS // 1_000_000_000):
        return LATEST_NS
    fraction = ticks - (seconds << U(shift))
    # fraction * 10**9 needs 93 bits, so the halves of the fraction are multiplied one by one.
    if shift <= 32:
        part = (fraction * U(1_000_000_000)) >> U(shift)
    else:
        low = ((fraction & U(0xFFFFFFFF)) * U(1_000_000_000)) >> U(32)
        part = ((fraction >> U(32)) * U(1_000_000_000) + low) >> U(shift - 32)
    return int(int64(seconds)) * 1_000_000_000 + int(int64(part))


@inner
def nanoseconds(high: int, low: int, interfaces: Interfaces, index: int) -> int:
    """Time of a packet in ns since 1970 from the two words of its timestamp, clamped to [0, LATEST_NS]."""
    ticks = (U(high) << U(32)) | U(low)
    multiply = int(interfaces[U(index), U(MULTIPLY)])
    divide = interfaces[U(index), U(DIVIDE)]
    if multiply != 0:
        in_range = ticks <= U(interfaces[U(index), U(LAST_TICK)])
        since = int(int64(ticks)) * multiply if in_range else LATEST_NS
    elif divide != 0:
        since = int(int64(ticks // U(divide)))
    else:
        since = binary_nanoseconds(ticks, interfaces[U(index), U(SHIFT)])
    return min(max(since + int(interfaces[U(index), U(OFFSET_NS)]), 0), LATEST_NS)


@inner
def block_ahead(buffer: Bytes, position: int, end: int, big: bool) -> tuple[int, int]:
    """Whether a block lies whole in buffer[position:end]: (WHOLE or why not, its length or the number at fault)."""
    if position + 8 > end:
        return MORE, 8
    if u32(buffer, position, big) == SECTION_HEADER:  # reads the same in both byte orders, but its length does not
        return SECTION, 0
    length = u32(buffer, position + 4, big)
    if length < 12 or length > MAX_BLOCK or length & 3:
        return BAD_LENGTH, length
    if position + length > end:
        return MORE, length
    trailer = u32(buffer, position + length - 4, big)
    return (WHOLE, length) if trailer == length else (BAD_TRAILER, trailer)


@inner
def enhanced_packet(
    buffer: Bytes, position: int, length: int, big: bool, index: int, interface_count: int
) -> tuple[int, int, int, int]:
    """An Enhanced or an obsolete Packet Block: (WHOLE or what is wrong, number at fault, caplen, wirelen)."""
    if length < 32:
        return BAD_LENGTH, length, 0, 0
    if index >= interface_count:
        return NO_INTERFACE, index, 0, 0
    captured = u32(buffer, position + 20, big)
    if captured > MAX_CAPLEN:
        return TOO_LONG, captured, 0, 0
    if captured > length - 32:
        return OVERRUN, captured, 0, 0
    return WHOLE, length, captured, u32(buffer, position + 24, big)


@inner
def simple_packet(
    buffer: Bytes, position: int, length: int, big: bool, interfaces: Interfaces, interface_count: int
) -> tuple[int, int, int, int]:
    """A Simple Packet Block, always of the section's first interface; returns what enhanced_packet does.

    It holds no captured length: that is what the snap length and the block leave of the original one.
    """
    if length < 16:
        return BAD_LENGTH, length, 0, 0
    if interface_count == 0:
        return NO_INTERFACE, 0, 0, 0
    original = u32(buffer, position + 8, big)
    captured = min(original, length - 16)
    snaplen = int(interfaces[U(0), U(SNAPLEN)])
    if snaplen > 0:
        captured = min(captured, snaplen)
    if captured > MAX_CAPLEN:
        return TOO_LONG, captured, 0, 0
    return WHOLE, length, captured, original


@entry
def walk_blocks(
    buffer: Bytes,
    start: int,
    end: int,
    big: bool,
    interfaces: Interfaces,
    interface_count: int,
    taken: int,
    last_ns: int,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
    linktype: Int64s,
) -> tuple[int, int, int, int, int]:
    """Take the packets of the whole blocks of buffer[start:end], up to a block that changes what follows.

    The arrays hold `taken` packets already; last_ns is the time of the one before. A simple packet has no time of its
    own and takes that. Returns (position, packets taken, time of the last, why it stopped, bytes wanted or the number
    at fault).
    """
    position = start
    count = taken
    while count < len(offset):
        stop, length = block_ahead(buffer, position, end, big)
        if stop != WHOLE:
            return position, count, last_ns, stop, length
        kind = u32(buffer, position, big)
        if kind == INTERFACE_DESCRIPTION:
            return position, count, last_ns, INTERFACE, length
        if kind not in (ENHANCED_PACKET, OBSOLETE_PACKET, SIMPLE_PACKET):
            position += length
            continue
        if kind == SIMPLE_PACKET:
            index, frame = 0, position + 12
            stop, number, captured, original = simple_packet(buffer, position, length, big, interfaces, interface_count)
        else:
            at = position + 8
            index = u32(buffer, at, big) if kind == ENHANCED_PACKET else u16(buffer, at, big)
            frame = position + 28
            stop, number, captured, original = enhanced_packet(buffer, position, length, big, index, interface_count)
        if stop != WHOLE:
            return position, count, last_ns, stop, number
        if kind != SIMPLE_PACKET:
            high, low = u32(buffer, position + 12, big), u32(buffer, position + 16, big)
            last_ns = nanoseconds(high, low, interfaces, index)
        offset[U(count)] = frame
        caplen[U(count)] = captured
        wirelen[U(count)] = original
        ts_ns[U(count)] = last_ns
        linktype[U(count)] = interfaces[U(index), U(LINKTYPE)]
        count += 1
        position += length
    return position, count, last_ns, FULL, 0


def described_interface(body: bytes, big: bool) -> list[int]:
    """Row of Interfaces from an Interface Description Block without its type and lengths.

    Raises ValueError, saying what was found, for options that overrun the block or are too many, and for clocks finer
    than 64 bits hold.
    """
    order = ">" if big else "<"
    linktype, snaplen = struct.unpack_from(order + "H2xI", body)
    resolution, offset_s = 6, 0
    at, options = 8, 0
    while at + 4 <= len(body):
        options += 1
        if options > MAX_OPTIONS:
            raise ValueError(f"an interface of more than {MAX_OPTIONS} options")
        code, length = struct.unpack_from(order + "HH", body, at)
        at += 4
        if code == OPTION_END:
            break
        if at + length > len(body):
            raise ValueError(f"an interface option of {length} bytes in a block too short for it")
        if code == OPTION_TSRESOL and length == 1:
            resolution = body[at]
        elif code == OPTION_TSOFFSET and length == 8:
            (offset_s,) = struct.unpack_from(order + "q", body, at)
        at += (length + 3) & ~3
    multiply, divide, shift = clock(resolution)
    last_tick = LATEST_NS // multiply if multiply else 0
    offset_ns = max(-LATEST_NS, min(LATEST_NS, offset_s * 1_000_000_000))
    return [linktype, snaplen, multiply, last_tick, divide, shift, offset_ns]


def clock(resolution: int) -> tuple[int, int, int]:
    """(MULTIPLY, DIVIDE, SHIFT) of an if_tsresol byte; ValueError when a tick is below 10**-19 or 2**-63 s."""
    power = resolution & 0x7F
    if resolution & 0x80:
        if power > 63:
            raise ValueError(f"an interface clock of 2^-{power} s, expected at least 2^-63 s")
        return 0, 0, power
    if power > 19:
        raise ValueError(f"an interface clock of 10^-{power} s, expected at least 10^-19 s")
    return (10 ** (9 - power), 0, 0) if power <= 9 else (0, 10 ** (power - 9), 0)


class PcapngWalker:
    """Walks the blocks of a pcapng capture from its first section header on."""

    def __init__(self, header: bytes, packets: int = MAX_PACKETS) -> None:
        """header: the first SHORTEST_SECTION_HEADER bytes of the file, which `walk` will see again. packets: of a block
        at most.

        Raises ValueError, saying what was found, when they are cut short or no section header.
        """
        if header[:4] != PCAPNG_MAGIC:
            raise ValueError("no pcapng magic")
        if len(header) < SHORTEST_SECTION_HEADER:
            raise ValueError(f"a pcapng header cut short after {len(header)} of {SHORTEST_SECTION_HEADER} bytes")
        if header[8:12] not in BYTE_ORDERS:
            raise ValueError("a pcapng header without byte order")
        self._big = False
        self._interfaces: Interfaces = np.zeros((8, INTERFACE_WIDTH), dtype=np.int64)
        self._interface_count = 0
        self._bare = MAX_BARE  # sections and interfaces that may still come
        self._last_ns = 0
        self._room = PacketRoom(packets)

    def walk(self, buffer: Bytes, start: int, end: int) -> Walk:
        """Take the packets of the whole blocks of buffer[start:end], as many as a block may have.

        The block has arrays of its own.
        """
        walk = self._walk(buffer, start, end)
        self._room.take(len(walk.block))
        self._bare += len(walk.block)
        return walk

    def _walk(self, buffer: Bytes, start: int, end: int) -> Walk:
        room = self._room.left
        position, count = start, 0
        while True:
            position, count, self._last_ns, stop, number = walk_blocks(
                buffer,
                position,
                end,
                self._big,
                self._interfaces,
                self._interface_count,
                count,
                self._last_ns,
                room.offset,
                room.caplen,
                room.wirelen,
                room.ts_ns,
                room.linktype,
            )
            block = room.block(buffer, count)
            if stop in FAULTS:
                return Walk(block, position, 0, FAULTS[stop].format(number))
            if stop in (FULL, MORE):
                return Walk(block, position, number)
            try:
                self._bare -= 1
                if self._bare + count < 0:
                    raise ValueError(f"more than {MAX_BARE:,} sections and interfaces without packets")
                if stop == INTERFACE:
                    self._describe(buffer[position + 8 : position + number - 4].tobytes())
                    length, wanted = number, 0
                else:
                    length, wanted = self._open_section(buffer[position : min(end, position + MAX_BLOCK)].data)
            except ValueError as error:
                return Walk(block, position, 0, str(error))
            if not length:
                return Walk(block, position, wanted)
            position += length

    def _describe(self, body: bytes) -> None:
        """Add an interface to the section."""
        if len(body) < 8:
            raise ValueError(f"an interface description of {len(body)} bytes, expected at least 8")
        if self._interface_count == MAX_INTERFACES:
            raise ValueError(f"more than {MAX_INTERFACES} interfaces")
        if self._interface_count == len(self._interfaces):
            self._interfaces = np.vstack([self._interfaces, np.zeros_like(self._interfaces)])
        self._interfaces[self._interface_count, : OFFSET_NS + 1] = described_interface(body, self._big)
        self._interface_count += 1

    def _open_section(self, header: memoryview) -> tuple[int, int]:
        """Begin a section: (bytes taken, bytes wanted), taken 0 while the header is not there as a whole."""
        if len(header) < 12:
            return 0, 12
        if header[8:12].tobytes() not in BYTE_ORDERS:
            raise ValueError("a section header without byte order")
        big = BYTE_ORDERS[header[8:12].tobytes()]
        order = ">" if big else "<"
        (length,) = struct.unpack_from(order + "I", header, 4)
        if length < SHORTEST_SECTION_HEADER or length > MAX_BLOCK or length & 3:
            raise ValueError(f"a section header of {length} bytes")
        if length > len(header):
            return 0, length
        major, minor = struct.unpack_from(order + "HH", header, 12)
        (trailer,) = struct.unpack_from(order + "I", header, length - 4)
        if trailer != length:
            raise ValueError(f"a section header whose two lengths differ, {length} and {trailer}")
        if major != 1:
            raise ValueError(f"pcapng version {major}.{minor} instead of 1.0")
        self._big = big
        self._interface_count = 0
        return length, 0
