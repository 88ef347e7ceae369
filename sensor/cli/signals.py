"""Signals that end a command."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from sensor.errors import INTERRUPTED
from sensor.signals import handling


class Stoppable(Protocol):
    """A run that can end before its input does."""

    @property
    def stopping(self) -> bool:
        """Whether it was asked to."""

    def stop(self) -> None:
        """End in order."""


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """SIGINT ends the process on the spot: the compiler's callbacks would print an exception and go on."""
    with handling({signal.SIGINT: lambda _signal, _frame: os._exit(INTERRUPTED)}):
        yield


@contextmanager
def stopped_by_signals(run: Stoppable, also: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the run in order; a second one ends the process.

    also: what the first one does besides.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if run.stopping:
            raise SystemExit(INTERRUPTED)
        run.stop()
        also()

    with handling({signal.SIGINT: stop, signal.SIGTERM: stop}):
        yield
