"""Byte streams of a file: as stored, with a count, and decompressed from gzip (RFC 1952) or zstd (RFC 8878).

Truncated or corrupt data does not raise: all bytes before the damage are read, and `damage` describes it.
"""

import os
import select
import zlib
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import zstandard

PIECE: Final = 65_536  # bytes of compressed data read at a time

# Bytes of zstd data: before a frame's descriptor, of a block's header, of a checksum.
ZSTD_DESCRIPTOR, ZSTD_BLOCK_HEADER, ZSTD_CHECKSUM = 4, 3, 4
ZSTD_LARGEST_BLOCK, ZSTD_REPEATED_BYTE = 131_072, 1


class RawFile(Protocol):
    """An unbuffered binary file: io.FileIO, or a test's stand-in."""

    def readinto(self, view: memoryview, /) -> int | None:
        """Read into the view once: bytes read, 0 at the end, None when nothing is available yet."""

    def fileno(self) -> int:
        """File descriptor."""

    def close(self) -> None:
        """Close it."""


class ByteStream(Protocol):
    """A stream of bytes that may end in damage."""

    damage: str | None  # why the bytes end here, None for a regular end

    def readinto(self, view: memoryview, /) -> int:
        """Read at least one byte into the view: bytes read, 0 at the end and at damage."""


class CountingReader:
    """Reads the bytes of a file as stored, and counts them."""

    def __init__(self, raw: RawFile) -> None:
        self.count = 0  # bytes read
        self.damage: str | None = None
        self._raw = raw

    def readinto(self, view: memoryview, /) -> int:
        """Read into the view: bytes read, 0 at the end and at an error of the system."""
        try:
            while (got := self._raw.readinto(view)) is None:  # somebody made the descriptor non-blocking
                waiting = select.poll()
                waiting.register(self._raw.fileno(), select.POLLIN)
                waiting.poll()
        except OSError as error:
            self.damage = f"unreadable after {self.count} bytes: {error.strerror or os.strerror(error.errno or 0)}"
            return 0
        self.count += got
        return got


class GzipReader:
    """Decompresses gzip data of one or several members, up to the last byte before damage."""

    def __init__(self, stored: CountingReader, head: bytes) -> None:
        """head: bytes that were already read from `stored`."""
        self.damage: str | None = None
        self._stored = stored
        self._packed = head
        self._piece = bytearray(PIECE)
        self._member = zlib.decompressobj(wbits=31)
        self._salvaged = b""

    def readinto(self, view: memoryview, /) -> int:
        """Read decompressed bytes into the view: bytes read, 0 at the end and at damage."""
        while not self.damage:
            if self._member.eof and not self._open_member():
                return 0
            if not self._packed:
                self._packed = self._read()
            last = not self._packed
            unpacked = self._unpack(len(view))
            if unpacked:
                view[: len(unpacked)] = unpacked
                return len(unpacked)
            if last and not self._member.eof and not self.damage:
                self.damage = (
                    self._stored.damage or f"truncated: the gzip data ends early, at byte {self._stored.count}"
                )
        part = self._salvaged[: len(view)]
        self._salvaged = self._salvaged[len(part) :]
        view[: len(part)] = part
        return len(part)

    def _read(self) -> bytes:
        return bytes(self._piece[: self._stored.readinto(memoryview(self._piece))])

    def _open_member(self) -> bool:
        """Start the next member; False when there is none. Zeros may pad the end, as on tapes."""
        packed = self._member.unused_data.lstrip(b"\0")
        while not packed:
            piece = self._read()
            if not piece:
                self.damage = self._stored.damage
                return False
            packed = piece.lstrip(b"\0")
        self._packed = packed
        self._member = zlib.decompressobj(wbits=31)
        return True

    def _unpack(self, room: int) -> bytes:
        """Decompress at most `room` bytes."""
        before = self._member.copy()
        try:
            unpacked = self._member.decompress(self._packed, room)
        except zlib.error:
            self._salvage(before)
            return b""
        self._packed = self._member.unconsumed_tail
        return unpacked

    def _salvage(self, member: "zlib._Decompress") -> None:
        """Decompress byte by byte up to the damage: zlib returns nothing from the call that meets it."""
        unpacked = bytearray()
        consumed = 0
        try:
            for consumed in range(len(self._packed)):
                unpacked += member.decompress(self._packed[consumed : consumed + 1])
        except zlib.error:
            pass
        self._salvaged = bytes(unpacked)
        self.damage = f"corrupt gzip data near byte {self._stored.count - len(self._packed) + consumed}"


