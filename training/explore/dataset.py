"""A dataset of any known kind as a table to explore: its content says which kind it is."""

import os
from collections.abc import Callable
from pathlib import Path

from flows.dialects import DIALECTS
from training.datasets.collection import read_dataset
from training.datasets.foreign import foreign_set
from training.datasets.kdd_files import first_cells, kdd_files
from training.datasets.packed import first_bytes
from training.datasets.text import UTF_16_MARKS
from training.errors import DatasetError
from training.explore import flows, kdd
from training.explore.table import LabelledTable
from training.label_map import LabelMap

OTHER_TEXT = (";", "\t")  # other separators


def read_labelled(path: Path, report: Callable[[str], None], labels: LabelMap | None = None) -> LabelledTable:
    """Flows, or KDD records, of a file or of all files below a directory.

    labels: how labels beside the vocabulary are read. Raises DatasetError for what is neither, and LabelMapError.
    """
    files = kdd_files(path, report)
    if files:
        return kdd.read_table(path, files, report, labels)
    if os.path.isfile(path):
        _refuse_foreign(path)
    return flows.table_of(read_dataset(path, report, labels))


def _refuse_foreign(path: Path) -> None:
    """Raise DatasetError for a file of which no column has a name that any flow table gives one."""
    if first_bytes(path, 2) in UTF_16_MARKS:
        return  # the reader names it
    cells = first_cells(path)
    if foreign_set(cells) is not None or (len(cells) == 1 and any(mark in cells[0] for mark in OTHER_TEXT)):
        return  # the reader names it
    known = {name.strip() for dialect in DIALECTS for name in dialect.header}
    if cells != ("",) and not known & set(cells):
        problem = (
            "is neither a table of flows nor one of KDD records: nothing in its first line names a column of flows, "
            "and it is no connection of NSL-KDD or KDD'99"
        )
        raise DatasetError(path, problem, line=1)
