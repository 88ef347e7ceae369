"""Captures and their meter: packets of files and pipes in, turns of flow records out.

The turns, and what is remembered for alerts in them, depend on the packets alone, not on how they were read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flows.batch import FlowBatch
from flows.block import PacketBlock
from flows.meter import Meter
from sensor.metering.due import DueRecords
from sensor.metering.remarks import of_times
from sensor.metering.turns import END_NS, CaptureTotals, Turn
from sensor.packets.ring import PacketRing
from sensor.sources.capture import CaptureStatistics
from sensor.sources.captures.stream import CaptureStream


class CaptureTurns:
    """Captures one after the other and one meter for all; iterate over it for a turn a block."""

    ends_by_itself = True

    def __init__(
        self, reading: CaptureStream, meter: Meter, packets: PacketRing | None = None, *, as_reported: bool = False
    ) -> None:
        """packets: remembers the latest ones. as_reported: whether records of one moment keep the meter's order."""
        self._reading = reading
        self._meter = meter
        self._packets = packets
        self._due = DueRecords(as_reported=as_reported)
        self._first_ns = 0

    @property
    def problems(self) -> Sequence[str]:
        """One line for each capture that could not be read to its end."""
        return self._reading.problems

    @property
    def remarks(self) -> Sequence[str]:
        """What was odd about times, one line each."""
        return [remark for name, oddities in self._reading.odd for remark in of_times(name, oddities)]

    def __iter__(self) -> Iterator[Turn]:
        """Turns to the end. Raises InputError when no capture can be opened."""
        for block in self._reading:
            if not self._first_ns and len(block):
                self._first_ns = int(block.arrival_ns[0])
            for part, packets_due in self._parts(block):
                yield self._turn(self._meter.feed(part), self._meter.now_ns, packets_due=packets_due)
        yield self._turn(self._meter.drain(), END_NS)

    def stop(self) -> None:
        """End with the block at hand. For a signal handler too."""
        self._reading.stop()

    def _parts(self, block: PacketBlock) -> Iterator[tuple[PacketBlock, bool]]:
        """A block in parts, each remembered by the time it is given, and whether packets are due after it."""
        if self._packets is None:
            yield block, False
            return
        first = 0
        while first < len(block):
            end, paused = self._packets.add_until_pause(block, first)
            yield block.select(slice(first, end)), paused
            first = end

    def _turn(self, records: FlowBatch, until_ns: int, *, packets_due: bool = False) -> Turn:
        self._due.add(records, until_ns)
        metered, reading = self._meter.stats, self._reading
        stats = replace(
            metered,
            late=metered.late + reading.late,
            late_ns=0,  # it is told of each capture
            clock_jumps=metered.clock_jumps + reading.clock_jumps,
        )
        totals = CaptureTotals(
            capture=CaptureStatistics(received=stats.packets, filtered=reading.filtered),
            stats=stats,
            first_ns=self._first_ns,
            now_ns=self._meter.now_ns,
            bytes_read=reading.bytes_read,
            size=reading.size,
        )
        return Turn(self._due.all(), until_ns, totals, seen=self._meter.sightings(), packets_due=packets_due)
