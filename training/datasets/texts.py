"""Texts of many rows, of which few are different: which there are, how often, and which of them each row has.

They are gone through some rows at a time and counted, not sorted: so few are different that this is ten times as fast,
and sorted at once those of a million rows take a hundred megabytes.
"""

from collections import Counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.arrays import Int64s
from training.datasets.rows import blocks, empty

T = TypeVar("T", bound=np.generic)


def counted_texts(texts: NDArray[T]) -> tuple[NDArray[T], Int64s]:
    """The different texts or numbers in sorted order and the rows of each, as numpy.unique gives them. texts: (n,)."""
    found = Counter[Any]()
    for rows in blocks(len(texts)):
        found.update(texts[rows].tolist())
    names = np.unique(np.array(list(found), dtype=texts.dtype))
    return names, np.array([found[name] for name in names.tolist()], dtype=np.int64)


def texts_in(texts: NDArray[T]) -> NDArray[T]:
    """The different texts or numbers in sorted order. texts: (n,)."""
    return counted_texts(texts)[0]


def coded_texts(texts: NDArray[T]) -> tuple[NDArray[T], Int64s]:
    """The different texts or numbers in sorted order, and which of them each row has, (n,)."""
    names = texts_in(texts)
    codes = empty((len(texts),), np.int64)
    for rows in blocks(len(texts)):
        codes[rows] = np.searchsorted(names, texts[rows])
    return names, codes
