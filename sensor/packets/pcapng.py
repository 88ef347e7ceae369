"""Writer of pcapng captures with nanosecond timestamps; a live capture can be read again with the same times.

One write for each block of packets. Source: draft-ietf-opsawg-pcapng.
"""

import os
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from flows.block import Bytes, Int64s, PacketBlock
from flows.pcap import MAX_CAPLEN
from flows.pcapng import ENHANCED_PACKET, INTERFACE_DESCRIPTION, OPTION_END, OPTION_TSRESOL, SECTION_HEADER
from kernels.jit import U, entry, inner
from sensor.errors import OutputError, reason_of
from sensor.files.ownership import CREATE, Owner, open_owned

OPTION_COMMENT, OPTION_IF_NAME = 1, 2
NANOSECONDS: Final = 9  # if_tsresol: 10**-9 s
BYTE_ORDER: Final = 0x1A2B3C4D
UNKNOWN_LENGTH: Final = -1  # of the section
PACKET_HEADER, PACKET_OVERHEAD = 28, 32  # bytes of an Enhanced Packet Block before and around the frame


class RawOutput(Protocol):
    """An unbuffered binary file: io.FileIO, or a test's stand-in."""

    def write(self, content: memoryview, /) -> int | None:
        """Write a part of the content: how many bytes, None when none can be taken now."""

    def truncate(self, size: int, /) -> object:
        """Cut it to this many bytes. Raises OSError where it cannot be cut."""

    def close(self) -> None:
        """Close it."""


class PacketWriter(Protocol):
    """Writes packets of interfaces somewhere: PcapngWriter, or one of those of files in turn and of pipes."""

    @property
    def packets(self) -> int:
        """Packets that were written."""

    def add_interface(self, name: str, linktype: int, /) -> int:
        """Add an interface; returns its number, which its packets refer to."""

    def write(self, block: PacketBlock, interface_of: Int64s, clock_step_ns: int, /) -> None:
        """Append the packets of a block. Raises OutputError."""

    def close(self) -> None:
        """Close the output. Raises OutputError."""


@inner
def put32(out: Bytes, at: int, value: int) -> None:
    """Write the low 32 bits, little-endian."""
    for byte in range(4):
        out[U(at + byte)] = (value >> (8 * byte)) & 0xFF


@entry
def build_packets(
    buffer: Bytes,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
    interface: Int64s,
    clock_step_ns: int,
    out: Bytes,
) -> int:
    """Write an Enhanced Packet Block for each packet into `out`, which must be large enough; returns the bytes written.

    interface: (n,) number of each packet's description. clock_step_ns: is added to each time.
    """
    at = 0
    for packet in range(len(offset)):
        frame = offset[U(packet)]
        captured = caplen[U(packet)]
        padded = (captured + 3) & ~3
        length = PACKET_OVERHEAD + padded
        put32(out, at, ENHANCED_PACKET)
        put32(out, at + 4, length)
        put32(out, at + 8, interface[U(packet)])
        time_ns = ts_ns[U(packet)] + clock_step_ns
        put32(out, at + 12, time_ns >> 32)
        put32(out, at + 16, time_ns)
        put32(out, at + 20, captured)
        put32(out, at + 24, wirelen[U(packet)])
        body = at + PACKET_HEADER
        for byte in range(captured):
            out[U(body + byte)] = buffer[U(frame + byte)]
        for byte in range(captured, padded):
            out[U(body + byte)] = 0
        put32(out, body + padded, length)
        at += length
    return at


