"""Connects a terminal with the interactive view and the run: keys, signals, suspension, and the end of the run.

It knows threads and signals; what keys mean is not known here.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from sensor.signals import handling
from sensor.terminal.dashboard import LEAVE_SEQUENCE, Dashboard
from sensor.terminal.keyboard import Keyboard, handling_terminal_signals

_CHECK_S: Final = 0.2  # interval at which it is checked whether the view is to stay open
_RESUMED_S: Final = 0.5  # for the view to leave the screen once output is resumed
_DISCARD_S, _MAX_DISCARDS = 0.05, 20  # for the same after each round of discarded output


class TerminalControl:
    """The control (sensor.terminal.screen_thread.ScreenControl) of an interactive view."""

    def __init__(self, keyboard: Keyboard, dashboard: Dashboard, keep_open: Callable[[], bool]) -> None:
        """keep_open: whether the view of a run that has ended stays until the operator dismisses it."""
        self.keep_open = keep_open
        self._keyboard = keyboard
        self._dashboard = dashboard
        # Requests to the screen's thread, and its answer to the first.
        self._leave_requested = False
        self._enter_requested = False
        self._screen_left = threading.Event()
        self._dismissed = False
        self._wake_main = threading.Event()  # set by the screen's thread only: for a handler it could be locked
        self._end_requested = False

    def wait(self, seconds: float) -> None:
        """Wait for keys for at most this long and pass them to the view. In the screen's thread."""
        keys = self._keyboard.keys(seconds)
        if self._leave_requested:
            self._leave_requested = False
            self._dashboard.leave_screen()
            self._screen_left.set()
        if self._enter_requested:
            self._enter_requested = False
            self._dashboard.enter_screen()
        elif keys:
            self._dashboard.press(keys)
        else:
            self._dashboard.redraw_if_resized()
        if self._keyboard.gone:
            self.end_run()
        elif self._dashboard.board.quit and not self._end_requested:
            if not self._dashboard.board.at_end:
                self._dashboard.show_ending()
            self.end_run()

    def wake(self) -> None:
        """End the current `wait`, or the next one. From any thread or signal handler."""
        self._keyboard.wake()

    def unblock(self, wait: Callable[[float], bool]) -> None:
        """Make a blocked terminal accept the view's last output. wait: for this many seconds; whether it ended."""
        self._keyboard.resume_output()
        if wait(_RESUMED_S):
            return
        for _ in range(_MAX_DISCARDS):  # nobody reads: in each round there is room for a few thousand letters
            self._keyboard.discard_output()
            self._keyboard.resume_output()  # wakes a blocked write, which discarding alone does not
            # Then leave the screen once more, as the view's own sequence may have been discarded.
            if wait(_DISCARD_S) and self._keyboard.write(LEAVE_SEQUENCE, _DISCARD_S):
                return

    def wait_until_dismissed(self, alive: Callable[[], bool]) -> None:
        """Wait until the operator dismisses the view or the terminal is closed. In the main thread."""
        if not self.keep_open() or self._keyboard.gone:
            return
        with self._dismissed_by_signals():  # before the screen invites to it
            self._dashboard.board.at_end = True
            self._enter_requested = True  # draws
            self.wake()
            while alive() and self.keep_open() and not self._keyboard.gone and not self._dismissed:
                self._wake_main.wait(_CHECK_S)

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Handle the terminal's signals during the run. In the main thread."""
        with handling_terminal_signals(self._keyboard, self._leave_screen, self._enter_screen, self.end_run):
            yield

    def end_run(self) -> None:
        """End the run as Ctrl-C does, once: a second signal would end the process at once.

        From any thread or signal handler.
        """
        if self._end_requested:
            return
        self._end_requested = self._dismissed = True
        main = threading.main_thread()
        if threading.current_thread() is not main:
            self._wake_main.set()
        if main.ident is not None and not self._dashboard.board.at_end:
            signal.pthread_kill(main.ident, signal.SIGTERM)  # to this thread: it may be waiting for packets

    def _leave_screen(self, seconds: float) -> None:
        self._screen_left.clear()
        self._leave_requested = True
        self.wake()
        if not self._screen_left.wait(seconds):
            self._keyboard.resume_output()
            self._screen_left.wait(seconds)

    def _enter_screen(self) -> None:
        self._enter_requested = True
        self.wake()

    @contextmanager
    def _dismissed_by_signals(self) -> Iterator[None]:
        def dismiss(_number: int, _frame: FrameType | None) -> None:
            self._dismissed = True

        with handling({signal.SIGINT: dismiss, signal.SIGTERM: dismiss}):
            yield
