"""Writes to stdout, with an error where it did not arrive."""

import errno
import os
import sys
from collections.abc import Iterable
from typing import Final

from sensor.errors import OutputError
from sensor.printable import terminal_safe

# Errors of a write to a full device. They have no file name, as those of opening a file do.
FULL_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


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
        raise stdout_error(error) from error


def write_lines(lines: Iterable[bytes]) -> None:
    """Write and flush whole lines; what a terminal could obey is escaped where stdout is one.

    Raises BrokenPipeError when the reader has gone, OutputError when lines were lost for any other reason.
    """
    stream = sys.stdout.buffer
    try:
        if sys.stdout.isatty():
            lines = map(_terminal_safe_line, lines)
        stream.writelines(lines)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"stdout: {error.strerror or error}") from error


def _terminal_safe_line(line: bytes) -> bytes:
    """A line of JSON, which is UTF-8, or of text as the terminal has it."""
    try:
        return terminal_safe(line.decode()).encode()
    except UnicodeDecodeError:
        encoding = sys.stdout.encoding or "utf-8"
        return terminal_safe(line.decode(encoding, "replace")).encode(encoding, "replace")


def stdout_error(error: OSError) -> OSError | OutputError:
    """The error to raise for a failed write: OutputError where stdout is full, which is then discarded, else itself."""
    if error.errno not in FULL_ERRORS or error.filename is not None:
        return error
    _discard_stdout()
    return OutputError(f"stdout: {(error.strerror or str(error)).lower()}")


def discard_if_full() -> None:
    """Discard buffered text that stdout does not accept; the error is reported elsewhere."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()


def _discard_stdout() -> None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # else the end of the process tries again
