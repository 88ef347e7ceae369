"""Records that fell due together, in one order, and in parts: whoever takes them looks for packets between two.

The order is a function of the flows alone: not of the portions that they came in, nor of how many workers metered them.
A second in which thousands of flows end would otherwise keep a live capture from its ring until all are judged.
"""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    IP_VERSION,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    VLAN,
    FlowBatch,
    empty_batch,
)
from flows.meter import concatenate

PART: Final = 256  # records, at most
PART_BEHIND: Final = 1024  # the same for a ring that fills up: they cost a fifth less
PART_LEAST: Final = 32
# For which a part may keep whoever takes it from the ring. Half a core judges 256 records in some 40 ms, with what they
# give rise to; a slower one, or one that others use, gets smaller parts.
PART_S: Final = 0.03
MOST: Final = 65_536  # records that may wait, some 50 MB
# Of one moment that are put in order together, some 110 MB: where time stands still, as in a capture of one stamp, all
# records are of one moment, and the first are handed on before the last.
TOGETHER: Final = 131_072
# What tells records apart that are of one moment and began at one: the last of them counts most (np.lexsort).
_ENDS: Final = (REPORT, VLAN, IP_VERSION, PROTOCOL, DST_PORT, SRC_PORT, DST_LOW, DST_HIGH, SRC_LOW, SRC_HIGH)


def in_order(records: FlowBatch) -> FlowBatch:
    """Records in the order of their reports; those of one moment by their first packets, and then by their ends."""
    identity = records.identity
    reported, began = identity[:, REPORTED_NS], identity[:, START_NS] + identity[:, START_SHIFT_NS]
    later = (np.diff(reported) > 0) | (np.diff(reported) == 0) & (np.diff(began) > 0)
    if later.all():
        return records
    order = np.lexsort((began, reported))
    same = (np.diff(reported[order]) == 0) & (np.diff(began[order]) == 0)
    alike = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(alike):
        rows = order[alike]
        order[alike] = rows[np.lexsort((*identity[rows][:, _ENDS].T, began[rows], reported[rows]))]
    return FlowBatch(identity[order], records.values[order])


def parted(records: FlowBatch, at: int) -> tuple[FlowBatch, FlowBatch]:
    """The first records, and the others."""
    identity, values = records.identity, records.values
    return FlowBatch(identity[:at], values[:at]), FlowBatch(identity[at:], values[at:])


def before(records: FlowBatch, moment_ns: int) -> int:
    """How many records, in the order of their reports, were reported before a moment."""
    return int(np.searchsorted(records.identity[:, REPORTED_NS], moment_ns, side="left"))


class PartSize:
    """How many records a part has, by how long the latest ones took."""

    def __init__(self) -> None:
        self._each_s = PART_S / PART  # the dearest of late: up at once, down by a quarter of the difference

    def most(self, *, behind: bool, spent_s: float = 0.0) -> int:
        """Records of the next part at most.

        behind: whether the ring fills up. spent_s: for how long nobody has looked at it by now; a part gets shorter for
        that, down to half.
        """
        allowed_s = max(PART_S - spent_s, PART_S / 2)
        return max(PART_LEAST, min(PART_BEHIND if behind else PART, int(allowed_s / max(self._each_s, 1e-9))))

    def took(self, records: int, seconds: float) -> None:
        """Take in how long a part took; of a few records nothing is learnt."""
        if records >= PART_LEAST:
            latest_s = seconds / records
            self._each_s = max(latest_s, self._each_s + (latest_s - self._each_s) / 4)


def in_moments(records: FlowBatch, most: int) -> Iterator[FlowBatch]:
    """Records in parts: those of one moment stay together, up to so many, counted from the first of them."""
    if len(records) <= most:
        if len(records):
            yield records
        return
    moments = np.flatnonzero(np.diff(records.identity[:, REPORTED_NS])) + 1
    ends = [0, *moments.tolist(), len(records)]
    cuts = {at for begin, end in pairwise(ends) if end - begin > most for at in (*range(begin, end, most), end)}
    for begin, end in pairwise(sorted({0, *cuts, len(records)})):
        yield FlowBatch(records.identity[begin:end], records.values[begin:end])


class DueRecords:
    """Queue of flow records in one order (`in_order`), whatever portions they are added in."""

    def __init__(self, *, as_reported: bool = False, together: int = TOGETHER) -> None:
        """as_reported: whether those of one moment keep the order of their reports. together: of one moment at most."""
        self._as_reported, self._together = as_reported, together
        self._batches: deque[FlowBatch] = deque()
        self._newest = empty_batch()  # reported at the newest moment, of which there may be more
        self._count = 0  # without those

    def __len__(self) -> int:
        """Records that may be taken."""
        return self._count

    @property
    def waiting(self) -> int:
        """Records that were not taken, also those that may not be yet."""
        return self._count + len(self._newest)

    @property
    def fill(self) -> float:
        """Share of the records that may wait which do; above 1 where too many do."""
        return self._count / MOST

    def add(self, records: FlowBatch, until_ns: int) -> None:
        """Append records that were reported after those that wait.

        until_ns: no later one is reported before this moment. Those that were reported before it may be taken.
        """
        if len(self._newest):
            records = concatenate([self._newest, records])
        complete, self._newest = parted(records, before(records, until_ns))
        for part in in_moments(complete, self._together):
            self._append(part)
        while len(self._newest) >= self._together:
            part, self._newest = parted(self._newest, self._together)
            self._append(part)

    def part(self, most: int = PART) -> FlowBatch:
        """Take the next records, at most so many; none where none wait."""
        if not self._batches:
            return empty_batch()
        first, rest = parted(self._batches.popleft(), most)
        if len(rest):
            self._batches.appendleft(rest)
        self._count -= len(first)
        return first

    def all(self) -> FlowBatch:
        """Take all that may be taken."""
        batches, self._count = list(self._batches), 0
        self._batches.clear()
        return concatenate(batches)

    def _append(self, records: FlowBatch) -> None:
        self._batches.append(records if self._as_reported else in_order(records))
        self._count += len(records)

    def complete_until(self, until_ns: int) -> int:
        """Moment up to which all records were taken, when those reported before `until_ns` were added."""
        if not self._batches:
            return until_ns
        return min(until_ns, int(self._batches[0].identity[0, REPORTED_NS]))
