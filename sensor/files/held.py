"""Directories that are held while something is done in them, and how far root follows links to get there.

Who may rename in a directory can put a link in a name's place between two steps of a process, and have root write
anywhere. So root walks: each directory is opened relative to the one before, which is held, and no link is followed but
by this rule. A link stands for whoever can put one there: root, where its directory is root's and nobody else may write
to it, or where it is root's own in a directory whose entries only their owners may move (the sticky bit); the owner of
the directory, where nobody else may write to it; the owner of the link, in a directory with the sticky bit; anybody, in
any other. Root's links lead anywhere, links of anybody nowhere, and those of a user only where that user could go and
write without root's help. Any other process follows links as the system does: it can do no more than its user.

Linux. Elsewhere paths are taken as they are. Source: openat(2), O_PATH and O_NOFOLLOW of open(2), path_resolution(7).
"""

import errno
import os
import pwd
import shutil
import stat
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LINUX: Final = sys.platform == "linux"
MOST_LINKS: Final = 40  # as the kernel
ROOT: Final = 0
_HOLD = getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Held:
    """A directory that is held open, and a name in it; what has the name may change, the directory does not."""

    directory: int | None  # descriptor, None on systems that cannot open relative to one
    name: str  # in it; a whole path where there is no descriptor
    behalf: frozenset[int] = frozenset()  # uids of users whose links led here
    follows: bool = False  # whether a link that has the name is the system's own (proc(5)) and is followed

    def open(self, flags: int, mode: int = 0o640) -> int:
        """Open, or create, what has the name: a link is refused with ELOOP where root must not follow it.

        Raises OSError, PermissionError too for what the users whose links led here could not write to themselves.
        """
        if self.directory is None or not walks():
            return os.open(self.name, flags, mode, dir_fd=self.directory)
        create = bool(flags & os.O_EXCL)
        if flags & os.O_CREAT:
            self.refuse_unalterable()
        no_link = 0 if self.follows else os.O_NOFOLLOW
        descriptor = os.open(self.name, flags & ~os.O_TRUNC | no_link, mode, dir_fd=self.directory)
        try:
            if not create:
                self._refuse_foreign(os.fstat(descriptor))
            if flags & os.O_TRUNC:
                os.ftruncate(descriptor, 0)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def status(self) -> os.stat_result:
        """Of what has the name, a link itself. Raises OSError."""
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the name. Raises OSError."""
        self.refuse_unalterable()
        try:
            os.unlink(self.name, dir_fd=self.directory)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rename(self, name: str) -> None:
        """Give what has the name another one in the same directory, whatever had that. Raises OSError."""
        self.refuse_unalterable()
        to = name if self.directory is not None else os.path.join(os.path.dirname(self.name), name)
        os.replace(self.name, to, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def beside(self, name: str) -> "Held":
        """Another name in the same directory."""
        inside = name if self.directory is not None else os.path.join(os.path.dirname(self.name), name)
        return Held(self.directory, inside, self.behalf)

    @contextmanager
    def entries(self) -> Iterator[Iterator["os.DirEntry[str]"]]:
        """What is in the directory that is held. Raises OSError."""
        if self.directory is None:
            with os.scandir(os.path.dirname(self.name) or ".") as found:
                yield found
            return
        listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.directory)
        try:
            with os.scandir(listed) as found:
                yield found
        finally:
            os.close(listed)

    def make_directory(self, mode: int, uid: int = -1, gid: int = -1) -> None:
        """Make a directory, given away by its descriptor. Raises OSError."""
        self.refuse_unalterable()
        os.mkdir(self.name, 0o700 if uid != -1 else mode, dir_fd=self.directory)
        if uid == -1:
            return
        made = os.open(self.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self.directory)
        try:
            # whoever may rename there must not get another directory of root's given away
            if os.fstat(made).st_uid != os.geteuid() or os.listdir(made):
                raise PermissionError(errno.EPERM, "another directory took its place", self.name)
            os.fchown(made, uid, -1 if self.hands_its_group_on else gid)
            os.fchmod(made, mode | stat.S_ISGID * self.hands_its_group_on)
        finally:
            os.close(made)

    def path(self) -> Path:
        """A path for what takes nothing else, which leads to the directory that is held (Linux: proc(5)).

        Raises OSError where root must not make or change anything there.
        """
        self.refuse_unalterable()
        return Path(self.name) if self.directory is None else inside(self.directory) / self.name

    def remove_tree(self) -> None:
        """Remove the directory that has the name, with all that is in it. What cannot be removed stays."""
        self.refuse_unalterable()
        shutil.rmtree(self.name, ignore_errors=True, dir_fd=self.directory)

    @property
    def hands_its_group_on(self) -> bool:
        """Whether what is made here belongs to the group of the directory (S_ISGID), whoever makes it."""
        return self.directory is not None and bool(os.fstat(self.directory).st_mode & stat.S_ISGID)

    def refuse_unalterable(self) -> None:
        """Raise OSError where a user whose link led here could not make, rename or remove anything here."""
        if self.behalf and self.directory is not None:
            holder = os.fstat(self.directory)
            sticky = bool(holder.st_mode & stat.S_ISVTX)
            if not all(_may(user, holder, 0o3) and not (sticky and holder.st_uid != user) for user in self.behalf):
                raise _refused(self.name)

    def _refuse_foreign(self, found: os.stat_result) -> None:
        """Raise PermissionError for a file that others have put there and could not write to."""
        if not stat.S_ISREG(found.st_mode) or self.directory is None:
            return
        holder = os.fstat(self.directory)
        theirs = holder.st_uid != ROOT or bool(holder.st_mode & 0o022 and not holder.st_mode & stat.S_ISVTX)
        if theirs and found.st_uid == ROOT and found.st_nlink > 1:
            raise PermissionError(errno.EPERM, "a file of root's under a second name", self.name)
        if not all(_may(user, found, 0o2) for user in self.behalf):
            raise PermissionError(errno.EPERM, "a file that the owner of a link to it could not write to", self.name)


@contextmanager
def held(path: Path, *, to_create: bool = False) -> Iterator[Held]:
    """The directory of a file, held for the block. Raises OSError, with ELOOP for a link that root does not follow.

    to_create: whether the name itself is left alone, because nothing that exists is opened.
    """
    if not hasattr(os, "O_DIRECTORY") or os.open not in os.supports_dir_fd:
        yield Held(None, str(path))
        return
    with ExitStack() as opened:
        if walks():
            yield _Walk(opened).to(path, to_create=to_create)
            return
        flags = (_HOLD or os.O_RDONLY) | os.O_DIRECTORY
        directory = os.open(path.parent, flags)
        opened.callback(os.close, directory)
        yield Held(directory, path.name or os.fspath(path))


def inside(directory: int) -> Path:
    """A path that leads to a directory that is held, whatever has its name meanwhile. Linux (proc(5))."""
    return Path(f"/proc/self/fd/{directory}")


def target_of(path: Path) -> Path:
    """What to hold for a file that is replaced: a link that has its name stays and leads to the new one.

    For root the walk finds that.
    """
    return path if walks() else Path(os.path.realpath(path))


def walks() -> bool:
    """Whether this process has more privileges than those whose links it meets."""
    return LINUX and os.geteuid() == ROOT


@dataclass(slots=True)
class _Walk:
    """Root's way along a path."""

    opened: ExitStack  # closes what is held
    _stack: list[int] = field(default_factory=list)  # the directories from the beginning on
    _left: deque[str] = field(default_factory=deque)  # names still to go
    _behalf: set[int] = field(default_factory=set)
    _links: int = 0

    def to(self, path: Path, *, to_create: bool) -> Held:
        self._begin(os.fspath(path))
        name = "."
        while self._left:
            name = self._left.popleft()
            last = not self._left
            if name in ("", "."):
                continue
            if name == "..":
                self._up()
                name = "."
                continue
            if last and to_create:
                break
            step = self._step(name, last=last, path=path)
            if step is not None:
                return step
        if not all(_may(user, os.fstat(self._stack[-1]), 0o1) for user in self._behalf):
            raise _refused(path)
        return Held(self._stack[-1], name, frozenset(self._behalf))

    def _step(self, name: str, *, last: bool, path: Path) -> Held | None:
        """Go on by one name; the end, where it is reached."""
        here = self._stack[-1]
        if not all(_may(user, os.fstat(here), 0o1) for user in self._behalf):
            raise _refused(path)
        try:
            found = self._keep(os.open(name, _HOLD | os.O_NOFOLLOW, dir_fd=here))
        except FileNotFoundError:
            if not last:
                raise
            return Held(here, name, frozenset(self._behalf))
        status = os.fstat(found)
        if stat.S_ISLNK(status.st_mode):
            if _is_of_proc(here):
                if last:
                    return Held(here, name, frozenset(self._behalf), follows=True)
                self._stack.append(self._keep(os.open(name, _HOLD | os.O_DIRECTORY, dir_fd=here)))
                return None
            self._follow(here, found, status, path)
            return None
        if last:
            return Held(here, name, frozenset(self._behalf))
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        self._stack.append(found)
        return None

    def _follow(self, here: int, link: int, status: os.stat_result, path: Path) -> None:
        self._links += 1
        user = _stands_for(os.fstat(here), status)
        if user is None or self._links > MOST_LINKS:
            raise _refused(path)
        if user != ROOT:
            self._behalf.add(user)
        self._begin(os.readlink("", dir_fd=link))

    def _begin(self, path: str) -> None:
        """Go on with a path before the names that are left."""
        if path.startswith("/"):
            self._stack = [self._keep(os.open("/", _HOLD | os.O_DIRECTORY))]
        elif not self._stack:
            self._stack = [self._keep(os.open(".", _HOLD | os.O_DIRECTORY))]
        self._left.extendleft(reversed([name for name in path.split("/") if name]))

    def _up(self) -> None:
        if len(self._stack) > 1:
            self._stack.pop()
        else:
            self._stack = [self._keep(os.open("..", _HOLD | os.O_DIRECTORY, dir_fd=self._stack[0]))]

    def _keep(self, descriptor: int) -> int:
        self.opened.callback(os.close, descriptor)
        return descriptor


def _stands_for(directory: os.stat_result, link: os.stat_result) -> int | None:
    """The user whose word a link is, None for anybody's."""
    if not directory.st_mode & 0o022:
        return directory.st_uid
    return link.st_uid if directory.st_mode & stat.S_ISVTX else None


def _may(user: int, found: os.stat_result, wanted: int) -> bool:
    """Whether a user may do something (bits of rwx) by the mode of a file; access control lists are not looked at."""
    if found.st_uid == user:
        return found.st_mode >> 6 & wanted == wanted
    try:
        own_group = pwd.getpwuid(user).pw_gid
    except KeyError:
        own_group = -1
    return found.st_mode >> (3 if found.st_gid == own_group else 0) & wanted == wanted


def _is_of_proc(directory: int) -> bool:
    """Whether a directory is of proc(5), whose links are the kernel's and lead to what is open."""
    try:
        proc = os.stat("/proc")
    except OSError:
        return False
    return os.fstat(directory).st_dev == proc.st_dev != os.stat("/").st_dev


def _refused(path: Path | str) -> OSError:
    return OSError(errno.ELOOP, "a link of others, which root does not follow", str(path))
