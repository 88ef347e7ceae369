"""Files of captures that are read at once, of which only so many are open.

A file that was closed to make room for another is opened again where its reading stands.
"""

import errno
import os
import stat
from collections import OrderedDict
from io import FileIO
from pathlib import Path
from typing import Final

MAX_OPEN: Final = 64


class FilePool:
    """Opens files, and closes those that were not read for the longest time."""

    def __init__(self) -> None:
        self._open: OrderedDict[PooledFile, FileIO] = OrderedDict()

    def open(self, path: str | Path) -> "PooledFile | FileIO":
        """Open a file; what is no regular file, such as a pipe, stays open until it is closed. Raises OSError."""
        raw = FileIO(path)
        if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
            return raw
        pooled = PooledFile(self, path, _identity(raw))
        self._keep(pooled, raw)
        return pooled

    def raw(self, pooled: "PooledFile") -> FileIO:
        """The open file of one of its own. Raises OSError when it cannot be opened again, or is another file."""
        raw = self._open.get(pooled)
        if raw is None:
            raw = FileIO(pooled.path)
            if _identity(raw) != pooled.identity:  # another one has its name by now
                raw.close()
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(pooled.path))
            raw.seek(pooled.position)
            self._keep(pooled, raw)
        else:
            self._open.move_to_end(pooled)
        return raw

    def forget(self, pooled: "PooledFile") -> None:
        """Close a file for good."""
        raw = self._open.pop(pooled, None)
        if raw is not None:
            raw.close()

    def close(self) -> None:
        """Close all."""
        while self._open:
            self._open.popitem()[1].close()

    def _keep(self, pooled: "PooledFile", raw: FileIO) -> None:
        self._open[pooled] = raw
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)[1].close()


class PooledFile:
    """A regular file that may be closed between two reads."""

    def __init__(self, pool: FilePool, path: str | Path, identity: tuple[int, int]) -> None:
        """identity: device and number of the file."""
        self.path = path
        self.identity = identity
        self.position = 0  # bytes read
        self._pool = pool

    def readinto(self, view: memoryview, /) -> int:
        """Read into the view once: bytes read, 0 at the end. Raises OSError."""
        count = self._pool.raw(self).readinto(view) or 0
        self.position += count
        return count

    def fileno(self) -> int:
        """File descriptor, until another file is read."""
        return self._pool.raw(self).fileno()

    def close(self) -> None:
        """Close it for good."""
        self._pool.forget(self)


def _identity(raw: FileIO) -> tuple[int, int]:
    status = os.fstat(raw.fileno())
    return status.st_dev, status.st_ino
