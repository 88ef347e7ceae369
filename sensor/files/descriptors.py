"""Files that outputs write to: made for whom they shall belong to, and why one could not be."""

import errno
import os
import re
from pathlib import Path
from typing import Protocol

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would write two bytes at each line's end
APPEND = os.O_WRONLY | os.O_APPEND | _BINARY
REPLACE = os.O_WRONLY | os.O_TRUNC | _BINARY
_OF_THE_LIBRARY = re.compile(r"\[ssl[^]]*\] | ?\(_ssl\.c:\d+\)")  # where in OpenSSL's binding an error came up
MODE = 0o640  # what traffic tells is for its owner and group


class Owner(Protocol):
    """Whom a file shall belong to, by number."""

    @property
    def uid(self) -> int:
        """User."""

    @property
    def gid(self) -> int:
        """Group."""


def open_for(path: Path, flags: int, owner: Owner | None) -> int:
    """Descriptor of a file, made where there is none. Raises OSError.

    flags: APPEND or REPLACE. owner: whom the file shall belong to where it is made now; a file that was there stays
    whose it was.
    """
    if owner is None:
        return os.open(path, flags | os.O_CREAT, MODE)
    try:
        # Exclusive, so that what is given away is a file of our own making and no link's target.
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        return os.open(path, flags)
    try:
        os.fchown(descriptor, owner.uid, owner.gid)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def own_directory(path: Path, owner: Owner | None) -> None:
    """Make a directory where there is none. owner: whom it shall then belong to. Raises OSError."""
    if path.is_dir():
        return
    path.mkdir(mode=0o750, parents=True)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)


def reason_of(error: OSError) -> str:
    """The system's reason in a few words."""
    if error.errno == errno.ENOSPC:
        return "no space left"
    return _OF_THE_LIBRARY.sub("", (error.strerror or str(error)).lower()).rstrip(".")