class ZstdReader:
    """Decompresses zstd data of one or several frames, up to the last block before damage.

    Block by block (RFC 8878, 3.1.1), none larger than 128 KiB, so that neither the memory nor the bytes read before
    damage depend on how the data arrives.
    """

    def __init__(self, stored: CountingReader, head: bytes) -> None:
        """head: bytes that were already read from `stored`."""
        from zstandard import ZstdDecompressor

        self.damage: str | None = None
        self._stored = stored
        self._packed = head
        self._piece = bytearray(PIECE)
        self._decompressor = ZstdDecompressor()
        self._frame: zstandard.ZstdDecompressionObj | None = None  # None between frames
        self._at_end = False  # after the last block of the frame
        self._unpacked = memoryview(b"")

    def readinto(self, view: memoryview, /) -> int:
        """Read decompressed bytes into the view: bytes read, 0 at the end and at damage."""
        while not self._unpacked and not self.damage:
            wanted = self._header_size() if self._frame is None else self._block_size()
            if len(self._packed) >= wanted:
                self._unpack(wanted)
                continue
            piece = bytes(self._piece[: self._stored.readinto(memoryview(self._piece))])
            self._packed += piece
            if not piece:
                self.damage = self._end_of_input()
                break
        part = self._unpacked[: len(view)]
        self._unpacked = self._unpacked[len(part) :]
        view[: len(part)] = part
        return len(part)

    def _header_size(self) -> int:
        if len(self._packed) < ZSTD_DESCRIPTOR + 1:
            return ZSTD_DESCRIPTOR + 1
        descriptor = self._packed[ZSTD_DESCRIPTOR]
        single_segment = descriptor >> 5 & 1
        content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
        return ZSTD_DESCRIPTOR + 1 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size

    def _block_size(self) -> int:
        """Bytes of the next block with its header, or of the checksum after the last one."""
        if self._at_end:
            return ZSTD_CHECKSUM
        if len(self._packed) < ZSTD_BLOCK_HEADER:
            return ZSTD_BLOCK_HEADER
        header = int.from_bytes(self._packed[:ZSTD_BLOCK_HEADER], "little")
        if header >> 3 > ZSTD_LARGEST_BLOCK:
            return ZSTD_BLOCK_HEADER  # damage, which is found without what it claims
        return ZSTD_BLOCK_HEADER + (1 if header >> 1 & 3 == ZSTD_REPEATED_BYTE else header >> 3)

    def _unpack(self, size: int) -> None:
        from zstandard import ZstdError

        if self._frame is None:
            self._frame = self._decompressor.decompressobj()
            self._at_end = False
        elif not self._at_end:
            self._at_end = bool(self._packed[0] & 1)
        try:
            self._unpacked = memoryview(self._frame.decompress(self._packed[:size]))
        except ZstdError:
            self.damage = f"corrupt zstd data near byte {self._stored.count - len(self._packed)}"
            return
        self._packed = self._packed[size:]
        if self._frame.eof:
            self._frame = None

    def _end_of_input(self) -> str | None:
        if self._stored.damage or (self._frame is None and not self._packed):
            return self._stored.damage
        return f"truncated: the zstd data ends early, at byte {self._stored.count}"
