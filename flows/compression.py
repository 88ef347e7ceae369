"""Byte streams decompressed from gzip (RFC 1952), zstd (RFC 8878), xz, bzip2 or lz4 frames.

It opens no file. Truncated or corrupt data does not raise: all bytes before the damage are read, and `damage` describes
it.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from flows.byte_stream import Behind, ByteStream, CountingReader, RawFile

if TYPE_CHECKING:
    from backports.zstd import ZstdDecompressor

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPED_MAGIC: Final = b"\x50\x2a\x4d\x18"  # of a frame that holds no data, with which pzstd begins
XZ_MAGIC: Final = b"\xfd7zXZ\0"
BZIP2_MAGIC: Final = b"BZh"
LZ4_MAGIC: Final = b"\x04\x22\x4d\x18"
COMPRESSED: Final = (
    GZIP_MAGIC,
    ZSTD_MAGIC,
    ZSTD_SKIPPED_MAGIC,
    XZ_MAGIC,
    BZIP2_MAGIC,
    LZ4_MAGIC,
)  # that are decompressed while reading
# Data may unpack into MOST_BYTES, and beyond into MOST_TIMES as much as is stored: gzip reaches a thousand, while what
# is worth reading has some tens, or hundreds where its payloads are all alike.
MOST_BYTES: Final = 256 << 20
MOST_TIMES: Final = 1000
LONGEST_MAGIC: Final = max(map(len, COMPRESSED))  # bytes

PIECE: Final = 65_536  # bytes of compressed data read at a time
PART: Final = 4096  # decompressed bytes of which none or all are read before damage
XZ_MEMORY: Final = 128 << 20  # bytes for the dictionary that a file asks for; xz -9 takes half of it

# Bytes of zstd data: before a frame's descriptor, of a block's header, of a checksum.
ZSTD_DESCRIPTOR, ZSTD_BLOCK_HEADER, ZSTD_CHECKSUM = 4, 3, 4
ZSTD_LARGEST_BLOCK, ZSTD_REPEATED_BYTE = 131_072, 1
ZSTD_SKIPPED_HEADER, ZSTD_SKIPPED_NUMBERS = 8, 16  # bytes of its magic number and length; such magic numbers


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
    damage depend on how the data arrives. Frames without data (3.1.2), such as tables of what is where, are passed
    over.
    """

    def __init__(self, stored: CountingReader, head: bytes) -> None:
        """head: bytes that were already read from `stored`."""
        self.damage: str | None = None
        self._stored = stored
        self._packed = memoryview(head)  # a view: what is taken from it moves nothing, however small the blocks
        self._piece = bytearray(PIECE)
        self._frame: ZstdDecompressor | None = None  # None between frames
        self._at_end = False  # after the last block of the frame
        self._skipped = 0  # bytes to come of a frame without data
        self._unpacked = memoryview(b"")

    def readinto(self, view: memoryview, /) -> int:
        """Read decompressed bytes into the view: bytes read, 0 at the end and at damage."""
        while not self._unpacked and not self.damage:
            wanted = self._header_size() if self._frame is None else self._block_size()
            if self._skipped and self._packed:
                gone = min(self._skipped, len(self._packed))
                self._packed, self._skipped = self._packed[gone:], self._skipped - gone
                continue
            if not self._skipped and len(self._packed) >= wanted:
                self._unpack(wanted)
                continue
            piece = bytes(self._piece[: self._stored.readinto(memoryview(self._piece))])
            self._packed = memoryview(bytes(self._packed) + piece)
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
        if self._has_no_data():
            return ZSTD_SKIPPED_HEADER
        descriptor = self._packed[ZSTD_DESCRIPTOR]
        single_segment = descriptor >> 5 & 1
        content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
        return ZSTD_DESCRIPTOR + 1 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size

    def _has_no_data(self) -> bool:
        """Whether the frame that begins is to be passed over."""
        first = int.from_bytes(ZSTD_SKIPPED_MAGIC, "little")
        return 0 <= int.from_bytes(self._packed[:ZSTD_DESCRIPTOR], "little") - first < ZSTD_SKIPPED_NUMBERS

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
        from backports.zstd import ZstdDecompressor, ZstdError

        if self._frame is None and self._has_no_data():
            self._skipped = int.from_bytes(self._packed[ZSTD_DESCRIPTOR:size], "little")
            self._packed = self._packed[size:]
            return
        if self._frame is None:
            self._frame = ZstdDecompressor()
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
        if self._stored.damage or (self._frame is None and not self._packed and not self._skipped):
            return self._stored.damage
        return f"truncated: the zstd data ends early, at byte {self._stored.count}"


