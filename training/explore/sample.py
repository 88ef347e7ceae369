"""Seeded samples of a table's rows, so that charts and tests take the same time for any number of them."""

from dataclasses import dataclass

import numpy as np

from training.arrays import Mask, Values
from training.datasets.rows import blocks, empty, taken
from training.explore.table import Codes, LabelledTable

ROWS_PER_FAMILY = 20_000
ROWS_FOR_CORRELATION = 50_000
SEED = 20_170_703


@dataclass(frozen=True, slots=True, eq=False)
class SampledColumns:
    """The columns of a table in some of its rows, each in one piece: charts look at them again and again."""

    rows: Codes  # (m,) ascending
    columns: Values  # (c, m)

    def column(self, rows: Codes, column: int) -> Values:
        """(len(rows),) values in one column. rows: some of those that were sampled."""
        found: Values = self.columns[column][np.searchsorted(self.rows, rows)]
        return found


def sampled(table: LabelledTable, rows: Codes) -> SampledColumns:
    """The columns of a table in these rows, which are ascending."""
    columns = empty((len(table.columns), len(rows)), np.float64)
    drawn = taken(table.values, rows)
    for some in blocks(len(rows)):
        columns[:, some] = drawn[some].T
    return SampledColumns(rows, columns)


def per_family(table: LabelledTable, among: Mask | None = None, limit: int = ROWS_PER_FAMILY) -> Codes:
    """Rows in ascending order, at most limit of each family, drawn among those that are marked."""
    chosen = []
    for code in range(len(table.family.names)):
        of_family = table.family.codes == code
        rows = np.flatnonzero(of_family if among is None else of_family & among)
        chosen.append(drawn(rows, limit))
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def of_all(table: LabelledTable, limit: int = ROWS_FOR_CORRELATION) -> Codes:
    """Rows in ascending order, at most limit, each as likely as any other."""
    return drawn(np.arange(len(table)), limit)


def drawn(rows: Codes, limit: int = ROWS_PER_FAMILY) -> Codes:
    """The given rows, or limit of them, in ascending order."""
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, limit, replace=False))
