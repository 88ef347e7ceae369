"""NSL-KDD and KDD'99: labelled connection records, one file at a time, checked cell by cell.

Values pass through memory some ten thousand rows at a time; those of a large file lie in a temporary file. It encodes
no symbol for a model and changes no value. Sources: the task description of KDD Cup 1999; Tavallaee, Bagheri, Lu,
Ghorbani, "A Detailed Analysis of the KDD CUP 99 Data Set", CISDA 2009.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.kdd.columns import KDD_COLUMNS, SYMBOLS, UNKNOWN, KddColumn
from flows.kdd.header import DIFFICULTY, LABEL
from training.arrays import Int64s, Strings, Values
from training.datasets.kdd_header import first_row, named
from training.datasets.packed import sha256_of
from training.datasets.rows import Rows, taken
from training.datasets.text import Repairs, TextTable, shown, text_tables
from training.errors import DatasetError, reason_of
from training.label_map import DROP, LabelMap, Relabelling
from training.labels import KDD_VOCABULARY, kdd_attack
from training.reporting import Report

NO_DIFFICULTY = -1
DROPPED = -1  # in place of an attack's code
HARDEST = 21  # 21 learners judged each record of NSL-KDD
TOLD_EVERY = 500_000  # rows
NUMBERS = tuple(column for column in KDD_COLUMNS if column.kind != "symbol")


@dataclass(frozen=True, slots=True)
class KddTable:
    """Labelled connection records in the order of their file. The arrays of a large table lie in temporary files."""

    # (n, 41) float64, finite, in the order of flows.kdd.columns.KDD_COLUMNS; a symbol is its position there, UNKNOWN
    # where it is none of them
    records: Values
    label: Strings  # (n,) name of the attack or "normal"
    family: Strings  # (n,) its family (training.labels)
    # (n,) int64, how many of 21 learners were right about it, NO_DIFFICULTY where the file does not say
    difficulty: Int64s
    repairs: dict[str, int]  # what was read in another way than it stands there, by reason
    sha256: str  # of the file on disk
    path: Path = Path()
    label_map: LabelMap | None = None  # by which labels were read

    def __len__(self) -> int:
        return len(self.records)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "KddTable":
        """The chosen rows, in the order given."""
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64, copy=False)
        return KddTable(
            taken(self.records, chosen),
            taken(self.label, chosen),
            taken(self.family, chosen),
            taken(self.difficulty, chosen),
            self.repairs,
            self.sha256,
            self.path,
            self.label_map,
        )


def read_kdd(path: Path, report: Report, labels: LabelMap | None = None) -> KddTable:
    """Records of a file, as `read_kdd_file`; what the map of labels did is reported.

    Raises DatasetError, also where no record is left, and LabelMapError.
    """
    relabelling = Relabelling(labels, KDD_VOCABULARY)
    table = read_kdd_file(path, relabelling, report)
    refuse_all_dropped(path, [table])
    for line in relabelling.told(table.repairs):
        report(line)
    return table


def refuse_all_dropped(path: Path, tables: Sequence[KddTable]) -> None:
    """Raise DatasetError where the map of labels has left no record of a dataset. path: of the dataset."""
    if not any(len(table) for table in tables):
        rows = sum(table.repairs["rows"] for table in tables)
        problem = f"has {rows:,} records, all dropped by the map of labels; expected some to stay"
        raise DatasetError(path, problem, column=LABEL)


def read_kdd_file(path: Path, relabelling: Relabelling, report: Report) -> KddTable:
    """Records of a file: text (plain or compressed) or Parquet, with or without header and difficulty.

    Symbols that are none of the known ones become UNKNOWN and are counted in repairs; names of attacks are spelled as
    published, without the dot that ends them in KDD'99. Raises DatasetError with file, line and column of what is
    foreign: another number of columns, text or a fraction where a number of something should stand, NaN, infinity,
    values below 0, shares above 1, truths other than 0 and 1, attacks that nobody has named.
    """
    try:
        with closing(Rows(len(KDD_COLUMNS))) as rows:
            return _read(path, rows, relabelling, report)
    except OSError as error:
        place = tempfile.gettempdir()
        problem = f"its values do not fit into {place} ({reason_of(error)}); TMPDIR chooses another directory"
        raise DatasetError(path, problem) from error


def _read(path: Path, rows: Rows, relabelling: Relabelling, report: Report) -> KddTable:
    repairs: Repairs = Counter({"rows": 0})
    report(f"reading {path}")
    digest = sha256_of(path)
    attacks: dict[str, int] = {}
    codes: list[Int64s] = []
    difficulty: list[Int64s] = []
    for table in text_tables(path, repairs, lambda cells: first_row(path, cells)):
        text = named(table)
        told = len(rows) // TOLD_EVERY
        _refuse_short_rows(text)
        rows.append(_values(text, repairs))
        codes.append(_attacks(text, attacks, relabelling, repairs))
        difficulty.append(_difficulty(text))
        if len(rows) // TOLD_EVERY > told:
            report(f"  {len(rows):,} records read")
    repairs["rows"] = len(rows)
    code = np.concatenate(codes)
    kept = np.flatnonzero(code != DROPPED)
    family = relabelling.vocabulary.family_of
    return KddTable(
        records=rows.taken(kept),
        label=taken(np.array(list(attacks), dtype=np.str_), code[kept]),
        family=taken(np.array([family(name) for name in attacks], dtype=np.str_), code[kept]),
        difficulty=np.concatenate(difficulty)[kept],
        repairs={reason: number for reason, number in repairs.items() if number},
        sha256=digest,
        path=path,
        label_map=relabelling.map,
    )


def _refuse_short_rows(text: TextTable) -> None:
    """A row that lacks cells was filled up with empty ones, the last column's among them."""
    last = text.frame[str(text.frame.width - 1)].str.strip_chars() == ""
    if last.any():
        row = int(last.arg_max() or 0)
        cells = text.frame.row(row)
        there = max((i + 1 for i, cell in enumerate(cells) if cell.strip()), default=0)
        raise DatasetError(text.path, f"{there} fields, expected {len(cells)}", line=int(text.line[row]))


