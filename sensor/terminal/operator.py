"""The person at the terminal: keys go to the view, the wish to leave to the run, and the terminal to others meanwhile.

It knows threads and signals, and nothing of what keys mean.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from sensor.terminal.dashboard import Dashboard
from sensor.terminal.keyboard import Keyboard, following_the_terminal

_LOOK_S: Final = 0.2  # how often it is looked at whether the one who stays has left


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
        self._seen_enough = threading.Event()
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
        if self._dashboard.board.quit and not self._asked:
            self._leave()

    def wake(self) -> None:
        """End the wait."""
        self._keyboard.wake()

    def stay(self, alive: Callable[[], bool]) -> None:
        """Wait until the operator has seen enough, or nobody is there any more. In the main thread."""
        if not self.stays() or self._keyboard.gone:
            return
        self._dashboard.board.at_end = True
        self._bring_back = True  # draws
        self.wake()
        with self._left_by_signals():
            while alive() and not self._keyboard.gone and not self._seen_enough.wait(_LOOK_S):
                pass

    @contextmanager
    def following(self) -> Iterator[None]:
        """Around the run: Ctrl-Z, going on, and new sizes. In the main thread."""
        with following_the_terminal(self._keyboard, self._away, self._back):
            yield

    def _leave(self) -> None:
        """As Ctrl-C does, once: a second one would end the process on the spot."""
        self._asked = True
        if self._dashboard.board.at_end:
            self._seen_enough.set()
            return
        self._dashboard.end()
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)  # to this thread: it may be waiting for packets

    def _away(self, seconds: float) -> None:
        self._is_away.clear()
        self._put_away = True
        self.wake()
        self._is_away.wait(seconds)

    def _back(self) -> None:
        self._bring_back = True
        self.wake()

    @contextmanager
    def _left_by_signals(self) -> Iterator[None]:
        def leave(_number: int, _frame: FrameType | None) -> None:
            self._seen_enough.set()

        before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
