"""Counts of ten minutes, hours and days, held to what the bundle and the days before have: conditions come out.

It knows no single flow and no clock.
"""

import math
from itertools import compress
from typing import Final

import numpy as np

from models.calibration import Calibration
from sensor.alerts.drift_record import DriftRecord, Measure
from sensor.drift import conditions as told
from sensor.drift.conditions import OpenConditions, Stretch
from sensor.drift.counts import BundleView, TrafficCounts
from sensor.drift.days import LEAST_ROWS, DayComparison, DayHistory
from sensor.drift.psi import QUANTILE_LEVELS, psi_bound, psi_by_quantiles
from sensor.drift.shifts import LEAST_SHIFT, ScoreShifts
from sensor.drift.silence import LEAST_OTHERS, Silence

UNKNOWN_SHARE: Final = 0.25  # of the columns, that differ from the bundle's normal traffic where the network is another
UNJUDGED: Final = "unjudged"  # the column that is counted beside those of the bundle


class TrafficDrift:
    """What holds of the traffic that one bundle judges."""

    def __init__(self, view: BundleView, conditions: OpenConditions, shifts: ScoreShifts | None) -> None:
        """shifts: None where shifts within a day are not looked for."""
        self._view = view
        self._conditions = conditions
        self._shifts = shifts
        width, detectors = len(view.used) + 1, len(view.members)
        self._column_days = DayHistory(width, np.append(view.settled, 0))
        self._score_days = DayHistory(detectors, np.full(detectors, view.detectors_settled, dtype=np.int64))
        self._column_silence, self._score_silence = Silence(width), Silence(detectors)
        self._silent_today: set[str] = set()  # columns and detectors
        self.psi_max: float | None = None  # of a column, against the nearest day before; None before the second day

    def end_block(self, day: int, hour: int, block: TrafficCounts, stretch: Stretch) -> list[DriftRecord]:
        """Ten minutes are over. day: counted from 0. hour: of that day."""
        rows = block.p_values.rows
        if self._shifts is None or not rows:
            return []
        begun, ended = self._shifts.add(day, hour, block.mean_p, rows)
        names = self._view.detectors
        measures = [Measure(names[i], abs(shift), LEAST_SHIFT) for i, shift in begun.items()]
        return self._conditions.change(told.SCORES_SHIFTED, stretch, measures, [names[i] for i in ended])

    def end_hour(self, hour: TrafficCounts, stretch: Stretch) -> list[DriftRecord]:
        """An hour is over."""
        found: list[DriftRecord] = []
        for condition, names, silence, days, counts in (
            (told.COLUMNS_SILENT, self._view.columns, self._column_silence, self._column_days, hour.columns),
            (told.SCORES_CONSTANT, self._view.detectors, self._score_silence, self._score_days, hour.scores),
        ):
            begun, ended = silence.add(counts, days.usual_share)
            measures = [Measure(names[i], float(counts.low[i]), math.nan) for i in begun.tolist() if i < len(names)]
            over = [names[i] for i in ended.tolist() if i < len(names)]
            self._silent_today |= self._conditions.about(condition)
            found += self._conditions.change(condition, stretch, measures, over)
            self._silent_today |= self._conditions.about(condition)
        return found

    def end_day(self, day: TrafficCounts, stretch: Stretch) -> list[DriftRecord]:
        """A day is over."""
        if day.columns.rows < LEAST_ROWS:
            return []
        found = self._unknown_network(day, stretch) + self._constant_scores(day, stretch)
        unjudged_before = float(self._column_days.share_of_zero[-1])
        columns, scores = self._column_days.add(day.columns), self._score_days.add(day.p_values)
        if columns is not None:
            found += self._changed_columns(columns, stretch)
            found += self._changed_share(columns, unjudged_before, day, stretch)
        if scores is not None:
            measures = _measures(self._view.detectors, scores)
            found += self._changed(told.SCORES_CHANGED, measures, stretch)
        self._silent_today = set()
        return found

    def _unknown_network(self, day: TrafficCounts, stretch: Stretch) -> list[DriftRecord]:
        """Another network than that of the bundle: not one column, as any network has its own, but many of them.

        Only columns of flows alone: what was before them depends on how long a run has gone on.
        """
        own = self._view.of_flow
        values = psi_by_quantiles(day.bundle.below[own], day.bundle.up_to[own], day.bundle.rows)
        bound = psi_bound(len(QUANTILE_LEVELS) + 1, day.bundle.rows)
        share = float((values > bound).mean())
        holds = self._conditions.about(told.NETWORK_UNKNOWN)
        if holds and share < UNKNOWN_SHARE / 2:
            return self._conditions.change(told.NETWORK_UNKNOWN, stretch, (), holds, len(values))
        if holds or share <= UNKNOWN_SHARE:
            return []
        named = zip(compress(self._view.columns, own), values.tolist(), strict=True)
        over = [Measure(name, value, bound) for name, value in named if value > bound]
        return self._conditions.change(told.NETWORK_UNKNOWN, stretch, over, (), len(values))

    def _constant_scores(self, day: TrafficCounts, stretch: Stretch) -> list[DriftRecord]:
        """Detectors that said the same all day, where so many scores of normal traffic would not have been the same."""
        begun: list[Measure] = []
        ended: list[str] = []
        for i, member in enumerate(self._view.members):
            low, name = float(day.scores.low[i]), member.detector.name
            if not day.scores.constant[i]:
                ended += [] if self._score_silence.holds[i] else [name]
            elif day.scores.rows * (1 - share_at(member.calibration, low)) >= LEAST_OTHERS:
                begun.append(Measure(name, low, math.nan))
        return self._conditions.change(told.SCORES_CONSTANT, stretch, begun, ended)

    def _changed_columns(self, columns: DayComparison, stretch: Stretch) -> list[DriftRecord]:
        measures = _measures(self._view.columns, columns)
        self.psi_max = max((measure.value for measure in measures), default=self.psi_max)
        return self._changed(told.COLUMNS_CHANGED, measures, stretch, len(self._view.columns))

    def _changed(self, condition: str, measures: list[Measure], stretch: Stretch, total: int = 0) -> list[DriftRecord]:
        """What changed, but for what was silent that day: that is why."""
        over = [measure for measure in measures if measure.value > measure.bound]
        begun = [measure for measure in over if measure.name not in self._silent_today]
        ended = [measure.name for measure in measures if measure.value <= measure.bound / 2]
        return self._conditions.change(condition, stretch, begun, ended, total)

    def _changed_share(
        self, columns: DayComparison, before: float, day: TrafficCounts, stretch: Stretch
    ) -> list[DriftRecord]:
        """Of flows that are not judged, told by the share itself."""
        value, bound = float(columns.value[-1]), float(columns.bound[-1])
        measure = Measure(UNJUDGED, 1 - float(day.columns.share_of_zero[-1]), 1 - before)
        return self._conditions.change(
            told.UNJUDGED_CHANGED, stretch, [measure] if value > bound else (), [UNJUDGED] if value <= bound / 2 else ()
        )


def share_at(calibration: Calibration, score: float) -> float:
    """Share of the calibration's normal traffic that has this very score."""
    above = int(np.searchsorted(calibration.scores, score, side="right"))
    beyond = float(calibration.survival[above]) if above < len(calibration.scores) else 0.0
    return float(calibration.p_value(np.array([score]))[0]) - beyond


def _measures(names: tuple[str, ...], comparison: DayComparison) -> list[Measure]:
    """Of the first columns, which have these names, those for which there was something to compare with."""
    found = zip(names, comparison.value.tolist(), comparison.bound.tolist(), strict=False)
    return [Measure(name, value, bound) for name, value, bound in found if not math.isnan(value)]
