"""Alerts a day, held to the number that was asked for.

It knows alerts by their time only; a day without traffic is none.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sensor.alerts.alert import Alert
from sensor.alerts.drift_record import DriftRecord, Measure
from sensor.drift.chart import ASKED, RateChart
from sensor.drift.conditions import ALERTS_FEWER, ALERTS_MORE, OpenConditions, Stretch

DAYS_TOLD: Final = 7  # over which the rate is told
RATE: Final = "alerts"


def asked_rate(setting: float | None, about: Mapping[str, Any]) -> float | None:
    """Alerts a day that were asked for: by the setting, else by the bundle's section "site"; None where neither says.

    about: of the bundle, from anybody: what is no rate there counts as not said.
    """
    if setting is not None:
        return setting
    site = about.get("site")
    stated = site.get("alerts_per_day") if isinstance(site, dict) else None
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not ASKED[0] <= stated <= ASKED[1]:
        return None
    return float(stated)


def counts_as_told(alert: Alert) -> bool:
    """Whether an operator had to read it: a line that opens an alert, no habit of the site, which no note mutes."""
    return alert.action == "opened" and alert.muted is None and alert.habit is None


@dataclass(slots=True)
class AlertRate:
    """Alerts of each day, and the chart of them."""

    conditions: OpenConditions
    asked: float | None  # a day; None: nobody asked for a rate
    _chart: RateChart | None = field(init=False)
    _pending: Counter[int] = field(default_factory=Counter)  # alerts of days that are not over, by the day's number
    _latest: deque[int] = field(default_factory=lambda: deque(maxlen=DAYS_TOLD))

    def __post_init__(self) -> None:
        self._chart = None if self.asked is None else RateChart(self.asked)

    @property
    def per_day(self) -> float | None:
        """Mean of the latest whole days, None before the first."""
        return sum(self._latest) / len(self._latest) if self._latest else None

    def count(self, alert: Alert, day: int) -> None:
        """An alert's line. day: in which it came, counted from 0."""
        if counts_as_told(alert):
            self._pending[day] += 1

    def end_day(self, day: int, stretch: Stretch) -> list[DriftRecord]:
        """The day had traffic, and no more of its alerts will come."""
        count = self._pending[day]
        self._pending = Counter({number: found for number, found in self._pending.items() if number > day})
        self._latest.append(count)
        if self._chart is None or self.asked is None or self.per_day is None:
            return []
        self._chart.add(count)
        measure = Measure(RATE, self.per_day, self.asked)
        found: list[DriftRecord] = []
        for condition, holds in ((ALERTS_MORE, self._chart.more), (ALERTS_FEWER, self._chart.fewer)):
            found += self.conditions.change(condition, stretch, [measure] if holds else (), () if holds else [RATE])
        return found
