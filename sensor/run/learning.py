"""A site learnt beside a watch: when enough traffic was logged, somebody is asked to learn from it, and to take over.

It counts traffic time and asks; it reads no log and fits nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sensor.alerts.spread import span_in_words
from sensor.metering.turns import Turn
from sensor.run.run import Run

TOLD_S: Final = 600.0  # between two notes of how far it is
LOOK_S: Final = 1.0  # between two looks whether the learner is done

# Begins to learn; called again and again, it gives None until that is done, then what to tell.
Learner = Callable[[], str | None]


@dataclass(slots=True)
class SiteLearning:
    """The hook (sensor.run.run.Hook) that says when a site has been heard for long enough."""

    seconds: float  # of traffic time to learn from
    already_s: float  # that earlier runs have logged
    enough: Callable[[Run], Learner | None]  # what is done then; None: nothing is learnt beside this run
    clock: Callable[[], float] = time.monotonic
    reached: bool = False  # whether there is enough
    _first_ns: int = 0
    _heard_s: float = 0.0
    _learner: Learner | None = None
    _looked_s: float = 0.0
    _told_s: float = 0.0

    @property
    def heard_s(self) -> float:
        """Traffic time heard by earlier runs and up to the last turn of this one."""
        return self.already_s + self._heard_s

    def begin(self, run: Run) -> None:
        """Say what is to come."""
        run.screen.note(
            f"warming: the site is learnt for {_words(self.seconds)}, {_words(self.already_s)} of which are there; "
            "until then the bundle judges as it is"
        )
        self._told_s = self.clock()

    def before(self, turn: Turn, run: Run) -> None:
        """Nothing."""

    def after(self, turn: Turn, run: Run) -> None:
        """Count, and ask for the learning once there is enough."""
        totals = turn.totals
        if totals.first_ns and not self._first_ns:
            self._first_ns = totals.first_ns
        if self._first_ns:
            self._heard_s = max(self._heard_s, (totals.now_ns - self._first_ns) / 1e9)
        now_s = self.clock()
        if not self.reached and self.heard_s >= self.seconds:
            self.reached = True
            self._learner = self.enough(run)
        elif not self.reached and now_s - self._told_s >= TOLD_S:
            self._told_s = now_s
            run.screen.note(f"learning the site: {_words(self.heard_s)} of {_words(self.seconds)}")
        if self._learner is not None and now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            told = self._learner()
            if told is not None:
                self._learner = None
                run.screen.note(told)

    def end(self, run: Run) -> None:
        """Say what is missing."""
        if not self.reached:
            run.screen.note(
                f"the site was heard for {_words(self.heard_s)} of {_words(self.seconds)}: the same command goes on"
            )


def _words(seconds: float) -> str:
    return span_in_words(round(seconds * 1e9)) if seconds else "none"
