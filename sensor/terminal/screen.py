"""The contract of screens, which show an operator a run: interactive, scrolling, one line, a log, or silent."""

from collections.abc import Sequence
from typing import Protocol

from sensor.alerts.alert import Alert
from sensor.progress.progress import Progress


class Screen(Protocol):
    """Shows an operator how a run proceeds and ends."""

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Add the newest totals, and alerts since the last call."""

    def left_out(self, alerts: int) -> None:
        """Count alerts that were not passed to `update`, because the screen was too slow."""

    def note(self, message: str) -> None:
        """Show an event. message: one line."""

    def finish(self, progress: Progress, problems: Sequence[str] = ()) -> None:
        """Show how the run ended. problems: why, one line each, an input was not read to its end."""
