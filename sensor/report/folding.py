"""Alerts of a run over captures folded into a page's findings while they come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from sensor.alerts.alert import Alert, Observer, alert_line
from sensor.alerts.reading import alert_of
from sensor.progress.progress import Progress
from sensor.report.findings import Findings
from sensor.terminal.screen import Screen

NOBODY = Observer("", "")  # which machine reads a capture is nobody's business


@dataclass(frozen=True, slots=True)
class Folding:
    """A screen (sensor.terminal.screen.Screen) that folds alerts, and passes everything on to others."""

    findings: Findings
    screens: Sequence[Screen]

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Fold alerts, as their lines would tell them."""
        lines = (orjson.loads(alert_line(alert)) for alert in alerts)
        self.findings.take(replace(alert_of(line), observer=NOBODY) for line in lines)
        for screen in self.screens:
            screen.update(progress, alerts)

    def left_out(self, alerts: int) -> None:
        """Pass it on."""
        for screen in self.screens:
            screen.left_out(alerts)

    def note(self, message: str) -> None:
        """Pass it on."""
        for screen in self.screens:
            screen.note(message)

    def finish(self, progress: Progress, problem: str | None = None) -> None:
        """Pass it on."""
        for screen in self.screens:
            screen.finish(progress, problem)
