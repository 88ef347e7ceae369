"""Lines to a descriptor: a file that is appended to, or stdout. Whole lines only, whatever the disk refuses, and each
on a line of its own, whatever an earlier run has left there (sensor.files.tail).

A descriptor that is open outlives every error: what opened it may have been a privilege that has gone. Source: write(2)
and pipe(7).
"""

import array
import errno
import os
import select
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Final

from sensor.errors import OutputError, reason_of
from sensor.files.ownership import APPEND, Owner, open_owned
from sensor.files.pipes import FILLING_S, PIPE_BYTES
from sensor.files.special import is_special
from sensor.files.tail import NEWLINE, Tail, readable
from sensor.outputs.transport import ANY_LENGTH, NoReaderYetError
from sensor.printable import terminal_safe_line

NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)


class LinesTransport:
    """Writes to a descriptor; a line that the kernel took counts as delivered."""

    poll_s: float | None = None
    tells_by_writing = True
    acknowledges = False
    missing = 0
    longest = ANY_LENGTH
    longest_pause_s = 0.5

    def __init__(self, opener: Callable[[], int], descriptor: int | None = None, *, forever: bool = False) -> None:
        """opener: gives a descriptor that is ours. descriptor: the first one. forever: a broken pipe is the end."""
        self.forever = forever
        self._opener = opener
        self._descriptor: int | None = None
        self._next = descriptor  # what to go on with, once the line at hand is whole
        self._lock = threading.Lock()  # of the next
        self._waits = False  # a write may have to wait for a reader
        self._pipe_bytes = 0
        self._tail: Tail | None = None  # of what is open
        self._left: list[bytes] = []
        self._lead = b""  # what stands before the lines that are left, in the content
        self._content = b""
        self._into = 0  # bytes of the content that are written
        self._written = 0
        self._late: OSError | None = None

    def replace(self, opener: Callable[[], int] | None = None) -> None:
        """Go on with another descriptor, which gets the lines that are not written yet. For any thread.

        opener: from now on, where it changes; what it raises leaves everything as it was.
        """
        opener = opener or self._opener
        self._go_on_with(opener())
        self._opener = opener

    def connect(self) -> None:
        """Open anew, or go on with what is open where that cannot be done. Raises OSError, OutputError."""
        self.break_off()
        if self._next is None:
            try:
                self._go_on_with(self._opener())
            except (OSError, OutputError):
                if self._descriptor is None:
                    raise
        self._change()

    def offer(self, messages: Sequence[bytes]) -> None:
        """Take lines on; what a terminal could obey is escaped where they go to one."""
        to_terminal = self._descriptor is not None and os.isatty(self._descriptor)
        self._take_on([terminal_safe_line(message) for message in messages] if to_terminal else list(messages))

    def flush(self, wait_s: float) -> None:
        """Write, to a new file where others have removed this one. Raises OSError; a file then ends with a whole line.

        Raises OutputError where the new one cannot be made.
        """
        self._change()
        if self._descriptor is None or self._tail is None:
            raise ConnectionError("not open")
        if not self._left:
            return
        if not self._into and not self.forever and self._tail.removed:  # stdout may be a file without a name
            self._go_on_with(self._opener())
            self._change()
        try:
            if not self._into:
                self._lead = self._tail.lead()
                self._content = self._lead + b"".join(self._left)
            left = memoryview(self._content)[self._into :]
            while left:
                if self._waits and not select.select([], [self._descriptor], [], wait_s)[1]:
                    return
                taken = os.write(self._descriptor, left[: self._portion()] if self._waits else left)
                self._into += taken
                left = left[taken:]
            self._tail.advance()
        except BlockingIOError:  # a descriptor that does not wait had less room than it said
            time.sleep(FILLING_S)
            return
        except OSError:
            self._leave_whole_lines()
            if self._next is None:  # which else gets the rest
                raise
            return
        self._written += len(self._left)
        self._take_on([])

    def idle(self) -> bool:
        """Whether everything is written."""
        return not self._left

    def confirmed(self, now_s: float) -> int:  # noqa: ARG002  the contract's
        """Lines written since the last call."""
        written, self._written = self._written, 0
        return written

    def break_off(self) -> None:
        """Forget the lines that are not written."""
        self._leave_whole_lines()
        self._take_on([])

    def finish(self, wait_s: float) -> int:
        """Write the rest and close. Raises OSError where the system tells only then that something was not written."""
        with suppress(OSError):
            self.flush(wait_s)
        self.break_off()
        self._let_go_of_tail()
        for descriptor in (self._descriptor, self._taken_next()):
            self._close(descriptor)
        self._descriptor = None
        if self._late is not None:
            raise self._late
        return self.confirmed(0.0)

    def _go_on_with(self, descriptor: int) -> None:
        with self._lock:
            before, self._next = self._next, descriptor
        if before is not None:
            os.close(before)

    def _taken_next(self) -> int | None:
        with self._lock:
            descriptor, self._next = self._next, None
        return descriptor

    def _change(self) -> None:
        """Go on with the next descriptor, where there is one."""
        descriptor = self._taken_next()
        if descriptor is None:
            return
        self._leave_whole_lines()
        self._let_go_of_tail()
        before, self._descriptor = self._descriptor, descriptor
        self._tail = Tail(descriptor)
        mode = os.fstat(self._descriptor).st_mode
        # Windows can select sockets only; a file, and what only looks like one, makes nobody wait.
        self._waits = os.name != "nt" and not (stat.S_ISREG(mode) or stat.S_ISBLK(mode))
        self._pipe_bytes = _pipe_bytes(self._descriptor) if stat.S_ISFIFO(mode) else 0
        self._close(before)

    def _let_go_of_tail(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    def _close(self, descriptor: int | None) -> None:
        try:
            if descriptor is not None:
                os.close(descriptor)
        except OSError as error:
            self._late = error

    def _portion(self) -> int:
        """Bytes to write next without waiting: lines that are whole, where there is room for one."""
        room = self._room(len(self._content) - self._into)
        whole = self._content.rfind(NEWLINE, self._into, self._into + room) + 1 - self._into
        return whole if whole > 0 else room

    def _room(self, wanted: int) -> int:
        """Bytes that a write, to a descriptor that is ready, may have without waiting."""
        if not self._pipe_bytes or self._descriptor is None:
            return PIPE_BYTES
        room = _room_in_pipe(self._descriptor, self._pipe_bytes)
        if room < min(wanted, 2 * PIPE_BYTES):  # its reader has enough to do meanwhile: one large write costs less
            time.sleep(FILLING_S)
            room = _room_in_pipe(self._descriptor, self._pipe_bytes)
        return max(PIPE_BYTES, room)

    def _leave_whole_lines(self) -> None:
        """Count the lines of the batch that are written whole, and take the written part of the next one back.

        From a file where nobody else has written behind it. Else that line is written again, on a line of its own: who
        reads a pipe sees the part too.
        """
        into = self._into - len(self._lead)
        ends = [end for end in accumulate(map(len, self._left)) if end <= into]
        part = into - (ends[-1] if ends else 0)
        if part > 0 and self._tail is not None:
            self._tail.take_back(part)
        self._written += len(ends)
        self._take_on(self._left[len(ends) :])

    def _take_on(self, lines: list[bytes]) -> None:
        self._left = lines
        self._lead, self._content, self._into = b"", b"", 0


def open_descriptor(path: Path, owner: Owner | None = None) -> int:
    """What appends to a file that only its owner and group may read, for the caller to close; it waits for nobody.

    owner: whom the file shall belong to where it is made now; a file that was there stays whose it was. Raises
    OutputError when it cannot be opened, NoReaderYetError for a named pipe that nobody reads.
    """
    try:
        return readable(open_owned(path, APPEND | NO_WAIT, owner))
    except OSError as error:
        if error.errno == errno.ENXIO and path.is_fifo():
            raise NoReaderYetError("nobody reads it yet") from error
        raise OutputError(f"{path}: cannot be opened for writing: {reason_of(error)}") from error


def open_file(path: Path, owner: Owner | None = None) -> int | None:
    """As open_descriptor; None of what is no file: a pipe or a device is opened by whoever writes there.

    Opening one may do something, as a reader hears of it: not with privileges, and not to look whether it can be.
    """
    if is_special(path):
        return None
    descriptor = open_descriptor(path, owner)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)  # it has taken the file's place meanwhile
    return None


def duplicate_of_stdout() -> int:
    """A descriptor of stdout that is ours to close. Raises OSError."""
    return os.dup(sys.stdout.fileno())


def _room_in_pipe(descriptor: int, pipe_bytes: int) -> int:
    """Bytes that a pipe has room for at least, as far as its unread bytes tell.

    A page of it may be half empty, since what does not fit into its rest begins the next: what lies there counts twice.
    """
    import fcntl
    import termios

    unread = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, unread)
    return pipe_bytes - 2 * unread[0] - 2 * PIPE_BYTES


def _pipe_bytes(descriptor: int) -> int:
    """What a pipe holds, 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