class Decompressor(Protocol):
    """The incremental decompressors of the standard library and of lz4: of one stream, or frame."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def unused_data(self) -> bytes | None:
        """What was given behind its end."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing that was given is left to be decompressed."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take data, and return at most so many bytes."""


class PartReader:
    """Decompresses data of one or several streams, up to the last whole part of PART bytes before damage.

    A decompressor that meets damage loses what the call had decompressed: asking for no more than what a part lacks,
    the bytes read before damage do not depend on how the data arrives. Memory is bounded whatever the data claims.
    """

    def __init__(self, stored: CountingReader, head: bytes, name: str, open_stream: Callable[[], Decompressor]) -> None:
        """head: bytes that were already read from `stored`. name: of the format."""
        self.damage: str | None = None
        self._stored = stored
        self._packed = head
        self._piece = bytearray(PIECE)
        self._name = name
        self._open_stream = open_stream
        self._stream = open_stream()
        self._more = False  # the stream may have more without being given any
        self._part = bytearray()  # decompressed, and not yet a whole part
        self._unpacked = memoryview(b"")
        self._total = 0  # bytes of all whole parts

    def readinto(self, view: memoryview, /) -> int:
        """Read decompressed bytes into the view: bytes read, 0 at the end and at damage."""
        while not self._unpacked and not self.damage:
            if self._stream.eof:
                ended = not self._next_stream()
            else:
                ended = not self._more and not self._packed and not self._read()
                if ended:
                    self.damage = self._stored.damage or (
                        f"truncated: the {self._name} data ends early, at byte {self._stored.count}"
                    )
            if ended:
                self._deliver()
                break
            self._unpack()
        part = self._unpacked[: len(view)]
        self._unpacked = self._unpacked[len(part) :]
        view[: len(part)] = part
        return len(part)

    def _read(self) -> bool:
        self._packed = bytes(self._piece[: self._stored.readinto(memoryview(self._piece))])
        return bool(self._packed)

    def _next_stream(self) -> bool:
        """Start the next stream; False when there is none. Zeros may pad the end, as xz allows."""
        self._packed = ((self._stream.unused_data or b"") + self._packed).lstrip(b"\0")
        while not self._packed:
            if not self._read():
                self.damage = self._stored.damage
                return False
            self._packed = self._packed.lstrip(b"\0")
        self._stream, self._more = self._open_stream(), False
        return True

    def _unpack(self) -> None:
        """Decompress what the part lacks, as far as the data goes."""
        packed, room = self._packed, PART - len(self._part)
        self._packed = b""
        try:
            got = self._stream.decompress(packed, room)
        except (lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError):
            self.damage = f"corrupt {self._name} data behind {self._total} decompressed bytes"
            return
        self._part += got
        self._more = not self._stream.eof and (not self._stream.needs_input or len(got) == room)
        if len(self._part) == PART:
            self._deliver()

    def _deliver(self) -> None:
        self._total += len(self._part)
        self._unpacked, self._part = memoryview(bytes(self._part)), bytearray()


def _xz(stored: CountingReader, head: bytes) -> ByteStream:
    return PartReader(stored, head, "xz", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY))


def _bzip2(stored: CountingReader, head: bytes) -> ByteStream:
    return PartReader(stored, head, "bzip2", bz2.BZ2Decompressor)


def _lz4(stored: CountingReader, head: bytes) -> ByteStream:
    from lz4.frame import LZ4FrameDecompressor

    return PartReader(stored, head, "lz4", LZ4FrameDecompressor)


# Magic number, name and reader of each format.
_READERS: Final[tuple[tuple[bytes, str, Callable[[CountingReader, bytes], ByteStream]], ...]] = (
    (GZIP_MAGIC, "gzip", GzipReader),
    (ZSTD_MAGIC, "zstd", ZstdReader),
    (ZSTD_SKIPPED_MAGIC, "zstd", ZstdReader),
    (XZ_MAGIC, "xz", _xz),
    (BZIP2_MAGIC, "bzip2", _bzip2),
    (LZ4_MAGIC, "lz4", _lz4),
)


def decompressed(stored: CountingReader, head: bytes) -> tuple[ByteStream, str] | None:
    """The decompressed bytes and the name of the format; None where the head is that of none.

    head: bytes that were already read from `stored`, LONGEST_MAGIC or more unless it has fewer.
    """
    for magic, name, reader in _READERS:
        if head.startswith(magic):
            return _Bounded(reader(stored, head), stored), name
    return None


def unpacked(raw: RawFile) -> ByteStream:
    """A file's bytes out of their packing; which it is, if any, its first bytes say."""
    stored = CountingReader(raw)
    head = b""
    while len(head) < LONGEST_MAGIC and (
        got := stored.readinto(memoryview(piece := bytearray(LONGEST_MAGIC - len(head))))
    ):
        head += piece[:got]
    packed = decompressed(stored, head)
    return packed[0] if packed else Behind(head, stored)


class _Bounded:
    """Decompressed bytes, up to as many as are in proportion to those that are stored."""

    def __init__(self, stream: ByteStream, stored: CountingReader) -> None:
        self._stream, self._stored = stream, stored
        self._count = 0
        self.damage = stream.damage

    def readinto(self, view: memoryview, /) -> int:
        """Read decompressed bytes into the view: bytes read, 0 at the end, at damage, and beyond the proportion."""
        if self._count > MOST_BYTES + MOST_TIMES * self._stored.count:
            self.damage = f"unpacks into more than {MOST_TIMES:,} times its {self._stored.count:,} bytes"
            return 0
        got = self._stream.readinto(view)
        self._count += got
        self.damage = self._stream.damage
        return got
