"""The only loop: blocks from sources through the pipeline to the outputs and the screen."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from flows.block import PacketBlock
from sensor.alerts import Alert, alert_line
from sensor.errors import InputError, OutputError
from sensor.pipeline import Pipeline
from sensor.sinks.jsonl import JsonlSink
from sensor.sinks.pcapng import PcapngWriter
from sensor.sources.files import STDIN, CaptureFile, captures_in, open_capture
from sensor.stats import Progress

if TYPE_CHECKING:
    from sensor.sources.ring import Ring  # Linux only

# A live packet may reach us this much later than its stamp says; until then silence is not certain.
LIVE_LAG_NS = 1_000_000_000

Result = TypeVar("Result")


class Screen(Protocol):
    """Who is told how the run goes."""

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Take in what is new."""

    def finish(self, progress: Progress, problem: str | None = None) -> None:
        """Tell how it ended."""


class Stopped(Exception):  # noqa: N818  # no error: somebody asked for it
    """The run is to end, and it waits for input that may never come."""


@dataclass(slots=True)
class Run:
    """One run and its state: what it read, what it lost, what went wrong.

    stopping: the run ends with the block at hand and reports what it has.
    lost_output: an output took no more; the run ends, and the other outputs still get all there is.
    problems: one line for each input that could not be read to its end and each output that failed.
    """

    pipeline: Pipeline
    sinks: list[JsonlSink]
    screen: Screen
    clock: Callable[[], float] = time.monotonic
    wall_clock_ns: Callable[[], int] = time.time_ns
    stopping: bool = False
    lost_output: bool = False
    problems: list[str] = field(default_factory=list)
    _started_s: float = 0.0
    _bytes_read: int = 0
    _size: int | None = None
    _dropped: int = 0
    _alerts: int = 0
    _attacks: int = 0
    _open_uncertain: set[str] = field(default_factory=set)
    _waiting: bool = False

    def stop(self) -> None:
        """End the run. For a signal handler: raises Stopped where the run waits for input, which `read` expects."""
        self.stopping = True
        if self._waiting:
            raise Stopped

    def read(self, captures: Sequence[str]) -> None:
        """Read captures, also of directories, in the order of their first packets.

        What cannot be read is a problem, and the rest goes on.
        Raises InputError when none can be opened.
        """
        self._begin(total_size(captures))
        opened = False
        for name in in_time_order(captures):
            if self.stopping:
                break
            try:
                source = self._wait_for(partial(open_capture, name))
            except InputError as error:
                self.problems.append(str(error))
                continue
            except Stopped:
                break
            opened = True
            self._read_one(source)
        if not opened and not self.stopping:
            raise InputError("; ".join(self.problems))
        if self.stopping and not self.lost_output:
            self.problems.append("stopped by the user before the end of the input")
        self._end()

    def watch(self, ring: "Ring", writer: PcapngWriter | None) -> None:
        """Follow an interface until the run is stopped or the interface goes. writer: keeps the packets."""
        self._begin(None)
        interface = writer.add_interface(ring.name, ring.linktype) if writer else 0
        # Taken before the ring is looked at: if that is empty, all that was stamped by now has come, even if we are
        # held up in between.
        asked_ns = self.wall_clock_ns()
        try:
            for block in ring:
                if writer and not self.lost_output:
                    self._write(partial(writer.write, block, interface))
                if self.stopping:
                    ring.stop()
                self._dropped = ring.statistics().dropped
                self._publish(self._live_alerts(block, asked_ns))
                asked_ns = self.wall_clock_ns()
        finally:
            ring.close()
        if ring.problem:
            self.problems.append(ring.problem)
        self._end()

    def progress(self) -> Progress:
        """Totals up to now."""
        stats = self.pipeline.meter.stats
        return Progress(
            packets=stats.packets,
            bytes=stats.wire_bytes,
            flows=self.pipeline.flows,
            undecoded=stats.undecoded,
            dropped=self._dropped,
            evicted=stats.evicted,
            late=stats.late,
            clock_jumps=stats.clock_jumps,
            bytes_read=self._bytes_read,
            size=self._size,
            started_ns=self.pipeline.first_ns,
            traffic_time_ns=self.pipeline.meter.now_ns,
            elapsed_s=self.clock() - self._started_s,
            alerts=self._alerts,
            attacks=self._attacks,
            uncertain=self._alerts - self._attacks,
        )

    def _begin(self, size: int | None) -> None:
        self._started_s = self.clock()
        self._size = size

    def _read_one(self, source: CaptureFile) -> None:
        before = self._bytes_read
        blocks = iter(source)
        try:
            while (block := self._wait_for(lambda: next(blocks, None))) is not None:
                self._bytes_read = before + source.bytes_read
                self._publish(self.pipeline.feed(block))
                if self.stopping:
                    break
        except Stopped:
            pass
        finally:
            source.close()
        if source.problem and not self.stopping:
            self.problems.append(f"{source.name}: {source.problem}")

    def _wait_for(self, read: Callable[[], Result]) -> Result:
        """What a call returns that may wait for input. Raises Stopped as soon as the run is to end."""
        self._waiting = True
        try:
            return read()
        finally:
            self._waiting = False

    def _live_alerts(self, block: PacketBlock, asked_ns: int) -> list[Alert]:
        if len(block):
            return self.pipeline.feed(block, self._dropped)
        return self.pipeline.advance(asked_ns - LIVE_LAG_NS, self._dropped)

    def _publish(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self._alerts += alert.action == "opened"
            if alert.verdict == "attack":
                self._attacks += alert.action == "opened" or alert.id in self._open_uncertain
                self._open_uncertain.discard(alert.id)
            elif alert.action == "opened":
                self._open_uncertain.add(alert.id)
            if alert.action == "closed":
                self._open_uncertain.discard(alert.id)
        if alerts:
            lines = [alert_line(alert) for alert in alerts]
            self.sinks = [sink for sink in self.sinks if self._write(partial(sink.write, lines))]
        self.screen.update(self.progress(), alerts)

    def _write(self, write: Callable[[], None]) -> bool:
        """Whether an output took what it was given; the run ends with the first that does not."""
        try:
            write()
        except OutputError as error:
            self.problems.append(str(error))
            self.lost_output = self.stopping = True
            return False
        return True

    def _end(self) -> None:
        self._publish(self.pipeline.finish(self._dropped))
        self.screen.finish(self.progress(), "; ".join(self.problems) or None)


def total_size(captures: Sequence[str]) -> int | None:
    """Bytes of all captures as stored; None when one of them is a pipe or cannot be looked at."""
    paths = [Path(name) for name in captures_in(captures)]
    if STDIN in captures or not all(path.is_file() for path in paths):
        return None
    return sum(path.stat().st_size for path in paths)


def in_time_order(captures: Sequence[str]) -> list[str]:
    """Captures, also of directories, by the time of their first packet: rotated files may be named in any order.

    Standard input, which cannot be looked at twice, and what cannot be read come last.
    """
    names = captures_in(captures)
    if len(names) < 2:
        return names
    return sorted(names, key=lambda name: (_first_packet_ns(name), name))


def _first_packet_ns(name: str) -> float:
    path = Path(name)
    if not path.is_file():  # a pipe, standard input, or nothing
        return math.inf
    try:
        source = open_capture(path)
    except InputError:
        return math.inf
    try:
        return next((float(block.ts_ns[0]) for block in source if len(block)), math.inf)
    finally:
        source.close()