class PcapngWriter:
    """Writes a pcapng section: interface descriptions, and packets of these interfaces."""

    def __init__(self, raw: RawOutput, name: str, again: Callable[[], RawOutput] | None = None) -> None:
        """Begin the section. name: of the output, for messages. again: makes the file anew where others remove it.

        Raises OutputError when it cannot be written.
        """
        self.name = name
        self.size = 0  # bytes that were written
        self.packets = 0  # that were written
        self._raw, self._again = raw, again
        self._names: list[str] = []
        self._described: dict[tuple[int, int], int] = {}  # (interface, link type) to the number in the section
        self._out: Bytes = np.empty(1 << 20, dtype=np.uint8)
        self._write(section_header())

    def add_interface(self, name: str, linktype: int) -> int:
        """Add an interface; returns its number, which its packets refer to."""
        self._names.append(name)
        self._describe(len(self._names) - 1, linktype)
        return len(self._names) - 1

    def write(self, block: PacketBlock, interface_of: Int64s, clock_step_ns: int = 0) -> None:
        """Append the packets of a block.

        interface_of: (n,) int64, number of each packet's interface. clock_step_ns: what the wall clock is ahead of the
        block's times. Raises OutputError when the file takes no more.
        """
        if not len(block):
            return
        if self._again is not None and self.removed:
            self._begin_anew(self._again)
        needed = max_encoded_bytes(block)
        if needed > len(self._out):
            self._out = np.empty(1 << (needed - 1).bit_length(), dtype=np.uint8)
        self._write(packet_blocks(block, self._numbers(interface_of, block.linktype), self._out, clock_step_ns))
        self.packets += len(block)

    @property
    def removed(self) -> bool:
        """Whether it is a file that has no name any more, and goes with who has it open."""
        return isinstance(self._raw, FileIO) and not os.fstat(self._raw.fileno()).st_nlink

    def _begin_anew(self, again: Callable[[], RawOutput]) -> None:
        """Go on in a new file, with the same interfaces. Raises OutputError."""
        described = list(self._described)
        try:
            raw = again()
        except OSError as error:
            raise self._lost(error) from None
        with suppress(OSError):
            self._raw.close()
        self._raw, self._described, self.size = raw, {}, 0
        self._write(section_header())
        for interface, linktype in described:
            self._describe(interface, linktype)

    def _numbers(self, interface_of: Int64s, linktype: Int64s) -> Int64s:
        """Number of the description of each packet: a recreated interface may have another link type."""
        numbers = np.empty(len(interface_of), dtype=np.int64)
        for interface in np.unique(interface_of).tolist():
            of_interface = interface_of == interface
            for kind in np.unique(linktype[of_interface]).tolist():
                if (interface, kind) not in self._described:
                    self._describe(interface, kind)
                numbers[of_interface & (linktype == kind)] = self._described[interface, kind]
        return numbers

    def _describe(self, interface: int, linktype: int) -> None:
        self._write(interface_description(self._names[interface], linktype))
        self._described[interface, linktype] = len(self._described)

    def close(self) -> None:
        """Close the output. Raises OutputError when the system reports lost bytes only now."""
        try:
            self._raw.close()
        except OSError as error:
            raise self._lost(error) from None

    def _write(self, content: bytes | memoryview) -> None:
        """Write all of the content, or as far as possible nothing: what is cut short would end the reading."""
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[self._raw.write(rest) or 0 :]
        except OSError as error:
            with suppress(OSError):
                self._raw.truncate(self.size)
            raise self._lost(error) from None
        self.size += len(content)

    def _lost(self, error: OSError) -> OutputError:
        return OutputError(f"{self.name}: packets cannot be written: {reason_of(error)}")


def create_capture(path: Path, owner: Owner | None = None) -> PcapngWriter:
    """Create a capture file. Raises OutputError, one line, when it cannot be written or holds something already.

    owner: of a file that is created. One that others remove is made anew.
    """
    refuse_existing(path)
    try:
        raw = FileIO(open_owned(path, CREATE | getattr(os, "O_NONBLOCK", 0), owner), "w")
    except OSError as error:
        raise OutputError(f"{path}: packets cannot be written: {reason_of(error)}") from None
    if stat.S_ISFIFO(os.fstat(raw.fileno()).st_mode):  # which sensor.packets.pipe writes to
        raw.close()
        raise OutputError(f"{path}: packets cannot be written: found a pipe in the place of a file")
    return PcapngWriter(raw, str(path), lambda: FileIO(open_owned(path, CREATE | os.O_EXCL, None), "w"))


def refuse_existing(path: Path) -> None:
    """Raise OutputError where a file holds something: a capture of an earlier run is never overwritten."""
    if os.path.isfile(path) and path.stat().st_size:
        raise OutputError(f"{path}: found a file that is not empty, expected a new name for the packets")


def section_header(comment: str = "") -> bytes:
    """Section Header Block with an optional comment."""
    options = _option(OPTION_COMMENT, comment.encode()) + _option(OPTION_END, b"") if comment else b""
    return _block(SECTION_HEADER, struct.pack("<IHHq", BYTE_ORDER, 1, 0, UNKNOWN_LENGTH) + options)


def interface_description(name: str, linktype: int) -> bytes:
    """Interface Description Block with nanosecond resolution. name: "" for none."""
    # a name of Linux may be any bytes, this one is UTF-8
    options = _option(OPTION_IF_NAME, name.encode(errors="replace")) if name else b""
    options += _option(OPTION_TSRESOL, bytes([NANOSECONDS])) + _option(OPTION_END, b"")
    return _block(INTERFACE_DESCRIPTION, struct.pack("<HHI", linktype & 0xFFFF, 0, MAX_CAPLEN) + options)


def encoded_sizes(block: PacketBlock) -> Int64s:
    """Encoded size of each packet of a block, (n,) int64, bytes."""
    return PACKET_OVERHEAD + ((block.caplen + 3) & ~3)


def max_encoded_bytes(block: PacketBlock) -> int:
    """Upper bound of the encoded size of the packets of a block."""
    return len(block) * (PACKET_OVERHEAD + 3) + int(block.caplen.sum())


def packet_blocks(block: PacketBlock, numbers: Int64s, out: Bytes, clock_step_ns: int = 0) -> memoryview:
    """Enhanced Packet Blocks of the packets, written into `out`, which has at least max_encoded_bytes.

    numbers: (n,) number of the interface description of each packet.
    """
    length = build_packets(
        block.buffer, block.offset, block.caplen, block.wirelen, block.ts_ns, numbers, clock_step_ns, out
    )
    return out[:length].data


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def warm_packet_builder() -> None:
    """Compile the kernel of the writer before there are packets."""
    none = np.empty(0, dtype=np.int64)
    build_packets(np.empty(0, dtype=np.uint8), none, none, none, none, none, 0, np.empty(0, dtype=np.uint8))
