"""Unix sockets in the file system: bound and removed relative to a directory that is held, given away by descriptor.

Whoever may rename on the way to one must not get another file made, removed or given away (sensor.files.held). It knows
no protocol. Source: unix(7).
"""

import errno
import os
import socket
import stat
import sys
from pathlib import Path

from sensor.files.held import held, walks

Made = tuple[int, int]  # what the file of a socket is known by: device and inode


def bind(listener: socket.socket, path: Path, mask: int, uid: int = -1, gid: int = -1) -> Made:
    """Bind a socket to a path; what its file is known by.

    mask: bits that its mode does not have, not even for a moment. uid, gid: whom it is given to, -1 for who makes it.
    Raises OSError.
    """
    with held(path, to_create=True) as place:
        return _bound(listener, place.path() if walks() else path, mask, uid, gid)


def remove(path: Path, made: Made | None = None) -> None:
    """Remove a socket's file. made: only where it is this one. Raises OSError."""
    with held(path, to_create=True) as place:
        found = place.status()
        if stat.S_ISSOCK(found.st_mode) and made in (None, (found.st_dev, found.st_ino)):
            place.unlink()


def _bound(listener: socket.socket, path: Path, mask: int, uid: int, gid: int) -> Made:
    before = os.umask(mask)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    if sys.platform != "linux":
        if (uid, gid) != (-1, -1):
            os.chown(path, uid, gid, follow_symlinks=False)
        found = os.lstat(path)
        return found.st_dev, found.st_ino
    # By a descriptor: whoever may rename in that directory must not get another file given away.
    file = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        found = os.fstat(file)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, "another file took its place")
        if (uid, gid) != (-1, -1):
            os.chown(f"/proc/self/fd/{file}", uid, gid)
        return found.st_dev, found.st_ino
    finally:
        os.close(file)
