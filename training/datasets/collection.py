"""Datasets of one file or of a directory of days, as one table in the order of time, whatever their size.

Values pass through memory some ten thousand rows at a time; what is kept of each row besides them is small. Values that
different programs measured are not put into one table.
"""

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from flows.columns import INDEX, NAMES
from training.arrays import Int64s, Mask, Strings
from training.datasets.flow_file import NOTES, FlowFile, FlowRows, LabelCodes, Notes, read_flow_file
from training.datasets.measured import program_of, repaired, unfit
from training.datasets.names import file_name
from training.datasets.packed import unreadable
from training.datasets.partitions import is_of_flows, is_pattern, named_by, partition_columns
from training.datasets.programs import FlowProgram
from training.datasets.rows import Rows, blocks, different, empty, stacked, taken, together
from training.datasets.table import DAY_NS, UNLABELLED, FlowTable, days_of
from training.datasets.text import STRAY_ROWS, Repairs, has_no_rows
from training.errors import DatasetError, reason_of
from training.label_map import DROP, LabelMap, Relabelling
from training.labels import CIC_VOCABULARY
from training.reporting import Report

# Rows in the order that a table is to have: (n,) start times in, (n,) row numbers out.
Order = Callable[[Int64s], Int64s]

MOST_DAYS = 4_000  # on which flows begin, eleven years: more are no times, and each is looked at by itself

SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".csv.xz", ".csv.bz2", ".csv.lz4", ".parquet")


def read_dataset(path: Path, report: Report, labels: LabelMap | None = None) -> FlowTable:
    """Flows of a file, or of all files below a directory, in the order of their start; family "" where unlabelled.

    A file is CSV (plain or compressed) or Parquet with any header of flows.dialects; in a directory, files with
    other endings are named and skipped. Flows of the same start keep the order of the files (by name) and rows.
    Rows that only attempted an attack, and rows of protocol 0 (the programs' word for any protocol they do not know),
    are left out and counted in repairs. labels: how labels beside the vocabulary are read; what it did is reported, and
    counted in repairs. Raises LabelMapError, and DatasetError with file, line and column of what cannot be read, and
    for files of different dialects or programs.
    """
    return read_files(path, flow_files(path, report), in_time_order, report, labels)


def flow_files(path: Path, report: Report) -> list[Path]:
    """The file itself, those that a pattern names, or those below a directory that are flow tables by their ending.

    The latter are sorted by path, and the others are reported. Raises DatasetError where there is none.
    """
    if is_pattern(path):
        return named_by(path)
    return _flow_files_below(path, report) if os.path.isdir(path) else [path]


def _flow_files_below(directory: Path, report: Report) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename or directory), error)

    found = [Path(root, name) for root, _, names in os.walk(directory, onerror=refuse) for name in names]
    found.sort(key=lambda path: path.relative_to(directory).parts)
    files = [path for path in found if path.name.endswith(SUFFIXES) and not path.name.startswith(".")]
    for path in found:
        if path not in files:
            report(f"skipped {path}: not {', '.join(SUFFIXES)}")
    if not files:
        raise DatasetError(directory, f"has no flow tables below it; expected files ending in {', '.join(SUFFIXES)}")
    return files


def in_time_order(start_ns: Int64s) -> Int64s:
    """By start; rows of the same start stay in the order they have."""
    return np.argsort(start_ns, kind="stable")


def read_files(
    path: Path, files: list[Path], order: Order, report: Report, labels: LabelMap | None = None
) -> FlowTable:
    """Files as one table. path: what they are files of, as messages and the table name it.

    labels: as of read_dataset. Raises DatasetError, LabelMapError.
    """
    relabelling = Relabelling(labels, CIC_VOCABULARY)
    try:
        with closing(Rows(len(NAMES))) as values, closing(Rows(NOTES, np.int64)) as notes:
            table = _read_files(path, files, order, FlowRows(values, notes), report, LabelCodes(relabelling))
    except OSError as error:
        place = tempfile.gettempdir()
        problem = f"its values do not fit into {place} ({reason_of(error)}); TMPDIR chooses another directory"
        raise DatasetError(path, problem) from error
    for line in relabelling.told(table.repairs):
        report(line)
    return table


