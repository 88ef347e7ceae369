"""The terminal view of `read` and `watch`: alerts scroll by, a few lines of status stay below, a summary ends it.

It draws at most twice a second however often it is fed, and a storm of alerts is counted, not printed. On a terminal
that cannot move its cursor (TERM=dumb, a file) there is no status, only alerts and summary.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import TextIOWrapper
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from sensor.alerts.alert import Alert
from sensor.alerts.words import clock_time
from sensor.printable import printable
from sensor.progress.progress import Progress
from sensor.terminal.alerts import alert_block, update_line
from sensor.terminal.glyphs import glyphs_for
from sensor.terminal.status import Mode, status, summary

INTERVAL_S = 0.5
ALERTS_A_DRAWING = 12
REMEMBERED = 1000  # alerts whose last state the summary can choose from: the gravest of up to twice as many


class View:
    """What an operator sees of one run. Use as a context manager, so that the cursor comes back whatever happens."""

    def __init__(
        self,
        console: Console,
        mode: Mode,
        source: str,
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """source: file or interface names, shown escaped. clock: seconds, for the pace of drawing only.

        wall_clock_ns: when a note came.
        """
        self._console = console
        self._mode: Mode = mode
        self._source = printable(source, 60)
        self._clock = clock
        self._wall_clock_ns = wall_clock_ns
        self._glyphs = glyphs_for(console)
        self._drawn_at = clock() - INTERVAL_S
        self._drawn = Progress()
        self._waiting: dict[str, tuple[bool, Alert]] = {}  # id → opened since the last drawing, its newest state
        self._waiting_more = 0
        self._latest: dict[str, Alert] = {}
        self._rate = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if not self._glyphs.unicode and isinstance(self._console.file, TextIOWrapper):
            # Units and names may hold letters that this encoding lacks: an escape is better than an end.
            self._console.file.reconfigure(errors="backslashreplace")
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False,
                              redirect_stdout=False)  # fmt: skip
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Take in what is new; draw when half a second has passed since the last drawing."""
        for alert in alerts:
            self._remember(alert)
        now = self._clock()
        if now - self._drawn_at >= INTERVAL_S:
            self._draw(progress)
            self._drawn_at = now

    def left_out(self, alerts: int) -> None:
        """Count alerts that came while the terminal took nothing."""
        self._waiting_more += alerts

    def note(self, message: str) -> None:
        """Print an event at once, above the status."""
        time_of_day = clock_time(self._wall_clock_ns())
        self._print(Text.assemble((time_of_day, "dim"), " ", ("NOTE  ", "bold"), f" {printable(message, 400)}"))

    def finish(self, progress: Progress, problem: str | None = None) -> None:
        """Print what still waits and the summary. problem: what kept the input from being read to its end."""
        self._print_waiting()
        self._stop()
        latest = list(self._latest.values())
        self._print(summary(progress, self._mode, self._source, latest, problem, self._glyphs))

    def _remember(self, alert: Alert) -> None:
        self._latest[alert.id] = alert
        if len(self._latest) >= 2 * REMEMBERED:
            gravest = sorted(self._latest.values(), key=lambda known: -known.risk)[:REMEMBERED]
            self._latest = {known.id: known for known in gravest}
        if alert.id in self._waiting:
            opened, first = self._waiting[alert.id]
            self._waiting[alert.id] = (opened, replace(alert, time_ns=first.time_ns))
        elif alert.action == "closed":
            return  # the summary tells how an alert ended
        elif len(self._waiting) < ALERTS_A_DRAWING:
            self._waiting[alert.id] = (alert.action == "opened", alert)
        else:
            self._waiting_more += 1

    def _draw(self, progress: Progress) -> None:
        self._print_waiting()
        elapsed_s = progress.elapsed_s - self._drawn.elapsed_s
        if elapsed_s > 0:
            self._rate = (progress.packets - self._drawn.packets) / elapsed_s
        self._drawn = progress
        if self._live is not None:
            self._live.update(status(progress, self._mode, self._source, self._rate, self._glyphs), refresh=True)

    def _print_waiting(self) -> None:
        """Print the alerts since the last drawing, in one go."""
        if not self._waiting and not self._waiting_more:
            return
        blocks = [
            (alert_block if opened else update_line)(alert, self._glyphs) for opened, alert in self._waiting.values()
        ]
        if self._waiting_more:
            blocks.append(Text(f"         and {self._waiting_more:,} more meanwhile", "dim"))
        self._waiting, self._waiting_more = {}, 0
        self._print(Group(*blocks))

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable, highlight=False)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
