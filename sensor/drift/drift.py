"""Whether a sensor that runs for days still stands on what its bundle knows: columns, scores and the rate of alerts.

Flows and judgements go in, records of conditions come out. Time is the flows' own: hours and days count from the first
record. Nothing depends on how records were cut into batches. It holds no file, clock or thread.

Of each ten minutes at most 512 flows are looked at, chosen by their number alone (sensor.drift.counts).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import REPORT, REPORTED_NS, FlowBatch
from models.fusion import Hybrid, Judgement
from sensor.alerts.alert import Alert, Observer
from sensor.alerts.drift_record import DriftRecord
from sensor.drift.conditions import OpenConditions, Stretch
from sensor.drift.counts import BundleView, FlowSample, TrafficCounts
from sensor.drift.rate import AlertRate, asked_rate
from sensor.drift.shifts import ScoreShifts, ShiftDetector
from sensor.drift.table import Rows
from sensor.drift.traffic import TrafficDrift
from sensor.progress.progress import DriftState

BLOCK_NS: Final = 600_000_000_000
HOUR_BLOCKS: Final = 6
DAY_BLOCKS: Final = 144
DAY_NS: Final = DAY_BLOCKS * BLOCK_NS


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """What is watched for drift."""

    alerts_per_day: float | None = None  # asked for; None: what the bundle says, if it does
    new_shift_detector: Callable[[], ShiftDetector] | None = None  # None: shifts within a day are not looked for


class Drift:
    """Drift of one run: give it every judged batch in order, then ask for what was found."""

    def __init__(self, hybrid: Hybrid, observer: Observer, settings: DriftSettings) -> None:
        self._observer = observer
        self._settings = settings
        self._found: list[DriftRecord] = []
        self._of_bundle = BundleDrift(hybrid, observer, settings)

    @property
    def state(self) -> DriftState:
        """What holds by now."""
        return self._of_bundle.state

    def judged(self, hybrid: Hybrid, records: FlowBatch, rows: Rows, judgement: Judgement) -> None:
        """Take in records that were judged, in the order of their reports.

        rows: (n, c) as the model judged them. Another model than before ends all conditions, and all begins anew.
        """
        if hybrid is not self._of_bundle.hybrid:
            self._found += self._of_bundle.close()
            self._of_bundle = BundleDrift(hybrid, self._observer, self._settings)
        self._found += self._of_bundle.judged(records, rows, judgement)

    def alerted(self, alerts: Sequence[Alert], clock_step_ns: int = 0) -> None:
        """Take in the alerts that the latest records gave rise to, as they were told.

        clock_step_ns: what their times have on top of those of records, as the wall clock was set.
        """
        self._of_bundle.alerted(alerts, clock_step_ns)

    def advance(self, until_ns: int) -> list[DriftRecord]:
        """What was found since the last call. until_ns: no later record was reported before it."""
        self._found += self._of_bundle.advance(until_ns)
        found, self._found = self._found, []
        return found


class BundleDrift:
    """Drift while one bundle judges: cuts traffic into ten minutes, hours and days."""

    def __init__(self, hybrid: Hybrid, observer: Observer, settings: DriftSettings) -> None:
        self.hybrid = hybrid
        self._view = BundleView(hybrid)
        self._conditions = OpenConditions(observer, hybrid.model_id, hybrid.sha256)
        new = settings.new_shift_detector
        shifts = None if new is None else ScoreShifts(len(self._view.members), self._view.detectors_settled, new)
        self._traffic = TrafficDrift(self._view, self._conditions, shifts)
        self._rate = AlertRate(self._conditions, asked_rate(settings.alerts_per_day, hybrid.about))
        self._sample = FlowSample(self._view)
        self._block, self._hour, self._day = self._view.empty(), self._view.empty(), self._view.empty()
        self._start_ns: int | None = None  # of the first record
        self._number = 0  # of the block that goes on
        self._flows = 0  # reported for the first time, so far
        self._day_had_traffic = False

    @property
    def state(self) -> DriftState:
        """What holds by now."""
        return DriftState(self._conditions.names, self._traffic.psi_max, self._rate.per_day, self._rate.asked)

    def judged(self, records: FlowBatch, rows: Rows, judgement: Judgement) -> list[DriftRecord]:
        """As of Drift, of this bundle."""
        found: list[DriftRecord] = []
        if not len(records):
            return found
        if self._start_ns is None:
            self._start_ns = int(records.identity[0, REPORTED_NS])
        for flows, first_ns in self._by_block(records):
            found += self.advance(first_ns)
            self._sample.add(rows, judgement, flows, self._flows)
            self._flows += len(flows)
        return found

    def alerted(self, alerts: Sequence[Alert], clock_step_ns: int) -> None:
        """As of Drift."""
        for alert in alerts:
            if self._start_ns is not None:
                self._rate.count(alert, (alert.time_ns - clock_step_ns - self._start_ns) // DAY_NS)

    def advance(self, until_ns: int) -> list[DriftRecord]:
        """End what is over."""
        found: list[DriftRecord] = []
        while self._start_ns is not None and until_ns >= self._end_ns:
            idle_days = (until_ns - self._end_ns) // DAY_NS
            if idle_days and self._is_idle:
                self._number += idle_days * DAY_BLOCKS
            found += self._end_block()
        return found

    def close(self) -> list[DriftRecord]:
        """End all that holds, because another bundle judges."""
        end_ns = self._end_ns
        return self._conditions.close(Stretch(end_ns, end_ns, 0), "another bundle judges, and all is compared anew")

    @property
    def _end_ns(self) -> int:
        """End of the block that goes on."""
        return (self._start_ns or 0) + (self._number + 1) * BLOCK_NS

    @property
    def _is_idle(self) -> bool:
        """Whether a day without traffic goes on, and nothing of the one before is left to be done."""
        rows = sum(counts.columns.rows for counts in (self._block, self._hour, self._day))
        return not rows and self._sample.empty and self._number % DAY_BLOCKS > HOUR_BLOCKS

    def _by_block(self, records: FlowBatch) -> Iterator[tuple[NDArray[np.int64], int]]:
        """Positions of flows reported for the first time, cut where blocks end, and the first time of each part."""
        identity = records.identity
        flows = np.flatnonzero(identity[:, REPORT] == 0)
        if not len(flows):
            return
        times = identity[flows, REPORTED_NS]
        if times[-1] < self._end_ns:  # as nearly always
            yield flows, int(times[0])
            return
        block = (times - self._start_ns) // BLOCK_NS
        ends = [*(np.flatnonzero(np.diff(block)) + 1).tolist(), len(flows)]
        for at, end in pairwise([0, *ends]):
            yield flows[at:end], int(times[at])

    def _end_block(self) -> list[DriftRecord]:
        """Judge the block that is over, and the hour and day that end with it."""
        self._sample.drain(self._block)
        day, place = divmod(self._number, DAY_BLOCKS)
        found = self._traffic.end_block(day, place // HOUR_BLOCKS, self._block, self._stretch(1, self._block))
        self._hour.merge(self._block)
        self._block = self._view.empty()
        if (place + 1) % HOUR_BLOCKS == 0:
            found += self._traffic.end_hour(self._hour, self._stretch(HOUR_BLOCKS, self._hour))
            self._day.merge(self._hour)
            self._hour = self._view.empty()
        if place + 1 == DAY_BLOCKS:
            found += self._traffic.end_day(self._day, self._stretch(DAY_BLOCKS, self._day))
            self._day_had_traffic = self._day.columns.rows > 0
            self._day = self._view.empty()
        # An alert of the day before may come a little late: after an hour none will.
        if place + 1 == HOUR_BLOCKS and self._day_had_traffic:
            found += self._rate.end_day(day - 1, self._stretch(DAY_BLOCKS, self._block))
            self._day_had_traffic = False
        self._number += 1
        return found

    def _stretch(self, blocks: int, counts: TrafficCounts) -> Stretch:
        return Stretch(self._end_ns - blocks * BLOCK_NS, self._end_ns, counts.columns.rows)
