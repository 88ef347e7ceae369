"""Handlers of the signals that end a command."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from sensor.errors import INTERRUPTED
from sensor.signals import handling, interrupted, interrupting


class Stoppable(Protocol):
    """A run that can end before its input does."""

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""

    def stop(self) -> None:
        """End in order. May be called by a signal handler."""


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Make what interrupts a command end it at once: in the compiler's callbacks an exception would be ignored."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        os._exit(INTERRUPTED)

    with handling(dict.fromkeys(_ending(), end)):
        yield


@contextmanager
def stopped_by_signals(run: Stoppable, also: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Make the first SIGINT, SIGTERM or SIGHUP stop the run in order, and a second one end the process.

    SIGHUP where nobody else handles it: a screen does, as its terminal was closed.

    also: called at the first one, after the run's stop.

    Raises KeyboardInterrupt where the command was interrupted before and a library has caught that, as some do while
    they are imported.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if run.stopping:
            raise SystemExit(INTERRUPTED)
        run.stop()
        also()

    with handling(dict.fromkeys(_ending(), stop)):
        if interrupted():
            raise KeyboardInterrupt
        yield


def _ending() -> set[signal.Signals]:
    """Signals that end a command now."""
    return {signal.SIGINT, signal.SIGTERM, *interrupting()}
