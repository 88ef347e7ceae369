"""The only loop: turns of a source through whoever takes their records to the screen, until the source ends.

What is done with the records is the consumer's: judged (sensor.run.detection), or written as a table
(sensor.run.export). What only some runs need is a hook.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sensor.alerts.alert import Alert
from sensor.metering.turns import CaptureTotals, Turn, TurnSource
from sensor.metering.vlans import SplitSessions
from sensor.progress.latest import Latest
from sensor.progress.progress import Progress
from sensor.progress.words import kept_in_words, logged_in_words
from sensor.terminal.screen import Screen

CUT_SHORT = "stopped by the user before the end of the input"


class Consumer(Protocol):
    """Whoever takes the records of a run."""

    @property
    def over(self) -> bool:
        """Whether it has no use for more, such as with an output that takes no more."""

    @property
    def problems(self) -> Sequence[str]:
        """What went wrong, one line each."""

    def consume(self, turn: Turn) -> Sequence[Alert]:
        """Judge, write or count the records of a turn; the alerts that they gave rise to."""

    def finish(self) -> Sequence[Alert]:
        """Do what is due when no more will come; the last alerts."""

    def close(self) -> None:
        """Have everything delivered that waits."""

    def with_findings(self, progress: Progress) -> Progress:
        """Totals with what it found and delivered by now."""


class Hook(Protocol):
    """What only some runs do besides."""

    def begin(self, run: "Run") -> None:
        """Before the first turn."""

    def before(self, turn: Turn, run: "Run") -> None:
        """Before the records of a turn are taken."""

    def after(self, turn: Turn, run: "Run") -> None:
        """After they were taken; the run's progress is that after the turn."""

    def end(self, run: "Run") -> None:
        """After the last records were taken, while everything is still open."""


@dataclass(slots=True)
class Run:
    """One run and its state."""

    turns: TurnSource
    consumer: Consumer
    screen: Screen
    hooks: Sequence[Hook] = ()
    latest: Latest = field(default_factory=Latest)
    clock: Callable[[], float] = time.monotonic
    stopping: bool = False  # whether somebody asked it to end
    totals: CaptureTotals | None = None  # of the source, None before the first turn
    problems: list[str] = field(default_factory=list)  # of the source and the consumer, known at the end
    _split: SplitSessions = field(default_factory=SplitSessions)
    _enough: bool = False
    _started_s: float = 0.0

    @property
    def progress(self) -> Progress:
        """Totals up to now."""
        return self.latest.progress

    def stop(self) -> None:
        """End in order: what has come is taken. For a signal handler too."""
        self.stopping = True
        self.turns.stop()

    def run(self) -> None:
        """Take turns until the source ends. Raises InputError where there is nothing to read."""
        self._started_s = self.clock()
        for hook in self.hooks:
            hook.begin(self)
        for turn in self.turns:
            self._consume(turn)
        self.problems += self.turns.problems
        if self.stopping and self.turns.ends_by_itself:
            self.problems.append(CUT_SHORT)
        self.latest.problem = "; ".join(self.turns.problems) or None
        alerts = self.consumer.finish()
        self._count()
        if self.progress.kept is not None:
            self.screen.note(kept_in_words(self.progress.kept))
        if self.progress.logged is not None:
            self.screen.note(logged_in_words(self.progress.logged))
        for remark in self.turns.remarks:
            self.screen.note(remark)
        for hook in self.hooks:
            hook.end(self)
        self.screen.update(self.progress, alerts)
        self.consumer.close()
        self._count()
        self.problems += self.consumer.problems
        self.screen.finish(self.progress, self.problems)

    def _consume(self, turn: Turn) -> None:
        for hook in self.hooks:
            hook.before(turn, self)
        alerts = self.consumer.consume(turn)
        self._split.add(turn.records)
        self.totals = turn.totals
        self._count()
        for hook in self.hooks:
            hook.after(turn, self)
        self.screen.update(self.progress, alerts)
        if self.consumer.over and not self._enough:
            self._enough = True
            self.turns.stop()

    def _count(self) -> None:
        elapsed_s, split = self.clock() - self._started_s, self._split.count
        progress = Progress() if self.totals is None else progress_of(self.totals, elapsed_s, split)
        self.latest.progress = self.consumer.with_findings(progress)


def progress_of(totals: CaptureTotals, elapsed_s: float, split_sessions: int) -> Progress:
    """The totals of a source as progress, in the wall clock's time; what was found in its records is not known here."""
    stats, capture, step_ns = totals.stats, totals.capture, totals.clock_step_ns
    return Progress(
        received=capture.received + capture.filtered,
        packets=stats.packets,
        bytes=stats.wire_bytes,
        metered=stats.metered,
        filtered=capture.filtered,
        undecoded=stats.undecoded,
        shed=stats.shed,
        dropped=capture.dropped,
        waiting=capture.waiting,
        longest_pause_ns=capture.longest_pause_ns,
        lost_with_worker=capture.lost_with_worker,
        overload=totals.overload,
        table_flows=stats.flows,
        evicted=stats.evicted,
        late=stats.late,
        late_ns=stats.late_ns,
        clock_jumps=stats.clock_jumps,
        tunnelled=stats.tunnelled,
        split_sessions=split_sessions,
        bytes_read=totals.bytes_read,
        size=totals.size,
        started_ns=totals.first_ns + step_ns if totals.first_ns else 0,
        traffic_time_ns=totals.now_ns + step_ns if totals.now_ns else 0,
        elapsed_s=elapsed_s,
        interfaces=totals.links,
    )