def _values(text: TextTable, repairs: Repairs) -> Values:
    values = np.empty((len(text), len(KDD_COLUMNS)))
    numbers = text.numbers([column.name for column in NUMBERS])
    for column, cells in zip(NUMBERS, numbers.T, strict=True):
        _refuse_impossible(text, column, cells)
        values[:, KDD_COLUMNS.index(column)] = cells
    for i, column in enumerate(KDD_COLUMNS):
        if column.kind == "symbol":
            values[:, i] = _symbols(text, column.name, repairs)
    return values


def _refuse_impossible(text: TextTable, column: KddColumn, cells: Values) -> None:
    bad, expected = cells < 0, "a number of at least 0"
    if column.kind == "share":
        bad, expected = bad | (cells > 1), "a share of 0 to 1"
    elif column.kind == "truth":
        bad, expected = (cells != 0) & (cells != 1), "0 or 1"
    elif column.kind in ("count", "bytes"):
        bad, expected = bad | (cells % 1 != 0), "a whole number of at least 0"
    if bad.any():
        row = int(np.argmax(bad))
        raise text.error(f"{shown(text.text(column.name)[row])} is not {expected}", row, column.name)


def _symbols(text: TextTable, name: str, repairs: Repairs) -> Values:
    import polars as pl

    known = SYMBOLS[name]
    codes = text.text(name).replace_strict(known, range(len(known)), default=UNKNOWN, return_dtype=pl.Int64)
    unknown = codes == UNKNOWN
    if unknown.any():
        for found in text.text(name).filter(unknown).unique().to_list():
            # A number where a symbol should stand is a table whose columns are moved, or one that was encoded before.
            if not found or found.replace(".", "", 1).isdigit():
                row = int((text.text(name) == found).arg_max() or 0)
                raise text.error(f"{shown(found)} is no {name.replace('_', ' ')}, such as {known[-1]}", row, name)
        repairs[f"cells of an unknown {name}"] += int(unknown.sum())
    values: Values = codes.to_numpy().astype(np.float64)
    return values


def _attacks(text: TextTable, attacks: dict[str, int], relabelling: Relabelling, repairs: Repairs) -> Int64s:
    """Code of each row's attack, or DROPPED; attacks: those met so far, extended."""
    import polars as pl

    cells = text.text(LABEL)
    codes: dict[str, int] = {}
    for found in cells.unique(maintain_order=True).to_list():
        line = relabelling.line(found)
        if line is not None:
            repairs[line.effect] += int((cells == found).sum())
        try:
            name = kdd_attack(found) if line is None else line.target
        except KeyError:
            row = int((cells == found).arg_max() or 0)
            problem = f"unknown attack {relabelling.unknown(shown(found))}"
            raise text.error(problem, row, LABEL, relabelling.advice()) from None
        codes[found] = DROPPED if name == DROP else attacks.setdefault(name, len(attacks))
    return cells.replace_strict(codes, return_dtype=pl.Int64).to_numpy()


def _difficulty(text: TextTable) -> Int64s:
    if DIFFICULTY not in text.names:
        return np.full(len(text), NO_DIFFICULTY, dtype=np.int64)
    cells = text.numbers([DIFFICULTY])[:, 0]
    bad = (cells < 0) | (cells > HARDEST) | (cells % 1 != 0)
    if bad.any():
        row = int(np.argmax(bad))
        problem = f"{shown(text.text(DIFFICULTY)[row])} is not a difficulty of 0 to {HARDEST}"
        raise text.error(problem, row, DIFFICULTY)
    return cells.astype(np.int64)
