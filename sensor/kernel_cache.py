"""Where compiled kernels are kept between runs. Must be called before numba is first imported.

numba checks only the file of the kernel that is called, not of those it calls, so the directory's name holds a digest
of all kernel sources: an upgraded sensor never runs kernels of the old one.
"""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
COMPLETE = "complete"  # a file that says so of all kernels of reading and watching
MONTH_S = 30 * 86400


def use_kernel_cache(kernels: str = COMPLETE) -> bool:
    """Point numba at this version's cache, only its owner's; False when these kernels are not compiled there yet.

    kernels: the name that kernels_are_compiled was given for those that are wanted.
    Falls back to a temporary directory where the user has no writable cache: then each run compiles anew.
    A cache that the user names in NUMBA_CACHE_DIR is left alone.
    """
    if VARIABLE in os.environ or "numba" in sys.modules:
        return True
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowvigil"
    directory = base / f"kernels-{_digest()}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        compiled = (directory / kernels).exists()
        if not _is_ours(directory):
            raise PermissionError(directory)
        directory.touch()
        _forget_old(base, directory)
    except OSError:
        directory, compiled = Path(tempfile.mkdtemp(prefix="flowvigil-kernels-")), False
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        print(f"flowvigil: no writable cache at {base}: kernels are compiled for this run only", file=sys.stderr)  # noqa: T201
    os.environ[VARIABLE] = str(directory)
    return compiled


def kernels_are_compiled(kernels: str = COMPLETE) -> None:
    """Note that a run has compiled these: an interrupted one leaves a cache that is not complete."""
    directory = os.environ.get(VARIABLE)
    if directory is not None:
        Path(directory, kernels).touch()


def _is_ours(directory: Path) -> bool:
    """Whether nobody else can put kernels there for us to run."""
    owner = getattr(os, "geteuid", lambda: directory.stat().st_uid)()
    return directory.stat().st_uid == owner and os.access(directory, os.W_OK) and not directory.stat().st_mode & 0o022


def _forget_old(base: Path, current: Path) -> None:
    """Remove the caches of versions that have not run for a month."""
    for directory in base.glob("kernels-*"):
        if directory != current and time.time() - directory.stat().st_mtime > MONTH_S:
            shutil.rmtree(directory, ignore_errors=True)


def _digest() -> str:
    """Digest of everything kernels are made of: 16 hexadecimal digits."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(sys.version.encode())
    for source in sorted(path for room in ("flows", "models", "sensor") for path in (root / room).rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
