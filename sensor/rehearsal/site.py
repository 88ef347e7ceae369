"""A site's own captures, read again for each episode: nothing of them is held in memory.

At most MOST_PACKETS are taken, the first ones in the order of time, so that a rehearsal ends within minutes whatever it
is given.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from flows.block import PacketBlock
from sensor.sources.captures.stream import CaptureStream, packet_filter

MOST_PACKETS: Final = 2_000_000


class CapturedSite:
    """Traffic of captures (sensor.rehearsal.judged.SiteTraffic)."""

    def __init__(self, captures: Sequence[str], expression: str | None, most: int = MOST_PACKETS) -> None:
        """expression: the sensor's capture filter. most: packets that are taken. Raises ConfigError."""
        self.packets = 0  # that the last reading gave
        self.first_ns = self.last_ns = 0  # their times
        self.is_cut = False  # whether there were more
        self.problems: list[str] = []  # captures that could not be read to their end, a line each
        self._captures, self._expression, self._most = captures, expression, most
        self._filter = packet_filter(expression) if expression else None

    def blocks(self) -> Iterator[PacketBlock]:
        """All packets in the order of time. Raises InputError where no capture can be opened."""
        stream = CaptureStream(self._captures, self._expression)
        self.packets = 0
        for block in stream:
            part = block.select(slice(self._most - self.packets))
            self.is_cut = len(part) < len(block)
            if len(part):
                self.first_ns = self.first_ns if self.packets else int(part.arrival_ns[0])
                self.last_ns = int(part.arrival_ns[-1])
                self.packets += len(part)
                yield part
            if self.is_cut:
                stream.stop()
                break
        self.problems = stream.problems

    def passed(self, block: PacketBlock) -> PacketBlock:
        """Those of other packets that the capture filter lets through."""
        return block if self._filter is None else self._filter.apply(block)
