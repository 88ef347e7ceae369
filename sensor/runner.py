"""Captures through the pipeline to the outputs and the screen, one after the other."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from sensor.alerts import Alert
from sensor.errors import InputError
from sensor.outlet import Outlet
from sensor.pipeline import Pipeline
from sensor.sources.files import STDIN, CaptureFile, captures_in, open_capture
from sensor.stats import Progress

Result = TypeVar("Result")


class Stopped(Exception):  # noqa: N818  # no error: somebody asked for it
    """The run is to end, and it waits for input that may never come."""


@dataclass(slots=True)
class Run:
    """One run over captures and its state. stopping: it ends with the block at hand and reports what it has."""

    pipeline: Pipeline
    outlet: Outlet
    clock: Callable[[], float] = time.monotonic
    stopping: bool = False
    _started_s: float = 0.0
    _bytes_read: int = 0
    _size: int | None = None
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
        self._started_s = self.clock()
        self._size = total_size(captures)
        opened = False
        for name in in_time_order(captures):
            if self.stopping:
                break
            try:
                source = self._wait_for(partial(open_capture, name))
            except InputError as error:
                self.outlet.problems.append(str(error))
                continue
            except Stopped:
                break
            opened = True
            self._read_one(source)
        if not opened and not self.stopping:
            raise InputError("; ".join(self.outlet.problems))
        if self.stopping and not self.outlet.lost_output:
            self.outlet.problems.append("stopped by the user before the end of the input")
        self._publish(self.pipeline.finish())
        self.outlet.finish(self.progress())

    def progress(self) -> Progress:
        """Totals up to now."""
        stats = self.pipeline.meter.stats
        return Progress(
            received=stats.packets,
            packets=stats.packets,
            bytes=stats.wire_bytes,
            metered=stats.metered,
            undecoded=stats.undecoded,
            flows=self.pipeline.judge.flows,
            table_flows=stats.flows,
            evicted=stats.evicted,
            late=stats.late,
            clock_jumps=stats.clock_jumps,
            bytes_read=self._bytes_read,
            size=self._size,
            started_ns=self.pipeline.first_ns,
            traffic_time_ns=self.pipeline.meter.now_ns,
            elapsed_s=self.clock() - self._started_s,
            alerts=self.outlet.alerts,
            attacks=self.outlet.attacks,
            uncertain=self.outlet.alerts - self.outlet.attacks,
        )

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
            self.outlet.problems.append(f"{source.name}: {source.problem}")

    def _wait_for(self, read: Callable[[], Result]) -> Result:
        """What a call returns that may wait for input. Raises Stopped as soon as the run is to end."""
        self._waiting = True
        try:
            return read()
        finally:
            self._waiting = False

    def _publish(self, alerts: list[Alert]) -> None:
        self.outlet.publish(alerts)
        self.outlet.screen.update(self.progress(), alerts)
        if self.outlet.lost_output:  # the other outputs still get what there is
            self.stopping = True


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
