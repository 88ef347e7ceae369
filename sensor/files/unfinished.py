"""Files that get their name when they are whole, and directories for work: what a killed run left of them is removed.

What is being written is locked by its process, and a lock ends with its process, however that ends. So what has a name
of an unfinished file and no lock was left behind, whatever has its process number now.
"""

import errno
import math
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from sensor.errors import OutputError, reason_of
from sensor.files.held import Held, held, target_of
from sensor.files.ownership import MODE, Owner

try:
    import fcntl
except ImportError:  # Windows, where a file that somebody has open cannot be removed

    def lock(descriptor: int) -> None:
        """Do nothing."""

else:

    def lock(descriptor: int) -> None:
        """Lock an open file or directory for this process alone. Raises BlockingIOError where another one has it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


PUBLIC: Final = 0o666  # what holds no traffic is for whom the process's mask lets read it
_NAME_BYTES: Final = 100  # of the target's name in that of the unfinished file, whose length is bounded
# Of file systems that know no locks: what is left there is left alone.
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_TOKEN: Final = re.compile(r"[0-9a-z_]{1,16}\.part")
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_FOUND: Final = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_PATIENCE_S: Final = 5.0  # with a run that removes leftovers, which takes a moment
_SCRATCH: Final = "flowvigil-work-"
_INSIDE: Final = "x"  # a name in a directory that is to be held


@contextmanager
def whole_file(path: Path, mode: int = MODE) -> Iterator[IO[bytes]]:
    """A stream whose content is at the path, on disk, once the block has ended; what was there stays until then.

    path: of a file, or of a link to one, which stays a link. mode: before the mask of the process. Where the block
    raises, nothing is left behind and the file stays as it was. Raises OSError.
    """
    with held(target_of(path)) as target:
        name = os.path.basename(target.name)
        _remove_leftovers(target, lambda other: _is_unfinished(other, name))
        unfinished = target.beside(f"{_beginning(name)}{secrets.token_hex(8)}.part")
        with _renamed_at_the_end(unfinished, name, mode) as stream:
            yield stream


@contextmanager
def _renamed_at_the_end(unfinished: Held, name: str, mode: int) -> Iterator[IO[bytes]]:
    stream = os.fdopen(_created_locked(unfinished, mode), "wb")
    try:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
        if os.name != "posix":
            stream.close()  # Windows does not rename a file that somebody has open
        unfinished.rename(name)
        stream.close()
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        with suppress(OSError):  # what is still buffered cannot be written either
            stream.close()
        raise


def refuse_unwritable(path: Path) -> None:
    """Raise OSError where no whole file could be written at a path, before the work for it is done.

    A file is made beside it and removed: permissions alone do not tell of a read-only file system. So are those that
    killed runs left there.
    """
    if os.path.isdir(path):
        raise IsADirectoryError(21, "is a directory")
    with held(target_of(path)) as target:
        if os.path.exists(path) and not stat.S_ISREG(target.status().st_mode):
            raise OSError(22, "is no regular file")
        name = os.path.basename(target.name)
        _remove_leftovers(target, lambda other: _is_unfinished(other, name))
        trial = target.beside(f"{_beginning(name)}{secrets.token_hex(8)}.part")
        os.close(_created_locked(trial, MODE))
        trial.unlink(missing_ok=True)  # another run may take it for a leftover meanwhile


def create_locked(path: Path, mode: int = MODE) -> int:
    """Descriptor of a new file, locked so that nobody takes it for a leftover. Raises OSError."""
    with held(path, to_create=True) as place:
        return _created_locked(place, mode)


def _created_locked(place: Held, mode: int) -> int:
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        descriptor = place.open(_NEW, mode)
        try:
            while not _is_locked(descriptor, deadline_s):
                time.sleep(0.001)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # a run that started took it for a leftover, and has removed it by now


def remove_leftovers(directory: Path, is_ours: Callable[[str], bool]) -> None:
    """Remove unfinished files that no process writes. is_ours: whether a name is one of an unfinished file.

    What cannot be looked at or removed stays.
    """
    with suppress(OSError), held(directory / _INSIDE, to_create=True) as inside:
        _remove_leftovers(inside, is_ours)


def _remove_leftovers(inside: Held, is_ours: Callable[[str], bool]) -> None:
    with suppress(OSError), inside.entries() as entries:
        for entry in entries:
            if is_ours(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # it is being written, or is another user's
                    _remove_unless_locked(inside.beside(entry.name))


@contextmanager
def scratch_directory(owner: Owner | None = None) -> Iterator[Path]:
    """A directory for work that only its owner can read, removed on exit; those of killed processes go first.

    owner: whom it belongs to, None for this process. Raises OutputError.
    """
    try:
        directory, descriptor = _scratch(owner)
    except OSError as error:
        raise OutputError(f"{tempfile.gettempdir()}: no temporary directory: {reason_of(error)}") from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def kept_in(scratch: Path) -> Iterator[None]:
    """While a file is written to a directory for work: raise OutputError for what keeps it from being there."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{scratch.parent}: nothing can be kept there meanwhile: {reason_of(error)}; TMPDIR chooses another "
            "directory"
        ) from error


def _beginning(target: str) -> str:
    return f".{os.fsdecode(os.fsencode(target)[:_NAME_BYTES])}."


def _is_unfinished(name: str, target: str) -> bool:
    beginning = _beginning(target)
    return name.startswith(beginning) and _TOKEN.fullmatch(name, len(beginning)) is not None


def _is_locked(descriptor: int, deadline_s: float) -> bool:
    """Whether it is locked now, for us, as far as there are locks. Raises BlockingIOError after the deadline."""
    try:
        lock(descriptor)
    except BlockingIOError:
        if time.monotonic() > deadline_s:
            raise
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _remove_unless_locked(place: Held) -> None:
    descriptor = place.open(_FOUND)
    try:
        lock(descriptor)
        place.unlink()
    finally:
        os.close(descriptor)


def _scratch(owner: Owner | None) -> tuple[Path, int | None]:
    """A new directory for work, after those of killed processes went, and what holds its lock. Raises OSError."""
    if os.name != "posix":
        return Path(tempfile.mkdtemp(prefix=_SCRATCH)), None
    _remove_scratch(Path(tempfile.gettempdir()), {os.geteuid(), *([owner.uid] if owner else [])})
    directory, descriptor = _locked_directory()
    if owner is not None:
        os.fchown(descriptor, owner.uid, owner.gid)
    return directory, descriptor


def _locked_directory() -> tuple[Path, int]:
    """A new directory and what holds its lock."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # taken for a leftover before it was locked
            continue
        try:
            if _is_locked(descriptor, math.inf) and os.fstat(descriptor).st_nlink:
                return directory, descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _remove_scratch(place: Path, users: set[int]) -> None:
    """Remove directories for work of these users that no process has locked."""
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if not entry.name.startswith(_SCRATCH) or not entry.is_dir(follow_symlinks=False):
                continue
            with suppress(OSError):  # another process has it, or it is another user's
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    if os.fstat(descriptor).st_uid in users:
                        lock(descriptor)
                        shutil.rmtree(entry.path, ignore_errors=True)
                finally:
                    os.close(descriptor)
