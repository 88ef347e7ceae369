"""Steady time: the wall clock without its steps, so that flows continue across them.

A step is a change of more than 0.5 s between two observations in the difference of the wall clock and CLOCK_MONOTONIC.
Slewing stays below that and passes as ordinary time. CLOCK_MONOTONIC stands still while the machine is suspended, so a
suspension is a step too. It knows only the timestamps of packets.
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
    """Converts timestamps of the wall clock to steady time.

    Packets stamped before a step may wait beside packets stamped after it; until `settle` is called, each packet is
    corrected by the step that makes it latest without lying in the future.
    """

    def __init__(self, realtime_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        """Take the two clocks, in nanoseconds, and observe them."""
        self._realtime_ns = realtime_ns
        self._monotonic_ns = monotonic_ns
        self.step_ns = 0  # sum of all steps: wall clock minus steady time
        self._earlier: tuple[int, ...] = ()  # other sums of steps under which waiting packets may have been stamped
        self._stepped_at_ns = 0  # monotonic
        self._difference_ns: int | None = None
        self.observe()

    @property
    def settling_since_ns(self) -> int | None:
        """Monotonic time of the last step while packets from before it may wait, else None."""
        return self._stepped_at_ns if self._earlier else None

    def observe(self) -> None:
        """Detect a step; to be called before packets are corrected that were stamped since the last observation."""
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
        """Declare that no packet from before the last step waits any more."""
        self._earlier = ()

    def now_ns(self) -> int:
        """Current steady time; observes the clocks first."""
        self.observe()
        return self._realtime_ns() - self.step_ns

    def correct(self, ts_ns: Int64s) -> None:
        """Convert timestamps of the wall clock, (n,) int64, to steady time, in place."""
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
        """(wall clock, monotonic) at one moment; None when the process was interrupted between all readings."""
        for _ in range(ATTEMPTS):
            before = self._monotonic_ns()
            realtime = self._realtime_ns()
            if self._monotonic_ns() - before < TOGETHER_NS:
                return realtime, before
        return None
