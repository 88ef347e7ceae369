"""Flows of the past, in the order of their time: flow logs, and native flow tables, from directories or files.

Memory is bounded: of each run that is open at the same time a few thousand rows are held, however long the log is, and
of tables in many parts together as many as of a few. A file that cannot be read, or not to its end, is one line of
`problems`, and the others are read still.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import REPORTED_NS, FlowBatch
from sensor.errors import InputError, reason_of
from sensor.flow_log.columns import INSTANTS, REASON, VALUES, WORDS, JudgedRecords
from sensor.flow_log.decoding import RowError, logged_records, table_records
from sensor.flow_log.files import (
    ROWS_AT_ONCE,
    SUFFIX,
    FileError,
    FlowsFile,
    LogName,
    log_name,
    open_flows,
)
from sensor.flow_log.judge import judged_by
from sensor.flow_log.parts import is_pattern, named_files
from sensor.printable import printable

_RECORD: Final = (*WORDS, *INSTANTS, REASON, *VALUES)
_SECOND_NS: Final = 1_000_000_000
_WHOLE_TABLES: Final = 8  # so many tables may have ROWS_AT_ONCE rows each at hand, more of them fewer
_FEWEST_AT_ONCE: Final = 256
LACKING: Final = (
    "{}: a flow table has no reports of flows that went on, and not the moment of a report: whole flows are taken at "
    "their ends, and what is said of long ones may come later than live"
)


@dataclass(slots=True)
class _Stream:
    """The files of one run, read one after the other; one file with another name, or several small ones, merged."""

    paths: list[Path]
    first_ns: int  # no record was reported before it
    table_rows: int | None = None  # of flow tables, None of a log
    batches: Iterator[FlowBatch] | None = None
    held: FlowBatch | None = None  # the rows at hand
    clock: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # of these, never going back


class FlowLog:
    """The flows of logs and flow tables; each iteration reads the files anew."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        """Find the files. paths: files, patterns, or directories, of which all Parquet files count.

        Raises InputError for a path that is not there, and where there is no file at all.
        """
        self.problems: list[str] = []  # of what was read so far, one line for each file
        self.remarks: list[str] = []  # what files that were read do not say, one line each
        self._told: set[str] = set()  # both of them
        self.paths: tuple[Path, ...] = tuple(
            sorted({found for path in paths for found in _found(Path(path))}, key=_age)
        )
        if not self.paths:
            raise InputError(
                f"{', '.join(printable(str(path), 200) for path in paths)}: found no Parquet file, expected a flow log "
                "(watch --flows) or a flow table (flows -o X.parquet)"
            )

    def files(self) -> Iterator[FlowsFile]:
        """The files that can be opened, runs in the order of their time; the others become problems."""
        for path in self.paths:
            opened = self._open(path)
            if opened is not None:
                yield opened

    def batches(self) -> Iterator[FlowBatch]:
        """All records in the order of their reports, those of runs that overlap merged.

        Of one run they are the very records that its judge saw, in that order.
        """
        waiting = self._streams()
        tables = sum(stream.table_rows is not None for stream in waiting)
        at_once = max(_FEWEST_AT_ONCE, min(ROWS_AT_ONCE, _WHOLE_TABLES * ROWS_AT_ONCE // max(tables, 1)))
        running: list[_Stream] = []
        while waiting or running:
            horizon = min((int(stream.clock[-1]) for stream in running), default=None)
            while waiting and (horizon is None or waiting[0].first_ns <= horizon):
                stream = waiting.pop(0)
                stream.batches = self._records_of(stream, at_once)
                if _advance(stream):
                    running.append(stream)
                    horizon = min(int(stream.clock[-1]) for stream in running)
            if running:
                yield _taken(running)
                running = [stream for stream in running if stream.held is not None or _advance(stream)]

    def judged(self) -> Iterator[JudgedRecords]:
        """Records with what was said of them, file by file: those of runs that overlap are not merged.

        Flow tables say nothing of their flows and are left out.
        """
        for opened in self.files():
            if opened.about is not None:
                yield from self._judged_of(opened)

    def _streams(self) -> list[_Stream]:
        """Runs by their first moment, each with its files in order."""
        runs: dict[str, list[tuple[LogName, Path]]] = {}
        tables: list[_Stream] = []
        for path in self.paths:
            name = log_name(path.name)
            if name is None:
                opened = self._open(path)
                tables += [] if opened is None else [_Stream([path], opened.first_ns, _rows_of_table(opened))]
            else:
                runs.setdefault(f"{path.parent}/{name.run}", []).append((name, path))
        streams = _bundled(sorted(tables, key=lambda stream: stream.first_ns))
        for files in runs.values():
            files.sort(key=lambda file: file[0].number)
            streams.append(_Stream([path for _, path in files], min(name.first_s for name, _ in files) * _SECOND_NS))
        return sorted(streams, key=lambda stream: stream.first_ns)

    def _records_of(self, stream: _Stream, at_once: int) -> Iterator[FlowBatch]:
        opened = filter(None, map(self._open, stream.paths))
        if stream.table_rows is None:
            at_once = ROWS_AT_ONCE
        batches = (batch for file in opened for batch in self._batches_of(file, at_once))
        if len(stream.paths) == 1 or stream.table_rows is None:
            yield from batches
        elif parts := list(batches):
            yield _in_order(parts, [part.identity[:, REPORTED_NS] for part in parts])

    def _batches_of(self, opened: FlowsFile, at_once: int) -> Iterator[FlowBatch]:
        latest_ns = 0
        names = _RECORD if opened.about is not None else opened.columns.names
        with self.problems_of(opened):
            for rows in opened.rows(names, at_once=at_once):
                batch = logged_records(rows) if opened.about is not None else table_records(rows, latest_ns)
                latest_ns = int(batch.identity[-1, REPORTED_NS])
                yield batch

    def _judged_of(self, opened: FlowsFile) -> Iterator[JudgedRecords]:
        from sensor.flow_log.judgements import judged_records

        with self.problems_of(opened):
            for rows in opened.rows(opened.columns.names):
                yield from judged_records(rows, judged_by(opened))

    @contextmanager
    def problems_of(self, opened: FlowsFile) -> Iterator[None]:
        """Have what is wrong with a file become a problem, and its rest be passed over."""
        try:
            yield
        except FileError as error:
            self._add_problem(str(error))
        except RowError as error:
            self._add_problem(f"{printable(str(opened.path), 200)}: damaged: {printable(str(error), 200)}")

    def _open(self, path: Path) -> FlowsFile | None:
        try:
            opened = open_flows(path)
        except FileError as error:
            self._add_problem(str(error))
            return None
        if opened.about is None:
            self._tell(LACKING.format(printable(str(path), 200)), self.remarks)
        return opened

    def _add_problem(self, problem: str) -> None:
        self._tell(problem, self.problems)

    def _tell(self, line: str, lines: list[str]) -> None:
        """Add a line that is not there yet."""
        if line not in self._told:
            self._told.add(line)
            lines.append(line)


def _found(path: Path) -> Iterator[Path]:
    """The Parquet files that a path stands for. Raises InputError where there is nothing."""
    try:
        files = named_files(path)
        yield from (file for file in files if file == path or is_pattern(path) or file.suffix == SUFFIX)
    except OSError as error:
        raise InputError(
            f"{printable(str(path), 200)}: {reason_of(error)}, expected a flow log or a flow table"
        ) from error


def _bundled(tables: Sequence[_Stream]) -> list[_Stream]:
    """Neighbours put together where they have few rows: a table may be in thousands of parts. tables: by time."""
    bundles: list[_Stream] = []
    for table in tables:
        last = bundles[-1] if bundles else None
        if last is not None and last.table_rows is not None and table.table_rows is not None:
            rows = last.table_rows + table.table_rows
            if rows <= ROWS_AT_ONCE:
                bundles[-1] = _Stream([*last.paths, *table.paths], last.first_ns, rows)
                continue
        bundles.append(table)
    return bundles


def _rows_of_table(opened: FlowsFile) -> int | None:
    """None of a log: whoever named its file otherwise, its records stay in the order in which they came."""
    return opened.count if opened.about is None else None


def _age(path: Path) -> tuple[Any, ...]:
    name = log_name(path.name)
    return (0, 0, "", 0, str(path)) if name is None else (1, name.first_s, name.run, name.number, str(path))


def _advance(stream: _Stream) -> bool:
    """Take the next rows of a stream at hand; whether there are any."""
    assert stream.batches is not None  # noqa: S101  # it was opened
    latest = int(stream.clock[-1]) if len(stream.clock) else 0
    stream.held = next(stream.batches, None)
    if stream.held is None:
        return False
    reported = stream.held.identity[:, REPORTED_NS]
    # Workers' records may come late: in the log they stay where they came.
    stream.clock = np.maximum.accumulate(np.maximum(reported, latest))
    return True


def _taken(running: Sequence[_Stream]) -> FlowBatch:
    """The rows at hand up to the moment that all streams have reached, in order; at least one stream has none left."""
    horizon = min(int(stream.clock[-1]) for stream in running)
    parts: list[FlowBatch] = []
    clocks = []
    for stream in running:
        assert stream.held is not None  # noqa: S101  # _advance saw to it
        due = int(np.searchsorted(stream.clock, horizon, side="right"))
        whole = due == len(stream.held)
        parts.append(stream.held if whole else _rows(stream.held, slice(0, due)))
        clocks.append(stream.clock[:due])
        stream.held = None if whole else _rows(stream.held, slice(due, None))
        stream.clock = stream.clock if whole else stream.clock[due:]
    if len(parts) == 1:
        return parts[0]
    return _in_order(parts, clocks)


def _in_order(parts: Sequence[FlowBatch], clocks: Sequence[NDArray[np.int64]]) -> FlowBatch:
    """Records of several by their clocks, those of the same moment part after part."""
    order = np.argsort(np.concatenate(clocks), kind="stable")
    identity, values = (np.concatenate(arrays) for arrays in zip(*((p.identity, p.values) for p in parts), strict=True))
    return FlowBatch(identity[order], values[order])


def _rows(batch: FlowBatch, part: slice) -> FlowBatch:
    return FlowBatch(batch.identity[part], batch.values[part])
