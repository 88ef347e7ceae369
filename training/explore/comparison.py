"""Every column of every family against normal rows, on a sample of all rows and on one of different rows."""

from dataclasses import dataclass

import numpy as np

from training.arrays import Mask
from training.explore.effects import Difference, amounts_differ, categories_differ, corrected
from training.explore.sample import per_family
from training.explore.table import Codes, LabelledTable
from training.reporting import Report


@dataclass(frozen=True, slots=True)
class TestResult:
    """What one test of a family against normal rows says."""

    difference: Difference
    p: float  # corrected for all tests made on the same rows
    rows: int
    normal_rows: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A family against normal rows in one column or category."""

    family: str
    column: str
    measure: str  # which effect size
    # typical, normal: medians of an amount or the most frequent category, as text for a category
    typical: float | str
    normal: float | str
    # all_rows, different_rows: outcomes on samples of all rows and of de-duplicated ones
    all_rows: TestResult
    different_rows: TestResult


DELTA, V = "Cliff's delta", "Cramér's V"


def comparisons(table: LabelledTable, columns: tuple[int, ...], unique: Mask, report: Report) -> tuple[Comparison, ...]:
    """Test the chosen columns and all categories; largest effects first. None without normal rows or attacks.

    unique: (n,) the rows that stay when repeated ones are left out.
    """
    if not table.has_normal() or not table.attacks():
        return ()
    report("testing each column of each family against normal rows")
    everywhere = _tested(table, columns, per_family(table))
    report("the same on different rows only")
    different = _tested(table, columns, per_family(table, unique))
    sample = per_family(table)
    medians = {family: _medians(table, sample, columns, family) for family in (table.normal, *table.attacks())}
    found = []
    for (family, i, name), outcome, other in zip(_subjects(table, columns), everywhere, different, strict=True):
        if i is None:
            typical, normal = (_most_frequent(table, sample, own, name) for own in (family, table.normal))
        else:
            typical, normal = medians[family][i], medians[table.normal][i]
        found.append(Comparison(family, name, V if i is None else DELTA, typical, normal, outcome, other))
    return tuple(sorted(found, key=lambda c: (-abs(c.all_rows.difference.effect), c.family, c.column)))


def _subjects(table: LabelledTable, columns: tuple[int, ...]) -> list[tuple[str, int | None, str]]:
    """Family, index of the column (None: a category) and name of each test, in the order of the tests."""
    return [
        (family, i, name)
        for family in table.attacks()
        for i, name in (*((i, table.columns[i].name) for i in columns), *((None, name) for name in table.categories))
    ]


def rows_of(table: LabelledTable, sample: Codes, family: str) -> Codes:
    """Rows of the sample that belong to a family."""
    mine: Codes = sample[table.family.codes[sample] == table.family.names.index(family)]
    return mine


def _tested(table: LabelledTable, columns: tuple[int, ...], sample: Codes) -> list[TestResult]:
    normal = rows_of(table, sample, table.normal)
    normal_values = table.cells(normal, columns)
    differences: list[Difference] = []
    sizes: list[int] = []
    for family in table.attacks():
        rows = rows_of(table, sample, family)
        differences += amounts_differ(table.cells(rows, columns), normal_values)
        for category in table.categories.values():
            differences.append(categories_differ(category.codes[rows], category.codes[normal]))
        sizes += [len(rows)] * (len(columns) + len(table.categories))
    ps = corrected([difference.p for difference in differences])
    return [
        TestResult(difference, float(p), size, len(normal))
        for difference, p, size in zip(differences, ps, sizes, strict=True)
    ]


def _medians(table: LabelledTable, sample: Codes, columns: tuple[int, ...], family: str) -> dict[int, float | str]:
    """Of a family's rows in each of the columns."""
    found = np.median(table.cells(rows_of(table, sample, family), columns), axis=0)
    return dict(zip(columns, found.tolist(), strict=True))


def _most_frequent(table: LabelledTable, sample: Codes, family: str, name: str) -> float | str:
    category = table.categories[name]
    return category.names[int(np.bincount(category.codes[rows_of(table, sample, family)]).argmax())]
