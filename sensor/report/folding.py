"""Alerts of a run over captures folded into a page's digest while they come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sensor.alerts.alert import Alert, Observer
from sensor.alerts.alert_record import alert_document, alert_of
from sensor.progress.progress import Progress
from sensor.report.digest import Digest
from sensor.terminal.screen import Screen

NOBODY = Observer("", "")  # which machine reads a capture is nobody's business


@dataclass(frozen=True, slots=True)
class Folding:
    """A screen (sensor.terminal.screen.Screen) that folds alerts, and passes everything on to others."""

    digest: Digest
    screens: Sequence[Screen]

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Fold alerts, as their lines would tell them."""
        for alert in alerts:
            self.digest.add_alert(replace(alert_of(alert_document(alert)), observer=NOBODY))
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

    def finish(self, progress: Progress, problems: Sequence[str] = ()) -> None:
        """Pass it on."""
        for screen in self.screens:
            screen.finish(progress, problems)
