"""Packets of several captures as one stream in the order of time, without holding the captures.

Captures that follow one another pass as they are, block by block. Those that overlap in time are merged by the newest
time by each packet, those of equal times in the order of the captures. Packets that are out of order within a capture
by at most flows.arrival.WINDOW_NS are put in order (ReorderWindow); where the order is right nothing is copied.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np

from flows.arrival import WINDOW_NS, ArrivalClock
from flows.block import Int64s, PacketBlock
from sensor.sources.captures.files import CaptureFile

MAX_HELD_BYTES: Final = 32 << 20  # of packets that may come between two that are put in order
PACKET_BYTES: Final = 512  # that a packet counts as beside its own
MAX_BUFFER_BYTES: Final = 4 * MAX_HELD_BYTES  # in which packets lie that wait
# Captures of one time from which on each is read before it has come to its end: else every block of any of them would
# be a step in which all are looked at.
MANY: Final = 8


@dataclass(frozen=True, slots=True)
class Waiting:
    """A capture that is not open yet."""

    name: str
    first_ns: int | float  # time of its first packet, infinite where that is not known


class Part(NamedTuple):
    """Packets in the order they are read in, by the newest time."""

    block: PacketBlock
    newest: Int64s  # (n,) ns, the newest time by each of them in its capture; never goes back
    in_order: bool  # whether each of them was the newest one


@dataclass(slots=True)
class _Merged:
    """An open capture, and its packets that were not given on."""

    source: CaptureFile
    blocks: Iterator[PacketBlock]
    clock: ArrivalClock = field(default_factory=ArrivalClock)
    rest: Part | None = None  # what was read and not given on, at least a packet
    uncertain: PacketBlock | None = None  # packets that may be stamped wrong, until the next one is known
    ended: bool = False
    latest: int = 0  # packets of the block that was read last

    def fill(self, block: PacketBlock | None) -> None:
        """Take the next block of the capture, None at its end."""
        self.ended, self.latest = block is None, 0 if block is None else len(block)
        every = block if block is not None and len(block) else None
        if self.uncertain is not None:
            every = joined([self.uncertain, every]) if every is not None else self.uncertain
            self.uncertain = None
        if every is None:
            return
        newest, places = self.clock.follow(every.ts_ns, more=not self.ended)
        count = len(newest)
        if count < len(every):
            every, self.uncertain = every.select(slice(count)), every.select(slice(count, None))
        if count:
            in_order = places is newest
            part = Part(replace(every, clock_ns=places), newest, in_order)
            self.rest = part if self.rest is None else followed(self.rest, part)

    @property
    def runs_low(self) -> bool:
        """Whether less is left than half of what was read last, and reading on waits for nobody."""
        return self.rest is None or (self.source.size is not None and 2 * len(self.rest.block) < self.latest)

    @property
    def reached_ns(self) -> int:
        """The newest time of its packets that were read."""
        return int(self.rest.newest[-1]) if self.rest else -1

    def take_until(self, moment_ns: int) -> Part | None:
        """Packets up to a moment that were not taken before; None where there are none."""
        rest = self.rest
        if rest is None or rest.newest[-1] <= moment_ns:
            self.rest = None
            return rest
        count = int(np.searchsorted(rest.newest, moment_ns, side="right"))
        if not count:
            return None
        self.rest = Part(rest.block.select(slice(count, None)), rest.newest[count:], rest.in_order)
        return Part(rest.block.select(slice(count)), rest.newest[:count], rest.in_order)


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
        self._window = ReorderWindow()

    def __iter__(self) -> Iterator[PacketBlock]:
        while self._waiting or self._open:
            self._open_due()
            if not self._open:
                continue
            yield from self._window.add(self._next_part())
            self._refill()
        yield from self._window.rest()

    def _next_part(self) -> Part:
        """Packets up to a moment that all captures have reached, merged.

        Of that very moment one capture may have more to read, behind which those of the later captures belong.
        """
        moment_ns = min(merged.reached_ns for merged in self._open)
        parts: list[Part] = []
        until_ns = moment_ns
        for merged in self._open:
            at_end = merged.reached_ns == moment_ns
            if (part := merged.take_until(until_ns)) is not None:
                parts.append(part)
            if at_end:
                until_ns = moment_ns - 1
        return merged_parts(parts)

    def _open_due(self) -> None:
        """Open all captures that begin before all open ones have come to the end of their blocks."""
        while self._waiting:
            reached = min((merged.reached_ns for merged in self._open), default=None)
            if reached is not None and self._waiting[0].first_ns > reached:
                return
            source = self._open_source(self._waiting.pop(0).name)
            if source is not None:
                self._open.append(_Merged(source, iter(source)))
                self._refill()

    def _refill(self) -> None:
        many = len(self._open) >= MANY
        for merged in list(self._open):
            while not merged.ended and (merged.runs_low if many else merged.rest is None):
                merged.fill(self._read(merged.source, merged.blocks))
            if merged.rest is None:
                self._open.remove(merged)
                self._end_of(merged.source, merged.clock)


class _Held(NamedTuple):
    """Packets in the order they are given in, and by what."""

    block: PacketBlock
    keys: Int64s  # (n,) ns


class _Seen(NamedTuple):
    """Packets in the order they came in."""

    newest: Int64s
    caplen: Int64s
    bytes: int


class ReorderWindow:
    """Sorts packets by their clock, whatever blocks they come in.

    A packet is held back until none can come that belongs before it: until the newest time is WINDOW_NS later, or
    MAX_HELD_BYTES have come since, PACKET_BYTES added for each packet. One that comes later still is
    given as soon as it comes, its clock behind. Blocks in order are held as they are, others are joined with those that
    they overlap. So at most twice MAX_HELD_BYTES of packets are held and a block, in buffers of twice that at most.
    """

    def __init__(self) -> None:
        self._held: deque[_Held] = deque()  # one behind the other
        self._seen: deque[_Seen] = deque()  # packets that came, as far back as they bound those to come
        self._seen_bytes = 0
        self._buffer_bytes = 0  # of what was held since it was packed
        self._newest_ns = self._passed_ns = -1  # by the last packet that came; by the last that is no more in _seen

    def add(self, part: Part) -> Iterator[PacketBlock]:
        """Take packets; gives those before which none can come."""
        places = part.block.arrival_ns
        if part.in_order and places[0] >= self._newest_ns:
            self._held.append(_Held(part.block, places))
        else:
            self._insert(part.block, np.maximum(places, self._earliest(part)))
        self._remember(part)
        due_ns = max(self._passed_ns, self._newest_ns - WINDOW_NS)
        while self._held and self._held[0].keys[-1] <= due_ns:
            yield self._held.popleft().block
        self._buffer_bytes += len(part.block.buffer)
        if self._buffer_bytes > MAX_BUFFER_BYTES:
            self._pack()

    def rest(self) -> Iterator[PacketBlock]:
        """What was held back, at the end."""
        for held in self._held:
            yield held.block
        self._held.clear()

    def _insert(self, block: PacketBlock, keys: Int64s) -> None:
        """Put packets where they belong among those held back; of equal keys behind them."""
        first = keys.min()
        parts = [_Held(block, keys)]
        while self._held and self._held[-1].keys[-1] > first:
            last = self._held.pop()
            count = int(np.searchsorted(last.keys, first, side="right"))
            parts.append(_Held(last.block.select(slice(count, None)), last.keys[count:]))
            if count:
                self._held.append(_Held(last.block.select(slice(count)), last.keys[:count]))
                break
        parts.reverse()
        every = joined([part.block for part in parts])
        keys = np.concatenate([part.keys for part in parts])
        order = np.argsort(keys, kind="stable")
        self._held.append(_Held(every.select(order), keys[order]))

    def _earliest(self, part: Part) -> Int64s:
        """The time before which each packet cannot be put any more, as so many bytes have come since; (n,) ns."""
        newest = np.concatenate([*(seen.newest for seen in self._seen), part.newest])
        caplen = np.concatenate([*(seen.caplen for seen in self._seen), part.block.caplen])
        came = np.cumsum(caplen + PACKET_BYTES)
        since = np.searchsorted(came, came[-len(part.newest) :] - MAX_HELD_BYTES, side="right") - 1
        return np.where(since >= 0, newest[since], self._passed_ns)

    def _remember(self, part: Part) -> None:
        caplen = part.block.caplen
        seen = _Seen(part.newest, caplen, int(caplen.sum()) + PACKET_BYTES * len(caplen))
        self._seen.append(seen)
        self._seen_bytes += seen.bytes
        self._newest_ns = int(part.newest[-1])
        while (
            self._seen_bytes - self._seen[0].bytes >= MAX_HELD_BYTES
            or self._seen[0].newest[-1] < self._newest_ns - WINDOW_NS
        ):
            seen = self._seen.popleft()
            self._seen_bytes -= seen.bytes
            self._passed_ns = int(seen.newest[-1])

    def _pack(self) -> None:
        """Give packets a buffer of their own where they are few in the one they lie in, as a filter leaves them."""
        self._held = deque(_Held(packed(block), keys) for block, keys in self._held)
        self._buffer_bytes = sum(len(held.block.buffer) for held in self._held)


def followed(part: Part, other: Part) -> Part:
    """Two parts of one capture, one behind the other."""
    newest = np.concatenate([part.newest, other.newest])
    return Part(joined([part.block, other.block]), newest, part.in_order and other.in_order)


def merged_parts(parts: Sequence[Part]) -> Part:
    """The packets of parts as one, by the newest time; those of equal times in the order of the parts."""
    if len(parts) == 1:
        return parts[0]
    every = joined([part.block for part in parts])
    newest = np.concatenate([part.newest for part in parts])
    order = np.argsort(newest, kind="stable")
    return Part(every.select(order), newest[order], all(part.in_order for part in parts))


def joined(blocks: Sequence[PacketBlock]) -> PacketBlock:
    """The packets of several blocks in one, one behind the other."""
    if len(blocks) == 1:
        return blocks[0]
    buffers, offsets, base = [], [], 0
    for block in blocks:
        begin, end = int(block.offset.min()), int((block.offset + block.caplen).max())
        buffers.append(block.buffer[begin:end])
        offsets.append(block.offset + (base - begin))
        base += end - begin
    return PacketBlock(
        np.concatenate(buffers),
        np.concatenate(offsets),
        *(
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("caplen", "wirelen", "ts_ns", "linktype", "arrival_ns")
        ),
    )


def packed(block: PacketBlock) -> PacketBlock:
    """The packets one behind the other in a buffer of their own, where that is less than half of the present one."""
    size = int(block.caplen.sum())
    if 2 * size >= len(block.buffer):
        return block
    offset = np.cumsum(block.caplen) - block.caplen
    octets = np.repeat(block.offset - offset, block.caplen) + np.arange(size)
    return replace(block, buffer=block.buffer[octets], offset=offset)
