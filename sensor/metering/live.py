"""One live capture and its meter: packets in, flow records and an exact account out, turn by turn.

It knows no model and no output but the file that keeps packets; it runs in the sensor's own process or in one of its
workers.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from flows.batch import FlowBatch
from flows.block import Int64s, PacketBlock
from flows.meter import Meter
from sensor.errors import OutputError
from sensor.metering.due import DueRecords, PartSize
from sensor.metering.overload import Overload, Step
from sensor.metering.turns import END_NS, CaptureTotals, Turn
from sensor.packets.pcapng import PacketWriter
from sensor.packets.pipe import PacketsMissedError
from sensor.packets.ring import PAUSES, PacketRing
from sensor.progress.progress import InterfaceState
from sensor.sources.capture import CaptureStatistics, LinkEvent

# A packet may reach us this much later than its stamp says; until then silence is not certain.
LIVE_LAG_NS: Final = 1_000_000_000
FILLS_UP: Final = 0.1  # of the room for waiting packets


class LiveCapture(Protocol):
    """Live packets of one or more interfaces (sensor.sources.live.ring, sensor.sources.live.portable).

    The times of its blocks are steady: those of the wall clock without the steps that it was set by.
    """

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Names as given."""

    @property
    def interface_of(self) -> Int64s:
        """Number of each packet's interface, (n,) for the last block."""

    @property
    def linktypes(self) -> tuple[int, ...]:
        """Link type of each interface."""

    @property
    def links(self) -> tuple[InterfaceState, ...]:
        """How the interfaces are now."""

    @property
    def fill(self) -> float:
        """Share of the room for waiting packets that is taken."""

    @property
    def clock_step_ns(self) -> int:
        """What the wall clock was set forward by, all told."""

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks until stopped; an empty one at least each 100 ms of silence."""

    def steady_now_ns(self) -> int:
        """The present moment in the blocks' time."""

    def look(self) -> bool:
        """Whether packets wait, for whoever has something else to do as well; waits for none."""

    def events(self) -> list[LinkEvent]:
        """What happened to the interfaces since the last call."""

    def statistics(self) -> CaptureStatistics:
        """Counts since the start."""

    def stop(self) -> None:
        """Take no more packets; end with those that have come."""

    def close(self) -> None:
        """Leave the interfaces."""

    def leave_to_worker(self) -> None:
        """Close this process's copies; another process, made by fork, goes on with the capture."""

    def give_to_worker(self) -> None:
        """The same, but for what `last_counts` needs."""

    def last_counts(self) -> CaptureStatistics:
        """Counts after the process that went on with it has ended; close what is left."""


