"""Text on stdout that has arrived or is known not to have."""

import errno
import os
import sys
from typing import Final

from sensor.errors import OutputError

# What a write says of a file that takes no more; it names no file, as opening one would.
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def say(text: str) -> None:
    """Write text. Raises OutputError where it cannot be taken, BrokenPipeError where nobody reads it."""
    try:
        if text:  # unbuffered, a full file refuses even nothing
            sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise lost(error) from error


def lost(error: OSError) -> OSError | OutputError:
    """What a failed write to stdout means: OutputError where that is full, else the error as it is."""
    if error.errno not in FULL or error.filename is not None:
        return error
    _give_up()
    return OutputError(f"stdout: {(error.strerror or str(error)).lower()}")


def give_up_where_full() -> None:
    """Let go of text that stdout does not take, after somebody has said so."""
    try:
        sys.stdout.flush()
    except OSError:
        _give_up()


def _give_up() -> None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # else the end of the process tries again
