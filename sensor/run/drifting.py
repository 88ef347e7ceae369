"""What a run tells of drift, turn by turn: a record and a line on the screen for each condition that begins or ends."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sensor.alerts.drift_record import drift_line
from sensor.drift.drift import Drift
from sensor.metering.turns import END_NS, Turn
from sensor.run.detection import Detection

if TYPE_CHECKING:
    from sensor.run.run import Run


@dataclass(slots=True)
class Drifting:
    """The hook of a run that looks for drift (sensor.run.run.Hook)."""

    detection: Detection
    drift: Drift

    def begin(self, run: "Run") -> None:
        """Nothing yet."""

    def before(self, turn: Turn, run: "Run") -> None:
        """Nothing yet: what was judged is not known."""

    def after(self, turn: Turn, run: "Run") -> None:
        """Tell what the turn's records showed, in the wall clock's time."""
        # The last turn has no moment up to which traffic was seen: a day that was cut short is not judged.
        until_ns = turn.until_ns if turn.until_ns < END_NS else 0
        step_ns = turn.totals.clock_step_ns
        for record in self.drift.advance(until_ns):
            told = replace(
                record,
                time_ns=record.time_ns + step_ns,
                start_ns=record.start_ns + step_ns,
                capture=self.detection.capture,
            )
            self.detection.outlet.write([drift_line(told)])
            run.screen.note(record.message)

    def end(self, run: "Run") -> None:
        """Nothing more."""
