"""Who is told how a run goes: the contract that every screen keeps, the silent one too."""

from collections.abc import Sequence
from typing import Protocol

from sensor.alerts.alert import Alert
from sensor.progress.progress import Progress


class Screen(Protocol):
    """Who is told how the run goes."""

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Take in what is new."""

    def left_out(self, alerts: int) -> None:
        """Count alerts that it was not given because it was too slow."""

    def note(self, message: str) -> None:
        """Tell of an event: one line."""

    def finish(self, progress: Progress, problem: str | None = None) -> None:
        """Tell how it ended."""
