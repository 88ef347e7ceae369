"""The progress of a run over captures, as one line of a terminal that is drawn over."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from sensor.alerts.alert import Alert
from sensor.progress.progress import Progress

INTERVAL_S: Final = 0.5  # between two drawings


class ProgressLine:
    """A screen (sensor.terminal.screen.Screen) of one line, which is erased at the end."""

    def __init__(self, stream: TextIO | None, describe: Callable[[Progress], str]) -> None:
        """stream: a terminal, None to show nothing. describe: text after the share that was read."""
        self._stream = stream
        self._describe = describe
        self._drawn_s = 0.0

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:  # noqa: ARG002  the contract's
        """Draw the line, at most twice a second."""
        now = time.monotonic()
        if self._stream is None or now - self._drawn_s < INTERVAL_S:
            return
        self._drawn_s = now
        share = (
            f"{100 * min(1.0, progress.bytes_read / progress.size):.0f} %" if progress.size else _megabytes(progress)
        )
        self._show(f"\r\x1b[K{one_row(f'{share}: {self._describe(progress)}', self._stream)}")

    def left_out(self, alerts: int) -> None:
        """Show nothing, as alerts are not shown."""

    def note(self, message: str) -> None:
        """Events are not shown."""

    def finish(self, _progress: Progress, _problems: Sequence[str] = ()) -> None:
        """Erase the line."""
        self._show("\r\x1b[K")

    def _show(self, text: str) -> None:
        """Write to the terminal until it is gone, after which the run goes on."""
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


def one_row(text: str, stream: TextIO) -> str:
    """As much of a text as a row of a terminal has room for: of one that went on below, that row alone is erased."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # none any more
        return text
    return text if len(text) < columns or not columns else text[: columns - 1]


def _megabytes(progress: Progress) -> str:
    return f"{progress.bytes_read / 1e6:,.0f} MB"
