"""How far a page about captures is: one line on a terminal that is drawn over, and a closing line."""

import time
from collections.abc import Sequence
from typing import TextIO

from sensor.alerts.alert import Alert
from sensor.progress.progress import Progress
from sensor.terminal.summary import SummaryLine

PROGRESS_S = 0.5


class ProgressLine(SummaryLine):
    """How far it is, on one line of a terminal, and the closing line."""

    def __init__(self, stream: TextIO, mode: str, source: str) -> None:
        """As its parent."""
        super().__init__(stream, mode, source)
        self._shown_s = 0.0

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Show it now and then; nothing where stderr is no terminal."""
        super().update(progress, alerts)
        now = time.monotonic()
        if not self._stream.isatty() or now - self._shown_s < PROGRESS_S:
            return
        self._shown_s = now
        far = f"{100 * progress.bytes_read / progress.size:.0f} %: " if progress.size else ""
        self._stream.write(f"\r\x1b[K{far}{progress.packets:,} packets, {progress.alerts:,} alerts")
        self._stream.flush()

    def finish(self, progress: Progress, problem: str | None = None) -> None:
        """Take the progress line away and tell how it ended."""
        if self._stream.isatty():
            self._stream.write("\r\x1b[K")
        super().finish(progress, problem)
