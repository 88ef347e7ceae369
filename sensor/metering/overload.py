"""What is done when more packets come than can be metered: stated steps, one after the other.

How full the room for what waits is decides, and nothing else: that of packets, the ring, which are lost when it
overflows, or that of flow records, for which the ring is left alone when none is left, whichever is fuller. A step is
taken at once, the next only while it does not get emptier, and one is left as soon as that lasts: after a moment in
which the sensor was held up it sees everything again within seconds, and load near the limit does not make it waver, as
each step that was left too early is kept twice as long the next time (exponential backoff). It knows no ring and no
meter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Step:
    """A way to need less: "" is none. The limits hold where the settings do not ask for less already.

    idle_timeout_ns: silence after which a flow is over. capacity_share: of the flow table. keep_one_in: flows metered.
    """

    name: str
    idle_timeout_ns: int | None = None
    capacity_share: float = 1.0
    keep_one_in: int = 1


SHORT_NS: Final = 15_000_000_000
STEPS: Final[tuple[Step, ...]] = (
    Step(""),
    Step("flows end after 15 s of silence", SHORT_NS),
    Step("a quarter of the flow table is used", SHORT_NS, 0.25),
    *(Step(f"one flow in {keep} is metered", SHORT_NS, 0.25, keep) for keep in (2, 4, 8, 16, 32, 64)),
)
FULL, HIGH, LOW = 0.9, 0.5, 0.1  # share of the room that is taken
UP_S: Final = 0.1  # long enough to see whether a step helps, short against the time in which the ring fills up
DOWN_LEAST_S, DOWN_MOST_S = 1.0, 16.0  # of a nearly empty room, until a step is left
CALM_S: Final = 60.0  # without any step, after which the next overload is another one


class Overload:
    """The step that the filling of the room asks for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds, never backwards."""
        self._clock = clock
        self._level = 0
        self._down_s = DOWN_LEAST_S
        self._left = False  # whether the last change was a step that was left
        self._changed = -UP_S  # the last step, up or down
        self._busy = clock()  # when the room was last not nearly empty
        self._fill, self._filled = 0.0, -UP_S  # how full it was, and when: the latest of UP_S ago or more

    @property
    def step(self) -> Step:
        """What is done now."""
        return STEPS[self._level]

    def observe(self, fill: float) -> bool:
        """Take in the share of the room that is taken; whether the step has changed."""
        now = self._clock()
        before = self._level
        if fill > LOW:
            self._busy = now
        if fill >= HIGH and now - self._changed >= UP_S and not self._draining(fill):
            self._up(now)
        elif self._level and fill < HIGH and now - max(self._busy, self._changed) >= self._down_s:
            self._level -= 1
            self._left = True
        if now - self._filled >= UP_S:
            self._fill, self._filled = fill, now
        if self._level == before:
            return False
        self._changed = now
        return True

    def _draining(self, fill: float) -> bool:
        """Whether it gets emptier, with some room left, so that what is done suffices."""
        return self._level > 0 and fill < min(self._fill, FULL)

    def _up(self, now: float) -> None:
        if not self._level and now - self._changed >= CALM_S:
            self._down_s = DOWN_LEAST_S
        elif self._left:
            self._down_s = min(2 * self._down_s, DOWN_MOST_S)
        self._left = False
        self._level = min(self._level + 1, len(STEPS) - 1)
