"""Stored files unpacked block by block: plain, gzip or Zstandard, told by their first bytes and not by their names.

Blocks end where a line ends, so that each is a table of its own. It knows lines and no columns.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from training.errors import DatasetError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK_BYTES = 16 << 20  # some 40,000 flows; a line that fills a block is none of a flow table
READ_BYTES = 1 << 20


def first_bytes(path: Path, count: int) -> bytes:
    """How a file begins. Raises DatasetError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise unreadable(path, error) from error


def sha256_of(path: Path) -> str:
    """Digest of the file as it lies on disk. Raises DatasetError where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def line_blocks(path: Path) -> Iterator[bytes]:
    """The unpacked content, in blocks of about BLOCK_BYTES that end with a line's end (the last may lack it).

    Raises DatasetError with the line where packed data ends or breaks, or that is longer than a block.
    """
    from zstandard import ZstdError

    waiting = bytearray()
    lines = 0
    try:
        for piece in _unpacked(path):
            waiting += piece
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
    except (EOFError, zlib.error, gzip.BadGzipFile, ZstdError) as error:
        line = lines + waiting.count(b"\n")
        raise DatasetError(path, f"compressed data ends or breaks after this line ({error})", line=line) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if waiting:
        yield bytes(waiting)


def unreadable(path: Path, error: OSError) -> DatasetError:
    """The system's refusal in one line."""
    reason = error.strerror or str(error)
    return DatasetError(path, f"cannot be read ({reason}); expected flows as CSV, CSV.gz, CSV.zst or Parquet")


def _unpacked(path: Path) -> Iterator[bytes]:
    magic = first_bytes(path, 4)
    with path.open("rb") as stored:
        if magic.startswith(GZIP_MAGIC):
            # read1 hands over what it has before it raises: the line of the fault is right.
            with gzip.GzipFile(fileobj=stored) as packed:
                yield from iter(lambda: packed.read1(READ_BYTES), b"")
        elif magic == ZSTD_MAGIC:
            yield from _zstd(stored)
        else:
            yield from iter(lambda: stored.read(READ_BYTES), b"")


def _zstd(stored: IO[bytes]) -> Iterator[bytes]:
    """All frames. Raises EOFError where the last is cut off, which the library's own reader does not mind."""
    from zstandard import ZstdDecompressor

    frame = ZstdDecompressor().decompressobj()
    rest = b""
    while rest or (rest := stored.read(READ_BYTES)):
        if frame.eof:
            frame = ZstdDecompressor().decompressobj()
        yield frame.decompress(rest)
        rest = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("the last frame is cut off")
