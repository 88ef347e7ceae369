"""What an operator at a screen says of an alert: written to `site.yaml`, read back, and in force from there on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sensor.alerts.alert import Alert
from sensor.site.file import read_notes
from sensor.site.notes import SiteNotes
from sensor.site.writing import say_false, why_not_writable


@dataclass(slots=True)
class Marking:
    """The site's notes as a screen may add to them."""

    path: Path
    notes: SiteNotes
    take_over: Callable[[SiteNotes], None]  # gets the notes when they have changed; in the screen's thread
    now: Callable[[], str]  # the time as RFC 3339

    @property
    def problem(self) -> str:
        """Why nothing can be written, in words; nothing where it can."""
        return why_not_writable(self.path)

    def mark_false(self, alert: Alert, why: str) -> str:
        """Write that an alert is meant to be, and take the notes over; what was done, in words.

        Raises SensorError where that cannot be written.
        """
        said = say_false(self.path, alert, why, None, self.now())
        self.notes = read_notes(self.path)
        self.take_over(self.notes)
        return said
