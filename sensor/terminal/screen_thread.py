"""A screen in a thread of its own: a terminal that takes nothing (Ctrl-S, a pipe nobody reads) holds up nobody else.

Whoever tells it something never waits, but for a moment at the end. It gives the screen only the newest totals, and
counts what is too much to keep.
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

# A little more than the half second that the view waits between two drawings, so that it draws each time.
PACE_S: Final = 0.51
ALERTS_KEPT: Final = 1000  # of those that wait for the screen: the gravest of up to twice as many
NOTES_KEPT: Final = 100
FAREWELL_S: Final = 2.0  # for the screen to tell how the run ended


class Control(Protocol):
    """Whoever may press keys."""

    def wait(self, seconds: float) -> None:
        """Pass keys on to the screen for at most this long. In the screen's thread."""

    def wake(self) -> None:
        """End that wait. From any thread."""

    def insist(self, wait: Callable[[float], bool]) -> None:
        """Have the terminal take what the screen writes at its end. wait: so many seconds; whether it has ended."""

    def leave(self) -> None:
        """The terminal has gone: nobody can ask for the end of the run any more. From any thread."""

    def stay(self, alive: Callable[[], bool]) -> None:
        """When nothing more will come: wait until they have seen enough. alive: whether the screen still is."""


class ScreenThread:
    """A screen (sensor.run.outlet.Screen) around another one. Use as a context manager."""

    def __init__(self, screen: Screen, control: Control | None = None) -> None:
        """screen: belongs to the thread from now on, which also enters and leaves it if it is a context manager.

        control: of the same screen, where somebody can press keys. The screen must write to a stream of its own
        (own_stream): who flushes sys.stdout waits for whoever writes to it.
        """
        self._screen = screen
        self._control = control
        self._changed = threading.Condition()
        self._progress: Progress | None = None
        self._alerts: list[Alert] = []
        self._alerts_more = 0
        self._notes: list[str] = []
        self._notes_more = 0
        self._end: tuple[Progress, str | None] | None = None
        self._leaving = False
        self._patience_s = FAREWELL_S
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Take in what is new."""
        with self._changed:
            self._progress = progress
            if alerts:
                self._alerts += alerts
                self._keep_gravest()

    def left_out(self, alerts: int) -> None:
        """Count alerts for the screen to tell."""
        with self._changed:
            self._alerts_more += alerts

    def note(self, message: str) -> None:
        """Take in an event."""
        with self._changed:
            if len(self._notes) < NOTES_KEPT:
                self._notes.append(message)
            else:
                self._notes_more += 1
            self._wake()

    def finish(self, progress: Progress, problem: str | None = None) -> None:
        """Have it told how the run ended, when who looks at it has seen enough.

        Give up when the screen does not take it within 2 s.
        """
        if self._control is not None:
            self.update(progress, [])
            self._control.stay(self._thread.is_alive)
        with self._changed:
            self._end = progress, problem
        self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._leaving = True
            self._wake()
        if not self._ended(self._patience_s) and self._control is not None and self._patience_s:
            self._control.insist(self._ended)
        self._patience_s = 0.0  # waiting once is enough

    def _ended(self, seconds: float) -> bool:
        """Whether the screen has ended within this time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _keep_gravest(self) -> None:
        if len(self._alerts) < 2 * ALERTS_KEPT:
            return
        gravest = sorted(range(len(self._alerts)), key=lambda at: -self._alerts[at].risk)[:ALERTS_KEPT]
        self._alerts_more += len(self._alerts) - len(gravest)
        self._alerts = [self._alerts[at] for at in sorted(gravest)]

    def _run(self) -> None:
        screen = self._screen
        entered: AbstractContextManager[object] = (
            screen if isinstance(screen, AbstractContextManager) else nullcontext()
        )
        try:
            with entered:
                while not self._leaving:
                    self._pass_on()
                    self._wait()
                self._pass_on()
                if self._end is not None:
                    screen.finish(*self._end)
        except (OSError, ValueError):  # the terminal has gone or was closed: there is nobody to tell
            if self._control is not None and not self._leaving:
                self._control.leave()

    def _pass_on(self) -> None:
        """Give the screen what has come since the last time."""
        with self._changed:
            progress, alerts, notes = self._progress, self._alerts, self._notes
            alerts_more, notes_more = self._alerts_more, self._notes_more
            self._progress, self._alerts, self._notes = None, [], []
            self._alerts_more = self._notes_more = 0
        for message in notes:
            self._screen.note(message)
        if notes_more:
            self._screen.note(f"and {notes_more:,} more events")
        if alerts_more:
            self._screen.left_out(alerts_more)
        if progress is not None:
            self._screen.update(progress, alerts)

    def _wake(self) -> None:
        self._changed.notify()
        if self._control is not None:
            self._control.wake()

    def _wait(self) -> None:
        """Until it is time for the next drawing, or for something that should not wait for it."""
        if self._control is not None:
            self._control.wait(PACE_S)
            return
        with self._changed:
            self._changed.wait_for(lambda: self._leaving or bool(self._notes), PACE_S)


def own_stream(stream: TextIO) -> TextIO:
    """A stream to the same file that shares no lock with `stream`; the same one where it is no file of the system."""
    try:
        descriptor = os.dup(stream.fileno())
    except (OSError, io.UnsupportedOperation):
        return stream
    return os.fdopen(
        descriptor, "w", encoding=stream.encoding, errors=stream.errors or "strict", buffering=io.DEFAULT_BUFFER_SIZE
    )
