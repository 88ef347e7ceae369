"""Columns that say nothing, or nothing of their own: constant, nearly constant, and equal to another."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from training.arrays import Values
from training.explore.sample import SampledColumns
from training.explore.table import LabelledTable, blocks

# With fewer rows of another value than this a column tells one row in two hundred from the rest.
NEARLY = 0.995


@dataclass(frozen=True, slots=True)
class Constant:
    """A column and its only, or by far most frequent, value."""

    name: str
    value: float
    share: float  # of the rows that have it


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """Which number columns say something, and which do not."""

    constant: tuple[Constant, ...]  # those of one value
    nearly: tuple[Constant, ...]  # those of one value in nearly all rows
    equal: tuple[tuple[str, ...], ...]  # groups of columns with the same values in every row
    telling: tuple[int, ...]  # indices of the columns that vary and do not repeat an earlier one


def column_report(table: LabelledTable, sample: SampledColumns) -> ColumnReport:
    """Look at every number column over all rows; the sample only tells where to look."""
    numbers = table.numbers()
    drawn = sample.columns.T
    modes = np.array([_mode(drawn[:, i]) for i in range(len(table.columns))])
    candidates = _alike(drawn, numbers)
    of_mode = np.zeros(len(table.columns), dtype=np.int64)
    for _, block in blocks(table.values):
        of_mode += (block == modes).sum(axis=0)
        candidates = [pair for pair in candidates if (block[:, pair[0]] == block[:, pair[1]]).all()]
    shares = of_mode / len(table)
    found = [(i, Constant(table.columns[i].name, float(modes[i]), float(shares[i]))) for i in numbers]
    constant = {i for i, column in found if of_mode[i] == len(table)}
    groups = _groups([pair for pair in candidates if pair[0] not in constant])
    repeating = {i for group in groups for i in group[1:]}
    return ColumnReport(
        constant=tuple(column for i, column in found if i in constant),
        nearly=tuple(column for i, column in found if i not in constant and column.share >= NEARLY),
        equal=tuple(tuple(table.columns[i].name for i in group) for group in groups),
        telling=tuple(i for i in numbers if i not in constant and i not in repeating),
    )


def _mode(values: Values) -> float:
    found, counts = np.unique(values, return_counts=True)
    return float(found[counts.argmax()])


def _alike(drawn: Values, numbers: tuple[int, ...]) -> list[tuple[int, int]]:
    """Pairs of columns that are equal throughout the sample."""
    same: dict[bytes, list[int]] = {}
    for i in numbers:
        same.setdefault((drawn[:, i] + 0.0).tobytes(), []).append(i)
    return [pair for group in same.values() for pair in combinations(group, 2)]


def _groups(pairs: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Pairs as groups, each with its first column before the others; being equal is transitive."""
    groups: dict[int, list[int]] = {}
    grouped: set[int] = set()
    for first, other in pairs:
        if first not in grouped:
            groups.setdefault(first, [first]).append(other)
            grouped.add(other)
    return [tuple(group) for group in groups.values()]
