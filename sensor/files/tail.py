"""The end of a file of lines that is appended to, so that a new line begins on a line of its own.

What an earlier run left there when it was killed is half a line; a crash of the file system leaves bytes of zero. Half
a line is ended by a newline, which keeps what it says for whoever looks; zeros say nothing and are cut off. Neither is
taken for a record: readers count and skip it. Somebody else may append to the same file and be killed too: the end is
looked at before each write, and where it is not where this process left it, the last byte decides.
"""

import errno
import os
import stat
from contextlib import suppress
from typing import Final

ZEROS_CUT: Final = 64 << 20  # bytes of zero that are looked through at the end; more are ended like half a line
_PIECE: Final = 1 << 20
NEWLINE: Final = b"\n"


class Tail:
    """The end of one file, by a descriptor that writes to it; of what is no regular file, what was begun there."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: of the caller, which stays theirs. Cuts zeros off the end."""
        self._descriptor = descriptor
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._appends = _appends(descriptor)
        self._reader = _reader_of(descriptor) if self._regular else None
        self._end = -1  # where this process left the file, behind a newline; -1: unknown
        self._begun = False  # part of a line was written and could not be taken back
        if self._regular:
            self._cut_zeros()

    @property
    def regular(self) -> bool:
        """Whether it is a regular file, to which writing makes nobody wait."""
        return self._regular

    @property
    def removed(self) -> bool:
        """Whether it is a file that has no name any more, and goes with who has it open."""
        return self._regular and not os.fstat(self._descriptor).st_nlink

    def lead(self) -> bytes:
        """What the next line needs in front of it: a newline where the file does not end with one, or nothing.

        To be asked before each write; advance() follows. Raises OSError.
        """
        if not self._regular:
            return NEWLINE if self._begun else b""
        end = self._position()
        if end in (0, self._end):
            return b""
        if self._reader is None:  # a file that may be written and not read: an empty line does no harm
            return NEWLINE
        return b"" if os.pread(self._reader, 1, end - 1) == NEWLINE else NEWLINE

    def advance(self) -> None:
        """Whole lines were written."""
        self._begun = False
        if self._regular:
            self._end = os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def take_back(self, count: int) -> bool:
        """Cut off the last bytes that this process wrote, which are part of a line; whether that could be done.

        It cannot where somebody else has written behind them, or where it is no file. The next lead() knows.
        """
        self._begun = True
        self._end = -1
        if not self._regular:
            return False
        try:
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if os.fstat(self._descriptor).st_size != end or end < count:
                return False
            os.ftruncate(self._descriptor, end - count)
            os.lseek(self._descriptor, end - count, os.SEEK_SET)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of the file; the descriptor stays open."""
        if self._reader is not None and self._reader != self._descriptor:
            os.close(self._reader)
        self._reader = None

    def _position(self) -> int:
        """Where the next write begins."""
        size = os.fstat(self._descriptor).st_size
        if self._appends:
            return size
        at = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        # Cut back by somebody, as copytruncate does: what is written further on would leave zeros before it.
        return at if at <= size else os.lseek(self._descriptor, size, os.SEEK_SET)

    def _cut_zeros(self) -> None:
        """Cut zeros off; where that may not be done they count as half a line."""
        if self._reader is None:
            return
        try:
            size = self._position()
            end = _end_of_text(self._reader, size)
            if end < size == os.fstat(self._descriptor).st_size:
                os.ftruncate(self._descriptor, end)
                if not self._appends:
                    os.lseek(self._descriptor, end, os.SEEK_SET)
        except OSError:
            return


class WholeLines:
    """A stream of lines to a descriptor of the caller's: of those that a full disk refuses, none is left in part."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: of a file, a pipe or a device."""
        self.written = 0  # lines that stand whole
        self._descriptor = descriptor
        self._tail = Tail(descriptor)

    def write(self, content: bytes) -> int:
        """Write lines, the last one with its newline too, and wait for as long as it takes. Raises OSError."""
        lead = self._tail.lead()
        left = memoryview(lead + content)
        into = -len(lead)  # bytes of the content that are written
        try:
            while left:
                taken = os.write(self._descriptor, left)
                left, into = left[taken:], into + taken
        except OSError:
            whole = content.rfind(NEWLINE, 0, max(0, into)) + 1
            if into > whole:
                self._tail.take_back(into - whole)
            self.written += content.count(NEWLINE, 0, whole)
            raise
        self._tail.advance()
        self.written += content.count(NEWLINE)
        return len(content)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Let go of the file; the descriptor stays open."""
        self._tail.close()


def _end_of_text(reader: int, size: int) -> int:
    """Where the last byte that is not zero ends, of those that are looked through; `size` where all are zeros."""
    end = size
    while end and size - end < ZEROS_CUT:
        start = max(0, end - _PIECE)
        piece = os.pread(reader, end - start, start)
        if len(piece) != end - start:  # somebody cut the file
            return size
        text = piece.rstrip(b"\0")
        if text:
            return start + len(text)
        end = start
    return size if end else 0


def _appends(descriptor: int) -> bool:
    """Whether every write goes to the end of the file."""
    try:
        import fcntl
    except ModuleNotFoundError:  # not a POSIX system: nobody can tell, and who opens a log appends
        return True
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)


def _reader_of(descriptor: int) -> int | None:
    """A descriptor that reads what another one writes to: itself where it can, None where the file may not be read."""
    try:
        os.pread(descriptor, 1, 0)
    except AttributeError:  # not a POSIX system
        return None
    except OSError as error:
        if error.errno != errno.EBADF:
            return None
        return _opened_again(descriptor, os.O_RDONLY)
    return descriptor


def readable(descriptor: int) -> int:
    """The descriptor of a file that is appended to, exchanged for one that can also read it, where that is allowed.

    While privileges are there: without them the file may not be read again.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe that this process could read would never break
        return descriptor
    again = _opened_again(descriptor, os.O_RDWR | os.O_APPEND)
    if again is None:
        return descriptor
    with suppress(OSError):  # nothing was written by it yet
        os.close(descriptor)
    return again


def _opened_again(descriptor: int, flags: int) -> int | None:
    """The file of a descriptor opened once more, by no name that others could move; None where that cannot be done."""
    name = f"/proc/self/fd/{descriptor}"  # proc(5): leads to the file itself
    try:
        again = os.open(name, flags | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return None
    if os.path.sameopenfile(again, descriptor):
        return again
    os.close(again)
    return None
