"""Arrays over flows that may be larger than memory: above a size they lie in a temporary file that has no name.

TMPDIR chooses where. The file is gone with the last array over it, however the program ends.
"""

import math
import mmap
import tempfile
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from training.arrays import Int64s, Values

T = TypeVar("T", bound=np.generic)

IN_MEMORY_BYTES = 64 << 20  # the values of some 97,000 flows
ROWS_AT_ONCE = 16_384


class Rows:
    """A matrix that grows downward, kept in a temporary file from the first row on."""

    def __init__(self, width: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        self._width = width
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def close(self) -> None:
        """Give the file up. Blocks and rows taken from it stay."""
        self._file.close()

    def append(self, values: Values) -> None:
        """Add rows, (n, width). Raises OSError when the directory for temporary files is full."""
        self._file.write(np.ascontiguousarray(values, dtype=np.float64).data)
        self._rows += len(values)

    def blocks(self, begin: int, end: int) -> Iterator[tuple[int, Values]]:
        """Rows begin to end, some at a time, each block with its first row's number. What is changed there is kept."""
        # All of the file was written before it is mapped, so that a full disk cannot end the program here.
        self._file.flush()
        size = self._width * 8
        for first in range(begin, end, ROWS_AT_ONCE):
            shape = (min(ROWS_AT_ONCE, end - first), self._width)
            yield first, np.memmap(self._file, np.float64, "r+", offset=first * size, shape=shape)

    def taken(self, rows: Int64s) -> Values:
        """The chosen rows in the order given, (len(rows), width). Raises OSError as append does."""
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0)
        values = np.frombuffer(mapped, np.float64).reshape(-1, self._width)

        def chosen() -> Iterator[Values]:
            for part in _parts(values, rows):
                yield part
                _release(mapped)

        return stacked(chosen(), (len(rows), self._width), values.dtype)


def taken(array: NDArray[T], rows: Int64s) -> NDArray[T]:
    """The chosen rows of an array in the order given, in memory or, above IN_MEMORY_BYTES, in a temporary file."""
    return stacked(_parts(array, rows), (len(rows), *array.shape[1:]), array.dtype)


def stacked(parts: Iterator[NDArray[T]], shape: tuple[int, ...], dtype: np.dtype[T]) -> NDArray[T]:
    """Blocks of rows one below the other, in memory or, above IN_MEMORY_BYTES, in a temporary file."""
    if math.prod(shape) * dtype.itemsize <= IN_MEMORY_BYTES:
        whole = np.empty(shape, dtype)
        first = 0
        for part in parts:
            whole[first : first + len(part)] = part
            first += len(part)
        return whole
    with tempfile.TemporaryFile() as file:
        for part in parts:
            file.write(np.ascontiguousarray(part).tobytes())
        file.flush()
        # The mapping keeps the file.
        return np.frombuffer(mmap.mmap(file.fileno(), 0), dtype).reshape(shape)


def _parts(array: NDArray[T], rows: Int64s) -> Iterator[NDArray[T]]:
    return (array[rows[first : first + ROWS_AT_ONCE]] for first in range(0, len(rows), ROWS_AT_ONCE))


def _release(mapped: mmap.mmap) -> None:
    """Give the pages back that were read; they stay in the file."""
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
