"""Which packets of an alert are kept within its limits: its beginning, its latest, and some of what lies between.

Half of the limits is the beginning's, first come first served. Of what comes later, the latest quarter stays. The parts
between give way as room is needed, in an order that leaves them spread evenly: first what a part has beyond a few
packets, then parts by the powers of two in their numbers, the odd ones first. So an alert within its limits is whole,
and of one far beyond them about every 2**k-th part is left.

What is kept follows from the order of the parts alone. It knows no file, no clock and no ring: a packet is a number.
"""

import heapq
from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from flows.block import Int64s

_FEW: Final = 64  # once room is needed, a part between beginning and end has this fraction of the packets at most
_MORE_THAN_FEW: Final = -1  # instead of the level of such a part


def level_of(number: int) -> int:
    """How often two divides the number of a part, 1 or more: parts of a lower level give way first."""
    return (number & -number).bit_length() - 1


@dataclass(slots=True)
class _Part:
    """What is kept of one report of a flow, in time order."""

    number: int
    flow: int
    positions: "array[int]"
    sizes: "array[int]"  # captured bytes of each

    @property
    def captured_bytes(self) -> int:
        return sum(self.sizes)

    def cut(self, places: slice) -> list[int]:
        """Drop the packets in these places; returns their positions."""
        gone = self.positions[places].tolist()
        del self.positions[places], self.sizes[places]
        return gone


class PacketSelection:
    """The packets of one alert that are kept."""

    def __init__(self, max_packets: int, max_bytes: int) -> None:
        """max_packets, max_bytes: of the alert; captured bytes."""
        self.packets = 0  # that are kept
        self.captured_bytes = 0  # of these
        self.begun = False  # the beginning is complete
        self.level = 0  # parts below it give way once they are no longer among the latest
        self._max_packets, self._max_bytes = max_packets, max_bytes
        self.latest_packets = max(1, max_packets // 4)  # the latest ones, that are kept in any case
        self._latest_bytes = max(1, max_bytes // 4)
        self._few = max(1, max_packets // _FEW)
        self._beginning_flows: set[int] = set()
        self._latest: deque[_Part] = deque()
        self._latest_sums = (0, 0)  # packets and captured bytes of these
        self._between: list[tuple[int, int, _Part]] = []  # a heap: level and number of those that give way

    @property
    def beginning_room(self) -> int:
        """Packets that the beginning may still have."""
        return 0 if self.begun else self._max_packets - self._max_packets // 2 - self.packets

    @property
    def most_of_a_part(self) -> int:
        """Packets that are kept of one part at most, beyond the beginning."""
        return self._max_packets // 2

    @property
    def flows(self) -> int:
        """Distinct flows of which packets are kept."""
        parts = [*self._latest, *(part for _, _, part in self._between)]
        return len(self._beginning_flows | {part.flow for part in parts if part.positions})

    def add(self, number: int, flow: int, positions: Int64s, sizes: Int64s) -> list[int]:
        """Take in a part; returns the positions that are not kept after all, of it and of those before.

        number: of the part, no other's. flow: that it belongs to. positions: (n,) int64 of its packets in time order,
        each unique. sizes: (n,) int64, captured bytes of each.
        """
        taken = 0 if self.begun else self._take_beginning(flow, sizes)
        if taken == len(positions):
            return []
        self.begun = True
        part = _Part(number, flow, array("q", positions[taken:].tolist()), array("q", sizes[taken:].tolist()))
        gone = part.cut(slice(self._first_fitting(part)))
        if part.positions:
            self._append(part)
        while self.packets > self._max_packets or self.captured_bytes > self._max_bytes:
            gone += self._give_way()
        return gone

    def withdraw(self, sizes: Mapping[int, int]) -> None:
        """Take packets out that could not be kept. sizes: captured bytes by position."""
        for part in [*self._latest, *(part for _, _, part in self._between)]:
            stay = [at for at, position in enumerate(part.positions) if position not in sizes]
            part.positions = array("q", [part.positions[at] for at in stay])
            part.sizes = array("q", [part.sizes[at] for at in stay])
        self._latest_sums = _sums(self._latest)
        self.packets -= len(sizes)
        self.captured_bytes -= sum(sizes.values())

    def _take_beginning(self, flow: int, sizes: Int64s) -> int:
        """Keep the first packets of a part as the beginning's, while it has room; returns how many."""
        ends = np.cumsum(sizes[: self.beginning_room])
        room = self._max_bytes - self._max_bytes // 2 - self.captured_bytes
        taken = int(np.searchsorted(ends, room, side="right"))
        if taken:
            self.packets += taken
            self.captured_bytes += int(ends[taken - 1])
            self._beginning_flows.add(flow)
        return taken

    def _first_fitting(self, part: _Part) -> int:
        """Place of the first packet of a part from which on all of it may stay: what is free, or the latest's share."""
        packets = max(self._max_packets - self.packets, self.latest_packets)
        room = max(self._max_bytes - self.captured_bytes, self._latest_bytes)
        ends = np.cumsum(np.array(part.sizes, dtype=np.int64)[::-1][:packets])
        return len(part.sizes) - int(np.searchsorted(ends, room, side="right"))

    def _append(self, part: _Part) -> None:
        """Have a part among the latest, and those between that are not needed for the latest share any more."""
        self.packets += len(part.positions)
        self.captured_bytes += part.captured_bytes
        self._latest.append(part)
        packets, captured = self._latest_sums
        packets, captured = packets + len(part.positions), captured + part.captured_bytes
        while len(self._latest) > 1:
            oldest = self._latest[0]
            less, less_captured = packets - len(oldest.positions), captured - oldest.captured_bytes
            if less < self.latest_packets and less_captured < self._latest_bytes:
                break
            packets, captured = less, less_captured
            self._rank(self._latest.popleft())
        self._latest_sums = packets, captured

    def _rank(self, part: _Part) -> None:
        level = _MORE_THAN_FEW if len(part.positions) > self._few else level_of(part.number)
        heapq.heappush(self._between, (level, part.number, part))

    def _give_way(self) -> list[int]:
        """Drop packets of the part that gives way first, as many as need be; returns their positions."""
        if not self._between:  # the latest alone are too many: the oldest packets of these
            oldest = self._latest[0]
            gone = self._drop(oldest, slice(self._too_many(oldest.sizes)))
            if not oldest.positions:
                self._latest.popleft()
            self._latest_sums = _sums(self._latest)
            return gone
        level, _, part = heapq.heappop(self._between)
        self.level = max(self.level, level)
        least = self._few if level == _MORE_THAN_FEW else 0
        gone = self._drop(part, slice(max(least, len(part.sizes) - self._too_many(part.sizes[::-1])), None))
        if part.positions:
            self._rank(part)
        return gone

    def _too_many(self, sizes: "array[int]") -> int:
        """How many packets of these sizes, from the first on, are to give way for the limits to be kept."""
        count, captured = 0, self.captured_bytes
        while count < len(sizes) and (self.packets - count > self._max_packets or captured > self._max_bytes):
            captured -= sizes[count]
            count += 1
        return count

    def _drop(self, part: _Part, places: slice) -> list[int]:
        before = part.captured_bytes
        gone = part.cut(places)
        self.packets -= len(gone)
        self.captured_bytes -= before - part.captured_bytes
        return gone


def _sums(parts: Iterable[_Part]) -> tuple[int, int]:
    """Packets and captured bytes of parts."""
    packets = captured = 0
    for part in parts:
        packets, captured = packets + len(part.positions), captured + part.captured_bytes
    return packets, captured
