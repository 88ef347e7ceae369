"""What a bundle says of each record of a learning period, kept as a few numbers a record, and rows to fit on.

The records are gone through in order, as a judge would. It makes no alert.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    END_NS,
    END_SHIFT_NS,
    SRC_HIGH,
    SRC_LOW,
    FlowBatch,
    Identity,
)
from flows.matching import KEY
from models.detector import Labels, Vector
from models.fusion import Hybrid, Judgement
from sensor.judging.judge import RowMaker, Rows, steps_of

Records = Callable[[], Iterator[FlowBatch]]  # goes through the records of a learning period, from the first, each time
Hashes = NDArray[np.uint64]  # (n,)
Mask = NDArray[np.bool_]  # (n,)
Times = NDArray[np.int64]  # (n,)
# A new array of such a shape and type, whose numbers are whatever they are: in memory, or past it in a file.
Empty = Callable[[tuple[int], Any], NDArray[Any]]

AT_ONCE: Final = 1 << 16  # records whose numbers are worked on together
SAMPLE: Final = 40_000  # rows that forests and normal values are fitted on
SOURCE: Final = [SRC_HIGH, SRC_LOW]
DESTINATION: Final = [DST_HIGH, DST_LOW]


@dataclass(frozen=True, slots=True, eq=False)
class RecordPart:
    """Records that are gone through at once."""

    records: FlowBatch
    rows: Rows  # what a bundle judges of them
    first: int  # number of the first of them in the whole period

    @property
    def numbers(self) -> slice:
        """Their numbers in the whole period."""
        return slice(self.first, self.first + len(self.records))


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What is kept of every record of a learning period, in its order."""

    p_known: Vector  # (n,) whether the bundle's support judges it or not
    p_novel: Vector  # (n,) likewise
    label: Labels  # (n,)
    judged: Mask  # (n,) whether the bundle's support does
    flow: Hashes  # (n,) the flow that it is a report of
    source: Hashes  # (n,) the host that began it
    destination: Hashes  # (n,)
    time_ns: Times  # (n,) traffic time
    first: Mask  # (n,) whether it is the flow's first report

    def __len__(self) -> int:
        return len(self.p_known)

    def judgement(self, rows: slice, p_known: Vector, p_novel: Vector, judged: Mask) -> Judgement:
        """What lanes say of these records, by p-values of the whole period and by which of them are judged."""
        own = judged[rows]
        return Judgement(
            np.zeros(len(own), dtype=np.int8),  # the episodes ask for p-values alone
            np.where(own, p_known[rows], 1.0),
            np.where(own, p_novel[rows], 1.0),
            {},
            self.label[rows],
            own,
        )


