"""What is done when more packets come than can be metered: stated steps, one after the other.

How full the ring is decides, and nothing else: it is what is lost when it overflows. A step is taken at once and left
slowly, so that load near the limit does not make the sensor waver. It knows no ring and no meter.
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
HIGH, LOW = 0.5, 0.1  # share of the ring that waits
UP_S: Final = 0.1  # long enough to see whether a step helps, short against the time in which the ring fills up
DOWN_S: Final = 10.0


class Overload:
    """The step that the ring's filling asks for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """clock: seconds, never backwards."""
        self._clock = clock
        self._level = 0
        self._changed = -UP_S  # the last step, up or down
        self._busy = clock()  # when the ring was last not nearly empty

    @property
    def step(self) -> Step:
        """What is done now."""
        return STEPS[self._level]

    def observe(self, fill: float) -> bool:
        """Take in the share of the ring that waits; whether the step has changed."""
        now = self._clock()
        before = self._level
        if fill > LOW:
            self._busy = now
        if fill >= HIGH:
            if now - self._changed >= UP_S:
                self._level = min(self._level + 1, len(STEPS) - 1)
        elif now - max(self._busy, self._changed) >= DOWN_S:
            self._level = max(self._level - 1, 0)
        if self._level == before:
            return False
        self._changed = now
        return True
