"""The scrolling view of `read` and `watch`: alerts scroll by above a few lines of status, and a summary ends it.

It draws at most twice a second however often it is updated, and of too many alerts at once it prints the number. On a
terminal without cursor movement (TERM=dumb, a file) there is no status, only alerts and summary.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from sensor.alerts.alert import Alert
from sensor.alerts.words import clock_time
from sensor.printable import printable
from sensor.progress.progress import Progress
from sensor.terminal.alert_text import alert_block, update_line
from sensor.terminal.glyphs import glyphs_for, only_ascii
from sensor.terminal.status import Mode, status, summary

INTERVAL_S = 0.5
MAX_ALERTS_SHOWN = 12
MAX_ALERTS = 1000  # retained for the summary: those of the highest risk of up to twice as many


class ScrollView:
    """A screen (sensor.terminal.screen.Screen) of one run. Use as a context manager, so that the cursor is restored."""

    def __init__(
        self,
        console: Console,
        mode: Mode,
        source: str,
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """source: file or interface names, escaped before they are shown. clock: seconds, for the interval of drawing.

        wall_clock_ns: ns since 1970, for the times of events.
        """
        self._console = console
        self._mode: Mode = mode
        self._source = printable(source, 60)
        self._clock = clock
        self._wall_clock_ns = wall_clock_ns
        self._glyphs = glyphs_for(console)
        self._drawn_at = clock() - INTERVAL_S
        self._drawn = Progress()
        # By the alerts' key: whether it opened since the last drawing, and its newest state.
        self._pending: dict[tuple[str, str, str], tuple[bool, Alert]] = {}
        self._omitted = 0
        self._latest: dict[tuple[str, str, str], Alert] = {}
        self._rate = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if not self._glyphs.unicode:
            only_ascii(self._console)
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stderr=False,
                              redirect_stdout=False)  # fmt: skip
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_live()

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Add new totals and alerts; draw when half a second has passed since the last drawing."""
        for alert in alerts:
            self._record(alert)
        now = self._clock()
        if now - self._drawn_at >= INTERVAL_S:
            self._draw(progress)
            self._drawn_at = now

    def left_out(self, alerts: int) -> None:
        """Count alerts that were not passed to `update`, because the terminal was too slow."""
        self._omitted += alerts

    def note(self, message: str) -> None:
        """Print an event at once, above the status."""
        time_of_day = clock_time(self._wall_clock_ns())
        self._print(Text.assemble((time_of_day, "dim"), " ", ("NOTE  ", "bold"), f" {printable(message, 400)}"))

    def finish(self, progress: Progress, problems: Sequence[str] = ()) -> None:
        """Print pending alerts and the summary. problems: why an input was not read to its end."""
        self._print_pending()
        self._stop_live()
        latest = list(self._latest.values())
        self._print(summary(progress, self._mode, self._source, latest, problems, self._glyphs))

    def _record(self, alert: Alert) -> None:
        self._latest[alert.key] = alert
        if len(self._latest) >= 2 * MAX_ALERTS:
            highest = sorted(self._latest.values(), key=lambda latest: -latest.risk)[:MAX_ALERTS]
            self._latest = {latest.key: latest for latest in highest}
        if alert.muted is not None:
            return  # it is counted
        if alert.key in self._pending:
            opened, first = self._pending[alert.key]
            self._pending[alert.key] = (opened, replace(alert, time_ns=first.time_ns))
        elif alert.action == "closed":
            return  # how an alert ended is in the summary
        elif len(self._pending) < MAX_ALERTS_SHOWN:
            self._pending[alert.key] = (alert.action == "opened", alert)
        else:
            self._omitted += 1

    def _draw(self, progress: Progress) -> None:
        self._print_pending()
        elapsed_s = progress.elapsed_s - self._drawn.elapsed_s
        if elapsed_s > 0:
            self._rate = (progress.packets - self._drawn.packets) / elapsed_s
        self._drawn = progress
        if self._live is not None:
            self._live.update(status(progress, self._mode, self._source, self._rate, self._glyphs), refresh=True)

    def _print_pending(self) -> None:
        """Print the alerts since the last drawing, in one write."""
        if not self._pending and not self._omitted:
            return
        now_ns = self._wall_clock_ns()
        blocks = [
            (alert_block if opened else update_line)(alert, now_ns, self._glyphs)
            for opened, alert in self._pending.values()
        ]
        if self._omitted:
            blocks.append(Text(f"         and {self._omitted:,} more meanwhile", "dim"))
        self._pending, self._omitted = {}, 0
        self._print(Group(*blocks))

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable, highlight=False)

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
