"""A directory that is replaced as a whole while others read it, and the one before it, which is kept beside it.

What is promised, whenever the process is killed or the system crashes: the name leads to the old directory or to the
new one, whole, and never to neither. A real directory is exchanged with the new one (sensor.files.exchange); a symbolic
link is made anew and renamed over the old link, which every POSIX system does in one step. Where a real directory
cannot be exchanged nothing is done. A reader that opens the directory once and both files by its descriptor gets files
of one directory.

Names beside NAME: `NAME.previous`, what was there before; `.NAME.new-…`, what is being written, which the next use
finishes or removes; and of a link `.NAME.version-…`, the directories that it and `NAME.previous` lead to.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sensor.files.exchange import UNSUPPORTED, exchange
from sensor.files.held import held, inside, walks

_VERSION = "version-"


class NotAtomicError(Exception):
    """A directory that cannot be replaced in one step here; the text says what to do."""


class BusyError(Exception):
    """A directory that another process replaces at this moment."""


class ReplacedDirectory:
    """One directory, or symbolic link to one, by its name."""

    def __init__(self, name: Path) -> None:
        """name: absolute, or of a directory that is not left; must exist by the time of any use but `create`."""
        self.name = name
        self._parent = name.parent  # while it is locked by root: what is held, whatever has the name
        self.previous = name.with_name(f"{name.name}.previous")  # what was there before

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from replacing it meanwhile. Raises BusyError, OSError.

        The lock is of the directory that holds it, and goes with the process.
        """
        try:
            import fcntl
        except ModuleNotFoundError:  # not a POSIX system
            yield
            return
        with held(self.name, to_create=True) as place:
            place.refuse_unalterable()
            descriptor = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=place.directory)
        try:
            if walks():
                self._parent = inside(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{self.name} is being replaced by another process: try again when that has ended"
            ) from None
        else:
            yield
        finally:
            self._parent = self.name.parent
            os.close(descriptor)

    @property
    def _own(self) -> Path:
        """Its name, in the directory that is held."""
        return self._parent / self.name.name

    @property
    def _before(self) -> Path:
        """That of the previous one."""
        return self._parent / self.previous.name

    def settle(self) -> list[str]:
        """Finish or remove what a killed process left; a line for each leftover. While locked. Raises OSError."""
        done = []
        for leftover in sorted(self._parent.glob(f".{_escaped(self.name.name)}.*")):
            told = self.name.with_name(leftover.name)
            words = leftover.name.removeprefix(f".{self.name.name}.")
            if words.startswith("new-") and words.removeprefix("new-").isdecimal():
                # Named for the directory that was to be replaced: if it is that one itself, it has been.
                if leftover.stat(follow_symlinks=False).st_ino == int(words.removeprefix("new-")):
                    self._keep_as_previous(leftover)
                    done.append(f"{told} was replaced by a process that was killed, and is {self.previous} now")
                else:
                    shutil.rmtree(leftover)
                    done.append(f"{told}, left by a process that was killed, is removed")
            elif words.startswith(_VERSION) and Path(os.path.realpath(leftover)) not in self._led_to():
                shutil.rmtree(leftover)
                done.append(f"{told}, to which nothing leads, is removed")
        return done

    def create(self, write: Callable[[Path], None], mode: int = 0o755) -> None:
        """Have a directory written that is not there yet, whole or not at all.

        write: fills an empty directory; what it raises leaves nothing behind. While locked. Raises OSError.
        """
        self.settle()
        fresh = self._parent / f".{self.name.name}.new-0"  # in the place of nothing: no directory has this number
        fresh.mkdir(mode=0o700)
        try:
            with _held_open(fresh) as (descriptor, held_fresh):
                write(held_fresh)
                _set_mode(fresh, descriptor, mode)
                _synchronise(held_fresh)
            fresh.rename(self._own)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        _synchronise_entries(self._parent)

    def replace(self, write: Callable[[Path], None]) -> None:
        """Have a new directory written and put it in the place of this one, which becomes the previous one.

        write: fills an empty directory, whose files get owner and mode of those of the same name; what it raises
        leaves everything as it is. An interrupt does, too, or comes too late. While locked. Raises NotAtomicError,
        OSError.
        """
        self.settle()
        old = self._own.resolve(strict=True)
        fresh = self._parent / f".{self.name.name}.new-{old.stat().st_ino}"
        fresh.mkdir(mode=0o700)
        try:
            with _held_open(fresh) as (_, held_fresh):
                write(held_fresh)
                _like(old, held_fresh)
                _synchronise(held_fresh)
            if os.path.islink(self._own):
                self._lead_to(fresh, old)
            else:
                self._exchange(self._own, fresh)
                self._keep_as_previous(fresh)
        except BaseException:  # an interrupt may come when they are exchanged: then it is the old one that has the name
            with suppress(OSError, NotAtomicError):
                self.settle()
            raise

    def restore(self) -> None:
        """Put the previous directory back in its place; what was there becomes the previous one.

        While locked. Raises FileNotFoundError where there is no previous one, NotAtomicError, OSError.
        """
        self.settle()
        if not os.path.lexists(self._before):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.previous))
        try:
            self._exchange(self._own, self._before)
        except NotAtomicError:
            if not (os.path.islink(self._own) and os.path.islink(self._before)):
                raise
        else:
            return
        now, before = self._own.readlink(), self._before.readlink()
        _relink(self._own, before)  # killed after this, both lead to the one before
        _relink(self._before, now)
        _synchronise_entries(self._parent)

    def _exchange(self, one: Path, other: Path) -> None:
        try:
            exchange(one, other)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            raise NotAtomicError(
                f"{self.name} cannot be replaced in one step on this file system; expected a symbolic link to a "
                "directory, which can"
            ) from error
        _synchronise_entries(self._parent)

    def _keep_as_previous(self, old: Path) -> None:
        """Have `old` for the previous directory instead of the one before, which goes."""
        if os.path.lexists(self._before):
            self._exchange(old, self._before)
            shutil.rmtree(old)
        else:
            old.rename(self._before)
        _synchronise_entries(self._parent)

    def _lead_to(self, fresh: Path, old: Path) -> None:
        """Have the link lead to a new directory and `NAME.previous` to the old one."""
        version = self._parent / f".{self.name.name}.{_VERSION}{fresh.stat().st_ino}"
        fresh.rename(version)
        _synchronise_entries(self._parent)
        # In this order: killed in between, both lead to the old one, and the new one is a leftover.
        _relink(self._before, Path(os.path.relpath(old, os.path.realpath(self._parent))))
        _relink(self._own, Path(version.name))
        _synchronise_entries(self._parent)
        self.settle()

    def _led_to(self) -> set[Path]:
        return {Path(os.path.realpath(path)) for path in (self._own, self._before)}


