"""LabelledTable: what the exploration knows of a dataset, whichever it is. It knows no file format.

A dataset's reader makes one: training.explore.flows does for flow tables, training.explore.kdd for KDD records.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.arrays import Values
from training.datasets.rows import blocks as row_blocks
from training.datasets.rows import cells
from training.datasets.texts import coded_texts
from training.label_map import LabelMap

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ExploredColumn:
    """A column of numbers of a table to explore."""

    name: str
    unit: str  # "" where it has none
    kind: Literal["number", "category"] = "number"  # a category's numbers are names, not amounts
    seen: bool = True  # whether a model may see it


@dataclass(frozen=True, slots=True)
class Coded:
    """Text per row, stored once: names, and (n,) codes into them."""

    names: tuple[str, ...]
    codes: Codes

    def counts(self) -> Codes:
        """(len(names),) rows of each name."""
        return np.bincount(self.codes, minlength=len(self.names))


def coded(texts: NDArray[Any]) -> Coded:
    """Codes of (n,) texts or numbers, names in sorted order."""
    names, codes = coded_texts(texts)
    return Coded(tuple(str(name) for name in names), codes)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A claim about a family, stated before the data is looked at.

    It holds when the family's values of a column are "greater" or "less" than those of normal rows.
    """

    statement: str
    family: str
    column: str
    direction: Literal["greater", "less"]
    # Not the values are compared but their distances from their own group's median, on the signed-log scale
    spread: bool = False
    label: str = ""  # the claim is about the family's rows of this label alone
    topic: str = ""  # the idea that this claim and others test; "" stands alone

    @property
    def subject(self) -> str:
        """Whom the claim is about: the label, or else the family."""
        return self.label or self.family


@dataclass(frozen=True, slots=True)
class LabelledTable:
    """A labelled dataset, whichever it is, as the exploration takes it."""

    name: str  # of the dataset
    row: str  # what a row is, such as "flow"
    files: tuple[str, ...]  # their names
    columns: tuple[ExploredColumn, ...]  # c of them
    values: Values  # (n, c) float64, finite, which may lie in a memory map
    categories: dict[str, Coded]  # of every row, by name, beside the columns
    aside: tuple[str, ...]  # those that no model sees, so that they do not tell two rows apart
    label: Coded  # the dataset's own
    family: Coded  # of training.labels or the like, unlabelled "" among them
    normal: str  # the family of normal rows
    part: Coded  # where a row stands, such as its day: what is in two parts leaks from one to the other
    part_is: str  # what parts are called
    time_ns: Codes | None  # (n,) int64, nanoseconds since 1970 UTC, None where there is no time
    techniques: dict[str, str | None]  # MITRE ATT&CK id by family, and by label where a label has its own
    unfit: tuple[str, ...]  # columns that the file lacks or that its program measured otherwise
    repairs: dict[str, int]  # values changed and rows left out, by reason
    hypotheses: tuple[Hypothesis, ...]  # claims to test
    pairs: tuple[tuple[str, str], ...]  # columns to draw against each other
    sha256: str  # of the dataset as it lies on disk
    left_out: str = ""  # what cannot be told of the rows, and for want of what
    label_map: LabelMap | None = None  # by which labels were read

    def __len__(self) -> int:
        return len(self.values)

    def cells(self, rows: Codes, columns: tuple[int, ...]) -> Values:
        """(len(rows), len(columns)) values of the chosen rows and columns."""
        return cells(self.values, rows, np.array(columns, dtype=np.int64))

    def column(self, rows: Codes, column: int) -> Values:
        """(len(rows),) values of the chosen rows in one column."""
        return self.cells(rows, (column,))[:, 0]

    def seen(self) -> Codes:
        """Indices of the columns that a model may see: what differs elsewhere only is alike to it."""
        columns = enumerate(self.columns)
        return np.array([i for i, column in columns if column.seen and column.name not in self.unfit], dtype=np.int64)

    def numbers(self) -> tuple[int, ...]:
        """Indices of the columns that hold amounts."""
        return tuple(i for i, column in enumerate(self.columns) if column.kind == "number")

    def unit(self, name: str) -> str:
        """Unit of a column by its name. Raises KeyError for one that the table does not have."""
        return {column.name: column.unit for column in self.columns}[name]

    def technique(self, family: str, label: str) -> str | None:
        """MITRE ATT&CK id of a label, or of its family where the label has none of its own."""
        return self.techniques.get(label) or self.techniques.get(family)

    def attacks(self) -> tuple[str, ...]:
        """Families other than the normal and the unlabelled, most rows first."""
        counts = self.family.counts()
        order = sorted(range(len(counts)), key=lambda i: (-counts[i], self.family.names[i]))
        return tuple(name for name in (self.family.names[i] for i in order) if name not in (self.normal, ""))

    def has_normal(self) -> bool:
        """Whether any row is labelled normal."""
        return self.normal in self.family.names


def blocks(values: Values) -> Iterator[tuple[int, Values]]:
    """Consecutive rows with the index of the first, so that a mapped table is never whole in memory."""
    for rows in row_blocks(len(values)):
        yield rows.start, np.asarray(values[rows])
