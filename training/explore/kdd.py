"""KDD records as tables to explore, and what is claimed of attacks on them before any is looked at.

The claims are three ideas of what a network shows of an attack: floods leave unanswered SYNs, probes reach many
services and hosts, guessing fails to log in.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flows.kdd.columns import KDD_COLUMNS, SYMBOLS, UNKNOWN, KddColumn
from training.datasets.kdd import KddTable, read_kdd_file, refuse_all_dropped
from training.datasets.kdd_header import first_row
from training.datasets.names import file_name
from training.datasets.rows import stacked
from training.datasets.text import has_no_rows
from training.errors import DatasetError
from training.explore.table import Coded, Codes, ExploredColumn, Hypothesis, LabelledTable, coded
from training.label_map import LabelMap, Relabelling
from training.labels import BENIGN, KDD_TECHNIQUES, KDD_VOCABULARY, TECHNIQUES

T = TypeVar("T", bound=np.generic)

UNITS = {"bytes": "bytes", "seconds": "s"}
# Names of the categories as the reader meets them, by the column that holds their codes.
CATEGORIES = {"protocol": "protocol_type", "service": "service", "flag": "flag"}

FLOODS, PROBES, GUESSING = "Error rates and floods", "Access counts and probes", "Failed logins and guessing"


def _about_floods(statement: str, column: str, label: str = "") -> Hypothesis:
    return Hypothesis(statement, "DoS", column, "greater", label=label, topic=FLOODS)


HYPOTHESES = (
    _about_floods("Denial of service raises the share of SYN errors at a host.", "serror_rate"),
    _about_floods("A SYN flood raises the share of SYN errors at a host.", "serror_rate", "neptune"),
    _about_floods("A SYN flood raises the share of SYN errors at a service.", "srv_serror_rate", "neptune"),
    _about_floods("A SYN flood stays visible over 100 connections.", "dst_host_serror_rate", "neptune"),
    Hypothesis("Probes open more connections to a host in two seconds.", "Probe", "count", "greater", topic=PROBES),
    Hypothesis("Probes ask one service less often.", "Probe", "srv_count", "less", topic=PROBES),
    Hypothesis("Probes reach more services of a host.", "Probe", "dst_host_diff_srv_rate", "greater", topic=PROBES),
    Hypothesis("Probes find more connections rejected.", "Probe", "dst_host_rerror_rate", "greater", topic=PROBES),
    Hypothesis(
        "An address sweep asks one service of more hosts.", "Probe", "srv_diff_host_rate", "greater",
        label="ipsweep", topic=PROBES,
    ),
    Hypothesis("Attacks from remote to local fail more logins.", "R2L", "num_failed_logins", "greater", topic=GUESSING),
    Hypothesis(
        "Password guessing fails more logins.", "R2L", "num_failed_logins", "greater",
        label="guess_passwd", topic=GUESSING,
    ),
    Hypothesis(
        "Password guessing gets in less often.", "R2L", "logged_in", "less", label="guess_passwd", topic=GUESSING
    ),
)  # fmt: skip
PAIRS = (("src_bytes", "dst_bytes"),)


def read_table(
    path: Path, files: Sequence[Path], report: Callable[[str], None], labels: LabelMap | None = None
) -> LabelledTable:
    """Files as one table, a part each. path: what they are files of; what the map of labels did is reported.

    Raises DatasetError and LabelMapError as read_kdd does.
    """
    relabelling = Relabelling(labels, KDD_VOCABULARY)
    empty = [file for file in files if len(files) > 1 and has_no_rows(file, partial(first_row, file))]
    for file in empty:
        report(f"skipped {file}: has no rows")
    if len(empty) == len(files):
        raise DatasetError(path, f"has no rows in any of its {len(files):,} files; expected records")
    tables = [read_kdd_file(file, relabelling, report) for file in files if file not in empty]
    refuse_all_dropped(path, tables)
    table = table_of(path, tables)
    for line in relabelling.told(table.repairs):
        report(line)
    return table


def table_of(path: Path, tables: Sequence[KddTable]) -> LabelledTable:
    """KDD tables as the exploration takes them, one after the other; path: what they were read from."""
    records = _joined([table.records for table in tables])
    names = tuple(file_name(table.path, path) for table in tables)
    rows = [len(table) for table in tables]
    return LabelledTable(
        name=file_name(path),
        row="connection",
        files=names,
        columns=tuple(_column(column) for column in KDD_COLUMNS),
        values=records,
        categories={name: _symbols(records, column) for name, column in CATEGORIES.items()},
        aside=(),
        label=_coded([table.label for table in tables]),
        family=_coded([table.family for table in tables]),
        normal=BENIGN,
        part=Coded(names, np.repeat(np.arange(len(names)), rows)),
        part_is="file",
        time_ns=None,
        techniques={**TECHNIQUES, **KDD_TECHNIQUES},
        unfit=(),
        repairs=_repairs(tables),
        hypotheses=HYPOTHESES,
        pairs=PAIRS,
        sha256=tables[0].sha256 if len(tables) == 1 else _digest(tables),
        label_map=tables[0].label_map,
    )


def _column(column: KddColumn) -> ExploredColumn:
    return ExploredColumn(column.name, UNITS.get(column.kind, ""), "category" if column.kind == "symbol" else "number")


def _symbols(records: NDArray[np.float64], name: str) -> Coded:
    """A column of symbols as text, the unknown ones as one."""
    place = [column.name for column in KDD_COLUMNS].index(name)
    found, codes = np.unique(records[:, place].astype(np.int64), return_inverse=True)
    known = SYMBOLS[name]
    return Coded(tuple("unknown" if code == UNKNOWN else known[code] for code in found), codes)


def _coded(texts: Sequence[NDArray[np.str_]]) -> Coded:
    """Codes of the rows of all tables, names in sorted order."""
    parts = [coded(text) for text in texts]
    names = sorted({name for part in parts for name in part.names})
    places = [np.array([names.index(name) for name in part.names], dtype=np.int64) for part in parts]
    codes: Codes = np.concatenate([place[part.codes] for place, part in zip(places, parts, strict=True)])
    return Coded(tuple(names), codes)


def _repairs(tables: Sequence[KddTable]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for table in tables:
        for reason, number in table.repairs.items():
            if reason != "rows":
                sums[reason] = sums.get(reason, 0) + number
    return sums


def _digest(tables: Sequence[KddTable]) -> str:
    return sha256("".join(table.sha256 for table in tables).encode()).hexdigest()


def _joined(arrays: Sequence[NDArray[T]]) -> NDArray[T]:
    if len(arrays) == 1:
        return arrays[0]
    width = arrays[0].shape[1:]

    def parts() -> Iterator[NDArray[T]]:
        yield from arrays

    return stacked(parts(), (sum(len(array) for array in arrays), *width), arrays[0].dtype)
