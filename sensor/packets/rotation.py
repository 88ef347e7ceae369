"""Packets written to files one after the other: each packet once, in order, each file a whole capture of its own.

Files are begun by size and by interval, and the oldest are removed where only some are kept. None that was there before
is written to or removed. The habits are those of tcpdump(8) -C, -G, -W and dumpcap(1) -b.
"""

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from flows.block import Int64s, PacketBlock
from sensor.errors import OutputError, reason_of
from sensor.files.held import held
from sensor.files.ownership import CREATE, Owner, open_owned
from sensor.packets.packet_files import PacketFiles
from sensor.packets.pcapng import PcapngWriter, encoded_sizes


@dataclass(frozen=True, slots=True)
class _OwnFile:
    """A file that was created here: what has its name later may be another's."""

    path: Path
    device: int
    inode: int

    def remove(self) -> None:
        """Remove it, unless it was moved away or replaced. Raises OSError."""
        try:
            with held(self.path, to_create=True) as place:
                found = place.status()
                if (found.st_dev, found.st_ino) == (self.device, self.inode):
                    place.unlink(missing_ok=True)
        except FileNotFoundError:
            return


class RotatingWriter:
    """Writes packets to one capture after the other (sensor.packets.pcapng.PacketWriter).

    Intervals are counted from the start, by the packets' steady times; one without packets has no file. A packet that
    is a little late goes to the file that is open.
    """

    def __init__(self, files: PacketFiles, now_ns: int, owner: Owner | None = None) -> None:
        """Create the first file. Raises OutputError.

        now_ns: by the wall clock, before any step of it. owner: of the first file; this process owns the others.
        """
        self._files = files
        self._interfaces: list[tuple[str, int]] = []
        self._own: deque[_OwnFile] = deque()  # those that exist, oldest first; only where some are removed
        self._closed_packets = 0  # in the files before the current one
        self._start_ns = self._interval_ns = now_ns  # _interval_ns: where the current interval began
        self._named: Path | None = None  # the name without a number
        self._number = 0  # to be tried next for this name
        self._current = self._begin_file(now_ns, owner)

    @property
    def packets(self) -> int:
        """Packets that were written, in all files."""
        return self._closed_packets + self._current.packets

    def add_interface(self, name: str, linktype: int) -> int:
        """Add an interface, also to each later file; returns its number. Raises OutputError."""
        self._interfaces.append((name, linktype))
        return self._current.add_interface(name, linktype)

    def write(self, block: PacketBlock, interface_of: Int64s, clock_step_ns: int = 0) -> None:
        """Append the packets of a block, and begin files between them as they are due, or where one was removed.

        interface_of: (n,) int64, number of each packet's interface. clock_step_ns: what the wall clock is ahead of the
        block's times. Raises OutputError when a file takes no more, cannot be made, or cannot be removed.
        """
        if len(block) and self._current.removed:
            self._begin_next(int(block.ts_ns[0]), clock_step_ns)
        while len(block):
            fitting = self._fitting(block)
            self._current.write(block.select(slice(fitting)), interface_of[:fitting], clock_step_ns)
            block, interface_of = block.select(slice(fitting, None)), interface_of[fitting:]
            if len(block):
                self._begin_next(int(block.ts_ns[0]), clock_step_ns)

    def close(self) -> None:
        """Close the file that is open. Raises OutputError when the system reports lost bytes only now."""
        self._current.close()

    def _fitting(self, block: PacketBlock) -> int:
        """How many packets go to the current file before the next one is due."""
        fitting = len(block)
        if self._files.every_ns is not None:
            due = np.flatnonzero(self._outside_interval(block.ts_ns, self._files.every_ns))
            fitting = int(due[0]) if len(due) else fitting
        if self._files.size_bytes is not None:
            ends = np.cumsum(encoded_sizes(block))
            within = int(np.searchsorted(ends, self._files.size_bytes - self._current.size, side="right"))
            fitting = min(fitting, within if self._current.packets else max(within, 1))
        return fitting

    def _outside_interval(self, ts_ns: Int64s, every_ns: int) -> Int64s:
        """(n,) bool: not in the current interval, nor late by up to another one.

        Packets far before it follow a stamp that was wrong by more: waiting for that time would end the rotation.
        """
        begin_ns = self._interval_ns
        return np.asarray((ts_ns >= begin_ns + every_ns) | (ts_ns < begin_ns - every_ns))

    def _begin_next(self, first_ns: int, clock_step_ns: int) -> None:
        """Close the file and begin the next, whose first packet has this time."""
        every_ns, packets = self._files.every_ns, self.packets
        self._current.close()
        if every_ns is not None and self._outside_interval(np.array([first_ns]), every_ns)[0]:
            self._interval_ns = first_ns - (first_ns - self._start_ns) % every_ns
        self._remove_oldest()
        self._current, self._closed_packets = self._begin_file(first_ns + clock_step_ns, None), packets

    def _remove_oldest(self) -> None:
        """Make room for one more file."""
        while self._files.files is not None and len(self._own) >= self._files.files:
            oldest = self._own.popleft()
            try:
                oldest.remove()
            except OSError as error:
                raise OutputError(f"{oldest.path}: cannot be removed: {reason_of(error)}") from None

    def _begin_file(self, time_ns: int, owner: Owner | None) -> PcapngWriter:
        """Create a file and describe the interfaces in it; one that does not take that is removed again."""
        raw, path = self._create(time_ns, owner)
        status = os.fstat(raw.fileno())
        own = _OwnFile(path, status.st_dev, status.st_ino)
        try:
            writer = PcapngWriter(raw, str(path))
            for name, linktype in self._interfaces:
                writer.add_interface(name, linktype)
        except OutputError:
            with suppress(OSError), raw:
                own.remove()
            raise
        if self._files.files is not None:
            self._own.append(own)
        return writer

    def _create(self, time_ns: int, owner: Owner | None) -> tuple[FileIO, Path]:
        named = self._files.path_at(time_ns)
        if named != self._named:
            self._named, self._number = named, 0
        paths = self._files.paths_at(time_ns, self._number)
        while True:
            path = next(paths)
            self._number += 1
            try:
                return FileIO(open_owned(path, CREATE | os.O_EXCL, owner), "w"), path
            except FileExistsError:
                continue
            except OSError as error:
                raise OutputError(f"{path}: packets cannot be written: {reason_of(error)}") from None
