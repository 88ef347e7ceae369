"""Flows of logs and flow tables that answer a query, each once: by its latest report.

A flow that goes on is reported again and again, each time with all of its packets. Which reports a later one replaces
is found out first, from the few columns that say whose they are; then the rows are read in order.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import FlowBatch, Identity
from sensor.alerts.query_terms import Term
from sensor.flow_log.columns import INSTANTS, P_VALUES, REASON, SCORE, VALUES, WORDS
from sensor.flow_log.decoding import logged_records, numbers_of, table_records, texts_of, whole_numbers_of
from sensor.flow_log.files import FileError, FlowsFile
from sensor.flow_log.query import ASKED, filter_of, unanswerable
from sensor.flow_log.reading import FlowLog
from sensor.printable import printable

if TYPE_CHECKING:
    import pyarrow as pa

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]

# Columns of values without which no flow can be shown.
SHOWN: Final = ("fwd_packets", "bwd_packets", "fwd_bytes", "bwd_bytes", "flow_duration", "icmp_type", "icmp_code")
_NAMING: Final = ("src_high", "src_low", "dst_high", "dst_low", "src_port", "dst_port", "protocol", "vlan", "start")


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of n flows."""

    verdict: list[str]
    label: list[str]
    judged: NDArray[np.bool_]
    p_known: Floats
    p_novel: Floats
    scores: dict[str, Floats]  # by detector


@dataclass(frozen=True, slots=True)
class FoundFlows:
    """Flows of one file, n of them."""

    file: FlowsFile
    records: FlowBatch  # columns that were not asked for are 0
    clock_step_ns: Int64s  # (n,) from the times of the records to the wall clock
    said: Said | None  # None: a flow table

    def __len__(self) -> int:
        return len(self.records)

    def first(self, count: int) -> "FoundFlows":
        """The first of them."""
        part, said = slice(0, count), self.said
        return FoundFlows(
            self.file,
            FlowBatch(self.records.identity[part], self.records.values[part]),
            self.clock_step_ns[part],
            said
            and Said(
                said.verdict[part],
                said.label[part],
                said.judged[part],
                said.p_known[part],
                said.p_novel[part],
                {name: score[part] for name, score in said.scores.items()},
            ),
        )


@dataclass(slots=True)
class FlowSearch:
    """One query; iterate over `found` once."""

    log: FlowLog
    terms: Sequence[Term] = ()
    snapshots: bool = False  # also reports that a later one replaces
    values: Sequence[str] = SHOWN  # columns of values that are wanted
    files: int = 0  # that were read
    _multipliers: NDArray[np.uint64] = field(default_factory=lambda: _odd_numbers(2 * len(_NAMING) + 2))

    def found(self) -> Iterator[FoundFlows]:
        """The flows, in the order of files and rows; what cannot be read becomes a problem of the log."""
        replaced = np.empty(0, dtype=np.uint64) if self.snapshots else self._replaced()
        for file in self.log.files():
            with self.log.problems_of(file):
                why = unanswerable(self.terms, file)
                if why is not None:
                    raise FileError(why)
                self.files += 1
                for flows in self._of_log(file, replaced) if file.about is not None else self._of_table(file):
                    if len(flows):
                        yield flows

    def _replaced(self) -> NDArray[np.uint64]:
        """Names of all reports that a later one replaces, in order."""
        names = [np.empty(0, dtype=np.uint64)]
        for file in self.log.files():
            if file.about is None:
                continue
            from pyarrow import compute

            with self.log.problems_of(file):
                for rows in file.rows((*_NAMING, "report"), compute.field("report") > 0):
                    columns = [whole_numbers_of(rows.column(name), name) for name in (*_NAMING, "report")]
                    columns[-1] = columns[-1] - 1
                    names.append(self._names(columns))
        return np.unique(np.concatenate(names))

    def _names(self, columns: Sequence[Int64s]) -> NDArray[np.uint64]:
        """A hash of each row, its key unknown to whoever wrote the file."""
        total = np.zeros(len(columns[0]), dtype=np.uint64)
        for number, column in enumerate(columns):
            word = column.view(np.uint64) * self._multipliers[number]
            total = (total ^ (word ^ (word >> np.uint64(29)))) * self._multipliers[-1 - number]
            total ^= total >> np.uint64(32)
        return total

    def _of_log(self, file: FlowsFile, replaced: NDArray[np.uint64]) -> Iterator[FoundFlows]:
        scores = tuple(SCORE + name for name in file.detectors)
        said = (*P_VALUES, "verdict", "label", "judged", "clock_step_ns", *scores)
        wanted = (*WORDS, *INSTANTS, REASON, *self.values, *said)
        for rows in file.rows(wanted, filter_of(self.terms, file), ASKED):
            kept = rows
            if len(replaced):
                columns = [whole_numbers_of(rows.column(name), name) for name in (*_NAMING, "report")]
                names = self._names(columns)
                places = np.minimum(np.searchsorted(replaced, names), len(replaced) - 1)
                kept = _where(rows, replaced[places] != names)
            if kept.num_rows:
                steps = whole_numbers_of(kept.column("clock_step_ns"), "clock_step_ns")
                yield FoundFlows(file, logged_records(kept, self.values), steps, _said(kept, file))

    def _of_table(self, file: FlowsFile) -> Iterator[FoundFlows]:
        condition = filter_of(self.terms, file)
        for rows in file.rows(file.columns.names):
            records = table_records(rows, 0)
            if condition is not None:
                wanted = _holds(rows, records.identity, condition)
                records = FlowBatch(records.identity[wanted], records.values[wanted])
            yield FoundFlows(file, records, np.zeros(len(records), dtype=np.int64), None)


def _odd_numbers(count: int) -> NDArray[np.uint64]:
    """Random odd numbers, (count,)."""
    return np.array([secrets.randbits(64) | 1 for _ in range(count)], dtype=np.uint64)


def _where(rows: "pa.RecordBatch", wanted: NDArray[np.bool_]) -> "pa.RecordBatch":
    import pyarrow as pa

    return rows if wanted.all() else rows.filter(pa.array(wanted))


def _said(rows: "pa.RecordBatch", file: FlowsFile) -> Said:
    return Said(
        texts_of(rows.column("verdict"), "verdict"),
        texts_of(rows.column("label"), "label"),
        numbers_of(rows.column("judged"), "judged").astype(np.bool_),
        numbers_of(rows.column("p_known"), "p_known"),
        numbers_of(rows.column("p_novel"), "p_novel"),
        {printable(name, 40): numbers_of(rows.column(SCORE + name), name) for name in file.detectors},
    )


def _holds(rows: "pa.RecordBatch", identity: Identity, condition: object) -> NDArray[np.int64]:
    """Which rows of a flow table a condition holds for. The words of addresses are put beside its columns."""
    import pyarrow as pa

    columns = {name: rows.column(name).cast(pa.float64()) for name in VALUES}
    columns |= {name: rows.column(name) for name in ("src_address", "dst_address", REASON)}
    columns |= {name: pa.array(identity[:, word]) for name, word in WORDS.items()}
    columns |= {name: pa.array(identity[:, word]).cast(pa.timestamp("ns", "UTC")) for name, word in INSTANTS.items()}
    numbered = pa.table({**columns, "row": pa.array(np.arange(len(identity)))})
    wanted: NDArray[np.int64] = numbered.filter(condition).column("row").to_numpy()
    return wanted
