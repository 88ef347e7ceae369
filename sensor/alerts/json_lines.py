"""Lines out of files of JSON lines: plain or compressed, or standard input; and out of a file that still grows.

Anybody may have written such a file. A line that is too long is told as None and never held as a whole; input that ends
in damage is read up to there. What the lines say is the business of sensor.alerts.reading.
"""

import io
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from flows.compression import COMPRESSED, LONGEST_MAGIC, unpacked
from flows.magics import CAPTURE_MAGICS
from sensor.errors import InputError, reason_of
from sensor.files.magic import known_kind
from sensor.printable import printable

STDIN: Final = "-"
LONGEST_LINE: Final = 65_536  # bytes; our own end at 8 KiB, what a pipeline added may be longer
LOOK_AGAIN_S: Final = 0.25
PIECE: Final = 65_536
# Every record of ours has the first, and half of one that was cut short has the second.
_MARKS: Final = (b'"flowvigil"', b'"@timestamp"')


def may_be_ours(text: bytes) -> bool:
    """Whether a line, or one of several, can be a record of ours, or the beginning of one."""
    return any(mark in text for mark in _MARKS)


class LineSplitter:
    """Bytes as they come, in lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def lines(self, piece: bytes) -> Iterator[bytes | None]:
        """The lines that a piece ends, each with its newline; None for one that is longer than LONGEST_LINE.

        Lines that are none of ours come together where a piece has no others: a packed megabyte may hold a thousand
        millions of them.
        """
        if not self._skipping and not may_be_ours(text := self._rest + piece):
            end = text.rfind(b"\n") + 1
            # Of these lines the first alone can be longer than a piece.
            if end and text.index(b"\n") <= LONGEST_LINE and len(text) - end <= LONGEST_LINE:
                self._rest = text[end:]
                yield text[:end]
                return
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for line in whole:
            yield None if self._skipping or len(line) > LONGEST_LINE else line + b"\n"
            self._skipping = False
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._skipping = b"", True

    def take_back(self) -> int:
        """Forget the bytes of a line that has not ended, which are read again; how many those are."""
        size, self._rest = len(self._rest), b""
        return size

    @property
    def unfinished(self) -> int:
        """Bytes of a line that has not ended."""
        return len(self._rest)

    @property
    def overlong(self) -> bool:
        """Whether what came since the last newline is more than a line may hold."""
        return self._skipping

    def end(self) -> Iterator[bytes | None]:
        """What stands behind the last newline, as a line."""
        if self._skipping:
            yield None
        elif self._rest:
            yield self._rest + b"\n"
        self._rest, self._skipping = b"", False


def lines_in(name: str, damage: list[str]) -> Iterator[bytes | None]:
    """The lines of an input, None for one that is too long. Raises InputError when it cannot be opened.

    damage: gets one line when the input could not be read to its end.
    """
    splitter = LineSplitter()
    with opened(name) as raw:
        stream = unpacked(raw)
        piece = memoryview(bytearray(PIECE))
        first = True
        while size := stream.readinto(piece):
            if first:
                _refuse_other_kind(name, bytes(piece[:size]))
                first = False
            yield from splitter.lines(bytes(piece[:size]))
        yield from splitter.end()
        if stream.damage:
            damage.append(f"{name}: {stream.damage}")


def opened(name: str) -> io.FileIO:
    """An input, `-` being standard input. Raises InputError."""
    if name == STDIN:
        if sys.stdin is None:
            raise InputError("-: standard input is closed, expected alerts as JSON lines")
        return io.FileIO(sys.stdin.fileno(), closefd=False)
    try:
        return io.FileIO(name)
    except FileNotFoundError as error:
        raise InputError(f"{name}: found no such file, expected alerts as JSON lines") from error
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "what cannot be opened"
        raise InputError(f"{printable(name)}: {reason}, expected alerts as JSON lines") from error


def _refuse_other_kind(name: str, first: bytes) -> None:
    """Raise InputError for the beginning of a file that is known to hold no lines."""
    if first[:4] in CAPTURE_MAGICS:
        raise InputError(f"{name}: found a capture, expected alerts as JSON lines, which flowvigil read makes of it")
    if kind := known_kind(first):
        raise InputError(f"{name}: found {kind}, expected alerts as JSON lines")


class Follower:
    """A file that grows: its lines as they come, through being renamed, replaced and cut back, until stopped."""

    def __init__(self, name: str, wait: Callable[[float], None] = time.sleep) -> None:
        """Begin at the first line. Raises InputError when it cannot be opened or is no plain file of lines."""
        self._name = name
        self._wait = wait
        self._file = opened(name)
        self._splitter = LineSplitter()
        head = os.pread(self._file.fileno(), LONGEST_MAGIC, 0) if self._file.seekable() else b""
        if not self._file.seekable() or head.startswith(COMPRESSED):
            self._file.close()
            raise InputError(f"{name}: found no plain file, expected one to follow")

    def lines(self) -> Iterator[bytes | None]:
        """What is in the file by now: its whole lines, None for one that is too long.

        Part of a line is read again, as it may have been taken back: its writer had a full disk, or was killed.
        """
        self._file.seek(-self._splitter.take_back(), os.SEEK_CUR)
        while piece := self._file.read(PIECE):
            yield from self._splitter.lines(piece)

    def forever(self) -> Iterator[bytes | None]:
        """All lines from here on."""
        while True:
            yield from self.lines()
            if not self._replaced():
                self._wait(LOOK_AGAIN_S)
                continue
            yield from self.lines()  # what was written before it was replaced, and after the last look
            yield from self._splitter.end()
            if not self._open_anew():
                self._wait(LOOK_AGAIN_S)

    def _replaced(self) -> bool:
        """Whether another file has the name now, or this one was cut back.

        Between two files there is none: what is still written to the old one is read. A directory or a pipe is none.
        """
        held = os.fstat(self._file.fileno())
        try:
            named = os.stat(self._name)
        except OSError:
            return False
        if not stat.S_ISREG(named.st_mode):
            return False
        if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            return True
        return held.st_size < self._file.tell() - self._splitter.unfinished

    def _open_anew(self) -> bool:
        """Go on at the beginning of the file that has the name now; False where it cannot be opened, or is gone."""
        try:
            fresh = opened(self._name)
        except InputError:
            return False
        self._file.close()
        self._file = fresh
        return True
