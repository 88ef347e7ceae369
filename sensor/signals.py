"""Signal handlers: those of the whole process, and those that are installed for the length of a block."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Install handlers for the block and restore the previous ones after it; in the main thread only."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def interrupt_by_signals(code: int) -> None:
    """Make every signal that ends a process interrupt the command (KeyboardInterrupt); a second one ends it at once.

    code: the exit code then. SIGHUP that is ignored, as nohup(1) has it, stays so. Blocks that handle a signal in
    another way do so meanwhile (`handling`).
    """

    for number in heard():
        signal.signal(number, _Interrupt(code))


class _Interrupt:
    """The handler of a process that nobody else has made one for."""

    heard = False  # whether there was an interrupt

    def __init__(self, code: int) -> None:
        self._code = code

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        _Interrupt.heard = True
        end_at_once_by_signals(self._code)
        raise KeyboardInterrupt


def interrupted() -> bool:
    """Whether the command was interrupted, even if a library made another error of the KeyboardInterrupt."""
    return _Interrupt.heard


def interrupting() -> list[signal.Signals]:
    """Signals that interrupt the command at this moment, as no block handles them otherwise."""
    return [number for number in _ENDING if isinstance(signal.getsignal(number), _Interrupt)]


def end_at_once_by_signals(code: int) -> None:
    """Make every signal that ends a process end this one on the spot, with this exit code."""
    for number in heard():
        signal.signal(number, lambda _number, _frame: os._exit(code))


def heard() -> list[signal.Signals]:
    """Signals that end a process, but SIGHUP where that was ignored from the start.

    A script's & has SIGINT ignored, but whoever sends that to a sensor by its number means it, as with tcpdump.
    """
    return [n for n in _ENDING if n in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(n) != signal.SIG_IGN]
