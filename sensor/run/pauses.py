"""What keeps a live run from leaving its ring alone for long: the collector of objects, and threads that draw or write.

Circles of objects are looked for among young ones often and briefly, among all when nothing comes: a look at all takes
a tenth of a second for each few hundred thousand. The run itself makes no circles (measured: none in five million
packets); what libraries make is young when it is dropped.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sensor.metering.turns import Turn
from sensor.process.threads import take_turns_often
from sensor.run.run import Run

YOUNG: Final = 1_000  # new objects until the next look at them: some milliseconds, as there are large sets among them
LOOKS: Final = 2  # at new ones, until the next at those that outlived one
NEVER: Final = 1 << 30  # such looks, until one at all objects
QUIET_AFTER_S: Final = 600.0  # since the last look at all, from which on a moment without packets is used
AT_LAST_S: Final = 86_400.0  # and from which on it is not waited for


@dataclass(slots=True)
class ShortPauses:
    """The hook of a live run (sensor.run.run.Hook)."""

    clock: Callable[[], float] = time.monotonic
    _looked_s: float = 0.0
    _received: int = -1

    def begin(self, _run: Run) -> None:
        """Look at young objects alone from now on, at none of those that are there by now; take turns more often."""
        take_turns_often()
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, LOOKS, NEVER)
        self._looked_s = self.clock()

    def before(self, _turn: Turn, _run: Run) -> None:
        """Nothing: the turn's records are not taken yet."""

    def after(self, turn: Turn, _run: Run) -> None:
        """Look at all objects where that is due and neither packets nor records have come, or is long due."""
        received, before = turn.totals.capture.received, self._received
        self._received = received
        quiet = received == before and not len(turn.records)  # records of earlier packets come in parts
        passed_s = self.clock() - self._looked_s
        if passed_s >= AT_LAST_S or (passed_s >= QUIET_AFTER_S and quiet):
            gc.collect()
            self._looked_s = self.clock()

    def end(self, _run: Run) -> None:
        """Nothing: the process ends."""
