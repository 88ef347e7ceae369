"""Several captures as one stream of packet blocks, in the order of their first packets, and filtered.

A capture that cannot be read is a problem, one line, and the next one follows. It knows no meter and no output.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from flows.block import PacketBlock
from flows.linktypes import ETHERNET
from sensor.errors import ConfigError, InputError
from sensor.sources.captures.files import STDIN, CaptureFile, captures_in, open_capture
from sensor.sources.filters.packet_filter import PacketFilter

Result = TypeVar("Result")


class ReadStopped(Exception):  # noqa: N818  # no error, but a request
    """Raised by `stop` where a read blocks on input that may never come."""


class CaptureStream:
    """Iterable, once, of the packets of captures, including those of directories."""

    def __init__(self, captures: Sequence[str], expression: str | None = None) -> None:
        """expression: a capture filter (pcap-filter(7)). Raises ConfigError when it does not compile."""
        self.stopping = False  # the present block is the last one
        self.problems: list[str] = []  # one line for each capture that could not be read to its end
        self.bytes_read = 0  # of the captures as stored
        self.size = _total_size(captures)
        self.from_pipe = False  # whether the present block came from a pipe, whose writer may wait
        self._captures = captures
        self._filter = _packet_filter(expression) if expression else None
        self._waiting = False

    @property
    def filtered(self) -> int:
        """Packets that the capture filter excluded."""
        return self._filter.filtered if self._filter else 0

    def stop(self) -> None:
        """End with the present block. In a signal handler it raises ReadStopped, to leave a read that blocks."""
        self.stopping = True
        if self._waiting:
            raise ReadStopped

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks of all captures. Raises InputError when none can be opened."""
        opened = False
        for name in in_time_order(self._captures):
            if self.stopping:
                break
            try:
                source = self._wait_for(partial(open_capture, name))
            except InputError as error:
                self.problems.append(str(error))
                continue
            except ReadStopped:
                break
            opened = True
            yield from self._read(source)
        if not opened and not self.stopping:
            raise InputError("; ".join(self.problems))

    def _read(self, source: CaptureFile) -> Iterator[PacketBlock]:
        before = self.bytes_read
        self.from_pipe = source.size is None
        blocks = iter(source)
        try:
            while not self.stopping and (block := self._wait_for(lambda: next(blocks, None))) is not None:
                self.bytes_read = before + source.bytes_read
                yield self._filter.apply(block) if self._filter else block
        except ReadStopped:
            pass
        except ConfigError as error:  # the filter does not fit this capture's link type
            self.problems.append(f"{source.name}: {error}")
        finally:
            source.close()
        if source.problem and not self.stopping:
            self.problems.append(f"{source.name}: {source.problem}")

    def _wait_for(self, read: Callable[[], Result]) -> Result:
        """Result of a call that may block on input. Raises ReadStopped as soon as `stop` is called."""
        self._waiting = True
        try:
            return read()
        finally:
            self._waiting = False


def _packet_filter(expression: str) -> PacketFilter:
    from sensor.sources.filters.libpcap import compile_offline

    compile_for = partial(compile_offline, expression)
    compile_for(ETHERNET)  # so that an invalid expression fails before anything is read
    return PacketFilter(compile_for)


def _total_size(captures: Sequence[str]) -> int | None:
    """Bytes of all captures as stored; None when one of them is a pipe or unreadable."""
    paths = [Path(name) for name in captures_in(captures)]
    if STDIN in captures or not all(path.is_file() for path in paths):
        return None
    return sum(path.stat().st_size for path in paths)


def in_time_order(captures: Sequence[str]) -> list[str]:
    """Captures, also of directories, by the time of their first packet: rotated files may have any name.

    Standard input, which cannot be read twice, and unreadable captures come last.
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
