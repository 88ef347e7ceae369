"""Where compiled kernels are kept between runs. Must be called before numba is first imported.

The directory's name holds a digest of all that kernels are made of: an upgraded sensor never runs kernels of the old
one, and compiles again only where kernels have changed. What is found there runs, so nobody else may be able to put
anything into it (kernels.cache); whatever is wrong with it costs one line and the time to compile.
"""

import os
import shutil
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from kernels.cache import DIGEST_BYTES, PROBLEMS, SUFFIX, is_trusted, own_digest
from sensor import log
from sensor.errors import reason_of

VARIABLE = "NUMBA_CACHE_DIR"  # without it nothing is kept (kernels.jit)
SERVICE_VARIABLE = "CACHE_DIRECTORY"  # systemd.exec(5)
SYSTEM_CACHE = Path("/var/cache")
COMPLETE = "complete"  # a file that says so of all kernels of reading and watching
MONTH_S = 30 * 86400
HOUR_S = 3600  # no process takes so long to write a file
PICKLE_STOP = b"."  # what a whole file ends with


def use_kernel_cache(kernels: str = COMPLETE) -> bool:
    """Point numba at this version's cache, only its owner's; False when these kernels are not compiled there yet.

    kernels: the name that kernels_are_compiled was given for those that are wanted.
    Where no cache can be written, one line on stderr says so, and each run compiles anew.
    The directory is that of the service (CACHE_DIRECTORY), else the user's. One that the user names in NUMBA_CACHE_DIR
    is taken as it is, by root only where nobody else can write to it.
    """
    PROBLEMS.tell = log.warning
    if "numba" in sys.modules:
        return VARIABLE in os.environ  # else it is too late: it keeps nothing
    try:
        if os.environ.get(VARIABLE):
            os.environ[VARIABLE] = str(_usable(Path(os.environ[VARIABLE])))
            return True
        directory = _own_directory()
    except (OSError, ValueError) as error:  # ValueError: of a name that no system can have
        os.environ.pop(VARIABLE, None)
        found = f"{reason_of(error)}: {error.filename}" if isinstance(error, OSError) else str(error)
        log.warning(f"no cache for compiled kernels ({found}): they are compiled for this run only")
        return False
    os.environ[VARIABLE] = str(directory)
    try:
        compiled = os.path.exists(directory / kernels) and not _forget_damaged(directory)
        directory.touch()
    except OSError:  # on a full disk, or changed by another process meanwhile
        return False
    _forget_old(directory)
    _forget_unfinished(directory)
    return compiled


def kernels_are_compiled(kernels: str = COMPLETE) -> None:
    """Note that a run has compiled these: an interrupted one leaves a cache that is not complete."""
    directory = os.environ.get(VARIABLE)
    if directory is None or PROBLEMS.count:
        return
    try:
        Path(directory, kernels).touch()
    except OSError:  # the next run says again how long it takes, and no more
        return


def are_compiled(kernels: str) -> bool:
    """Whether a run has noted that it compiled these, in the cache that was chosen."""
    directory = os.environ.get(VARIABLE)
    return directory is not None and os.path.exists(os.path.join(directory, kernels))


def cache_base() -> Path:
    """Directory that holds the caches of all versions. Raises OSError for a user without a home."""
    service = os.environ.get(SERVICE_VARIABLE, "").split(":")[0]
    if os.path.isabs(service):
        return Path(service).resolve()  # systemd gives a link
    named = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):  # others are to be ignored (XDG Base Directory Specification)
        caches = Path(named)
        # sudo may keep it, as the home below
        theirs = _user() == 0 and os.path.exists(caches) and caches.stat().st_uid != 0
        return (SYSTEM_CACHE if theirs else caches) / "flowvigil"
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    if not os.environ.get("HOME", "no") or not home.is_absolute():
        raise FileNotFoundError(2, "no home directory", "~")
    if _user() == 0 and home.stat().st_uid != 0:  # sudo may keep the caller's: files of root have no place there
        return SYSTEM_CACHE / "flowvigil"
    return home / ".cache" / "flowvigil"


def _user() -> int:
    """The effective user; 0 on systems without such numbers, where all files are 0's."""
    return int(getattr(os, "geteuid", lambda: 0)())


def _own_directory() -> Path:
    """This version's directory, made where it is not there. Raises OSError."""
    base = cache_base()
    directory = base / f"kernels-{own_digest()}"
    _make_private(base)
    _make_private(directory)
    return directory.resolve()


def _make_private(directory: Path) -> None:
    """Make a directory in which nobody else can put anything. Raises OSError when it cannot be so."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user():
        raise PermissionError(1, "another user's directory, or a link", str(directory))
    _require_trusted_parents(directory)
    if found.st_mode & 0o022 and os.name == "posix":
        directory.chmod(0o700)
    _require_writable(directory)


def _require_writable(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(13, "not writable", str(directory))
    if hasattr(os, "statvfs") and os.statvfs(directory).f_flag & os.ST_RDONLY:
        raise PermissionError(30, "a read-only file system", str(directory))


def _require_trusted_parents(directory: Path) -> None:
    """Raise PermissionError where somebody else could put another directory into the place of root's."""
    if _user() != 0 or os.name != "posix":
        return
    for parent in directory.resolve().parents:
        found = parent.stat()
        # in a directory such as /tmp, nobody can move what is another's
        if found.st_uid != 0 or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
            raise PermissionError(1, "others can move what is in this directory", str(parent))


def _usable(directory: Path) -> Path:
    """A directory that the user named, with all that is in it, maybe as another user; absolute. Raises OSError."""
    _require_writable(directory)
    directory = directory.resolve()
    if _user() == 0:
        _require_trusted_parents(directory)
        if not is_trusted(directory.stat()):
            raise PermissionError(1, "others can write to this directory", str(directory))
    for path in directory.rglob("*"):
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK if os.path.isdir(path) else os.R_OK):
            raise PermissionError(13, "another user's", str(path))
    return directory


def _forget_damaged(directory: Path) -> bool:
    """Remove files that a power loss has left empty, short or blank; whether there were. Raises OSError."""
    damaged = [path for path in directory.rglob(f"*{SUFFIX}") if not _is_whole(path)]
    for path in damaged:
        path.unlink(missing_ok=True)
    return bool(damaged)


def _is_whole(path: Path) -> bool:
    """Whether a file is as long as any and ends as all do; its digest is looked at when it is loaded."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return True  # a pipe would hold us; it is not loaded (kernels.cache)
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) <= DIGEST_BYTES:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() == PICKLE_STOP


def _forget_unfinished(directory: Path) -> None:
    """Remove files that processes which were killed have not finished."""
    for path in directory.glob(f"*/*{SUFFIX}.*"):
        with suppress(OSError):  # another process has removed it, or it is another user's
            if time.time() - path.lstat().st_mtime > HOUR_S:
                path.unlink()


def _forget_old(current: Path) -> None:
    """Remove the caches of versions that have not run for a month."""
    for directory in current.parent.glob("kernels-*"):
        try:
            if directory != current and time.time() - directory.lstat().st_mtime > MONTH_S:
                shutil.rmtree(directory, ignore_errors=True)
        except OSError:  # another process has removed it
            continue
