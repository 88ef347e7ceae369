"""Steady time: the wall clock's time without the steps it was set by, so that flows live through them.

A step is a change of more than 0.5 s between two looks in the difference of the wall clock and CLOCK_MONOTONIC.
Slewing stays below that and passes as ordinary time. CLOCK_MONOTONIC stands still while the machine sleeps, so a sleep
is a step too. Knows no packets but their stamps.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from flows.block import Int64s

STEP_NS: Final = 500_000_000
TOGETHER_NS: Final = 10_000_000  # readings of both clocks that lie further apart are no pair
ATTEMPTS: Final = 3
AHEAD_NS: Final = 50_000_000  # a stamp may be this far ahead of our reading of the clock


class SteadyClock:
    """step_ns: the sum of all steps, which the wall clock is ahead of steady time.

    Packets stamped before a step may wait beside packets stamped after it; until `settle` is called, each packet is
    corrected by the step that makes it youngest without lying in the future.
    """

    def __init__(self, realtime_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        """The two clocks, nanoseconds."""
        self._realtime_ns = realtime_ns
        self._monotonic_ns = monotonic_ns
        self.step_ns = 0
        self._earlier: tuple[int, ...] = ()  # other sums of steps under which waiting packets may have been stamped
        self._stepped_at_ns = 0  # monotonic
        self._difference_ns: int | None = None
        self.look()

    @property
    def settling_since_ns(self) -> int | None:
        """Monotonic time of the last step while packets from before it may be waiting, else None."""
        return self._stepped_at_ns if self._earlier else None

    def look(self) -> None:
        """Notice a step. To be called before a packet is corrected that was stamped since the last look."""
        pair = self._pair()
        if pair is None:
            return
        realtime, monotonic = pair
        difference = realtime - monotonic
        changed = 0 if self._difference_ns is None else difference - self._difference_ns
        self._difference_ns = difference
        if abs(changed) > STEP_NS:
            before = self.step_ns
            self.step_ns += changed
            self._earlier = tuple({*self._earlier, before} - {self.step_ns})
            self._stepped_at_ns = monotonic

    def settle(self) -> None:
        """No packet from before the last step is waiting any more."""
        self._earlier = ()

    def now_ns(self) -> int:
        """The present moment in steady time, steps since the last look included."""
        self.look()
        return self._realtime_ns() - self.step_ns

    def correct(self, ts_ns: Int64s) -> None:
        """Turn stamps of the wall clock, (n,) int64, into steady time, in place."""
        if not self._earlier:
            if self.step_ns:
                ts_ns -= self.step_ns
            return
        latest = self._realtime_ns() - self.step_ns + AHEAD_NS
        best = ts_ns - self.step_ns
        for step in self._earlier:
            other = ts_ns - step
            best = np.where((other <= latest) & ((best > latest) | (other > best)), other, best)
        ts_ns[:] = best

    def _pair(self) -> tuple[int, int] | None:
        """Both clocks at one moment; None when the process is held up again and again in between."""
        for _ in range(ATTEMPTS):
            before = self._monotonic_ns()
            realtime = self._realtime_ns()
            if self._monotonic_ns() - before < TOGETHER_NS:
                return realtime, before
        return None
