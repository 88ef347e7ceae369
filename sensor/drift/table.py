"""Counts of columns over fixed fine bins: what a stretch of traffic looked like, in bounded memory.

Bins are powers of the square root of two, nearly (each octave is halved), with one for 0 and one for what is negative,
so no column needs to be known beforehand and two stretches can always be compared. It knows neither columns nor times.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]  # (n, c)

BINS: Final = 128
MOST_ROWS: Final = 128  # counted at once: more would leave the processor's cache, or a byte that counts them
ZERO: Final = 0  # bin
_NEGATIVE, _FIRST = 1, 2  # likewise
_LOWEST: Final = 2 * (1023 - 18)  # exponent and first bit of the mantissa of 2**-18, as they stand in a float64
_MAGNITUDE: Final = np.int64((1 << 63) - 1)


def bins_of(values: Rows) -> NDArray[np.int64]:
    """Bin of each value, of the same shape. values: float64, C-contiguous."""
    bits = values.view(np.int64)
    bins = ((bits & _MAGNITUDE) >> 51) - (_LOWEST - _FIRST)
    np.clip(bins, _FIRST, BINS - 1, out=bins)
    bins[values < 0] = _NEGATIVE
    bins[values == 0] = ZERO
    return bins


@dataclass(slots=True)
class ColumnCounts:
    """One stretch: of each column how many rows fell into each bin, and its range."""

    width: int
    rows: int = 0
    counts: NDArray[np.int64] = field(init=False)  # (c, BINS)
    low: NDArray[np.float64] = field(init=False)  # (c,) infinite before the first row
    high: NDArray[np.float64] = field(init=False)  # (c,) likewise

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.width, BINS), dtype=np.int64)
        self.low = np.full(self.width, np.inf)
        self.high = np.full(self.width, -np.inf)

    def add(self, values: Rows) -> None:
        """Count rows, (n, c), at most MOST_ROWS."""
        if not len(values):
            return
        values = np.ascontiguousarray(values, dtype=np.float64)
        places = bins_of(values) + np.arange(self.width) * BINS
        self.counts += np.bincount(places.ravel(), minlength=self.width * BINS).reshape(self.width, BINS)
        self.low = np.minimum(self.low, values.min(axis=0))
        self.high = np.maximum(self.high, values.max(axis=0))
        self.rows += len(values)

    def merge(self, other: "ColumnCounts") -> None:
        """Add another stretch of the same columns."""
        self.counts += other.counts
        self.low = np.minimum(self.low, other.low)
        self.high = np.maximum(self.high, other.high)
        self.rows += other.rows

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Columns with one value in every row, (c,); none without rows."""
        return np.equal(self.low, self.high)

    @property
    def share_of_zero(self) -> NDArray[np.float64]:
        """Share of rows with 0 in each column, (c,); 1 without rows."""
        zero: NDArray[np.float64] = shares_of(self.counts)[:, ZERO]
        return zero


def shares_of(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of its rows in each bin of each column, 1 in all bins of a column without rows. counts: (c, BINS)."""
    rows = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(counts, rows, out=np.ones(counts.shape), where=rows > 0)
    return shares


@dataclass(slots=True)
class QuantileCounts:
    """Rows below, and not above, quantiles of each column."""

    quantiles: NDArray[np.float64]  # (c, q)
    rows: int = 0
    below: NDArray[np.int64] = field(init=False)  # (c, q)
    up_to: NDArray[np.int64] = field(init=False)  # (c, q)
    _ordered: NDArray[np.float64] = field(init=False)  # (q, c), contiguous

    def __post_init__(self) -> None:
        self._ordered = np.ascontiguousarray(self.quantiles.T)
        self.below = np.zeros(self.quantiles.shape, dtype=np.int64)
        self.up_to = np.zeros(self.quantiles.shape, dtype=np.int64)

    def add(self, values: Rows) -> None:
        """Count rows, (n, c), at most MOST_ROWS."""
        for place, quantile in enumerate(self._ordered):
            self.below[:, place] += _trues(values < quantile)
            self.up_to[:, place] += _trues(values <= quantile)
        self.rows += len(values)

    def merge(self, other: "QuantileCounts") -> None:
        """Add another stretch of the same columns."""
        self.below += other.below
        self.up_to += other.up_to
        self.rows += other.rows


def _trues(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How many are true in each column. mask: of at most MOST_ROWS rows; bytes are added several at a time."""
    found: NDArray[np.uint8] = np.add.reduce(mask.view(np.uint8), axis=0, dtype=np.uint8)
    return found
