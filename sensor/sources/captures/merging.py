"""Packets of several captures as one stream in the order of time, without holding the captures.

Captures that follow one another pass as they are, block by block. Of those that overlap in time, the packets up to a
moment that all have reached are merged, those of equal times in the order of the captures. Packets that are out of
order within a capture by at most flows.arrival.WINDOW_NS are put in order; where the order is right nothing is copied
and nothing held back.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from flows.arrival import WINDOW_NS, ArrivalClock
from flows.block import Int64s, PacketBlock
from sensor.sources.captures.files import CaptureFile

MAX_HELD: Final = 65_536  # packets that wait for earlier ones; beyond, the oldest go on


@dataclass(frozen=True, slots=True)
class Waiting:
    """A capture that is not open yet."""

    name: str
    first_ns: float  # time of its first packet


@dataclass(slots=True)
class _Merged:
    """An open capture, and its packets that were not given on."""

    source: CaptureFile
    blocks: Iterator[PacketBlock]
    clock: ArrivalClock = field(default_factory=ArrivalClock)
    rest: PacketBlock | None = None
    newest: Int64s = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def fill(self, block: PacketBlock) -> None:
        """Take the next block of the capture."""
        self.newest, places = self.clock.follow(block.ts_ns)
        self.rest = replace(block, clock_ns=places)

    def take_until(self, moment_ns: int) -> PacketBlock | None:
        """Packets up to a moment that were not taken before; None where there are none."""
        if self.rest is None:
            return None
        count = int(np.searchsorted(self.newest, moment_ns, side="right"))
        if not count:
            return None
        taken, self.rest = self.rest.select(slice(0, count)), self.rest.select(slice(count, None))
        self.newest = self.newest[count:]
        return taken


class MergedCaptures:
    """Iterable, once, of the packets of captures as blocks in the order of time (PacketBlock.clock_ns)."""

    def __init__(
        self,
        waiting: Sequence[Waiting],
        open_source: Callable[[str], CaptureFile | None],
        read: Callable[[CaptureFile, Iterator[PacketBlock]], PacketBlock | None],
        end_of: Callable[[CaptureFile, ArrivalClock], None],
    ) -> None:
        """Prepare to read.

        waiting: in the order of their first packets. open_source: opens one, None where it cannot be read. read: its
        next block, None at its end. end_of: is told when one has ended.
        """
        self._waiting = list(waiting)
        self._open_source, self._read, self._end_of = open_source, read, end_of
        self._open: list[_Merged] = []
        self._order = _Ordering()

    def __iter__(self) -> Iterator[PacketBlock]:
        while self._waiting or self._open:
            self._open_due()
            if not self._open:
                continue
            moment_ns = min(int(merged.newest[-1]) for merged in self._open)
            parts = [part for merged in self._open if (part := merged.take_until(moment_ns)) is not None]
            yield from self._order.add(joined(parts))
            self._refill()
        yield from self._order.rest()

    def _open_due(self) -> None:
        """Open all captures that begin before all open ones have come to the end of their blocks."""
        while self._waiting:
            reached = min((int(merged.newest[-1]) for merged in self._open), default=None)
            if reached is not None and self._waiting[0].first_ns > reached:
                return
            source = self._open_source(self._waiting.pop(0).name)
            if source is not None:
                self._open.append(_Merged(source, iter(source)))
                self._refill()

    def _refill(self) -> None:
        for merged in list(self._open):
            while merged.rest is None or not len(merged.rest):
                block = self._read(merged.source, merged.blocks)
                if block is None:
                    self._open.remove(merged)
                    self._end_of(merged.source, merged.clock)
                    break
                merged.fill(block)


class _Ordering:
    """Sorts packets by their clock within the window, once some were out of order."""

    def __init__(self) -> None:
        self._held: PacketBlock | None = None
        self._given_ns = -1

    def add(self, block: PacketBlock) -> Iterator[PacketBlock]:
        """Take packets; gives those on before which nothing else can come."""
        clock_ns = block.arrival_ns
        if self._held is None:
            if clock_ns[0] >= self._given_ns and bool(np.all(clock_ns[1:] >= clock_ns[:-1])):
                self._given_ns = int(clock_ns[-1])
                yield block
                return
        else:
            block = joined([self._held, block])
            clock_ns = block.arrival_ns
        order = np.argsort(clock_ns, kind="stable")
        ordered = clock_ns[order]
        count = int(np.searchsorted(ordered, ordered[-1] - WINDOW_NS, side="left"))
        count = max(count, len(ordered) - MAX_HELD)
        if count:
            self._given_ns = int(ordered[count - 1])
            yield block.select(order[:count])
        self._held = copied(block.select(order[count:]))

    def rest(self) -> Iterator[PacketBlock]:
        """What was held back, at the end."""
        if self._held is not None and len(self._held):
            yield self._held


def joined(blocks: Sequence[PacketBlock]) -> PacketBlock:
    """The packets of several blocks in one, sorted by their clock; those of equal times in the order of the blocks."""
    if len(blocks) == 1:
        return blocks[0]
    buffers, offsets, base = [], [], 0
    for block in blocks:
        if not len(block):
            continue
        begin, end = int(block.offset.min()), int((block.offset + block.caplen).max())
        buffers.append(block.buffer[begin:end])
        offsets.append(block.offset + (base - begin))
        base += end - begin
    filled = [block for block in blocks if len(block)]
    every = PacketBlock(
        np.concatenate(buffers),
        np.concatenate(offsets),
        *(
            np.concatenate([getattr(block, name) for block in filled])
            for name in ("caplen", "wirelen", "ts_ns", "linktype", "arrival_ns")
        ),
    )
    return every.select(np.argsort(every.arrival_ns, kind="stable"))


def copied(block: PacketBlock) -> PacketBlock:
    """The packets in a buffer of their own."""
    if not len(block):
        return replace(block, buffer=block.buffer[:0].copy())
    begin, end = int(block.offset.min()), int((block.offset + block.caplen).max())
    return replace(block, buffer=block.buffer[begin:end].copy(), offset=block.offset - begin)
