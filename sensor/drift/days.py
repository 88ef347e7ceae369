"""Days compared with days: which columns of today are unlike every day that is remembered?

Remembered is the beginning, which a slow change leaves as a sudden one does. A day is held to the nearest of these
days, not to their mean, so that what comes and goes with the week is told once and then known: a changed day is no
reference until the change has gone by itself. What a column tells of the time before it (sensor.drift.counts) must have
come to rest first. It knows what is counted only by its place.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensor.drift.psi import nearest_psi
from sensor.drift.table import BINS, ZERO, ColumnCounts, shares_of

FIRST_DAYS: Final = 14  # that are kept for good: at most a week in which context comes to rest, and a week
LATEST_DAYS: Final = 14  # after those, in which changes that went by themselves are looked for
LEAST_ROWS: Final = 500  # in a day; fewer say nothing


@dataclass(slots=True)
class _Day:
    counts: ColumnCounts
    reference: NDArray[np.bool_]  # (c,) whether later days are compared with it


@dataclass(frozen=True, slots=True, eq=False)
class DayComparison:
    """A day against the days before."""

    value: NDArray[np.float64]  # (c,) index against the nearest day; NaN where there is none to compare with
    bound: NDArray[np.float64]  # (c,) what it exceeds by chance hardly ever

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Columns unlike every day before, (c,)."""
        return np.asarray(self.value > self.bound)


@dataclass(slots=True)
class DayHistory:
    """The days of one table of columns that are remembered."""

    width: int
    settled: NDArray[np.int64]  # (c,) number of the day, counted from 0, from which on each column is compared
    _first: list[_Day] = field(default_factory=list)
    _latest: deque[_Day] = field(default_factory=lambda: deque(maxlen=LATEST_DAYS))
    _changed: NDArray[np.bool_] = field(init=False)  # (c,) columns that are unlike the days before by now

    _number: int = 0  # of the day that comes next

    def __post_init__(self) -> None:
        self._changed = np.zeros(self.width, dtype=np.bool_)

    @property
    def usual_share(self) -> NDArray[np.float64]:
        """Share of rows in each column's fullest bin, on all reference days together, (c,); 1 without any."""
        fullest: NDArray[np.float64] = shares_of(self._usual).max(axis=1)
        return fullest

    @property
    def share_of_zero(self) -> NDArray[np.float64]:
        """Share of rows with 0, likewise."""
        zero: NDArray[np.float64] = shares_of(self._usual)[:, ZERO]
        return zero

    @property
    def _usual(self) -> NDArray[np.int64]:
        """Rows in each bin, on all reference days of each column, (c, BINS)."""
        total = np.zeros((self.width, BINS), dtype=np.int64)
        for day in self._days:
            total += np.where(day.reference[:, None], day.counts.counts, 0)
        return total

    @property
    def _days(self) -> list[_Day]:
        return [*self._first, *self._latest]

    def add(self, today: ColumnCounts) -> DayComparison | None:
        """Compare a day, and remember it; None for one with too few rows, which is not remembered.

        A column that changed has changed until it is at half of its bound; from then on it is known what it was like.
        """
        if today.rows < LEAST_ROWS:
            return None
        value, bound = np.full(self.width, np.nan), np.full(self.width, np.nan)
        settled = self.settled <= self._number
        for column in np.flatnonzero(settled).tolist():
            before = [day.counts.counts[column] for day in self._days if day.reference[column]]
            if before:
                value[column], bound[column] = nearest_psi(today.counts[column], before)
        comparison = DayComparison(value, bound)
        over = self._changed & ~(value > bound / 2)
        for day in self._days:
            day.reference |= over
        self._changed = (self._changed & ~over) | comparison.changed
        if len(self._first) < FIRST_DAYS:
            self._first.append(_Day(today, settled & ~self._changed))
        else:
            self._latest.append(_Day(today, np.zeros(self.width, dtype=np.bool_)))
        self._number += 1
        return comparison
