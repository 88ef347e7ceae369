"""Scores that move within a day: ADWIN over each detector's mean p-value, less what is usual at that hour.

ADWIN: Bifet, Gavalda, "Learning from Time-Changing Data with Adaptive Windowing", 2007, as the library river has it. It
takes values as independent; those of flows are not, which come in bursts and follow the clock. So it is given one value
each ten minutes, and of that only the difference from the same hour on days before.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

HOURS: Final = 24
LEAST_ROWS: Final = 5  # in a block; fewer have no mean
LEAST_BLOCKS: Final = 12  # since ADWIN found that the mean moved
LEAST_SHIFT: Final = 0.1  # of a mean p-value, which is 0.5 where calibration holds
MOST_WEIGHT: Final = 42  # blocks, of seven days, that an hour's usual mean rests on at most
DELTA: Final = 0.002  # of ADWIN: chance of a cut, for each time that it looks, where nothing changed
_SCALE: Final = 2.0  # of differences, so that they fill the range 0 to 1 that its bound is made for


class ShiftDetector(Protocol):
    """What tells that a stream's mean has moved, as river.drift.ADWIN does."""

    @property
    def drift_detected(self) -> bool:
        """Whether it moved by the latest value."""

    @property
    def estimation(self) -> float:
        """Mean of the values since it moved."""

    @property
    def width(self) -> float:
        """How many values have come since it moved."""

    def update(self, x: float) -> object:
        """Take the next value, 0 to 1."""


def adwin() -> ShiftDetector:
    """ADWIN of river, which must be installed: with it come 90 MiB of memory."""
    from river.drift import ADWIN

    make: Callable[..., ShiftDetector] = ADWIN  # which has no types
    return make(delta=DELTA, clock=1, grace_period=12, min_window_length=6)


@dataclass(slots=True)
class ScoreShifts:
    """One ADWIN a detector."""

    width: int
    settled: int = 0  # day, counted from 0, that is the first to say what is usual
    new: Callable[[], ShiftDetector] = adwin
    _detectors: list[ShiftDetector] = field(init=False)
    _usual: NDArray[np.float64] = field(init=False)  # (HOURS, d) mean p-values
    _weight: NDArray[np.int64] = field(init=False)  # (HOURS, d) blocks that each rests on
    _moved: list[bool] = field(init=False)  # of which detectors ADWIN has found that the mean moved
    _holds: list[bool] = field(init=False)  # of which detectors a shift was told

    def __post_init__(self) -> None:
        self._detectors = [self.new() for _ in range(self.width)]
        self._usual = np.zeros((HOURS, self.width))
        self._weight = np.zeros((HOURS, self.width), dtype=np.int64)
        self._moved, self._holds = [False] * self.width, [False] * self.width

    def add(self, day: int, hour: int, means: NDArray[np.float64], rows: int) -> tuple[dict[int, float], list[int]]:
        """The next block; shifts that it shows, by detector, and detectors that are back.

        day: counted from 0. hour: of the day, as days are counted. means: (d,) p-values of the block's rows.
        """
        begun: dict[int, float] = {}
        ended: list[int] = []
        if rows < LEAST_ROWS or day < self.settled:
            return begun, ended
        for i, mean in enumerate(means.tolist()):
            if day > self.settled and self._weight[hour, i]:
                shift = self._shift(i, mean - self._usual[hour, i])
                if not self._holds[i] and self._moved[i] and abs(shift) >= LEAST_SHIFT:
                    begun[i] = shift
                elif self._holds[i] and self._is_back(i, shift):
                    ended.append(i)
                    self._moved[i] = False
                self._holds[i] = (self._holds[i] or i in begun) and i not in ended
            if not self._holds[i]:
                self._learn(hour, i, mean)
        return begun, ended

    def _is_back(self, i: int, shift: float) -> bool:
        return abs(shift) < LEAST_SHIFT / 2 and self._detectors[i].width >= LEAST_BLOCKS

    def _shift(self, i: int, difference: float) -> float:
        """How far the mean p-value is from the usual one by now."""
        detector = self._detectors[i]
        detector.update(min(max(0.5 + _SCALE * difference, 0.0), 1.0))
        self._moved[i] = self._moved[i] or detector.drift_detected
        # Just after a cut the window is short, or holds much of what was before.
        return (detector.estimation - 0.5) / _SCALE if detector.width >= LEAST_BLOCKS else 0.0

    def _learn(self, hour: int, i: int, mean: float) -> None:
        self._weight[hour, i] = min(self._weight[hour, i] + 1, MOST_WEIGHT)
        self._usual[hour, i] += (mean - self._usual[hour, i]) / self._weight[hour, i]
