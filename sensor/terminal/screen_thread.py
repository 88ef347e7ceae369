"""A screen in a thread of its own: a terminal that accepts no output (Ctrl-S, an unread pipe) blocks nothing else.

Its methods never block, except `finish` for a short time. The screen only gets the newest totals, and a number in place
of alerts and events that exceed the buffer.
"""

import io
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from sensor.alerts.alert import Alert
from sensor.progress.progress import Progress
from sensor.terminal.screen import Screen

# Slightly more than the views' own interval of half a second, so that they draw each time.
INTERVAL_S: Final = 0.51
MAX_ALERTS: Final = 1000  # buffered for the screen: those of the highest risk of up to twice as many
MAX_NOTES: Final = 100
CLOSE_TIMEOUT_S: Final = 2.0  # for the screen to show how the run ended


class ScreenControl(Protocol):
    """The keys of a screen's terminal, and its state beyond the screen's own output."""

    def wait(self, seconds: float) -> None:
        """Wait for keys for at most this long and pass them to the screen. In the screen's thread."""

    def wake(self) -> None:
        """End the current `wait`, or the next one. From any thread."""

    def unblock(self, wait: Callable[[float], bool]) -> None:
        """Make a blocked terminal accept the screen's last output. wait: for this many seconds; whether it ended."""

    def end_run(self) -> None:
        """End the run in order, as the terminal was closed. From any thread."""

    def wait_until_dismissed(self, alive: Callable[[], bool]) -> None:
        """Wait until the operator dismisses the screen of an ended run. alive: whether the screen's thread runs."""


class ScreenThread:
    """A screen (sensor.terminal.screen.Screen) that runs another one in a thread. Use as a context manager."""

    def __init__(self, screen: Screen, control: ScreenControl | None = None) -> None:
        """screen: owned by the thread, which also enters and leaves it if it is a context manager.

        control: of the same screen, None where there are no keys. The screen must write to a stream of its own
        (own_stream), as a flush of sys.stdout waits for the lock of whoever writes to it.
        """
        self._screen = screen
        self._control = control
        self._changed = threading.Condition()
        self._progress: Progress | None = None
        self._alerts: list[Alert] = []
        self._alerts_omitted = 0
        self._notes: list[str] = []
        self._notes_omitted = 0
        self._end: tuple[Progress, Sequence[str]] | None = None
        self._closing = False
        self._close_timeout_s = CLOSE_TIMEOUT_S
        self._over = threading.Event()  # set when the thread is done with the screen
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except BaseException:  # a signal's, perhaps sent by a key that the thread has read already
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Buffer the newest totals, and alerts."""
        with self._changed:
            self._progress = progress
            if alerts:
                self._alerts += alerts
                self._drop_least()

    def left_out(self, alerts: int) -> None:
        """Count alerts that the screen is to report as left out."""
        with self._changed:
            self._alerts_omitted += alerts

    def note(self, message: str) -> None:
        """Buffer an event."""
        with self._changed:
            if len(self._notes) < MAX_NOTES:
                self._notes.append(message)
            else:
                self._notes_omitted += 1
            self._wake()

    def finish(self, progress: Progress, problems: Sequence[str] = ()) -> None:
        """Wait until the operator dismisses the screen, if it has keys, and have the screen finish.

        Gives up when the screen does not finish within CLOSE_TIMEOUT_S.
        """
        if self._control is not None:
            self.update(progress, [])
            self._control.wait_until_dismissed(self._thread.is_alive)
        with self._changed:
            self._end = progress, problems
        self._close()

    def _close(self) -> None:
        with self._changed:
            self._closing = True
            self._wake()
        if not self._ended(self._close_timeout_s) and self._control is not None and self._close_timeout_s:
            self._control.unblock(self._ended)
        self._close_timeout_s = 0.0  # only the first call waits

    def _ended(self, seconds: float) -> bool:
        """Whether the thread is done with its screen, after at most this time."""
        return self._over.wait(seconds)

    def _drop_least(self) -> None:
        if len(self._alerts) < 2 * MAX_ALERTS:
            return
        gravest = sorted(range(len(self._alerts)), key=lambda at: -self._alerts[at].risk)[:MAX_ALERTS]
        self._alerts_omitted += len(self._alerts) - len(gravest)
        self._alerts = [self._alerts[at] for at in sorted(gravest)]

    def _run(self) -> None:
        screen = self._screen
        entered: AbstractContextManager[object] = (
            screen if isinstance(screen, AbstractContextManager) else nullcontext()
        )
        try:
            with entered:
                while not self._closing:
                    self._forward()
                    self._wait()
                self._forward()
                if self._end is not None:
                    screen.finish(*self._end)
        except (OSError, ValueError):  # the terminal was closed
            if self._control is not None and not self._closing:
                self._control.end_run()
        finally:
            self._over.set()

    def _forward(self) -> None:
        """Pass the screen what was buffered since the last call."""
        with self._changed:
            progress, alerts, notes = self._progress, self._alerts, self._notes
            alerts_omitted, notes_omitted = self._alerts_omitted, self._notes_omitted
            self._progress, self._alerts, self._notes = None, [], []
            self._alerts_omitted = self._notes_omitted = 0
        for message in notes:
            self._screen.note(message)
        if notes_omitted:
            self._screen.note(f"and {notes_omitted:,} more events")
        if alerts_omitted:
            self._screen.left_out(alerts_omitted)
        if progress is not None:
            self._screen.update(progress, alerts)

    def _wake(self) -> None:
        self._changed.notify()
        if self._control is not None:
            self._control.wake()

    def _wait(self) -> None:
        """Wait for the next drawing, an event or the end."""
        if self._control is not None:
            self._control.wait(INTERVAL_S)
            return
        with self._changed:
            self._changed.wait_for(lambda: self._closing or bool(self._notes), INTERVAL_S)


def own_stream(stream: TextIO) -> TextIO:
    """A stream to the same file that shares no lock with `stream`; `stream` itself where it has no descriptor."""
    try:
        descriptor = os.dup(stream.fileno())
    except (OSError, io.UnsupportedOperation):
        return stream
    return os.fdopen(
        descriptor, "w", encoding=stream.encoding, errors=stream.errors or "strict", buffering=io.DEFAULT_BUFFER_SIZE
    )
