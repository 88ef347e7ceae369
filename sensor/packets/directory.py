"""The directory of kept captures: whole files or none, held to a total by deleting the oldest.

Only files named like ours are counted and deleted. The total counts what this process found at its start and wrote
since.
"""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from sensor.errors import OutputError
from sensor.files.descriptors import REPLACE, Owner, open_for, own_directory, reason_of

SUFFIX: Final = ".pcapng"
_OURS: Final = re.compile(r"[A-Z2-7]{26}\.pcapng")
_UNFINISHED: Final = ".unfinished"


def make_directory(path: Path, owner: Owner | None = None) -> None:
    """Make it where there is none. owner: whom it shall then belong to. Raises OutputError."""
    try:
        own_directory(path, owner)
    except OSError as error:
        raise _unusable(path, error) from error


class PacketDirectory:
    """deleted: files that gave way since the start."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """path: exists. limit_bytes: of all files together. Raises OutputError when it cannot be written."""
        self.path = path
        self.deleted = 0
        self._limit = limit_bytes
        try:
            found = sorted(self._found(), key=lambda found: (found[1].st_mtime_ns, found[0]))
            self._sizes = {name: status.st_size for name, status in found}  # oldest first
            self._total = sum(self._sizes.values())
            trial = path / f".flowvigil{_UNFINISHED}"
            _write_whole(trial, b"")
            trial.unlink()
            self._make_room(0)
        except OSError as error:
            raise _unusable(path, error) from error

    def begin(self, name: str) -> None:
        """A file of this name will be made anew: one that another run left is then no older than the others."""
        self._total -= self._sizes.pop(name, 0)

    def holds(self, name: str) -> bool:
        """Whether a file was written and is still there."""
        return name in self._sizes and (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """What a file holds. Raises OSError."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a whole file after the oldest others have given way. Raises OSError: then it is as it was."""
        self._make_room(len(content) - self._sizes.get(name, 0), name)
        new = self.path / (name + _UNFINISHED)
        try:
            _write_whole(new, content)
            new.replace(self.path / name)
        except OSError:
            with suppress(OSError):
                new.unlink()
            raise
        self._total += len(content) - self._sizes.get(name, 0)
        self._sizes[name] = len(content)

    def _make_room(self, needed: int, keep: str | None = None) -> None:
        for name in list(self._sizes) if self._total + needed > self._limit else ():
            if name != keep:
                (self.path / name).unlink(missing_ok=True)
                self._total -= self._sizes.pop(name)
                self.deleted += 1
            if self._total + needed <= self._limit:
                return

    def _found(self) -> list[tuple[str, os.stat_result]]:
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    continue
                if _OURS.fullmatch(entry.name.removesuffix(_UNFINISHED)):
                    if entry.name.endswith(_UNFINISHED):  # of a run that was killed
                        os.unlink(entry.path)
                    else:
                        found.append((entry.name, status))
        return found


def _write_whole(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = open_for(path, REPLACE | os.O_EXCL, None)  # a file of our own making and no link's target
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"packets cannot be kept in {path}: {reason_of(error)}, expected a directory or a place for one")
