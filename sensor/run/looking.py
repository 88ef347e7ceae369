"""What whoever looks on sees besides the lines: who talks most, and open alerts as they stand now."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from sensor.episodes.episodes import Episodes
from sensor.metering.talkers import FADE_S, TrafficCounts
from sensor.metering.turns import Turn
from sensor.progress.progress import OpenAlert, Progress

INTERVAL_S: Final = 0.5  # between two looks
OPEN_SHOWN: Final = 64  # open alerts, those that moved last


@dataclass(slots=True)
class Looking:
    """Looks at a run twice a second at most."""

    counts: TrafficCounts
    clock: Callable[[], float] = time.monotonic
    _progress: Progress = field(default_factory=Progress)  # with what was seen last
    _looked_at_s: float | None = None

    def add(self, turn: Turn) -> None:
        """Count the records of a turn."""
        self.counts.add(turn.records, turn.totals.now_ns)

    def settle(self) -> None:
        """Have the next look see all that was added."""
        self._looked_at_s = None

    def with_view(self, progress: Progress, episodes: Episodes, step_ns: int) -> Progress:
        """Totals with what is seen now, or was half a second ago. step_ns: what the wall clock was set forward by."""
        now_s = self.clock()
        if self._looked_at_s is None or now_s - self._looked_at_s >= INTERVAL_S:
            self._looked_at_s = now_s
            seen = [_in_wall_time(each, step_ns) for each in episodes.open_alerts(OPEN_SHOWN)]
            self._progress = Progress(traffic=self.counts.traffic(), open_alerts=tuple(seen))
        return replace(progress, traffic=self._progress.traffic, open_alerts=self._progress.open_alerts)


def at_captures() -> Looking:
    """A look at captures: bytes count from the first packet."""
    return Looking(TrafficCounts())


def at_interfaces() -> Looking:
    """A look at interfaces: what was a minute ago fades."""
    return Looking(TrafficCounts(FADE_S))


def _in_wall_time(alert: OpenAlert, step_ns: int) -> OpenAlert:
    return replace(alert, start_ns=alert.start_ns + step_ns, end_ns=alert.end_ns + step_ns) if step_ns else alert
