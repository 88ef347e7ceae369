"""Keys from the controlling terminal, one at a time and unseen, with the terminal as it was on every way out.

cbreak as in termios(3): no line editing and no echo; Ctrl-C, Ctrl-Z, Ctrl-S and Ctrl-Q do what they always do. Ctrl-\\
is switched off meanwhile, because it would end the process and leave the terminal as it stands. What a key means is
not known here.
"""

import codecs
import os
import select
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Final, Self

from sensor.errors import INTERRUPTED
from sensor.signals import handled

ESCAPE_WAIT_S: Final = 0.05  # the rest of a key's sequence follows its escape at once; alone it is the key Esc
_PUT_AWAY_S: Final = 0.5  # for a screen to leave the terminal before the process stops
_LONGEST_READ: Final = 1024

# ECMA-48 sequences of the keys that mean something, of terminals in normal and in application mode.
_SEQUENCES: Final = {
    "[A": "up", "OA": "up", "[B": "down", "OB": "down", "[5~": "page up", "[6~": "page down",
    "[H": "home", "OH": "home", "[1~": "home", "[F": "end", "OF": "end", "[4~": "end",
}  # fmt: skip
_NAMED: Final = {
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x15": "clear", "\x0c": "redraw",
}  # fmt: skip


class Keyboard:
    """The terminal that file `descriptor` is. Use as a context manager in the main thread, around whoever reads it.

    gone: nobody presses a key any more.
    """

    def __init__(self, descriptor: int) -> None:
        """descriptor: a terminal for which `usable` holds."""
        self.descriptor = descriptor
        self._before: list[Any] | None = None
        self._woken, self._waking = os.pipe()
        for end in (self._woken, self._waking):
            os.set_blocking(end, False)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self.gone = False
        self._taken = False

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def take(self) -> None:
        """Have keys one at a time from now on."""
        self._taken = True
        with suppress(termios.error):  # hung up: `keys` will find out
            self._before = self._before or termios.tcgetattr(self.descriptor)
            unseen = termios.tcgetattr(self.descriptor)
            unseen[3] &= ~(termios.ICANON | termios.ECHO)
            unseen[6][termios.VMIN], unseen[6][termios.VTIME] = 1, 0
            unseen[6][termios.VQUIT] = os.fpathconf(self.descriptor, "PC_VDISABLE").to_bytes(1, "little")
            # Now, not after what is written has been taken: a terminal stopped by Ctrl-S takes nothing.
            termios.tcsetattr(self.descriptor, termios.TCSANOW, unseen)

    def give_back(self) -> None:
        """Leave the terminal as it was, and its keys to others."""
        self._taken = False
        if self._before is not None:
            with suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSANOW, self._before)

    def let_flow(self) -> None:
        """Undo Ctrl-S, as the kernel does when Ctrl-C is pressed: who ends must still be able to leave the screen."""
        with suppress(termios.error):
            if usable(self.descriptor):
                termios.tcflow(self.descriptor, termios.TCOOFF)  # Linux lets TCOON undo nothing but this
                termios.tcflow(self.descriptor, termios.TCOON)

    def discard(self) -> None:
        """Throw away what a terminal that nobody reads has not taken, so that there is room to leave the screen."""
        with suppress(termios.error):
            if usable(self.descriptor):
                termios.tcflush(self.descriptor, termios.TCOFLUSH)

    def say(self, orders: str, seconds: float) -> bool:
        """Write a few letters to the terminal if it takes them within this time; nobody else may be writing."""
        with suppress(OSError):
            if select.select([], [self.descriptor], [], seconds)[1]:
                os.write(self.descriptor, orders.encode())
                return True
        return False

    def wake(self) -> None:
        """End the wait for keys that goes on in another thread, or the next one. Also for signal handlers."""
        with suppress(BlockingIOError):  # woken already
            os.write(self._waking, b".")

    def keys(self, seconds: float) -> list[str]:
        """Keys pressed within this time, which ends with the first of them or when woken."""
        # Who reads the keys of a terminal from the background is stopped.
        waiting = [self._woken, self.descriptor] if self._taken and not self.gone else [self._woken]
        ready, _, _ = select.select(waiting, [], [], seconds)
        if self._woken in ready:
            with suppress(BlockingIOError):
                os.read(self._woken, 65536)
        if self.descriptor not in ready:
            return []
        text = self._rest + self._read()
        while unfinished(text) and select.select([self.descriptor], [], [], ESCAPE_WAIT_S)[0] and not self.gone:
            text += self._read()
        self._rest = ""
        return keys_of(text)

    def _read(self) -> str:
        try:
            found = os.read(self.descriptor, _LONGEST_READ)
        except OSError:  # the terminal has gone
            found = b""
        self.gone = not found
        return self._decode(found)


def usable(descriptor: int) -> bool:
    """Whether this is a terminal that this process may ask for keys: in the background that would stop it."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # a terminal, but not the controlling one
        return False


def unfinished(text: str) -> bool:
    """Whether the text ends within a key's sequence."""
    head = text[text.rfind("\x1b") :] if "\x1b" in text else ""
    if head in ("\x1b", "\x1b[", "\x1bO"):
        return True
    return head.startswith("\x1b[") and not any("@" <= letter <= "~" for letter in head[2:]) and len(head) < 32


def keys_of(text: str) -> list[str]:
    """Names of keys ("up", "enter", "escape") and printable characters as they are; unknown sequences are left out."""
    keys, at = [], 0
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == "\x1b":
            sequence = _sequence(text, at)
            at += len(sequence)
            if name := _SEQUENCES.get(sequence, "" if sequence else "escape"):
                keys.append(name)
        elif letter in _NAMED:
            keys.append(_NAMED[letter])
        elif letter.isprintable():
            keys.append(letter)
    return keys


def _sequence(text: str, at: int) -> str:
    """What belongs to the escape before `at`."""
    if text[at : at + 1] == "O":
        return text[at : at + 2]
    if text[at : at + 1] != "[":
        return ""
    end = at + 1
    while end < len(text) and not "@" <= text[end] <= "~":
        end += 1
    return text[at : end + 1]


@contextmanager
def following_the_terminal(
    keyboard: Keyboard, put_away: Callable[[float], None], bring_back: Callable[[], None], leave: Callable[[], None]
) -> Iterator[None]:
    """Stop (Ctrl-Z) with the terminal given back, take it again where it is ours when it goes on; wake at a new size.

    put_away: has the screen leave the terminal, within so many seconds. bring_back: has it drawn anew. leave: ends the
    run in order where the terminal was closed.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        put_away(_PUT_AWAY_S)
        keyboard.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)  # as SIGTSTP would have, and this handler stays

    def go_on(_number: int, _frame: FrameType | None) -> None:
        if usable(keyboard.descriptor):  # in the background it goes on unseen
            keyboard.take()
            bring_back()

    def resized(_number: int, _frame: FrameType | None) -> None:
        keyboard.wake()

    def hung_up(_number: int, _frame: FrameType | None) -> None:
        leave()

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(INTERRUPTED)  # before and after the run has its own way: it would end and leave no terminal

    handlers = {
        signal.SIGTERM: end, signal.SIGHUP: hung_up, signal.SIGTSTP: stop, signal.SIGCONT: go_on,
        signal.SIGWINCH: resized,
    }  # fmt: skip
    with handled(handlers):
        yield
