"""Where clients find the sensor: a unix socket in the file system, for its owner and a group.

A socket that nobody listens at any more is replaced; any other file, and one that somebody listens at, is left alone.
Source: unix(7).
"""

import grp
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor.errors import ConfigError, reason_of
from sensor.files.ownership import Owner
from sensor.files.sockets import Made, bind, remove

SETTING: Final = "attach.socket"
MASK: Final = 0o117  # leaves reading and writing to owner and group
BACKLOG: Final = 16


@dataclass(frozen=True, slots=True)
class Place:
    """A socket that listens, in the file system."""

    path: Path  # its name
    listener: socket.socket  # non-blocking
    made: Made

    def leave(self) -> None:
        """Stop listening, and remove the file where it is still the one that was made and that is permitted.

        One that stays, in a directory of root's, is replaced at the next start.
        """
        self.listener.close()
        try:
            remove(self.path, self.made)
        except OSError:
            return


def listen(path: Path, owner: Owner | None, group: str | int | None) -> Place:
    """Make the socket and listen. Raises ConfigError.

    owner: whom it shall belong to, None for who makes it. group: who may connect beside the owner, by name or number;
    None is the owner's own group.
    """
    gid = -1 if group is None else gid_of(group)
    if owner is not None and group is None:
        gid = owner.gid
    clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        made = bind(listener, path, MASK, -1 if owner is None else owner.uid, gid)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise refusal(path, _reason(error, path)) from error
    return Place(path, listener, made)


def clear(path: Path) -> None:
    """Remove a socket that nobody listens at. Raises ConfigError where something else has the name."""
    try:
        if refuse_taken(path):
            remove(path)
    except OSError as error:
        raise refusal(path, _reason(error, path)) from error


def refuse_taken(path: Path) -> bool:
    """Whether a socket that nobody listens at has the name. Raises ConfigError where something else has it."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refusal(path, _reason(error, path)) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise refusal(path, "found a file that is no socket", "a name that is free")
    if _somebody_listens(path):
        raise refusal(path, "somebody listens there already", "a name that is free, and one sensor for each socket")
    return True


def gid_of(group: str | int) -> int:
    """Number of a group. Raises ConfigError where there is none of that name."""
    if isinstance(group, int):
        if 0 <= group < 2**32 - 1:
            return group
    else:
        try:
            return grp.getgrnam(group).gr_gid
        except (KeyError, ValueError):  # ValueError: a zero byte
            pass
    raise ConfigError(f"attach.group is {group!r}: no such group, expected the name or the number of one")


def refusal(path: Path, found: str, expected: str = "a place where a socket can be made") -> ConfigError:
    """Why there is no socket."""
    return ConfigError(f"{SETTING} {path}: {found}, expected {expected}")


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:  # busy, of another type, or not for us: not known to be stale
            return True
    return True


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError) and not os.path.isdir(path.absolute().parent):
        return f"there is no directory {path.absolute().parent}"
    return reason_of(error)
