"""The directory of a flow log: files get their names when they are whole, and the oldest give way to a limit.

Several runs may write to one directory. Only files with a name of a flow log are counted, deleted or taken for
leftovers. A file that is being written is locked by its process, so what is not locked was left by one that was killed,
whatever has its process number now.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from sensor.errors import OutputError, reason_of
from sensor.files.held import Held, held
from sensor.files.ownership import MODE, REPLACE, Owner, make_owned_directory
from sensor.files.unfinished import remove_leftovers
from sensor.flow_log.files import LogName, log_name

UNFINISHED: Final = ".unfinished"


def make_directory(path: Path, owner: Owner | None = None) -> None:
    """Create the directory if it is missing, for its future owner. Raises OutputError."""
    try:
        make_owned_directory(path, owner)
    except OSError as error:
        raise _unusable(path, error) from error


def remove_log(path: Path) -> None:
    """Remove the files of flow logs, those that nobody writes any more too, and the directory if nothing else is in it.

    What cannot be removed stays.
    """
    with suppress(OSError), held(path / "x", to_create=True) as inside:
        for name, _ in _files(inside):
            inside.beside(name).unlink(missing_ok=True)
    remove_leftovers(path, _is_unfinished)
    with suppress(OSError):
        path.rmdir()


class LogDirectory:
    """Files of flow logs within a limit of their total size, those of other runs too."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """Remove what killed runs left, and try to write. Raises OutputError for a directory that cannot be used."""
        self.path = path
        self.deleted = 0  # files that were deleted to make room
        self._limit = limit_bytes
        try:
            remove_leftovers(path, _is_unfinished)
            with held(self.unfinished(LogName(0, secrets.token_hex(8), 1)), to_create=True) as trial:
                os.close(trial.open(REPLACE | os.O_CREAT | os.O_EXCL, MODE))
                trial.unlink(missing_ok=True)  # another run may take it for a leftover meanwhile
            self.make_room(0)
        except OSError as error:
            raise _unusable(path, error) from error

    def unfinished(self, name: LogName) -> Path:
        """Path of a file while it is written."""
        return self.path / f".{name}{UNFINISHED}"

    def finish(self, name: LogName, size: int) -> None:
        """Give a whole file its name, after making room for it. size: bytes. Raises OSError."""
        self.make_room(size)
        with held(self.unfinished(name), to_create=True) as whole:
            whole.rename(str(name))

    def make_room(self, needed: int) -> None:
        """Delete the oldest files until so many bytes more are within the limit. Raises OSError."""
        with held(self.path / "x", to_create=True) as inside:
            found = sorted(_files(inside), key=lambda file: (file[1].st_mtime_ns, file[0]))
            total = sum(status.st_size for _, status in found) + needed
            for name, status in found:
                if total <= self._limit:
                    return
                inside.beside(name).unlink(missing_ok=True)
                total -= status.st_size
                self.deleted += 1


def _files(inside: Held) -> list[tuple[str, os.stat_result]]:
    """Files of a flow log in a directory that is held."""
    found = []
    with inside.entries() as entries:
        for entry in entries:
            if log_name(entry.name) is not None:
                with suppress(FileNotFoundError):  # another run deletes, too
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found.append((entry.name, status))
    return found


def _is_unfinished(name: str) -> bool:
    inner = name.removeprefix(".").removesuffix(UNFINISHED)
    return len(inner) + len(UNFINISHED) + 1 == len(name) and log_name(inner) is not None


def _unusable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"flows cannot be kept in {path}: {reason_of(error)}, expected a directory or a place for one")
