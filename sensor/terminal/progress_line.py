"""How far a run over captures is: one line of a terminal that is drawn over."""

import time
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from sensor.alerts.alert import Alert
from sensor.progress.progress import Progress

PACE_S: Final = 0.5  # between two drawings


class ProgressLine:
    """A screen (sensor.terminal.screen.Screen) of one line, which is gone at the end."""

    def __init__(self, stream: TextIO | None, words: Callable[[Progress], str]) -> None:
        """stream: a terminal, None to show nothing. words: what stands behind the share that was read."""
        self._stream = stream
        self._words = words
        self._shown_s = 0.0

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:  # noqa: ARG002  the contract's
        """Draw it anew now and then."""
        now = time.monotonic()
        if self._stream is None or now - self._shown_s < PACE_S:
            return
        self._shown_s = now
        far = f"{100 * progress.bytes_read / progress.size:.0f} %" if progress.size else _megabytes(progress)
        self._stream.write(f"\r\x1b[K{far}: {self._words(progress)}")
        self._stream.flush()

    def left_out(self, alerts: int) -> None:
        """Alerts are not shown anyway."""

    def note(self, message: str) -> None:
        """Events are not shown."""

    def finish(self, _progress: Progress, _problem: str | None = None) -> None:
        """Take the line away."""
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _megabytes(progress: Progress) -> str:
    return f"{progress.bytes_read / 1e6:,.0f} MB"
