"""Keys from the controlling terminal, one at a time and without echo; the terminal is restored on every way out.

cbreak mode as in termios(3): no line editing and no echo; Ctrl-C, Ctrl-Z, Ctrl-S and Ctrl-Q do what they always do.
Ctrl-\\ is switched off meanwhile, because it would end the process without restoring the terminal. What a key means is
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
from sensor.signals import handling

ESCAPE_WAIT_S: Final = 0.05  # for the rest of an escape sequence, which follows at once; alone, ESC is the key Esc
_LEAVE_S: Final = 0.5  # for the view to leave the screen before the process stops
_MAX_READ_BYTES: Final = 1024

# Escape sequences (ECMA-48) of the keys in use, of terminals in normal and in application mode.
_SEQUENCES: Final = {
    "[A": "up", "OA": "up", "[B": "down", "OB": "down", "[5~": "page up", "[6~": "page down",
    "[H": "home", "OH": "home", "[1~": "home", "[F": "end", "OF": "end", "[4~": "end",
}  # fmt: skip
_NAMED: Final = {
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x15": "clear", "\x0c": "redraw",
}  # fmt: skip


class Keyboard:
    """Reads keys from a terminal. Use as a context manager in the main thread, around the thread that calls `keys`."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: a file that `is_foreground_terminal`."""
        self.descriptor = descriptor
        self._original: list[Any] | None = None  # attributes of the terminal, as termios has them
        self._wake_reader, self._wake_writer = os.pipe()
        for end in (self._wake_reader, self._wake_writer):
            os.set_blocking(end, False)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self.gone = False  # whether the terminal was closed, so that there are no keys any more
        self._acquired = False

    def __enter__(self) -> Self:
        try:
            self.acquire()
        except BaseException:  # a signal's
            self.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Enter cbreak mode."""
        self._acquired = True
        with suppress(termios.error):  # hung up: `keys` will find out
            self._original = self._original or termios.tcgetattr(self.descriptor)
            cbreak = termios.tcgetattr(self.descriptor)
            cbreak[3] &= ~(termios.ICANON | termios.ECHO)
            cbreak[6][termios.VMIN], cbreak[6][termios.VTIME] = 1, 0
            cbreak[6][termios.VQUIT] = os.fpathconf(self.descriptor, "PC_VDISABLE").to_bytes(1, "little")
            # At once, not after pending output (TCSADRAIN): a terminal stopped by Ctrl-S accepts none.
            termios.tcsetattr(self.descriptor, termios.TCSANOW, cbreak)

    def release(self) -> None:
        """Restore the terminal's attributes, and read no keys."""
        self._acquired = False
        if self._original is not None:
            with suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSANOW, self._original)

    def resume_output(self) -> None:
        """Undo Ctrl-S, as the kernel does at Ctrl-C, so that the view can leave the screen."""
        with suppress(termios.error):
            if is_foreground_terminal(self.descriptor):
                termios.tcflow(self.descriptor, termios.TCOOFF)  # on Linux, TCOON only undoes TCOOFF
                termios.tcflow(self.descriptor, termios.TCOON)

    def discard_output(self) -> None:
        """Discard pending output of a terminal that nobody reads, so that there is room to leave the screen."""
        with suppress(termios.error):
            if is_foreground_terminal(self.descriptor):
                termios.tcflush(self.descriptor, termios.TCOFLUSH)

    def write(self, text: str, seconds: float) -> bool:
        """Write a short text if the terminal accepts it within this time, and return whether it did.

        No other thread may be writing to the terminal.
        """
        with suppress(OSError):
            if select.select([], [self.descriptor], [], seconds)[1]:
                os.write(self.descriptor, text.encode())
                return True
        return False

    def wake(self) -> None:
        """End the current wait in `keys`, or the next one. From any thread or signal handler."""
        with suppress(BlockingIOError):  # woken already
            os.write(self._wake_writer, b".")

    def keys(self, seconds: float) -> list[str]:
        """Keys pressed within this time, which ends with the first of them or when woken."""
        # A process in the background that reads its terminal is stopped.
        sources = [self._wake_reader, self.descriptor] if self._acquired and not self.gone else [self._wake_reader]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._wake_reader in ready:
            with suppress(BlockingIOError):
                os.read(self._wake_reader, 65536)
        if self.descriptor not in ready:
            return []
        text = self._rest + self._read()
        while unfinished(text) and select.select([self.descriptor], [], [], ESCAPE_WAIT_S)[0] and not self.gone:
            text += self._read()
        self._rest = ""
        return keys_of(text)

    def _read(self) -> str:
        try:
            found = os.read(self.descriptor, _MAX_READ_BYTES)
        except OSError:  # the terminal was closed
            found = b""
        self.gone = not found
        return self._decode(found)


def is_foreground_terminal(descriptor: int) -> bool:
    """Whether a file is the terminal of this process, and the process in its foreground: else reading would stop it."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # a terminal, but not the controlling one
        return False


def unfinished(text: str) -> bool:
    """Whether the text ends within an escape sequence."""
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
    """The rest of the escape sequence whose ESC is before `at`."""
    if text[at : at + 1] == "O":
        return text[at : at + 2]
    if text[at : at + 1] != "[":
        return ""
    end = at + 1
    while end < len(text) and not "@" <= text[end] <= "~":
        end += 1
    return text[at : end + 1]


@contextmanager
def handling_terminal_signals(
    keyboard: Keyboard,
    leave_screen: Callable[[float], None],
    enter_screen: Callable[[], None],
    end_run: Callable[[], None],
) -> Iterator[None]:
    """Handle the terminal's signals: suspend (Ctrl-Z) and continue, a new size, hang-up, termination.

    leave_screen: makes the view leave the screen, within this many seconds. enter_screen: makes it enter and
    draw again. end_run: ends the run in order, as the terminal was closed.
    """

    def suspend(_number: int, _frame: FrameType | None) -> None:
        leave_screen(_LEAVE_S)
        keyboard.release()
        os.kill(os.getpid(), signal.SIGSTOP)  # as SIGTSTP would have, and this handler stays

    def resume(_number: int, _frame: FrameType | None) -> None:
        if is_foreground_terminal(keyboard.descriptor):  # else it goes on in the background, without a view
            keyboard.acquire()
            enter_screen()

    def resize(_number: int, _frame: FrameType | None) -> None:
        keyboard.wake()

    def hang_up(_number: int, _frame: FrameType | None) -> None:
        end_run()

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(
            INTERRUPTED
        )  # before and after the run, which handles it itself: the default would not restore the terminal

    handlers = {
        signal.SIGTERM: terminate, signal.SIGHUP: hang_up, signal.SIGTSTP: suspend, signal.SIGCONT: resume,
        signal.SIGWINCH: resize,
    }  # fmt: skip
    with handling(handlers):
        yield
