"""Compiled kernels on disk, which nothing that befalls a disk stops: what cannot be read or kept is compiled in memory.

A file for each kernel and each set of its arguments, which begins with the SHA-256 of what it is for and what it holds:
one that is cut, changed, or another's for the same place is not loaded. numba's files hold pickles and machine code, so
a file is loaded only where its owner is root or this user, and nobody else may write to it.
"""

import hashlib
import os
import pickle
import stat
import uuid
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from kernels.sources import kernel_digest

SUFFIX: Final = ".nbk"
DIGEST_BYTES: Final = 32


def _say_nothing(_message: str) -> None:
    pass


class Problems:
    """What was wrong with the cache in this process: the first problem is told, the others only counted."""

    def __init__(self) -> None:
        self.tell: Callable[[str], None] = _say_nothing  # given one line
        self.count = 0

    def add(self, message: str) -> None:
        """Note one."""
        self.count += 1
        if self.count == 1:
            self.tell(message)


PROBLEMS: Final = Problems()


@cache
def own_digest() -> str:
    """Digest of what the kernels of this installation are made of, as they stood when it was first asked for."""
    return kernel_digest()


@cache
def _digest_of(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


class KernelCache:
    """The cache of one function, as numba's dispatcher asks for it (numba.core.caching).

    What is kept is found by what the function is made of, not by where it stands or when it was installed: a second
    installation of the same version finds what the first has compiled.
    """

    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        """function: Python's own. directory: of all kernels; the function has one below it, by its module."""
        source = Path(function.__code__.co_filename)
        self._directory = directory / function.__module__
        self._name = function.__name__
        self._function = repr((own_digest(), _digest_of(source), function.__module__, function.__qualname__))
        self._code = hashlib.sha256(function.__code__.co_code).hexdigest()

    @property
    def cache_path(self) -> str:
        """Directory of the function's files."""
        return str(self._directory)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """What was compiled for these types of arguments on such a processor; None where it is not there."""
        target.refresh()
        key = self._key(signature, target)
        content = read_kernel(self._path(key), key)
        if content is None:
            return None
        self._tell("loaded from", key)
        result: Any = import_module("numba.core.compiler").CompileResult
        return result._rebuild(target, *pickle.loads(content))  # noqa: S301  nobody else can have written it

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep what was compiled, where that can be."""
        if compiled.library.has_dynamic_globals or any(not lifted.can_cache for lifted in compiled.lifted):
            return
        dumps: Any = import_module("numba.core.serialize").dumps
        key = self._key(signature, compiled.target_context)
        write_kernel(self._path(key), key, dumps(compiled._reduce()))
        self._tell("saved to", key)

    def flush(self) -> None:
        """Forget nothing: files of what is compiled anew are replaced one by one."""

    def _tell(self, what: str, key: bytes) -> None:
        """Say what NUMBA_DEBUG_CACHE asks for, as numba's own cache does."""
        config: Any = import_module("numba").config
        if config.DEBUG_CACHE:
            print(f"[cache] data {what} {str(self._path(key))!r}")  # noqa: T201

    def _key(self, signature: Any, target: Any) -> bytes:
        return repr((self._function, self._code, signature, target.codegen().magic_tuple())).encode()

    def _path(self, key: bytes) -> Path:
        return self._directory / f"{self._name}-{hashlib.sha256(key).hexdigest()[:16]}{SUFFIX}"


def read_kernel(path: Path, key: bytes) -> bytes | None:
    """Content of a file of the cache that is what was written for this key; None where there is none, or no longer."""
    try:
        # not blocking: a FIFO may stand there
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or not is_trusted(found):
                PROBLEMS.add(f"in the cache of compiled kernels, others may have written {path}: it is not loaded")
                return None
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        PROBLEMS.add(f"the cache of compiled kernels cannot be read ({_reason(error)}: {path}): compiling for this run")
        return None
    digest, kept = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(key + kept).digest() != digest:
        PROBLEMS.add(f"in the cache of compiled kernels, {path} is damaged: it is compiled anew")
        return None
    return kept


def write_kernel(path: Path, key: bytes, content: bytes) -> None:
    """Write a file of the cache whole or not at all."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(hashlib.sha256(key + content).digest() + content)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        PROBLEMS.add(
            f"no cache for compiled kernels ({_reason(error)}: {error.filename or path}): "
            "they are compiled for this run only"
        )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def is_trusted(found: os.stat_result) -> bool:
    """Whether nobody but root and this user can have written what was found."""
    if os.name != "posix":
        return True  # there modes and owners say nothing
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022
