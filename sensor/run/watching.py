"""The watch: reports of the metering through the judge to the outputs and the screen, until it is stopped.

Every turn, at least ten times a second, it looks at what operators want (signals), tells of events and feeds the
watchdog; every interval it accounts for every packet.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sensor.alerts.alert import Alert, Observer
from sensor.alerts.sensor_records import event_line, stats_line
from sensor.judging.judge import Judge
from sensor.metering.live import Account, Report
from sensor.packets.keeper import Keeper
from sensor.packets.ring import PAUSES
from sensor.progress.progress import Progress
from sensor.progress.words import accounting, kept_in_words
from sensor.run.outlet import Outlet
from sensor.sources.capture import LinkEvent

KEEPING_S = 0.25  # between two writes of packets


class Reports(Protocol):
    """Where reports come from: sensor.metering.live.Metering or sensor.metering.workers.Workers.

    problem: why they ended unasked, one line, or None.
    """

    problem: str | None

    def __iter__(self) -> Iterator[Report]:
        """Reports until stopped."""

    def stop(self) -> None:
        """End with the packets that have come by now."""


@dataclass(slots=True)
class Wishes:
    """What an operator has asked for by a signal and has not got yet."""

    stats: bool = False
    reload: bool = False


@dataclass(slots=True)
class Watch:
    """One watch and its state.

    reload: reads the settings again and reopens the outputs; returns lines that say what it did.
    lost_lines: how many lines the outputs have lost so far. reader_gone: whether nobody reads the lines any more, which
    ends the watch. alive: feeds the watchdog. keeper: of the packets of alerts.
    """

    reports: Reports
    judge: Judge
    outlet: Outlet
    observer: Observer
    interval_s: float = 10.0
    reload: Callable[["Watch"], Sequence[str]] = field(default=lambda _watch: ())
    lost_lines: Callable[[], int] = field(default=lambda: 0)
    reader_gone: Callable[[], bool] = field(default=lambda: False)
    alive: Callable[[], None] = field(default=lambda: None)
    clock: Callable[[], float] = time.monotonic
    wall_clock_ns: Callable[[], int] = time.time_ns
    stopping: bool = False
    wishes: Wishes = field(default_factory=Wishes)
    progress: Progress = field(default_factory=Progress)
    lost_packets: bool = False
    keeper: Keeper | None = None
    _started_s: float = 0.0
    _stats_at_s: float = 0.0
    _told: Progress = field(default_factory=Progress)
    _clock_step_ns: int = 0
    _kept_at_s: float = 0.0
    _told_of_loss: bool = False

    def stop(self) -> None:
        """End in order: what has come is judged, open alerts are closed. For a signal handler."""
        self.stopping = True
        self.reports.stop()

    def run(self) -> None:
        """Watch until stopped."""
        self._started_s = self._stats_at_s = self.clock()
        for report in self.reports:
            self._turn(report)
        if self.reports.problem:
            self.outlet.problems.append(self.reports.problem)
        alerts = self._publish(self.judge.finish())
        self._keep_packets(last=True)
        self.progress = self._with_findings(self.progress)
        self._tell_stats(final=True)
        self.outlet.screen.update(self.progress, alerts)
        self.outlet.finish(self.progress)

    def _turn(self, report: Report) -> None:
        self._tell_clock_step(report.account.clock_step_ns)
        alerts = self._publish(self.judge.judge(report.records, report.account.capture.dropped))
        self.progress = self._progress(report.account)
        self._keep_packets(last=False)
        self.lost_packets = report.account.lost_packets or self._told_of_loss
        for event in report.events:
            self._tell(event)
        self.outlet.screen.update(self.progress, alerts)
        self.alive()
        self._grant()
        if self.reader_gone() and not self.stopping:
            self.stop()
        if self.clock() - self._stats_at_s >= self.interval_s:
            self._tell_stats(final=False)

    def _grant(self) -> None:
        if self.wishes.reload:
            self.wishes.reload = False
            for line in self.reload(self):
                self._tell(LinkEvent(None, "reloaded", line, self.wall_clock_ns()))
        if self.wishes.stats:
            self.wishes.stats = False
            self.outlet.screen.note(accounting(self.progress))

    def _tell_stats(self, *, final: bool) -> None:
        now = self.clock()
        interval_s = now - self._stats_at_s
        self._stats_at_s = now
        line = stats_line(
            self.progress, self.observer, self.wall_clock_ns(), interval_s, previous=self._told, final=final
        )
        self._told = self.progress
        self.outlet.write([line])

    def _tell(self, event: LinkEvent) -> None:
        action = f"interface-{event.action}" if event.interface else event.action
        self.outlet.write([event_line(action, event.message, self.observer, event.time_ns, event.interface)])
        self.outlet.screen.note(event.message)

    def _tell_clock_step(self, step_ns: int) -> None:
        if step_ns == self._clock_step_ns:
            return
        seconds = (step_ns - self._clock_step_ns) / 1e9
        self._clock_step_ns = step_ns
        way = "forward" if seconds > 0 else "back"
        message = f"the clock was set {way} by {abs(seconds):,.1f} s, or the machine slept: flows go on"
        self._tell(LinkEvent(None, "clock-step", message, self.wall_clock_ns()))

    def _publish(self, alerts: list[Alert]) -> list[Alert]:
        flows = self.judge.take_flows()
        if self.keeper is not None:
            alerts = self.keeper.take(alerts, flows)
        alerts = self._restored(alerts)
        self.outlet.publish(alerts, flows, self._clock_step_ns)
        return alerts

    def _keep_packets(self, *, last: bool) -> None:
        """Write packets of alerts a few times a second, and before they leave the memory."""
        if self.keeper is None:
            return
        rests = self.clock() - self._kept_at_s < KEEPING_S and self.keeper.ring.share_since_pause < 1 / PAUSES
        if self.keeper.due and (last or not rests):
            self._kept_at_s = self.clock()
            self.keeper.write()
        if self.keeper.problem and not self._told_of_loss:
            self._told_of_loss = self.lost_packets = True
            message = f"{self.keeper.problem}; the watch goes on and tries again with the next ones"
            self._tell(LinkEvent(None, "packets-lost", message, self.wall_clock_ns()))
        if last:
            self.outlet.screen.note(kept_in_words(self.keeper.state))

    def _restored(self, alerts: list[Alert]) -> list[Alert]:
        """Alerts in the wall clock's time as it is now."""
        step = self._clock_step_ns
        if not step:
            return alerts
        return [
            replace(alert, time_ns=alert.time_ns + step, start_ns=alert.start_ns + step, end_ns=alert.end_ns + step)
            for alert in alerts
        ]

    def _progress(self, account: Account) -> Progress:
        stats, capture = account.stats, account.capture
        progress = Progress(
            received=capture.received + capture.filtered,
            packets=stats.packets,
            bytes=stats.wire_bytes,
            metered=stats.metered,
            filtered=capture.filtered,
            undecoded=stats.undecoded,
            shed=stats.shed,
            dropped=capture.dropped,
            waiting=capture.waiting,
            overload=account.overload,
            table_flows=stats.flows,
            evicted=stats.evicted,
            late=stats.late,
            clock_jumps=stats.clock_jumps,
            started_ns=account.first_ns + account.clock_step_ns if account.first_ns else 0,
            traffic_time_ns=account.now_ns + account.clock_step_ns if account.now_ns else 0,
            elapsed_s=self.clock() - self._started_s,
            interfaces=account.links,
        )
        return self._with_findings(progress)

    def _with_findings(self, progress: Progress) -> Progress:
        """Totals with what was found by now."""
        alerts, attacks = self.outlet.alerts, self.outlet.attacks
        return replace(
            progress,
            flows=self.judge.flows,
            alerts=alerts,
            attacks=attacks,
            uncertain=alerts - attacks,
            merged=self.judge.merged,
            judged=self.judge.judged,
            scoring_s=self.judge.spent_ns / 1e9,
            lost_lines=self.lost_lines(),
            outputs=self.outlet.states(),
            kept=None if self.keeper is None else self.keeper.state,
        )
