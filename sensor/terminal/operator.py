"""The person at the terminal: keys go to the view, the wish to leave to the run, and the terminal to others meanwhile.

It knows threads and signals, and nothing of what keys mean.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from sensor.signals import handled
from sensor.terminal.dashboard import LEAVING, Dashboard
from sensor.terminal.keyboard import Keyboard, following_the_terminal

_LOOK_S: Final = 0.2  # how often it is looked at whether the one who stays has left
_FLOWING_S: Final = 0.5  # for a screen to leave once its terminal goes on
_ROUND_S, _DISCARDS = 0.05, 20


class Operator:
    """Control (sensor.terminal.screen_thread) of an interactive view.

    stays: whether to wait, when there is nothing more to come, until the operator has seen enough.
    """

    def __init__(self, keyboard: Keyboard, dashboard: Dashboard, stays: Callable[[], bool]) -> None:
        self.stays = stays
        self._keyboard = keyboard
        self._dashboard = dashboard
        self._put_away = False
        self._bring_back = False
        self._is_away = threading.Event()
        self._seen_enough = False
        self._looked_at = threading.Event()  # set by the screen's thread only: a handler could find it locked
        self._asked = False

    def wait(self, seconds: float) -> None:
        """Pass keys on until it is time for the next drawing. In the thread of the screen."""
        keys = self._keyboard.keys(seconds)
        if self._put_away:
            self._put_away = False
            self._dashboard.put_away()
            self._is_away.set()
        if self._bring_back:
            self._bring_back = False
            self._dashboard.bring_back()
        elif keys:
            self._dashboard.press(keys)
        else:
            self._dashboard.follow_size()
        if self._keyboard.gone:
            self.leave()
        elif self._dashboard.board.quit and not self._asked:
            if not self._dashboard.board.at_end:
                self._dashboard.end()
            self.leave()

    def wake(self) -> None:
        """End the wait."""
        self._keyboard.wake()

    def insist(self, wait: Callable[[float], bool]) -> None:
        """Make room for a screen that cannot leave. wait: for so many seconds; whether it has left by then."""
        self._keyboard.let_flow()
        if wait(_FLOWING_S):
            return
        for _ in range(_DISCARDS):  # nobody reads: in each round there is room for a few thousand letters
            self._keyboard.discard()
            self._keyboard.let_flow()  # wakes who waits for room, which discarding alone does not
            # Once it has left, once more, as what it said may be among what was thrown away.
            if wait(_ROUND_S) and self._keyboard.say(LEAVING, _ROUND_S):
                return

    def stay(self, alive: Callable[[], bool]) -> None:
        """Wait until the operator has seen enough, or nobody is there any more. In the main thread."""
        if not self.stays() or self._keyboard.gone:
            return
        self._dashboard.board.at_end = True
        self._bring_back = True  # draws
        self.wake()
        with self._left_by_signals():
            while alive() and self.stays() and not self._keyboard.gone and not self._seen_enough:
                self._looked_at.wait(_LOOK_S)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Around the run: Ctrl-Z, going on, and new sizes. In the main thread."""
        with following_the_terminal(self._keyboard, self._away, self._back, self.leave):
            yield

    def leave(self) -> None:
        """As Ctrl-C does, once: a second one would end the process on the spot. From any thread or signal handler."""
        if self._asked:
            return
        self._asked = self._seen_enough = True
        main = threading.main_thread()
        if threading.current_thread() is not main:
            self._looked_at.set()
        if main.ident is not None and not self._dashboard.board.at_end:
            signal.pthread_kill(main.ident, signal.SIGTERM)  # to this thread: it may be waiting for packets

    def _away(self, seconds: float) -> None:
        self._is_away.clear()
        self._put_away = True
        self.wake()
        if not self._is_away.wait(seconds):
            self._keyboard.let_flow()
            self._is_away.wait(seconds)

    def _back(self) -> None:
        self._bring_back = True
        self.wake()

    @contextmanager
    def _left_by_signals(self) -> Iterator[None]:
        def leave(_number: int, _frame: FrameType | None) -> None:
            self._seen_enough = True

        with handled({signal.SIGINT: leave, signal.SIGTERM: leave}):
            yield
