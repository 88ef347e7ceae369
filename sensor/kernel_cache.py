"""Where compiled kernels are kept between runs. Must be called before numba is first imported.

numba checks only the file of the kernel that is called, not of those it calls, so the directory's name holds a digest of
all kernel sources: an upgraded sensor never runs kernels of the old one.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def use_kernel_cache() -> bool:
    """Point numba at this version's cache, only its owner's; False when nothing is compiled there yet.

    Falls back to a temporary directory where the user has no writable cache: then each run compiles anew.
    A cache that the user names in NUMBA_CACHE_DIR is left alone.
    """
    if VARIABLE in os.environ or "numba" in sys.modules:
        return True
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = base / "flowvigil" / f"kernels-{_digest()}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        compiled = any(directory.iterdir())
        if directory.stat().st_uid != os.geteuid() or not os.access(directory, os.W_OK):
            raise PermissionError(directory)
    except OSError:
        directory, compiled = Path(tempfile.mkdtemp(prefix="flowvigil-kernels-")), False
        print(f"flowvigil: no writable kernel cache under {base}: compiling for this run only", file=sys.stderr)  # noqa: T201
    os.environ[VARIABLE] = str(directory)
    return compiled


def _digest() -> str:
    """Digest of everything kernels are made of: 16 hexadecimal digits."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(sys.version.encode())
    for source in sorted(path for room in ("flows", "models", "sensor") for path in (root / room).rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
