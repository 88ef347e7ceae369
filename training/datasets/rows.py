"""Arrays over flows that may be larger than memory: above a size they lie in a temporary file that has no name.

TMPDIR chooses where. The file is gone with the last array over it, however the program ends.
"""

import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from training import memory
from training.arrays import Int64s, Values

T = TypeVar("T", bound=np.generic)

ROWS_AT_ONCE = 16_384
TOUCHED_BYTES = 1 << 16  # what Linux maps around a page that is looked at, unless more of it was written at once


class TemporaryFileError(OSError):
    """A temporary file of rows that cannot be made or written: its directory is full, or none can be used."""


@contextmanager
def _kept() -> Iterator[None]:
    """Raise TemporaryFileError for what befalls a temporary file."""
    try:
        yield
    except OSError as error:
        raise TemporaryFileError(error.errno, error.strerror, tempfile.gettempdir()) from error


class Rows:
    """A matrix that grows downward, kept in a temporary file from the first row on."""

    def __init__(self, width: int, dtype: "np.dtype[Any] | type[Any]" = np.float64) -> None:
        with _kept():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        self._width = width
        self._dtype = np.dtype(dtype)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def close(self) -> None:
        """Give the file up. Blocks and rows taken from it stay. Raises TemporaryFileError as append does."""
        with _kept():
            self._file.close()

    def append(self, values: NDArray[Any]) -> None:
        """Add rows, (n, width). Raises TemporaryFileError when the directory for temporary files is full."""
        with _kept():
            _write(self._file, np.asarray(values, dtype=self._dtype))
        self._rows += len(values)

    def whole(self) -> NDArray[Any]:
        """All rows, (n, width); what is changed there is kept. Raises TemporaryFileError as append does."""
        with _kept():
            self._file.flush()
            shape = (self._rows, self._width)
            return _mapped(self._file, shape, self._dtype) if self._rows else np.empty(shape, self._dtype)

    def blocks(self, begin: int, end: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows begin to end, some at a time, each block with its first row's number. What is changed there is kept."""
        # All of the file was written before it is mapped, so that a full disk cannot end the program here.
        with _kept():
            self._file.flush()
        size = self._width * self._dtype.itemsize
        for first in range(begin, end, ROWS_AT_ONCE):
            shape = (min(ROWS_AT_ONCE, end - first), self._width)
            yield first, np.memmap(self._file, self._dtype, "r+", offset=first * size, shape=shape)

    def taken(self, rows: Int64s) -> NDArray[Any]:
        """The chosen rows in the order given, (len(rows), width). Raises TemporaryFileError as append does."""
        with _kept():
            self._file.flush()
            mapped = memory.watched(mmap.mmap(self._file.fileno(), 0))
        values = np.frombuffer(mapped, self._dtype).reshape(-1, self._width)

        def chosen() -> Iterator[Values]:
            for part in _parts(values, rows):
                yield part
                memory.give_back(mapped)

        return stacked(chosen(), (len(rows), self._width), values.dtype)


def taken(array: NDArray[T], rows: Int64s) -> NDArray[T]:
    """The chosen rows of an array in the order given, in memory or, where they are many, in a temporary file."""
    return stacked(_parts(array, rows), (len(rows), *array.shape[1:]), array.dtype)


def stacked(parts: Iterator[NDArray[T]], shape: tuple[int, ...], dtype: np.dtype[T]) -> NDArray[T]:
    """Blocks of rows one below the other, in memory or, where they are many, in a temporary file.

    Raises TemporaryFileError of a full disk, as all that makes arrays here does.
    """
    what = f"a table of {shape[0]:,} rows"
    if _size(shape, dtype) <= memory.in_memory_bytes():
        whole, first = np.empty(shape, dtype), 0
        for part in parts:
            whole[first : first + len(part)] = part
            first += len(part)
        memory.check(what)
        return whole
    with _kept(), tempfile.TemporaryFile() as file:
        for part in parts:
            _write(file, part)
            memory.check(what)
        file.flush()
        return _mapped(file, shape, dtype)


def together(arrays: Sequence[NDArray[T]]) -> NDArray[T]:
    """As numpy.concatenate; where they are many, in a temporary file."""
    shape, dtype = (sum(map(len, arrays)), *arrays[0].shape[1:]), np.result_type(*arrays)
    return stacked((array[rows].astype(dtype) for array in arrays for rows in blocks(len(array))), shape, dtype)


def cells(array: NDArray[T], rows: Int64s, columns: Int64s) -> NDArray[T]:
    """The chosen rows and columns, (len(rows), len(columns))."""
    parts = (part[:, columns] for part in _parts(array, rows))
    return stacked(parts, (len(rows), len(columns)), array.dtype)


def empty(shape: tuple[int, ...], dtype: "np.dtype[T] | type[T]") -> NDArray[T]:
    """An array to be written, in memory or, where it is large, in a temporary file. Raises TemporaryFileError."""
    kind = np.dtype(dtype)
    size = _size(shape, kind)
    if size <= memory.in_memory_bytes():
        return np.empty(shape, kind)
    with _kept(), tempfile.TemporaryFile() as file:
        _reserve(file, size)  # a full disk is told here and does not end the program later
        return _mapped(file, shape, kind)


def _reserve(file: IO[bytes], size: int) -> None:
    """Have the disk hold so many bytes of a new file."""
    if hasattr(os, "posix_fallocate"):  # macOS has none
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(TOUCHED_BYTES)
    for first in range(0, size, TOUCHED_BYTES):
        file.write(zeros[: size - first])
    file.flush()


def _write(file: IO[bytes], part: NDArray[Any]) -> None:
    """Add rows to a file, little at a time: as much as is written at once is later mapped at once."""
    content = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
    for first in range(0, len(content), TOUCHED_BYTES):
        file.write(content[first : first + TOUCHED_BYTES])


def _size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return math.prod(shape) * dtype.itemsize


def _mapped(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[T]) -> NDArray[T]:
    """The file as an array, which keeps it."""
    return np.frombuffer(memory.watched(mmap.mmap(file.fileno(), 0)), dtype).reshape(shape)


def blocks(rows: int) -> Iterator[slice]:
    """All rows, some at a time. Raises MemoryBoundError where they take more memory than allowed."""
    for first in range(0, rows, ROWS_AT_ONCE):
        yield slice(first, min(first + ROWS_AT_ONCE, rows))
        memory.check(f"work on {rows:,} rows")


def column_blocks(values: Values, columns: Sequence[int] | Int64s) -> Iterator[tuple[slice, Values]]:
    """The chosen columns whole, as many at a time as memory has room for: which of them, and (n, k) with each column
    in one piece.

    What is reckoned of a column by itself does not hang on how many come together.
    """
    at_once = max(1, memory.block_bytes() // max(8 * len(values), 1))
    for first in range(0, len(columns), at_once):
        chosen = slice(first, min(first + at_once, len(columns)))
        places = list(columns[chosen])
        picked = np.empty((len(places), len(values))).T
        for rows in blocks(len(values)):
            picked[rows] = values[rows][:, places]
        yield chosen, picked


def _parts(array: NDArray[T], rows: Int64s) -> Iterator[NDArray[T]]:
    """The chosen rows, few enough at a time: of a mapped array each may bring TOUCHED_BYTES into memory."""
    at_once = max(1, min(ROWS_AT_ONCE, memory.block_bytes() // TOUCHED_BYTES))
    for first in range(0, len(rows), at_once):
        yield array[rows[first : first + at_once]]


def different(words: NDArray[np.uint64]) -> int:
    """How many different words there are among evenly spread ones, such as digests, (n,): some at a time."""
    shares = max(1, 32 * len(words) // memory.block_bytes())

    def of(share: int) -> NDArray[np.uint64]:
        own = (words[rows][words[rows] % np.uint64(shares) == share] for rows in blocks(len(words)))
        return np.concatenate([np.empty(0, dtype=np.uint64), *own])

    return sum(len(np.unique(of(share))) for share in range(shares))