class LiveTurns:
    """A live capture, its meter and what is done under overload; iterate over it for its turns."""

    ends_by_itself = False
    problems: Sequence[str] = ()  # a live capture does not end unasked
    remarks: Sequence[str] = ()  # a live capture is told of by its counts (sensor.progress.hints)

    def __init__(
        self,
        capture: LiveCapture,
        meter: Meter,
        writer: PacketWriter | None = None,
        packets: PacketRing | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """writer: keeps the packets. packets: remembers the latest ones.

        clock: seconds, for the pace of overload steps and the size of parts. wall_clock_ns: of events.
        """
        self._capture = capture
        self._meter = meter
        self._writer = writer
        self._packets = packets
        self._overload = Overload(clock)
        self._part_size, self._clock = PartSize(), clock
        self._wall_clock_ns = wall_clock_ns
        self._first_ns = 0
        self._events: list[LinkEvent] = []
        self._lost_packets = 0  # that the writer did not take
        self._missed = ""  # why it did not take some, as it was told

    def __iter__(self) -> Iterator[Turn]:
        capture = self._capture
        if self._writer:
            for name, linktype in zip(capture.interfaces, capture.linktypes, strict=True):
                self._writer.add_interface(name, linktype)
        # Taken before the ring is looked at: if that is empty, all that was stamped by now has come, even if we are
        # held up in between.
        asked_ns = capture.steady_now_ns()
        due = DueRecords()
        try:
            for block in capture:
                looked_s = self._clock()
                self._store(block)
                records = self._meter.feed(block) if len(block) else self._meter.advance(asked_ns - LIVE_LAG_NS)
                until_ns = max(self._meter.now_ns, 0 if len(block) else asked_ns - LIVE_LAG_NS)
                due.add(records, until_ns)
                if not self._first_ns and len(block):
                    self._first_ns = int(block.ts_ns[0])
                if self._overload.observe(max(capture.fill, due.fill)):
                    self._adapt(self._overload.step)
                yield from self._part(due, until_ns, self._clock() - looked_s)
                while due.fill > 1 or (len(due) and not capture.look()):
                    yield from self._part(due, until_ns)
                asked_ns = capture.steady_now_ns()
            if self._lost_packets:
                self._add_event("packets-lost", f"{self._lost_packets:,} packets in all were not written to a file")
            due.add(self._meter.drain(), END_NS)
            until_ns = 0
            while until_ns < END_NS:
                records = due.part()
                until_ns = due.complete_until(END_NS)
                yield self._turn(records, until_ns, due)
        finally:
            capture.close()

    def _part(self, due: DueRecords, until_ns: int, spent_s: float = 0.0) -> Iterator[Turn]:
        """The next records as a turn, as many as are judged in a moment, of which some may be spent."""
        records = due.part(self._part_size.most(behind=self._capture.fill > FILLS_UP, spent_s=spent_s))
        began_s = self._clock()
        yield self._turn(records, due.complete_until(until_ns), due)
        self._part_size.took(len(records), self._clock() - began_s)

    def stop(self) -> None:
        """End with the packets that have come by now. May be called by a signal handler."""
        self._capture.stop()

    def leave_to_worker(self) -> None:
        """Let go of the capture, with which another process goes on."""
        self._capture.leave_to_worker()

    def give_to_worker(self) -> None:
        """Let go of the capture, but for its counts, with which another process goes on."""
        self._capture.give_to_worker()

    def last_counts(self) -> CaptureStatistics:
        """Counts of the capture after the process that went on with it has ended."""
        return self._capture.last_counts()

    @property
    def _packets_due(self) -> bool:
        return self._packets is not None and self._packets.share_since_pause >= 1 / PAUSES

    def _store(self, block: PacketBlock) -> None:
        if not len(block):
            return
        if self._packets is not None:
            self._packets.add(block, self._capture.interface_of, self._capture.clock_step_ns)
        if self._writer is None:
            self._lost_packets += len(block) if self._lost_packets else 0
            return
        before = self._writer.packets
        try:
            self._writer.write(block, self._capture.interface_of, self._capture.clock_step_ns)
        except PacketsMissedError as error:
            self._lost_packets += len(block)
            if str(error) != self._missed:
                self._missed = str(error)
                self._add_event("packets-lost", f"{error}; packets that it does not get are counted")
        except OutputError as error:
            self._lost_packets += len(block) - (self._writer.packets - before)
            self._writer = None
            self._add_event("packets-lost", f"{error}; the watch goes on without keeping packets")

    def _adapt(self, step: Step) -> None:
        self._meter.adapt(
            idle_timeout_ns=step.idle_timeout_ns, capacity_share=step.capacity_share, keep_one_in=step.keep_one_in
        )
        message = f"overload: {step.name}" if step.name else "the overload is over: everything is metered again"
        self._add_event("overload", message)

    def _add_event(self, action: str, message: str) -> None:
        self._events.append(LinkEvent(None, action, message, self._wall_clock_ns()))

    def _turn(self, records: FlowBatch, until_ns: int, due: DueRecords) -> Turn:
        capture, meter = self._capture, self._meter
        events = (*capture.events(), *self._events)
        self._events = []
        totals = CaptureTotals(
            capture=capture.statistics(),
            stats=meter.stats,
            first_ns=self._first_ns,
            now_ns=meter.now_ns,
            clock_step_ns=capture.clock_step_ns,
            overload=self._overload.step.name,
            links=capture.links,
            records_due=due.waiting,
            lost_packets=self._lost_packets,
        )
        return Turn(records, until_ns, totals, events, meter.sightings(), packets_due=self._packets_due)
