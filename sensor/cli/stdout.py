"""Writes to stdout, with an error where it did not arrive."""

import errno
import io
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, TextIO

from sensor.errors import OutputError, reason_of
from sensor.files.pipes import PipeStream, never
from sensor.files.tail import WholeLines
from sensor.printable import ascii_errors, in_ascii, takes_unicode, terminal_safe

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Errors of a write to a full device. They have no file name, as those of opening a file do.
FULL_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class _Waiting(io.FileIO):
    """Stdout as it is for who waits, whoever has told the system that it shall not: another process may share it."""

    refused: OSError | None = None  # the last error of a write

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write some of the content, waiting for room. Raises OSError."""
        try:
            while (written := super().write(content)) is None:
                select.select([], [self], [])
        except OSError as error:
            _Waiting.refused = error
            raise
        return written


def own_streams() -> None:
    """Have streams of this process's own: those that are closed lead to the null device, and stdout loses nothing.

    Without that a file opened later gets a closed one's descriptor and what is written there. Python's own stdout drops
    what a pipe that does not wait has no room for, and without a buffer (PYTHONUNBUFFERED) the rest of what a full disk
    has taken in part.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY)  # the lowest that is free; who reads stdin hears as before that it is none
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, io.UnsupportedOperation):  # of whoever calls it with a stream in memory
        return
    if os.name == "posix":
        sys.stdout.flush()
        encoding, errors = encoding_for(sys.stdout)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Waiting(descriptor, "w", closefd=False)),
            encoding=encoding,
            errors=errors,
            line_buffering=sys.stdout.isatty(),
        )
        if isinstance(sys.stderr, io.TextIOWrapper):
            encoding, errors = encoding_for(sys.stderr)
            sys.stderr.reconfigure(encoding=encoding, errors=errors)


def encoding_for(stream: TextIO) -> tuple[str, str]:
    """Encoding and handler of its errors for a stream: ASCII for a terminal that shows no more (takes_unicode).

    Elsewhere as the surroundings say; what an encoding has no letter for is replaced, not an error.
    """
    if stream.isatty() and not takes_unicode(stream.encoding):
        return "ascii", ascii_errors()
    errors = stream.errors or "strict"
    return stream.encoding, errors if stream.encoding.lower().startswith("utf") else ascii_errors()


def write_stdout(text: str) -> None:
    """Write and flush text; what a terminal could obey is escaped where stdout is one.

    Raises OutputError where stdout is full, BrokenPipeError where its reader has gone.
    """
    try:
        if text and sys.stdout.isatty():
            text = terminal_safe(text)
        if text:  # unbuffered, a full device refuses even an empty write
            sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise stdout_error(error) or error from error


def encoded(lines: Iterable[str]) -> bytes:
    """Lines for people, each with its newline, as stdout takes them."""
    text = "".join(f"{line}\n" for line in lines)
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace") if takes_unicode(encoding) else in_ascii(text).encode()


def write_lines(lines: Iterable[bytes], called_off: Callable[[], bool] = never) -> None:
    """Write and flush whole lines, together. called_off: as of stdout_stream.

    Raises BrokenPipeError when the reader has gone, OutputError when lines were lost for any other reason.
    """
    write_each((b"".join(lines),), called_off)


def write_each(batches: Iterable[bytes], called_off: Callable[[], bool] = never) -> None:
    """Write whole lines as they come, each batch at once: whoever reads a pipe wants to see it now.

    What a terminal could obey is escaped where stdout is one. called_off: as of stdout_stream. Raises as write_lines.
    """
    with stdout_stream(called_off) as stream:
        for batch in map(_terminal_safe_lines, batches) if sys.stdout.isatty() else batches:
            with _refused(stream):
                stream.write(batch)
                stream.flush()


@contextmanager
def stdout_stream(called_off: Callable[[], bool] = never) -> Iterator["IO[bytes] | PipeStream | WholeLines"]:
    """Stdout for whole lines, which a file that it leads to gets as such, whatever its disk refuses.

    called_off: whether to wait for no reader any more that takes nothing. What is written raises OSError. Stdout stays
    open, and nothing is left in a buffer of it.
    """
    sys.stdout.flush()
    try:
        descriptor = sys.stdout.fileno()
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except (io.UnsupportedOperation, OSError):  # of whoever calls it with a stream in memory
        yield sys.stdout.buffer
        return
    if not is_file:
        yield PipeStream(descriptor, called_off)
        return
    stream = WholeLines(descriptor)
    try:
        yield stream
    finally:
        stream.close()


@contextmanager
def _refused(stream: "IO[bytes] | PipeStream | WholeLines") -> Iterator[None]:
    """Turn an error of a write into an OutputError; a broken pipe passes through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        whole = f", after {stream.written:,} whole lines" if isinstance(stream, WholeLines) else ""
        raise OutputError(f"stdout: {reason_of(error)}{whole}") from error


def _terminal_safe_lines(batch: bytes) -> bytes:
    """Lines of JSON, which is UTF-8, or of text as the terminal has it."""
    try:
        return terminal_safe(batch.decode()).encode()
    except UnicodeDecodeError:
        encoding = sys.stdout.encoding or "utf-8"
        return terminal_safe(batch.decode(encoding, "replace")).encode(encoding, "replace")


def stdout_error(error: OSError) -> OutputError | None:
    """The error to raise where stdout is full, which is then discarded; None of any other error, or of another file."""
    if error.errno not in FULL_ERRORS or error is not _Waiting.refused:
        return None
    _discard_stdout()
    return OutputError(f"stdout: {reason_of(error)}")


def discard_if_full() -> None:
    """Discard buffered text that stdout does not accept; the error is reported elsewhere."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()


def wait_beside_reader(seconds: float) -> None:
    """Wait, and notice who reads stdout leave, though there is nothing to write. Raises BrokenPipeError."""
    try:
        descriptor = sys.stdout.fileno()
        poll = select.poll()
    except (AttributeError, io.UnsupportedOperation):  # Windows; or whoever calls it with a stream in memory
        time.sleep(seconds)
        return
    poll.register(descriptor, 0)  # for what is told unasked
    if poll.poll(seconds * 1000):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def let_go_of_readers() -> None:
    """Have what is still in buffers go nowhere where its reader takes nothing: the end would wait for it.

    After an interrupt. A file always takes something.
    """
    for descriptor in (1, 2) if hasattr(select, "poll") else ():
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if not poll.poll(0):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _discard_stdout() -> None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # else the end of the process tries again
