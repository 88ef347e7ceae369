"""Records that fell due together, handed on in parts: whoever takes them looks for packets between two.

A second in which thousands of flows end would otherwise keep a live capture from its ring until all are judged.
"""

from collections import deque
from typing import Final

from flows.batch import REPORTED_NS, FlowBatch, empty_batch

PART: Final = 1024  # records: judged within some hundredths of a second on a slow core
MOST: Final = 32_768  # records that may wait, some 25 MB


class DueRecords:
    """Queue of flow records in the order of their reports."""

    def __init__(self) -> None:
        self._batches: deque[FlowBatch] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def too_many(self) -> bool:
        """Whether more wait than may."""
        return self._count > MOST

    def add(self, records: FlowBatch) -> None:
        """Append records that were reported after those that wait."""
        if len(records):
            self._batches.append(records)
            self._count += len(records)

    def part(self) -> FlowBatch:
        """Take the next records, at most PART; none where none wait."""
        if not self._batches:
            return empty_batch()
        first = self._batches.popleft()
        if len(first) > PART:
            self._batches.appendleft(FlowBatch(first.identity[PART:], first.values[PART:]))
            first = FlowBatch(first.identity[:PART], first.values[:PART])
        self._count -= len(first)
        return first

    def complete_until(self, until_ns: int) -> int:
        """Moment up to which all records were taken, when those reported before `until_ns` were added."""
        if not self._batches:
            return until_ns
        return min(until_ns, int(self._batches[0].identity[0, REPORTED_NS]))