def _read_files(
    path: Path, files: list[Path], order: Order, rows: FlowRows, report: Report, labels: LabelCodes
) -> FlowTable:
    repairs: Repairs = Counter({"rows": 0, "duplicate rows (kept)": 0})
    read: list[FlowFile] = []
    constants = {file: partition_columns(file, path) for file in files}
    for name in sorted({name for own in constants.values() for name in own if not is_of_flows(name)}):
        report(f"{path}: directories {name}=… are not read, no column of flows has this name")
    for file in files:
        if len(files) > 1 and has_no_rows(file):
            report(f"skipped {file}: has no rows")
            continue
        report(f"reading {file}")
        known = {name: text for name, text in constants[file].items() if is_of_flows(name)}
        read.append(read_flow_file(file, rows, labels, repairs, report, known))
        _refuse_other_dialect(read[0], read[-1])
    if not read:
        raise DatasetError(path, f"has no rows in any of its {len(files):,} files; expected flows")
    program = program_of(read)
    notes, n = Notes(rows.notes.whole()), len(rows.notes)
    repairs["rows"] = n
    repairs["duplicate rows (kept)"] = n - different(notes.digest)
    duration_us, nameless = _repair_all(read, rows, program, repairs)
    attempted = np.array([family is None for family in labels.families])[notes.label]
    kept = _kept(_dropped(path, notes.label, labels, repairs), attempted, nameless, repairs)
    has_hosts, has_times = all(file.header.has_hosts for file in read), all(file.header.has_times for file in read)
    starts = notes.start_ns if has_times else np.zeros(n, dtype=np.int64)
    chosen = taken(kept, order(taken(starts, kept)))
    start_ns, label = taken(starts, chosen), taken(notes.label, chosen)
    _refuse_many_days(path, start_ns)
    ends = (start_ns[own] + duration_us[chosen[own]] * 1000 for own in blocks(len(chosen)))
    lacking = frozenset().union(*(unfit(one.header, program) for one in read))
    table = FlowTable(
        values=rows.values.taken(chosen),
        host=taken(notes.host, chosen) if has_hosts else _strangers(len(chosen)),
        start_ns=start_ns,
        end_ns=stacked(ends, start_ns.shape, start_ns.dtype),
        label=taken(np.array(labels.names), label),
        family=taken(np.array([family or UNLABELLED for family in labels.families]), label),
        day=days_of(start_ns) if has_times else _files(path, read, chosen),
        missing=tuple(name for name in NAMES if name in lacking),
        repairs=dict(repairs),
        sha256=_digest(path, read),
        dst_port=taken(notes.dst_port, chosen),
        path=path,
        has_hosts=has_hosts,
        has_times=has_times,
        label_map=labels.relabelling.map,
    )
    _tell(table, report)
    return table


def _tell(table: FlowTable, report: Report) -> None:
    """What the dataset does not have, and which rows are not of flows."""
    if table.left_out:
        report(f"{table.path} has {table.left_out}")
    for reason, number in table.repairs.items():
        if number and reason in STRAY_ROWS:
            report(f"{table.path}: {number:,} {reason}")


def _files(path: Path, read: list[FlowFile], chosen: Int64s) -> Strings:
    """Name of the file that each chosen row is of, (n,)."""
    names = [file_name(file.path, path) for file in read]
    return taken(np.array(names), np.searchsorted([file.end for file in read], chosen, side="right"))


def _strangers(n: int) -> Int64s:
    """A host of its own for each of n flows, (n, 2): none comes after another."""
    return np.stack([np.zeros(n, dtype=np.int64), np.arange(n)], axis=1)


def _repair_all(read: list[FlowFile], rows: FlowRows, program: FlowProgram, repairs: Repairs) -> tuple[Int64s, Mask]:
    """Repair all rows where they lie; the duration (µs) of each, and whether it has protocol 0, (n,)."""
    n = len(rows.values)
    duration_us, nameless = empty((n,), np.int64), np.empty(n, dtype=np.bool_)
    for file in read:
        for first, values in repaired(file, rows, program, repairs):
            span = slice(first, first + len(values))
            duration_us[span] = values[:, INDEX["flow_duration"]]
            nameless[span] = values[:, INDEX["protocol"]].astype(np.int64) == 0
    return duration_us, nameless


def _dropped(path: Path, label: Int64s, labels: LabelCodes, repairs: Repairs) -> Mask:
    """(n,) whether the map of labels leaves a row out; counts in repairs what it did. Raises DatasetError for all."""
    counts = np.sum([np.bincount(label[rows], minlength=len(labels.names)) for rows in blocks(len(label))], axis=0)
    for line, count in zip(labels.lines, counts, strict=True):
        if line is not None:
            repairs[line.effect] += int(count)
    dropped: Mask = np.array([line is not None and line.target == DROP for line in labels.lines])[label]
    if dropped.all():
        raise DatasetError(
            path, f"has {len(label):,} rows, all dropped by the map of labels; expected some to stay", column="Label"
        )
    return dropped


def _kept(dropped: Mask, attempted: Mask, nameless: Mask, repairs: Repairs) -> Int64s:
    """Numbers of the rows that stay. nameless: (n,) of protocol 0."""
    unknown_protocol = nameless & ~attempted & ~dropped
    repairs["rows of attempted attacks, left out"] = int(attempted.sum())
    repairs["rows of protocol 0, left out"] = int(unknown_protocol.sum())
    stay = ~(dropped | attempted | unknown_protocol)
    return together([rows.start + np.flatnonzero(stay[rows]) for rows in blocks(len(stay))])


def _refuse_many_days(path: Path, start_ns: Int64s) -> None:
    days: set[int] = set()
    for rows in blocks(len(start_ns)):
        days.update(np.unique(start_ns[rows] // DAY_NS).tolist())
    if len(days) > MOST_DAYS:
        problem = f"has flows of {len(days):,} different days; expected {MOST_DAYS:,} at most, times of a recording"
        raise DatasetError(path, problem)


def _refuse_other_dialect(first: FlowFile, file: FlowFile) -> None:
    ours, theirs = file.header.dialect.name, first.header.dialect.name
    if ours != theirs:
        problem = f"has the header of {ours}, {first.path} that of {theirs}; expected one dialect in a dataset"
        raise DatasetError(file.path, problem, line=1)


def _digest(path: Path, read: list[FlowFile]) -> str:
    if [file.path for file in read] == [path]:
        return read[0].sha256
    return hashlib.sha256("".join(file.sha256 for file in read).encode()).hexdigest()
