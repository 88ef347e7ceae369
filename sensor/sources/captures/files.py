"""Capture files, pipes and standard input: bytes in, PacketBlocks out.

Bytes are read into a buffer, and an incomplete record is carried over to the next one; no memory map, which costs more
and fails on pipes. The formats are in flows.pcap and flows.pcapng.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from flows.block import Bytes, PacketBlock
from flows.byte_stream import ByteStream, CountingReader, RawFile
from flows.compression import COMPRESSED, LONGEST_MAGIC, decompressed
from flows.magics import CAPTURE_MAGICS, PCAP_MAGICS, PCAPNG_MAGIC
from flows.pcap import FILE_HEADER, MAX_PACKETS, PcapWalker, Walk
from flows.pcapng import SHORTEST_SECTION_HEADER, PcapngWalker
from flows.reuse import ReusedArrays
from sensor.errors import InputError, reason_of
from sensor.files.magic import describe
from sensor.sources.captures.objects import ObjectFile, is_object

BUFFER_BYTES: Final = 1 << 20
SMALL_RECORD: Final = 64  # bytes of a packet's record: hardly any is shorter
FIRST_BYTES: Final = 512  # enough to recognise the type of a file that is no capture
PIECE_BYTES: Final = 1 << 16  # that are parsed at once at least, where nobody is waited for
STDIN: Final = "-"


class Walker(Protocol):
    """Parser of the records of one capture format."""

    def walk(self, buffer: Bytes, start: int, end: int) -> Walk:
        """Parse the complete records of buffer[start:end]."""


class CaptureFile:
    """Iterable of the packets of a capture as blocks, in the order of the file.

    A block stays as it is when the next one is requested; blocks may lie in one buffer.
    """

    def __init__(
        self,
        raw: RawFile,
        name: str,
        size: int | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        check: Callable[[int], None] | None = None,
    ) -> None:
        """Read the beginning. Raises InputError when it is not that of a capture.

        check: called after each read with the bytes out of their packing so far; may raise to end the reading.
        """
        self.name = name  # as given
        self.size = size  # bytes as stored, None on a pipe
        self.problem: str | None = None  # one line after the last block of a damaged capture
        self._raw = raw
        self._check = check
        self._unpacked = 0  # bytes
        self._stored = CountingReader(raw)
        self._stream: ByteStream = self._stored
        self._buffers: ReusedArrays[Bytes] = ReusedArrays(lambda: np.empty(buffer_bytes, dtype=np.uint8))
        self._buffer = self._buffers.take()
        self._start = self._end = 0  # bytes of the buffer that were read and not yet parsed
        self._base = 0  # offset of the buffer in the (decompressed) capture
        # room for packets is in proportion to the buffer's, of which there may be thousands
        self._walker = self._recognise(min(MAX_PACKETS, max(1, buffer_bytes // SMALL_RECORD)))

    @property
    def bytes_read(self) -> int:
        """Bytes read of the file as it is stored, for progress against `size`."""
        return self._stored.count

    def __iter__(self) -> Iterator[PacketBlock]:
        while True:
            walk = self._walker.walk(self._buffer, self._start, self._end)
            if len(walk.block):
                yield walk.block
            self._start = walk.position
            if walk.corrupt is not None:
                self.problem = f"corrupt at byte {self._base + self._start}: {walk.corrupt}"
                return
            if walk.wanted <= self._end - self._start:  # the block is full, the buffer still has records
                continue
            self._make_room(walk.wanted)
            if not self._read_on():
                self.problem = self._end_of_input(walk.wanted)
                return

    def close(self) -> None:
        """Close the file; standard input stays open."""
        self._raw.close()

    def _recognise(self, packets: int) -> Walker:
        first = self._first_bytes(FILE_HEADER)
        prefix = ""
        if packed := decompressed(self._stored, self._buffer[: self._end].tobytes()):
            self._stream, name = packed
            self._end = 0
            first = self._first_bytes(FILE_HEADER)
            prefix = f"{name} of "
        try:
            if first[:4] in PCAP_MAGICS:
                walker: Walker = PcapWalker(first[:FILE_HEADER], packets)
                self._start = FILE_HEADER
                return walker
            if first[:4] == PCAPNG_MAGIC:
                first = self._first_bytes(SHORTEST_SECTION_HEADER)
                return PcapngWalker(first[:SHORTEST_SECTION_HEADER], packets)
        except ValueError as error:
            raise self._refusal(prefix + str(error)) from None
        if not first and self._stream.damage:
            raise self._refusal(prefix + f"data that cannot be read ({self._stream.damage})")
        raise self._refusal(prefix + describe(self._first_bytes(FIRST_BYTES)))

    def _refusal(self, found: str) -> InputError:
        self.close()
        return _not_a_capture(self.name, found)

    def _first_bytes(self, enough: int) -> bytes:
        """The first bytes, at least `enough` unless the input is shorter. No further read: on a pipe it may block."""
        while self._end < enough and self._read():
            pass
        return self._buffer[: min(self._end, FIRST_BYTES)].tobytes()

    def _read(self) -> int:
        got = self._stream.readinto(self._buffer.data[self._end :])
        self._end += got
        self._unpacked += got
        if self._check is not None:
            self._check(self._unpacked)
        return got

    def _read_on(self) -> int:
        """Read what there is: of a file as much as is worth a block, however small the pieces that it is packed in."""
        got = more = self._read()
        while more and self.size is not None and got < PIECE_BYTES and self._end < len(self._buffer):
            more = self._read()
            got += more
        return got

    def _make_room(self, wanted: int) -> None:
        """See to it that the incomplete record fits, in a new buffer unless enough of the present one is left."""
        size = len(self._buffer)
        if self._start + wanted <= size and (self._start == 0 or size - self._end >= size // 4):
            return
        left = self._end - self._start
        target = self._buffers.take()
        if wanted > len(target):
            target = np.empty(1 << (wanted - 1).bit_length(), dtype=np.uint8)
        target[:left] = self._buffer[self._start : self._end]
        self._buffer = target
        self._base += self._start
        self._start, self._end = 0, left

    def _end_of_input(self, wanted: int) -> str | None:
        if self._stream.damage:
            return self._stream.damage
        if self._end == self._start:
            return None
        return (
            f"truncated: the record at byte {self._base + self._start} has {self._end - self._start} of "
            f"at least {wanted} bytes"
        )


def open_capture(
    path: str | Path,
    opened: Callable[[str | Path], RawFile] = FileIO,
    buffer_bytes: int = BUFFER_BYTES,
    check: Callable[[int], None] | None = None,
) -> CaptureFile:
    """Open a capture; "-" is standard input, `s3://…` an object.

    opened: opens a file that is not standard input. buffer_bytes: of the capture that are in memory, at least.
    check: as of CaptureFile.

    Raises InputError, one line, when it is missing, not readable, empty or of another format; StoreError where a store
    does not give an object.
    """
    name = str(path)
    if is_object(name):
        stored = ObjectFile(name)
        return CaptureFile(stored, name, stored.size, buffer_bytes, check)
    try:
        raw: RawFile = FileIO(0, closefd=False) if name == STDIN else opened(path)
    except FileNotFoundError:
        raise _not_a_capture(name, "no such file") from None
    except IsADirectoryError:
        raise _not_a_capture(name, "a directory without captures") from None
    except PermissionError:
        raise _not_a_capture(name, "a file that may not be read (permission denied)") from None
    except OSError as error:
        raise _not_a_capture(name, f"what cannot be opened ({reason_of(error)})") from None
    status = os.fstat(raw.fileno())
    return CaptureFile(raw, name, status.st_size if stat.S_ISREG(status.st_mode) else None, buffer_bytes, check)


def _not_a_capture(name: str, found: str) -> InputError:
    return InputError(f"{name}: found {found}, expected a pcap or pcapng capture")


def captures_in(names: Sequence[str]) -> list[str]:
    """Expand directories in a list of captures.

    A directory stands for the files in it and below it that begin like captures, except hidden ones; without such files
    it stays in the list, and open_capture refuses it.
    """
    captures: list[str] = []
    for name in names:
        found, _ = _captures_below(name)
        captures += found or [name]
    return captures


def captures_of_stream(names: Sequence[str]) -> list[str]:
    """The same for one stream, which holds a file once, whatever names and links lead to it."""
    found: dict[str | tuple[int, ...], str] = {}
    for name in captures_in(names):
        found.setdefault(_file_of(name), name)
    return list(found.values())


def _file_of(name: str) -> str | tuple[int, ...]:
    """What a regular file is known by; its name where the file system numbers no files, and of anything else."""
    try:
        status = os.stat(name)
    except OSError:  # standard input, or one that is missing, which opening it tells
        return name
    if not (stat.S_ISREG(status.st_mode) and status.st_ino):
        return name
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns  # others may share a number


def skipped_in(names: Sequence[str]) -> list[str]:
    """What directories in a list of captures hold besides captures and hidden files, sorted; also unreadable ones."""
    return sorted(path for name in names for path in _captures_below(name)[1])


def _captures_below(name: str) -> tuple[list[str], list[str]]:
    """Captures of a directory and all below, and what is none, both sorted; nothing for what is no directory.

    Links are followed, and a directory is read once however many links lead to it: a loop of them ends.
    """
    captures: list[str] = []
    others: list[str] = []
    if name == STDIN or not os.path.isdir(name):
        return captures, others
    seen: set[tuple[int, int]] = set()
    waiting = [Path(name)]
    while waiting:
        directory = waiting.pop()
        try:
            status = directory.stat()
            paths = [] if (status.st_dev, status.st_ino) in seen else sorted(directory.iterdir())
        except OSError:
            others.append(str(directory))
            continue
        seen.add((status.st_dev, status.st_ino))
        for path in paths:
            if path.name.startswith("."):
                continue
            if os.path.isdir(path):
                waiting.append(path)
            else:
                (captures if os.path.isfile(path) and _begins_like_a_capture(path) else others).append(str(path))
    return sorted(captures), sorted(others)


def _begins_like_a_capture(path: Path) -> bool:
    """Whether a file may be a capture; an unreadable one counts, so that it is reported as a problem."""
    try:
        with path.open("rb") as file:
            first = file.read(LONGEST_MAGIC)
    except OSError:
        return True
    return first[:4] in CAPTURE_MAGICS or first.startswith(COMPRESSED)
