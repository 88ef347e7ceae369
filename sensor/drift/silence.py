"""Columns and scores that fell silent: one value, hour after hour, in what varied before.

How long a column may have one value is its own: some do each night. So a stretch of one value is told when it is far
longer, in flows, than any before, and than chance would make of what is usual. It knows what is counted only by its
place.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensor.drift.table import ColumnCounts

HOUR_ROWS: Final = 10  # fewer in an hour say nothing
SILENT_HOURS: Final = 2  # in a row, at least
LEAST_OTHERS: Final = 50  # rows of the stretch that would have another value than the usual one, were all as before
LONGER: Final = 2  # times the longest such stretch before


@dataclass(slots=True)
class Silence:
    """Which columns are silent, told hour by hour."""

    width: int
    holds: NDArray[np.bool_] = field(init=False)  # (c,) what was told and has not ended
    _value: NDArray[np.float64] = field(init=False)  # (c,) of the stretch that goes on, NaN where there is none
    _rows: NDArray[np.int64] = field(init=False)  # (c,) of it
    _hours: NDArray[np.int64] = field(init=False)  # (c,) of it
    _longest: NDArray[np.int64] = field(init=False)  # (c,) rows of the longest stretch that was not told

    def __post_init__(self) -> None:
        self.holds = np.zeros(self.width, dtype=np.bool_)
        self._value = np.full(self.width, np.nan)
        self._rows, self._hours, self._longest = (np.zeros(self.width, dtype=np.int64) for _ in range(3))

    def add(self, hour: ColumnCounts, usual_share: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Columns that fell silent by this hour, and those that were and vary again: positions.

        usual_share: (c,) of rows on days before, in the column's fullest bin; 1 where nothing is known.
        """
        if hour.rows < HOUR_ROWS:
            none = np.empty(0, dtype=np.int64)
            return none, none
        constant = hour.constant
        goes_on = constant & (hour.low == self._value)
        ended = self.holds & ~constant
        over = ~goes_on & ~self.holds
        self._longest = np.where(over, np.maximum(self._longest, self._rows), self._longest)
        self._rows = np.where(goes_on, self._rows, 0) + np.where(constant, hour.rows, 0)
        self._hours = np.where(goes_on, self._hours, 0) + constant
        self._value = np.where(constant, hour.low, np.nan)
        begun = ~self.holds & (self._hours >= SILENT_HOURS) & (self._rows > LONGER * self._longest)
        begun &= self._rows * (1 - usual_share) >= LEAST_OTHERS
        self.holds = (self.holds | begun) & ~ended
        return np.flatnonzero(begun), np.flatnonzero(ended)
