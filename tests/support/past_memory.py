"""Arrays that lie in files however small they are, for the tests of what does not hang on memory."""

import mmap

import pytest

from training import memory


def past_memory(monkeypatch: pytest.MonkeyPatch, in_memory_bytes: int = 64) -> list[int]:
    """Have arrays of more bytes lie in files, also within a bound; the size of each that does from now on."""
    sizes: list[int] = []
    watched = memory.watched

    def counted(region: mmap.mmap) -> mmap.mmap:
        sizes.append(len(region))
        return watched(region)

    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", in_memory_bytes)
    monkeypatch.setattr(memory, "watched", counted)
    return sizes


def small_ones(sizes: list[int]) -> list[int]:
    """Those that would be in memory within any bound; a few are of training.datasets.rows.Rows, always in a file."""
    return [size for size in sizes if size < memory.LEAST_IN_MEMORY]
