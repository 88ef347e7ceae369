"""Captures through the pipeline to the outputs and the screen."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sensor.alerts.alert import Alert
from sensor.judging.judge import Pipeline
from sensor.packets.keeper import Keeper
from sensor.progress.progress import Progress
from sensor.progress.words import kept_in_words
from sensor.run.outlet import Outlet
from sensor.sources.captures.reading import Reading


@dataclass(slots=True)
class Run:
    """One run over captures and its state. keeper: of the packets of alerts."""

    reading: Reading
    pipeline: Pipeline
    outlet: Outlet
    keeper: Keeper | None = None
    clock: Callable[[], float] = time.monotonic
    _started_s: float = 0.0

    @property
    def stopping(self) -> bool:
        """Whether it ends with the block at hand and reports what it has."""
        return self.reading.stopping

    def stop(self) -> None:
        """End the run. For a signal handler."""
        self.reading.stop()

    def read(self) -> None:
        """Read the captures to their ends. Raises InputError when none can be opened."""
        self._started_s = self.clock()
        for block in self.reading:
            for part in (block,) if self.keeper is None else self.keeper.parts(block):
                self._publish(self.pipeline.feed(part))
            if self.outlet.lost_output:  # the other outputs still get what there is
                break
        self.outlet.problems += self.reading.problems
        self._publish(self.pipeline.finish())
        self._end_keeping()
        self.outlet.finish(self.progress())

    def progress(self) -> Progress:
        """Totals up to now."""
        stats, reading = self.pipeline.meter.stats, self.reading
        return Progress(
            received=stats.packets + reading.filtered,
            packets=stats.packets,
            bytes=stats.wire_bytes,
            metered=stats.metered,
            filtered=reading.filtered,
            undecoded=stats.undecoded,
            flows=self.pipeline.judge.flows,
            table_flows=stats.flows,
            evicted=stats.evicted,
            late=stats.late,
            clock_jumps=stats.clock_jumps,
            bytes_read=reading.bytes_read,
            size=reading.size,
            started_ns=self.pipeline.first_ns,
            traffic_time_ns=self.pipeline.meter.now_ns,
            elapsed_s=self.clock() - self._started_s,
            alerts=self.outlet.alerts,
            attacks=self.outlet.attacks,
            uncertain=self.outlet.alerts - self.outlet.attacks,
            merged=self.pipeline.judge.merged,
            judged=self.pipeline.judge.judged,
            scoring_s=self.pipeline.judge.spent_ns / 1e9,
            outputs=self.outlet.states(),
            kept=None if self.keeper is None else self.keeper.state,
            lost_lines=sum(state.lost for state in self.outlet.states()),
        )

    @property
    def lost_packets(self) -> bool:
        """Whether a file of packets could not be written."""
        return self.keeper is not None and self.keeper.problem is not None

    def _end_keeping(self) -> None:
        if self.keeper is None:
            return
        self.keeper.write()
        if self.keeper.problem is not None:
            self.outlet.problems.append(self.keeper.problem)
        self.outlet.screen.note(kept_in_words(self.keeper.state))

    def _publish(self, alerts: list[Alert]) -> None:
        flows = self.pipeline.judge.take_flows()
        if self.keeper is not None:
            alerts = self.keeper.take(alerts, flows)
        self.outlet.publish(alerts, flows)
        self.outlet.screen.update(self.progress(), alerts)
