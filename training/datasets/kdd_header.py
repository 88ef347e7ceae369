"""The columns of a labelled NSL-KDD or KDD'99 file, by its header or by their order (flows.kdd.header).

Nothing of the values is read here but the first line's.
"""

from dataclasses import replace
from pathlib import Path

from flows.kdd.header import LABEL, NAMES, column_of, columns_in_order, is_header
from training.datasets.text import TextTable
from training.errors import DatasetError

EXPECTED = f"{len(NAMES)} columns, the attack's name, and the difficulty where it is known"


def first_row(path: Path, cells: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names of the columns of a file without a header; None where these cells are a header.

    Raises DatasetError where they are neither.
    """
    if is_arff(cells):
        problem = "is an ARFF file, whose classes are only normal and anomaly; expected the .txt file of the same name"
        raise DatasetError(path, problem, line=1)
    if is_header(cells):
        return None
    columns = columns_in_order(len(cells))
    if columns is None or LABEL not in columns:
        raise DatasetError(path, f"{len(cells)} fields; expected {EXPECTED}", line=1)
    return columns


def named(table: TextTable) -> TextTable:
    """Rows under the names of flows.kdd.columns, LABEL and DIFFICULTY; other columns are ignored.

    Raises DatasetError for a header that lacks one of them or names one twice.
    """
    names = tuple(column_of(name) for name in table.names)
    if table.frame.width != len(names):
        problem = f"{table.frame.width} fields, the header has {len(names)}"
        raise DatasetError(table.path, problem, line=int(table.line[0]))
    for name in (*NAMES, LABEL):
        if names.count(name) != 1:
            problem = (
                "the header lacks this column"
                if name not in names
                else "the header has this column twice; expected it once"
            )
            raise DatasetError(table.path, f"{problem}; expected {EXPECTED}", line=1, column=name)
    return replace(table, names=names)


def is_arff(cells: tuple[str, ...]) -> bool:
    """Whether the cells of a first line are those of an ARFF file."""
    return cells[0].lower().startswith(("@relation", "@attribute", "%"))