def _relink(link: Path, target: Path) -> None:
    """Have a link lead elsewhere, or make it; a directory by its name is in the way."""
    fresh = link.with_name(f".{link.name}.link")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


@contextmanager
def _held_open(fresh: Path) -> Iterator[tuple[int, Path]]:
    """A directory that was just made: its descriptor, and a path that for root leads to it whatever has the name."""
    if os.name != "posix":
        yield -1, fresh  # no system but those of POSIX opens a directory
        return
    descriptor = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not walks():
            yield descriptor, fresh
        elif os.fstat(descriptor).st_uid == os.geteuid() and not os.listdir(descriptor):
            yield descriptor, inside(descriptor)
        else:
            raise PermissionError(errno.EPERM, "another directory took its place", str(fresh))
    finally:
        os.close(descriptor)


def _set_mode(path: Path, descriptor: int, mode: int) -> None:
    if descriptor == -1:
        path.chmod(mode)
    else:
        os.fchmod(descriptor, mode)


def _like(old: Path, fresh: Path) -> None:
    """Give a directory and its files mode and owner of another and of its files, so that they may read who did."""
    files = [(old / file.name if os.path.isfile(old / file.name) else None, file) for file in fresh.iterdir()]
    for model, path in (*files, (old, fresh)):
        status = (model or old).stat()
        mode = (status.st_mode & 0o777) if model else status.st_mode & 0o666
        if os.name != "posix":
            path.chmod(mode)
            continue
        # a file of the directory that is held, and no link's target; the directory itself is what its path leads to
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NOFOLLOW if path != fresh else 0))
        try:
            found = os.fstat(descriptor)
            if (status.st_uid, status.st_gid) != (found.st_uid, found.st_gid) and os.geteuid() == 0:
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def _synchronise(directory: Path) -> None:
    """Have the files of a directory and their names on disk."""
    for file in directory.iterdir():
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    _synchronise_entries(directory)


def _synchronise_entries(directory: Path) -> None:
    if os.name != "posix":
        return  # no system but those of POSIX opens a directory
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _escaped(name: str) -> str:
    """A name as a pattern that fits it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
