"""Stored files unpacked block by block: plain or compressed (flows.compression), told by their first bytes alone.

Blocks end where a line ends, so that each is a table of its own. It knows lines and no columns.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO, TextIOWrapper
from pathlib import Path

from flows.compression import unpacked
from flows.magics import CAPTURE_MAGICS
from training.errors import DatasetError, reason_of

BLOCK_BYTES = 16 << 20  # some 40,000 flows; a line that fills a block is none of a flow table
READ_BYTES = 1 << 20
LINE_CHARACTERS = 1 << 16  # of an index of captures, or of what is true of one


@contextmanager
def opened(path: Path) -> Iterator[FileIO]:
    """A file that has an end and can be read again, unbuffered. Raises DatasetError for a pipe or a device, OSError."""
    with open(path, "rb", buffering=0, opener=_without_waiting) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise DatasetError(path, "is a pipe or a device; expected a file")
        yield stream


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def first_bytes(path: Path, count: int) -> bytes:
    """How a file begins. Raises DatasetError where it cannot be read."""
    try:
        with opened(path) as stream:
            return stream.read(count)
    except OSError as error:
        raise unreadable(path, error) from error


def text_lines(path: Path) -> Iterator[str]:
    """Lines in UTF-8, with their ends and without a byte order mark, which spreadsheets write.

    Raises DatasetError for a long one, UnicodeDecodeError, OSError.
    """
    with opened(path) as stored, TextIOWrapper(BufferedReader(stored), encoding="utf-8-sig", newline="") as stream:
        number = 0
        while line := stream.readline(LINE_CHARACTERS + 1):
            number += 1
            if len(line) > LINE_CHARACTERS:
                raise DatasetError(
                    path, f"is a line of more than {LINE_CHARACTERS:,} characters; expected a shorter one", line=number
                )
            yield line


def sha256_of(path: Path) -> str:
    """Digest of the file as it lies on disk. Raises DatasetError where it cannot be read."""
    try:
        with opened(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def unpacked_sha256(path: Path) -> str:
    """Digest of the unpacked content, up to where packed data breaks. Raises DatasetError where it cannot be read."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(READ_BYTES))
    try:
        with opened(path) as stored:
            stream = unpacked(stored)
            while size := stream.readinto(piece):
                digest.update(piece[:size])
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({reason_of(error)})") from error
    return digest.hexdigest()


def line_blocks(path: Path) -> Iterator[bytes]:
    """The unpacked content, in blocks of about BLOCK_BYTES that end with a line's end (the last may lack it).

    Raises DatasetError with the line where packed data ends or breaks, or that is longer than a block.
    """
    waiting = bytearray()
    lines = 0
    piece = memoryview(bytearray(READ_BYTES))
    try:
        with opened(path) as stored:
            stream = unpacked(stored)
            while size := stream.readinto(piece):
                waiting += piece[:size]
                if not lines and bytes(waiting[:4]) in CAPTURE_MAGICS:
                    raise DatasetError(path, "is a capture; expected flows as CSV or Parquet (flowvigil flows)")
                if len(waiting) < BLOCK_BYTES:
                    continue
                end = waiting.rfind(b"\n") + 1
                if not end:
                    problem = f"this line is longer than {BLOCK_BYTES:,} bytes; expected a table of flows"
                    raise DatasetError(path, problem, line=lines + 1)
                block = bytes(waiting[:end])
                del waiting[:end]
                lines += block.count(b"\n")
                yield block
    except OSError as error:
        raise unreadable(path, error) from error
    if stream.damage:
        line = lines + waiting.count(b"\n")
        raise DatasetError(path, f"compressed data ends or breaks after this line ({stream.damage})", line=line)
    if waiting:
        yield bytes(waiting)


def unreadable(path: Path, error: OSError) -> DatasetError:
    """The system's refusal in one line."""
    reason = reason_of(error)
    return DatasetError(path, f"cannot be read ({reason}); expected flows as CSV, plain or compressed, or Parquet")
