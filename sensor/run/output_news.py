"""What a run tells as it happens: an output that refuses or loses lines, one that goes on after that, a damaged file
of where addresses belong.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sensor.alerts.alert import Observer
from sensor.alerts.sensor_records import event_line
from sensor.metering.turns import Turn
from sensor.run.detection import Detection
from sensor.run.run import Run


@dataclass(slots=True)
class OutputNews:
    """The hook of a run with outputs (sensor.run.run.Hook): an event on all of them and a line on the screen."""

    detection: Detection
    observer: Observer
    wall_clock_ns: Callable[[], int] = time.time_ns

    def begin(self, run: Run) -> None:
        """Nothing yet."""

    def before(self, turn: Turn, run: Run) -> None:
        """Nothing yet: what the turn writes is not known."""

    def after(self, _turn: Turn, run: Run) -> None:
        """Tell what has happened."""
        self._tell(run)

    def end(self, run: Run) -> None:
        """Tell what has happened; the rest stands among the problems of the run."""
        self._tell(run)

    def _tell(self, run: Run) -> None:
        for action, message in self.detection.news():
            self.detection.outlet.write([event_line(action, message, self.observer, self.wall_clock_ns())])
            run.screen.note(message)
