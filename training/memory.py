"""How much memory a run may have resident, and what keeps it there.

Rows lie in temporary files that are mapped (training.datasets.rows), and what is mapped counts as resident while it is
looked at. Within `bounded` a thread looks every few milliseconds and gives mapped pages back, which stay in their
files; what is then still too much is told by `check`, which the loops over rows call. Without a bound nothing is
refused, and blocks are cut for half of the memory that is free. A bound changes what is in memory at a time and no
result.
"""

import mmap
import os
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LEAST_BYTES: Final = 256 << 20  # an interpreter with the libraries that read a table has as much
MOST_BYTES: Final = 1 << 44
LOOK_S: Final = 0.005
MAPPED_SHARE: Final = 0.25  # of the bound, which mapped pages may have before they are given back
BLOCK_SHARE: Final = 1 / 64  # of the bound, which one block of columns may have: work on it takes some times as much
LARGEST_BLOCK, LEAST_BLOCK = 1 << 30, 8 << 20
IN_MEMORY_SHARE: Final = 64  # an array of more than this part of the bound lies in a file
LEAST_IN_MEMORY: Final = 1 << 20  # whatever the bound is
IN_MEMORY_BYTES: Final = 64 << 20  # at most, and without a bound: the values of some 97,000 flows
FREE_WITHOUT_PROC: Final = 4 << 30
_FREE: Final = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)


class MemoryBoundError(Exception):
    """A run that cannot do with the memory that it was allowed: one line."""


@dataclass(eq=False)
class _Bound:
    """What a run may have resident, and what a thread has seen of it."""

    allowed: int | None  # bytes; None where nobody said
    mapped: "weakref.WeakSet[mmap.mmap]" = field(default_factory=weakref.WeakSet)
    most: int = 0  # bytes that were resident when mapped pages had been given back

    def look(self) -> None:
        """Give mapped pages back where there are many, and note what stays."""
        allowed = self.allowed or MOST_BYTES
        resident, shared = _resident()
        if shared > MAPPED_SHARE * allowed or resident > allowed:
            for region in list(self.mapped):
                give_back(region)
            resident, _ = _resident()
        self.most = max(self.most, resident)


_bound = _Bound(None)


@contextmanager
def bounded(allowed: int | None) -> Iterator[None]:
    """Within it the process keeps to so many bytes of resident memory; None: it takes what it needs."""
    global _bound  # noqa: PLW0603 - one process has one memory
    before, ended = _bound, threading.Event()
    _bound = own = _Bound(allowed, before.mapped)

    def watch() -> None:
        while not ended.wait(LOOK_S):
            own.look()

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    if allowed is not None:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if allowed is not None:
            thread.join()
        _bound = before


def check(what: str) -> None:
    """Raise MemoryBoundError where more is resident than allowed. what: is being done, for the message."""
    allowed = _bound.allowed
    if allowed is None:
        return
    _bound.look()
    if _bound.most > allowed:
        raise MemoryBoundError(
            f"--memory {in_words(allowed)} is too little: {what} has {in_words(_bound.most)} in use; expected a larger "
            "one, or fewer rows"
        )


def block_bytes() -> int:
    """How many bytes a block of columns may have that is worked on at once."""
    allowed = _bound.allowed or _free_bytes() // 2
    return max(LEAST_BLOCK, min(LARGEST_BLOCK, int(BLOCK_SHARE * allowed)))


def in_memory_bytes() -> int:
    """An array of more bytes lies in a file."""
    allowed = _bound.allowed
    if allowed is None:
        return IN_MEMORY_BYTES
    return min(IN_MEMORY_BYTES, max(LEAST_IN_MEMORY, allowed // IN_MEMORY_SHARE))


def watched(region: mmap.mmap) -> mmap.mmap:
    """A mapping of a file, whose pages are given back where memory is short; the same mapping."""
    _bound.mapped.add(region)
    return region


def in_words(size: int) -> str:
    """Bytes as people type them: 512M."""
    return f"{size / (1 << 30):.4g}G" if size >= 1 << 30 else f"{-(-size // (1 << 20))}M"


def give_back(region: mmap.mmap) -> None:
    """Pages that are in memory; they stay in the file."""
    if hasattr(mmap, "MADV_DONTNEED"):
        region.madvise(mmap.MADV_DONTNEED)


def _resident() -> tuple[int, int]:
    """Bytes that are resident, and those of them that are pages of files; (0, 0) where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0, 0
    size = os.sysconf("SC_PAGE_SIZE")
    return int(pages[1]) * size, int(pages[2]) * size


def _free_bytes() -> int:
    try:
        found = _FREE.search(Path("/proc/meminfo").read_text(encoding="ascii"))
    except OSError:
        return FREE_WITHOUT_PROC
    return int(found[1]) * 1024 if found else FREE_WITHOUT_PROC
