"""The directory of alert captures: files are written atomically, and the oldest are deleted to stay within a limit.

Only files with a name of ours are counted and deleted. The total counts what this process found at its start and
wrote since: one sensor at a time keeps packets in a directory.
"""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from sensor.errors import OutputError, reason_of
from sensor.files.alone import InUseError, lock_alone, unlock
from sensor.files.held import Held, held
from sensor.files.ownership import MODE, REPLACE, Owner, make_owned_directory

SUFFIX: Final = ".pcapng"
FILES: Final = 1 << 18  # at most, however small: some 200 bytes of memory each, and a directory that can be listed
_OURS: Final = re.compile(r"[A-Z2-7]{26}\.pcapng")
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # for what somebody may have put there
_UNFINISHED: Final = ".unfinished"
_ANY_NAME: Final = "x"  # in a directory that is to be held


def make_directory(path: Path, owner: Owner | None = None) -> None:
    """Create the directory if it is missing, for its future owner. Raises OutputError."""
    try:
        make_owned_directory(path, owner)
    except OSError as error:
        raise _unusable(path, error) from error


class PacketDirectory:
    """Files of a directory within limits of their total size and of their number."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """Scan the directory. Raises OutputError when it is missing, cannot be written or another sensor uses it.

        limit_bytes: of all files together.
        """
        self.path = path
        self.deleted = 0  # files that were deleted to make room
        self._limit = limit_bytes
        self._lock: int | None = None  # descriptor of the directory
        try:
            self._lock_it()
            found = sorted(self._found(), key=lambda found: (found[1].st_mtime_ns, found[0]))
            self._sizes = {name: status.st_size for name, status in found}  # oldest first
            self._total = sum(self._sizes.values())
            with held(path / f".flowvigil{_UNFINISHED}", to_create=True) as trial:
                _write_file(trial, b"")
                trial.unlink()
            self._make_room(0)
        except OSError as error:
            self.close()
            raise _unusable(path, error) from error

    def close(self) -> None:
        """Let others keep packets there."""
        if self._lock is not None:
            unlock(self._lock)
            self._lock = None

    def begin(self, name: str) -> None:
        """Announce that a file is going to be written anew: one left by another run no longer counts as the oldest."""
        self._total -= self._sizes.pop(name, 0)

    def contains(self, name: str) -> bool:
        """Whether a file was written and still exists."""
        if name not in self._sizes:
            return False
        try:
            with held(self.path / name) as place:
                return stat.S_ISREG(place.status().st_mode)
        except OSError:
            return False

    def read(self, name: str) -> bytes:
        """Content of a file as it was written. Raises OSError, and ValueError where somebody has changed its size."""
        size = self._sizes.get(name, 0)
        with held(self.path / name) as place, os.fdopen(place.open(os.O_RDONLY | _NO_WAIT), "rb") as file:
            content = file.read(size + 1)
        if len(content) != size:
            raise ValueError(f"{name}: found another size than {size:,} bytes")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Create or replace a file atomically, after deleting the oldest others to make room.

        Raises OSError; the file is then as it was.
        """
        self._make_room(len(content) - self._sizes.get(name, 0), name, int(name not in self._sizes))
        with held(self.path / (name + _UNFINISHED), to_create=True) as new:
            try:
                _write_file(new, content)
                new.rename(name)
            except OSError:
                with suppress(OSError):
                    new.unlink()
                raise
        self._total += len(content) - self._sizes.get(name, 0)
        self._sizes[name] = len(content)

    def _lock_it(self) -> None:
        """Have it for this process alone, which neither counts nor spares what another one writes. Raises OSError."""
        with held(self.path / _ANY_NAME, to_create=True) as inside:
            if inside.directory is not None:
                self._lock = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=inside.directory)
                lock_alone(self._lock)

    def _make_room(self, needed: int, spare: str | None = None, files: int = 0) -> None:
        """Delete the oldest files but `spare` until there is room for so many bytes and files more. Raises OSError."""
        if self._has_room(needed, files):
            return
        with held(self.path / _ANY_NAME, to_create=True) as inside:
            for name in list(self._sizes):
                if name != spare:
                    inside.beside(name).unlink(missing_ok=True)
                    self._total -= self._sizes.pop(name)
                    self.deleted += 1
                if self._has_room(needed, files):
                    return

    def _has_room(self, needed: int, files: int) -> bool:
        return self._total + needed <= self._limit and len(self._sizes) + files <= FILES

    def _found(self) -> list[tuple[str, os.stat_result]]:
        found = []
        with held(self.path / _ANY_NAME, to_create=True) as inside, inside.entries() as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    continue
                if _OURS.fullmatch(entry.name.removesuffix(_UNFINISHED)):
                    if entry.name.endswith(_UNFINISHED):  # left by a run that was killed
                        inside.beside(entry.name).unlink()
                    else:
                        found.append((entry.name, status))
        return found


def _write_file(place: Held, content: bytes) -> None:
    place.unlink(missing_ok=True)
    # a file of our own making and no link's target
    descriptor = place.open(REPLACE | os.O_CREAT | os.O_EXCL, MODE)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> OutputError:
    wanted = "a directory of its own" if isinstance(error, InUseError) else "a directory or a place for one"
    return OutputError(f"packets cannot be kept in {path}: {reason_of(error)}, expected {wanted}")
