"""What only a watch does, turn by turn: events and clock steps told, operators heard, the watchdog fed, and every
packet accounted for each interval and at the end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sensor.alerts.alert import Observer
from sensor.alerts.sensor_records import UNTOLD, SensorState, event_line, stats_line
from sensor.alerts.spread import span_in_words
from sensor.metering.turns import Turn
from sensor.progress.hints import Hint, hints, since
from sensor.progress.progress import Progress
from sensor.progress.words import accounting
from sensor.run.detection import Detection
from sensor.run.run import Run
from sensor.sources.capture import LinkEvent

HINTED_FROM: Final = 10  # a hint that rests on fewer waits for the end
HINT_S: Final = 3600.0  # what began later is a small share of a long run: such times are looked at by themselves, too
HINTED_LATER_FROM: Final = 1000  # of which a hint then rests on so many


@dataclass(slots=True)
class Requests:
    """What an operator has asked for by a signal and has not got yet."""

    stats: bool = False  # the account, at once
    reload: bool = False  # the settings read again, the outputs opened anew


@dataclass(slots=True)
class Watching:
    """The hook of a watch (sensor.run.run.Hook)."""

    detection: Detection
    observer: Observer
    interval_s: float = 10.0  # between two accounts
    # reads the settings again and reopens the outputs; returns lines that say what it did
    reload: Callable[["Watching"], Sequence[str]] = field(default=lambda _watching: ())
    # what has come, since the last turn, of what a reload began: action and message of an event each
    news: Callable[[], Sequence[tuple[str, str]]] = field(default=lambda: ())
    state: Callable[[], SensorState] = field(default=lambda: UNTOLD)  # by what the sensor judges now
    alive: Callable[[], None] = field(default=lambda: None)  # feeds the watchdog
    clock: Callable[[], float] = time.monotonic
    wall_clock_ns: Callable[[], int] = time.time_ns
    requests: Requests = field(default_factory=Requests)
    _accounted_at_s: float = 0.0
    _accounted: Progress = field(default_factory=Progress)
    _clock_step_ns: int = 0
    _reported_losses: set[str] = field(default_factory=set)  # of packets and of flows, by their action
    _hinted: set[str] = field(default_factory=set)  # actions of the hints that were reported
    _hinted_at_s: float = 0.0
    _hinted_until: Progress = field(default_factory=Progress)

    def begin(self, _run: Run) -> None:
        """The first interval begins."""
        self._accounted_at_s = self._hinted_at_s = self.clock()

    def before(self, turn: Turn, run: Run) -> None:
        """Tell of a clock that was set before anything bears its time."""
        step_ns = turn.totals.clock_step_ns
        if step_ns == self._clock_step_ns:
            return
        span_ns = step_ns - self._clock_step_ns
        self._clock_step_ns = step_ns
        way = "forward" if span_ns > 0 else "back"
        message = f"the clock was set {way} by {span_in_words(abs(span_ns))}, or the machine slept: flows go on"
        self._report_now("clock-step", message, run)

    def after(self, turn: Turn, run: Run) -> None:
        """Report events, feed the watchdog, do what was asked for, and account where it is time to."""
        self._report_loss(run)
        for event in turn.events:
            self._report(event, run)
        self.alive()
        self._handle_requests(run)
        for action, message in self.news():
            self._report_now(action, message, run)
        if self.clock() - self._accounted_at_s >= self.interval_s:
            self._account(run, final=False)

    def end(self, run: Run) -> None:
        """Account for the last time."""
        self._report_loss(run)
        self._account(run, final=True)

    def _handle_requests(self, run: Run) -> None:
        if self.requests.reload:
            self.requests.reload = False
            for line in self.reload(self):
                self._report_now("reloaded", line, run)
        if self.requests.stats:
            self.requests.stats = False
            run.screen.note(accounting(run.progress))

    def _account(self, run: Run, *, final: bool) -> None:
        self._report_hints(run, final=final)
        now = self.clock()
        interval_s = now - self._accounted_at_s
        self._accounted_at_s = now
        line = stats_line(
            run.progress,
            self.observer,
            self.wall_clock_ns(),
            interval_s,
            previous=self._accounted,
            final=final,
            state=self.state(),
        )
        self._accounted = run.progress
        self.detection.outlet.write([line])

    def _report_hints(self, run: Run, *, final: bool) -> None:
        """Say each once, as soon as it rests on enough; at the end the screen says them by itself."""
        told = [hint for hint in hints(run.progress) if hint.count >= HINTED_FROM or final]
        for hint in (*told, *self._late_hints(run.progress)):
            if hint.action in self._hinted:
                continue
            self._hinted.add(hint.action)
            event = LinkEvent(None, hint.action, hint.message, self.wall_clock_ns())
            self._write(event)
            if not final:
                run.screen.note(hint.message)

    def _late_hints(self, progress: Progress) -> Sequence[Hint]:
        """What stands out since the last look of this kind, where that is due."""
        if self.clock() - self._hinted_at_s < HINT_S:
            return ()
        lately = since(progress, self._hinted_until)
        self._hinted_at_s, self._hinted_until = self.clock(), progress
        return [
            replace(hint, message=f"lately {hint.message}") for hint in hints(lately) if hint.count >= HINTED_LATER_FROM
        ]

    def _report_loss(self, run: Run) -> None:
        """Say once that packets of alerts, and once that flows could not be written."""
        recorders = ("packets-lost", self.detection.recorder), ("flows-lost", self.detection.flow_recorder)
        for action, recorder in recorders:
            if recorder is None or recorder.problem is None or action in self._reported_losses:
                continue
            self._reported_losses.add(action)
            message = f"{recorder.problem}; the watch goes on and tries again with the next ones"
            self._report_now(action, message, run)

    def _report_now(self, action: str, message: str, run: Run) -> None:
        self._report(LinkEvent(None, action, message, self.wall_clock_ns()), run)

    def _report(self, event: LinkEvent, run: Run) -> None:
        self._write(event)
        run.screen.note(event.message)

    def _write(self, event: LinkEvent) -> None:
        action = f"interface-{event.action}" if event.interface else event.action
        line = event_line(action, event.message, self.observer, event.time_ns, event.interface)
        self.detection.outlet.write([line])