_KEPT: Final = {
    **{"p_known": np.float64, "p_novel": np.float64, "label": np.int16, "judged": np.bool_, "flow": np.uint64},
    **{"source": np.uint64, "destination": np.uint64, "time_ns": np.int64, "first": np.bool_},
}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows drawn of a learning period."""

    rows: Rows  # (k, c)
    number: NDArray[np.int64]  # (k,) of the record, ascending


def parts(
    records: Records, make: Callable[[], RowMaker | None] = lambda: None, anew_ns: Sequence[int] = ()
) -> Iterator[RecordPart]:
    """The records of a period with their rows; of no records nothing.

    make: what makes the rows, without one they are the records' own values. anew_ns: ascending moments of traffic time
    at which another one goes on, which remembers nothing: as a sensor that is started then.
    """
    first, row_maker, left = 0, make(), list(anew_ns)
    for batch in records():
        if not len(batch):
            continue
        if left and int(batch.identity[0, END_NS] + batch.identity[0, END_SHIFT_NS]) >= left[0]:
            row_maker = make()
            left.pop(0)
        yield RecordPart(batch, batch.values if row_maker is None else row_maker.columns(batch), first)
        first += len(batch)


def pieces(records: int) -> Iterator[slice]:
    """All numbers of so many records, some at a time."""
    for first in range(0, records, AT_ONCE):
        yield slice(first, min(first + AT_ONCE, records))


class Column:
    """Numbers that come part by part."""

    def __init__(self, empty: Empty, dtype: Any) -> None:
        self._empty = empty
        self._room = empty((AT_ONCE,), dtype)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def add(self, part: NDArray[Any]) -> None:
        """Keep these after the others."""
        end = self._used + len(part)
        if end > len(self._room):
            larger = self._empty((2 * end,), self._room.dtype)
            for some in pieces(self._used):
                larger[some] = self._room[some]
            self._room = larger
        self._room[self._used : end] = part
        self._used = end

    def numbers(self) -> NDArray[Any]:
        """All of them so far."""
        return self._room[: self._used]


class Keeper:
    """Keeps what a bundle says of each part."""

    def __init__(self, hybrid: Hybrid, empty: Empty = np.empty) -> None:
        self._hybrid = replace(hybrid, support=None)  # also what the bundle has not met: the site may have
        self._support = hybrid.support
        self._hybrid.forget()
        self._columns = {name: Column(empty, dtype) for name, dtype in _KEPT.items()}

    def take(self, part: RecordPart) -> Judgement:
        """Judge the next part; what the bundle says of it, by its own support."""
        steps = steps_of(part.records, part.rows)
        told = self._hybrid.judge(steps)
        judged = np.ones(len(steps), dtype=np.bool_) if self._support is None else self._support.judges(part.rows)
        identity = part.records.identity
        kept = {
            "p_known": told.p_known,
            "p_novel": told.p_novel,
            "label": told.label,
            "judged": judged,
            "flow": hashes(identity, KEY),
            "source": hashes(identity, SOURCE),
            "destination": hashes(identity, DESTINATION),
            "time_ns": identity[:, END_NS] + identity[:, END_SHIFT_NS],
            "first": steps.advances,
        }
        for name, numbers in kept.items():
            self._columns[name].add(numbers)
        p_known, p_novel = np.where(judged, told.p_known, 1.0), np.where(judged, told.p_novel, 1.0)
        return replace(told, p_known=p_known, p_novel=p_novel, judged=judged)

    @property
    def records(self) -> int:
        """How many were judged so far."""
        return len(self._columns["first"])

    def kept(self) -> Kept:
        """Of all parts so far; the bundle's hosts are forgotten."""
        self._hybrid.forget()
        return Kept(**{name: column.numbers() for name, column in self._columns.items()})


def drawn(through: Iterator[RecordPart], chosen: Mask, seed: int, most: int = SAMPLE) -> Sample:
    """Rows of so many of the chosen records, drawn by the seed; of all where there are no more.

    chosen: (n,) of all records of the period.
    """
    count = int(chosen.sum())
    places = np.arange(min(count, most))  # of the chosen ones
    if count > most:
        places = np.sort(np.random.default_rng([seed, 17]).choice(count, most, replace=False))
    numbers = _numbers_at(chosen, places)
    rows = []
    for part in through:
        low, high = np.searchsorted(numbers, (part.numbers.start, part.numbers.stop))
        rows.append(part.rows[numbers[low:high] - part.first])
    return Sample(np.concatenate(rows), numbers)


def _numbers_at(chosen: Mask, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the records at these places, ascending, among the chosen ones."""
    found, before = [np.empty(0, dtype=np.int64)], 0
    for piece in pieces(len(chosen)):
        own = np.flatnonzero(chosen[piece])
        low, high = np.searchsorted(places, (before, before + len(own)))
        found.append(piece.start + own[places[low:high] - before])
        before += len(own)
    return np.concatenate(found)


def picked(chosen: Mask, numbers: Callable[[slice], NDArray[np.float64]], empty: Empty) -> Vector:
    """What stands at the chosen records, in their order. chosen: (n,). numbers: of a slice of all records."""
    taken, first = empty((int(chosen.sum()),), np.float64), 0
    for piece in pieces(len(chosen)):
        own = numbers(piece)[chosen[piece]]
        taken[first : first + len(own)] = own
        first += len(own)
    return taken


def different(numbers: NDArray[Any]) -> int:
    """How many different ones there are."""
    found = np.empty(0, dtype=numbers.dtype)
    for piece in pieces(len(numbers)):
        found = np.union1d(found, numbers[piece])
    return len(found)


def hashes(identity: Identity, words: Sequence[int]) -> Hashes:
    """One number for what stands in these words of each record, (n,): it tells them apart, and nobody who chose them.

    Not for tables that strangers fill: here a collision only leaves out one flow more.
    """
    mixed = np.zeros(len(identity), dtype=np.uint64)
    for word in words:
        mixed = (mixed ^ identity[:, word].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
