"""Where compiled kernels are kept between runs. Must be called before numba is first imported.

numba checks only the file of the kernel that is called, not of those it calls, so the directory's name holds a digest
of all that kernels are made of: an upgraded sensor never runs kernels of the old one, and compiles again only where
kernels have changed. numba runs what it finds there, so nobody else may be able to put anything into it.
"""

import os
import shutil
import stat
import sys
import time
from pathlib import Path

from sensor import log
from sensor.process.kernel_sources import kernel_digest

VARIABLE = "NUMBA_CACHE_DIR"  # without it nothing is kept (kernels.jit)
SERVICE_VARIABLE = "CACHE_DIRECTORY"  # systemd.exec(5)
SYSTEM_CACHE = Path("/var/cache")
COMPLETE = "complete"  # a file that says so of all kernels of reading and watching
MONTH_S = 30 * 86400
PICKLE_STOP = b"."  # what numba's files end with


def use_kernel_cache(kernels: str = COMPLETE) -> bool:
    """Point numba at this version's cache, only its owner's; False when these kernels are not compiled there yet.

    kernels: the name that kernels_are_compiled was given for those that are wanted.
    Where no cache can be written, one line on stderr says so, and each run compiles anew.
    The directory is that of the service (CACHE_DIRECTORY), else the user's. One that the user names in NUMBA_CACHE_DIR
    is taken as it is.
    """
    if "numba" in sys.modules:
        return VARIABLE in os.environ  # else it is too late: it keeps nothing
    try:
        if VARIABLE in os.environ:
            _require_usable(Path(os.environ[VARIABLE]))
            return True
        base = cache_base()
        directory = base / f"kernels-{kernel_digest()}"
        _make_private(base)
        _make_private(directory)
    except OSError as error:
        os.environ.pop(VARIABLE, None)
        log.warning(
            f"no cache for compiled kernels ({error.strerror}: {error.filename}): they are compiled for this run only"
        )
        return False
    compiled = (directory / kernels).exists() and not _forget_damaged(directory)
    directory.touch()
    _forget_old(base, directory)
    os.environ[VARIABLE] = str(directory)
    return compiled


def kernels_are_compiled(kernels: str = COMPLETE) -> None:
    """Note that a run has compiled these: an interrupted one leaves a cache that is not complete."""
    directory = os.environ.get(VARIABLE)
    if directory is not None:
        Path(directory, kernels).touch()


def are_compiled(kernels: str) -> bool:
    """Whether a run has noted that it compiled these, in the cache that was chosen."""
    directory = os.environ.get(VARIABLE)
    return directory is not None and Path(directory, kernels).exists()


def cache_base() -> Path:
    """Directory that holds the caches of all versions. Raises OSError for a user without a home."""
    service = os.environ.get(SERVICE_VARIABLE, "").split(":")[0]
    if service:
        return Path(service).resolve()  # systemd gives a link
    if named := os.environ.get("XDG_CACHE_HOME"):
        caches = Path(named)
        theirs = _user() == 0 and caches.exists() and caches.stat().st_uid != 0  # sudo may keep it, as the home below
        return (SYSTEM_CACHE if theirs else caches) / "flowvigil"
    try:
        home = Path.home()
    except RuntimeError:
        raise FileNotFoundError(2, "no home directory", "~") from None
    if _user() == 0 and home.stat().st_uid != 0:  # sudo may keep the caller's: files of root have no place there
        return SYSTEM_CACHE / "flowvigil"
    return home / ".cache" / "flowvigil"


def _user() -> int:
    """The effective user; 0 on systems without such numbers, where all files are 0's."""
    return int(getattr(os, "geteuid", lambda: 0)())


def _make_private(directory: Path) -> None:
    """Make a directory in which nobody else can put anything. Raises OSError when it cannot be so."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user():
        raise PermissionError(1, "another user's directory, or a link", str(directory))
    if found.st_mode & 0o022 and os.name == "posix":
        directory.chmod(0o700)
    _require_writable(directory)


def _require_writable(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(13, "not writable", str(directory))


def _require_usable(directory: Path) -> None:
    """With all that numba has put into it, maybe as another user: it stops at what it may not read or write."""
    _require_writable(directory)
    for path in directory.rglob("*"):
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK if path.is_dir() else os.R_OK):
            raise PermissionError(13, "another user's", str(path))


def _forget_damaged(directory: Path) -> bool:
    """Remove files that a power loss has left empty, short or blank, at which numba would stop; whether there were."""
    damaged = [path for path in directory.rglob("*.nb[ic]") if not _is_whole(path)]
    for path in damaged:
        path.unlink(missing_ok=True)
    return bool(damaged)


def _is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() == PICKLE_STOP


def _forget_old(base: Path, current: Path) -> None:
    """Remove the caches of versions that have not run for a month."""
    for directory in base.glob("kernels-*"):
        if directory != current and time.time() - directory.stat().st_mtime > MONTH_S:
            shutil.rmtree(directory, ignore_errors=True)
