"""Several captures as one stream of packet blocks, in the order of time, and filtered.

A capture that cannot be read is a problem, one line, and the next one follows. It knows no meter and no output.
"""

import math
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from flows.arrival import ArrivalClock, Oddities
from flows.block import PacketBlock
from flows.linktypes import ETHERNET
from sensor.errors import ConfigError, InputError
from sensor.progress.words import first_problems
from sensor.sources.captures.files import (
    BUFFER_BYTES,
    STDIN,
    CaptureFile,
    captures_in,
    captures_of_stream,
    open_capture,
)
from sensor.sources.captures.merging import MergedCaptures, Waiting
from sensor.sources.captures.pool import FilePool
from sensor.sources.filters.packet_filter import PacketFilter

Result = TypeVar("Result")

BUFFERS_BYTES: Final = 64 << 20  # of all captures that may be merged, a buffer each; what waits takes some four more
LEAST_BUFFER_BYTES: Final = 16 << 10


class ReadStopped(Exception):  # noqa: N818  # no error, but a request
    """Raised by `stop` where a read blocks on input that may never come."""


class CaptureStream:
    """Iterable, once, of the packets of captures, including those of directories."""

    def __init__(
        self,
        captures: Sequence[str],
        expression: str | None = None,
        opened: CaptureFile | None = None,
        moved: Callable[[], None] | None = None,
    ) -> None:
        """Prepare to read.

        expression: a capture filter (pcap-filter(7)). opened: a capture that is read in place of any that have a name
        in the file system, such as one in memory. moved: called after each read of a capture, whatever comes of it.
        Raises ConfigError when the filter does not compile.
        """
        self.stopping = False  # the present block is the last one
        self.problems: list[str] = []  # one line for each capture that could not be read to its end
        self.odd: list[tuple[str, Oddities]] = []  # captures that have ended whose stamps were odd, by name
        self.bytes_read = 0  # of the captures as stored
        self.size = _total_size(captures) if opened is None else opened.size
        self.from_pipe = False  # whether the present block came from a pipe, whose writer may wait
        self._captures = captures
        self._already = opened
        self._moved = moved
        self._filter = packet_filter(expression) if expression else None
        self._waits_in: int | None = None  # the thread that is in a read that may block
        self._opened = False
        self._read_of: dict[CaptureFile, int] = {}  # bytes of each open capture that are part of bytes_read

    @property
    def filtered(self) -> int:
        """Packets that the capture filter excluded."""
        return self._filter.filtered if self._filter else 0

    @property
    def late(self) -> int:
        """Packets whose stamps do not fit those around them, of captures that have ended."""
        return sum(oddities.behind + oddities.ahead for _, oddities in self.odd)

    @property
    def clock_jumps(self) -> int:
        """Times that the clock of a capture that has ended was set back."""
        return sum(oddities.set_back for _, oddities in self.odd)

    def stop(self) -> None:
        """End with the present block. In a signal handler it raises ReadStopped, to leave a read that blocks.

        It does so in the thread that reads alone: where another one reads, that goes on until its read returns.
        """
        self.stopping = True
        if self._waits_in == threading.get_ident():
            raise ReadStopped

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks of all captures, in the order of time. Raises InputError when none can be opened."""
        waiting = self._in_time_order()
        pool = FilePool()
        buffer_bytes = max(LEAST_BUFFER_BYTES, min(BUFFER_BYTES, BUFFERS_BYTES // max(1, len(waiting))))
        opening = partial(self._open, pool=pool, buffer_bytes=buffer_bytes)
        try:
            yield from MergedCaptures(waiting, opening, self._next_block, self._end_of)
        finally:
            pool.close()
        if not self._opened and not self.stopping:
            raise InputError(*first_problems(self.problems))

    def _in_time_order(self) -> list[Waiting]:
        """The captures, whose first packets are looked for; none when reading is to end."""
        if self._already is not None:
            return [Waiting(self._already.name, math.inf)]
        try:
            return [] if self.stopping else self._wait_for(partial(in_time_order, self._captures, self._go_on))
        except ReadStopped:
            return []

    def _go_on(self) -> None:
        """Raise ReadStopped where reading is to end, in whatever thread that was said."""
        if self.stopping:
            raise ReadStopped

    def _open(self, name: str, pool: FilePool, buffer_bytes: int) -> CaptureFile | None:
        if self.stopping:
            return None
        check = None if (moved := self._moved) is None else lambda _unpacked: moved()
        try:
            source = self._already or self._wait_for(partial(open_capture, name, pool.open, buffer_bytes, check))
        except InputError as error:
            self.problems.append(str(error))
            return None
        except ReadStopped:
            return None
        self._opened = True
        self._read_of[source] = 0
        return source

    def _next_block(self, source: CaptureFile, blocks: Iterator[PacketBlock]) -> PacketBlock | None:
        """The next block of a capture, filtered; None at its end, or when reading is to end."""
        self.from_pipe = source.size is None
        try:
            if self.stopping or (block := self._wait_for(lambda: next(blocks, None))) is None:
                return None
            self._account(source)
            return self._filter.apply(block) if self._filter else block
        except ReadStopped:
            return None
        except ConfigError as error:  # the filter does not fit this capture's link type
            self.problems.append(f"{source.name}: {error}")
            return None

    def _account(self, source: CaptureFile) -> None:
        self.bytes_read += source.bytes_read - self._read_of[source]
        self._read_of[source] = source.bytes_read

    def _end_of(self, source: CaptureFile, clock: ArrivalClock) -> None:
        """Close a capture, and note what was odd."""
        self._account(source)
        del self._read_of[source]
        source.close()
        if source.problem and not self.stopping:
            self.problems.append(f"{source.name}: {source.problem}")
        if clock.oddities.any:
            self.odd.append((source.name, clock.oddities))

    def _wait_for(self, read: Callable[[], Result]) -> Result:
        """Result of a call that may block on input. Raises ReadStopped as soon as `stop` is called."""
        self._waits_in = threading.get_ident()
        try:
            return read()
        finally:
            self._waits_in = None


def refuse_unreadable(captures: Sequence[str], expression: str | None = None) -> None:
    """Raise ConfigError and InputError as reading would, in the rest of which nothing else is raised.

    A pipe and standard input are passed over: what they begin with can be read only once.
    """
    if expression:
        packet_filter(expression)
    problems: list[str] = []
    for name in sorted(captures_in(captures)):
        if is_pipe(name):
            return
        try:
            open_capture(name).close()
        except InputError as error:
            problems.append(str(error))
        else:
            return
    raise InputError(*first_problems(problems))


def is_pipe(name: str) -> bool:
    """Whether a capture is standard input or a pipe, whose writer may be slow and which can be read only once."""
    path = Path(name)
    return name == STDIN or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


def packet_filter(expression: str) -> PacketFilter:
    from sensor.sources.filters.libpcap import compile_offline

    compile_for = partial(compile_offline, expression)
    compile_for(ETHERNET)  # so that an invalid expression fails before anything is read
    return PacketFilter(compile_for)


def _total_size(captures: Sequence[str]) -> int | None:
    """Bytes of all captures as stored; None when one of them is a pipe or unreadable."""
    total = 0
    for name in captures_of_stream(captures):
        try:
            status = os.stat(name)
        except OSError:  # standard input, or one that is gone by now
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        total += status.st_size
    return total


def in_time_order(captures: Sequence[str], go_on: Callable[[], None] = lambda: None) -> list[Waiting]:
    """Captures, also of directories, by the time of their first packet: rotated files may have any name.

    Standard input, which cannot be read twice, and unreadable captures come last. go_on: called before each is looked
    at; what it raises ends the looking.
    """
    names = captures_of_stream(captures)
    if len(names) < 2:
        return [Waiting(name, math.inf) for name in names]
    waiting = []
    for name in names:
        go_on()
        waiting.append(Waiting(name, _first_packet_ns(name)))
    return sorted(waiting, key=lambda one: (one.first_ns, one.name))


def _first_packet_ns(name: str) -> int | float:
    path = Path(name)
    if not os.path.isfile(path):  # a pipe, standard input, or nothing
        return math.inf
    try:
        source = open_capture(path)
    except InputError:
        return math.inf
    try:
        # by the clock of the capture, which a wrong first stamp does not move
        return next((int(ArrivalClock().follow(block.ts_ns)[0][0]) for block in source if len(block)), math.inf)
    finally:
        source.close()
