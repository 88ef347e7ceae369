"""How the columns of an NSL-KDD or KDD'99 file are known: by a header, or without one by their order.

Nothing of the values is read here but the first line's.
"""

from dataclasses import replace
from pathlib import Path

from flows.kdd.columns import KDD_COLUMNS
from training.datasets.text import TextTable
from training.errors import DatasetError

LABEL, DIFFICULTY = "attack", "difficulty"
NAMES = tuple(column.name for column in KDD_COLUMNS)
# As copies of the files name the two columns, which the published lists of names lack.
LABELS = frozenset({LABEL, "attack_type", "attack_name", "class", "label", "labels", "outcome", "target", "type"})
DIFFICULTIES = frozenset({DIFFICULTY, "difficulty_level", "difficulty_score", "level"})
WIDTHS = {len(NAMES) + 1: (*NAMES, LABEL), len(NAMES) + 2: (*NAMES, LABEL, DIFFICULTY)}
EXPECTED = f"{len(NAMES)} columns, the attack's name, and the difficulty where it is known"


def first_row(path: Path, cells: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names of the columns of a file without a header; None where these cells are a header.

    Raises DatasetError where they are neither.
    """
    if is_arff(cells):
        problem = "is an ARFF file, whose classes are only normal and anomaly; expected the .txt file of the same name"
        raise DatasetError(path, problem, line=1)
    if any(plain(cell) in NAMES for cell in cells):
        return None
    if len(cells) not in WIDTHS:
        raise DatasetError(path, f"{len(cells)} fields; expected {EXPECTED}", line=1)
    return WIDTHS[len(cells)]


def named(table: TextTable) -> TextTable:
    """Rows under the names of flows.kdd.columns, LABEL and DIFFICULTY; other columns are ignored.

    Raises DatasetError for a header that lacks one of them or names one twice.
    """
    names = tuple(plain(name) for name in table.names)
    names = tuple(LABEL if name in LABELS else DIFFICULTY if name in DIFFICULTIES else name for name in names)
    if table.frame.width != len(names):
        problem = f"{table.frame.width} fields, the header has {len(names)}"
        raise DatasetError(table.path, problem, line=int(table.line[0]))
    for name in (*NAMES, LABEL):
        if names.count(name) != 1:
            problem = "the header lacks this column" if name not in names else "the header has this column twice"
            raise DatasetError(table.path, f"{problem}; expected {EXPECTED}", line=1, column=name)
    return replace(table, names=names)


def plain(name: str) -> str:
    """A column's name as flows.kdd.columns spells it."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def is_arff(cells: tuple[str, ...]) -> bool:
    """Whether the cells of a first line are those of an ARFF file."""
    return cells[0].lower().startswith(("@relation", "@attribute", "%"))
