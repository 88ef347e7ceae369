"""What a bundle says of each record of a learning period, kept as a few numbers a record, and rows to fit on.

The records are gone through in order, as a judge would. It makes no alert.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

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


class Keeper:
    """Keeps what a bundle says of each part."""

    def __init__(self, hybrid: Hybrid) -> None:
        self._hybrid = replace(hybrid, support=None)  # also what the bundle has not met: the site may have
        self._support = hybrid.support
        self._hybrid.forget()
        self._kept: list[Kept] = []

    def take(self, part: RecordPart) -> Judgement:
        """Judge the next part; what the bundle says of it, by its own support."""
        steps = steps_of(part.records, part.rows)
        told = self._hybrid.judge(steps)
        judged = np.ones(len(steps), dtype=np.bool_) if self._support is None else self._support.judges(part.rows)
        identity = part.records.identity
        kept = Kept(
            p_known=told.p_known,
            p_novel=told.p_novel,
            label=told.label.astype(np.int16),
            judged=judged,
            flow=hashes(identity, KEY),
            source=hashes(identity, SOURCE),
            destination=hashes(identity, DESTINATION),
            time_ns=identity[:, END_NS] + identity[:, END_SHIFT_NS],
            first=steps.advances,
        )
        self._kept.append(kept)
        p_known, p_novel = np.where(judged, told.p_known, 1.0), np.where(judged, told.p_novel, 1.0)
        return replace(told, p_known=p_known, p_novel=p_novel, judged=judged)

    @property
    def records(self) -> int:
        """How many were judged so far."""
        return sum(map(len, self._kept))

    def kept(self) -> Kept:
        """Of all parts so far; the bundle's hosts are forgotten."""
        self._hybrid.forget()
        names = Kept.__dataclass_fields__
        return Kept(**{name: np.concatenate([getattr(part, name) for part in self._kept]) for name in names})


def drawn(through: Iterator[RecordPart], chosen: Mask, seed: int, most: int = SAMPLE) -> Sample:
    """Rows of so many of the chosen records, drawn by the seed; of all where there are no more.

    chosen: (n,) of all records of the period.
    """
    numbers = np.flatnonzero(chosen)
    if len(numbers) > most:
        numbers = np.sort(np.random.default_rng([seed, 17]).choice(numbers, most, replace=False))
    rows = []
    for part in through:
        low, high = np.searchsorted(numbers, (part.numbers.start, part.numbers.stop))
        rows.append(part.rows[numbers[low:high] - part.first])
    return Sample(np.concatenate(rows), numbers)


def hashes(identity: Identity, words: Sequence[int]) -> Hashes:
    """One number for what stands in these words of each record, (n,): it tells them apart, and nobody who chose them.

    Not for tables that strangers fill: here a collision only leaves out one flow more.
    """
    mixed = np.zeros(len(identity), dtype=np.uint64)
    for word in words:
        mixed = (mixed ^ identity[:, word].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
