"""Files and directories that are created for another owner than the process, and given away by their descriptor.

Where they are is for sensor.files.held to say: root follows no link of others.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sensor.files.held import held

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would write two bytes at each line's end
CREATE = os.O_WRONLY | _BINARY
APPEND = os.O_WRONLY | os.O_APPEND | _BINARY
REPLACE = os.O_WRONLY | os.O_TRUNC | _BINARY
MODE = 0o640  # traffic data is for owner and group only


class Owner(Protocol):
    """Owner of a file, by number."""

    @property
    def uid(self) -> int:
        """User id."""

    @property
    def gid(self) -> int:
        """Group id."""


def open_owned(path: Path, flags: int, owner: Owner | None) -> int:
    """Open a file for writing and create it if it is missing; returns the descriptor. Raises OSError.

    flags: CREATE (leaves what is there), APPEND or REPLACE; with os.O_EXCL a file that exists is a FileExistsError.
    owner: of a file that is created; None: this process. An existing file keeps its owner. The group is the directory's
    where that hands its own on (S_ISGID), as if the owner had made the file.
    """
    with held(path, to_create=bool(flags & os.O_EXCL)) as place:
        if not flags & os.O_EXCL:
            with suppress(FileNotFoundError):
                return place.open(flags)
        try:
            # Exclusive: only a file created here is given away, never the target of a link.
            descriptor = place.open(flags | os.O_CREAT | os.O_EXCL, MODE)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            return place.open(flags)
        hands_its_group_on = place.hands_its_group_on
    if owner is None:
        return descriptor
    try:
        os.fchown(descriptor, owner.uid, -1 if hands_its_group_on else owner.gid)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def make_owned_directory(path: Path, owner: Owner | None, mode: int = 0o750) -> None:
    """Create a directory and its parents if it is missing. owner, mode: of one that is created. Raises OSError."""
    if os.path.isdir(path):
        return
    for parent in reversed(path.parents):
        if not os.path.isdir(parent):
            with held(parent, to_create=True) as place, suppress(FileExistsError):
                place.make_directory(0o777)
    with held(path, to_create=True) as place:
        try:
            place.make_directory(mode, *((owner.uid, owner.gid) if owner is not None else ()))
        except FileExistsError:  # by another run that has begun meanwhile
            if not os.path.isdir(path):
                raise
