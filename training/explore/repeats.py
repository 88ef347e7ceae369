"""Rows that stand in a table more than once: duplicates, contradictions, and what leaks from one part into another.

Two rows are alike when all that a model may see of them is; addresses, ports, times and labels are not looked at. Rows
are compared by a 64-bit hash: among ten million different rows two are taken for alike with a chance of 3 in a million.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.arrays import Mask, Values
from training.explore.table import Coded, Codes, LabelledTable, blocks

Hashes = NDArray[np.uint64]

MOST_PLACES = 1_000  # that are looked at in pairs

# Multipliers of SplitMix64 (Steele, Lea, Flood 2014).
STEP, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Common:
    """Two families or parts, how many different rows stand in both, and how many rows of each of the two those are."""

    first: str
    second: str
    different: int
    rows: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows of a table that stand in it more than once."""

    unique: Mask  # (n,) the first row of each kind of values and family
    duplicates: int  # rows that repeat an earlier one of the same family
    by_family: dict[str, int]  # the same by family
    contradictory: int  # rows whose like has another family
    of_families: tuple[Common, ...]  # which families
    leaking: int  # rows whose like (family included) stands in another part
    # Parts that have rows in common, whatever their families, most first; None where there are too many for pairs
    of_parts: tuple[Common, ...] | None


def repeats(table: LabelledTable) -> Repeats:
    """Count what is repeated, over all rows."""
    hashes = _hashes(table)
    kinds, kind = np.unique(hashes, return_inverse=True)
    of_family = kind * len(table.family.names) + table.family.codes
    groups, first, group = np.unique(of_family, return_index=True, return_inverse=True)
    unique = np.zeros(len(table), dtype=np.bool_)
    unique[first] = True
    repeated = np.bincount(table.family.codes[~unique], minlength=len(table.family.names))
    return Repeats(
        unique=unique,
        duplicates=int((~unique).sum()),
        by_family={name: int(rows) for name, rows in zip(table.family.names, repeated, strict=True)},
        contradictory=int(_in_several(kind, len(kinds), table.family.codes).sum()),
        of_families=_common(kind, len(kinds), table.family),
        leaking=int(_in_several(group, len(groups), table.part.codes).sum()),
        of_parts=None if len(table.part.names) > MOST_PLACES else _common(kind, len(kinds), table.part),
    )


def _common(kind: Codes, kinds: int, place: Coded) -> tuple[Common, ...]:
    """Pairs of places that have kinds of rows in common."""
    if len(place.names) < 2:
        return ()
    rows = csr_array((np.ones(len(kind), dtype=np.int64), (place.codes, kind)), shape=(len(place.names), kinds))
    rows.sum_duplicates()
    stands = rows.copy()
    stands.data[:] = 1
    shared, of_first = (stands @ stands.T).toarray(), (rows @ stands.T).toarray()
    pairs = [
        Common(place.names[i], place.names[j], int(shared[i, j]), (int(of_first[i, j]), int(of_first[j, i])))
        for i, j in zip(*np.nonzero(np.triu(shared, 1)), strict=True)
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.different))


def _in_several(kind: Codes, kinds: int, place: Codes) -> Mask:
    """(n,) whether the rows of a row's kind stand in more than one place."""
    lowest = np.full(kinds, np.iinfo(np.int64).max)
    highest = np.full(kinds, -1)
    np.minimum.at(lowest, kind, place)
    np.maximum.at(highest, kind, place)
    several: Mask = (lowest != highest)[kind]
    return several


def _hashes(table: LabelledTable) -> Hashes:
    """(n,) a hash of each row's values and categories."""
    hashes, seen = np.zeros(len(table), dtype=np.uint64), table.seen()
    for start, block in blocks(table.values):
        hashes[start : start + len(block)] = _hashed(np.ascontiguousarray(block[:, seen]))
    for name, category in table.categories.items():
        if name not in table.aside:
            hashes = _mixed(hashes, category.codes.astype(np.uint64))
    return hashes


def _hashed(block: Values) -> Hashes:
    words = (block + 0.0).view(np.uint64)  # −0.0 is 0.0
    hashes = np.zeros(len(block), dtype=np.uint64)
    for column in range(words.shape[1]):
        hashes = _mixed(hashes, words[:, column])
    return hashes


def _mixed(hashes: Hashes, words: Hashes) -> Hashes:
    z = (hashes + STEP) ^ words
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    result: Hashes = z ^ (z >> np.uint64(31))
    return result
