"""A segment of a spool: lines in a row, in a file of its directory, or in memory while the disk takes none.

It knows how far its lines were handed out and confirmed, not which segments there are, nor how much room.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from sensor.outputs.spool_directory import CHECKED, SpoolDirectory, checked, stored_lines


@dataclass(eq=False, slots=True)
class Segment:
    """Lines in a row, up to which of them are handed out, and up to which confirmed."""

    number: int  # of the file; 0 in memory
    file: tuple[int, int] = (0, 0)  # device and inode
    old: bool = False  # of a release that wrote no checksums
    size: int = 0  # bytes of whole lines
    lines: int = 0
    confirmed: int = 0  # bytes
    settled: int = 0  # lines that were confirmed
    offset: int = 0  # bytes handed out
    descriptor: int | None = None  # while it is written to; then it is opened for each read
    memory: list[bytes] = field(default_factory=list)

    def find(self, descriptor: int, confirmed: int) -> None:
        """Count the lines of a file of an earlier run. confirmed: bytes of it that are.

        Raises OSError; what was counted before stays.
        """
        found = os.fstat(descriptor)
        size, self.file = found.st_size, (found.st_dev, found.st_ino)
        self.old = os.pread(descriptor, 1, 0) == b"{"
        ends_there = confirmed == 0 or (confirmed <= size and os.pread(descriptor, 1, confirmed - 1) == b"\n")
        self.confirmed = self.offset = self.size = confirmed if ends_there else 0
        while self.size < size:
            stored = list(stored_lines(descriptor, self.size, size))
            if not stored:  # half a line, which a crash left, or one without end
                break
            self.lines += len(stored)
            self.size += sum(map(len, stored))

    def write(self, lines: Sequence[bytes]) -> int:
        """Write lines behind the others, all or none, to the file, which is open: how many bytes. Raises OSError."""
        assert self.descriptor is not None  # noqa: S101
        content = b"".join(map(checked, lines))
        left = memoryview(content)
        try:
            while left:
                left = left[os.write(self.descriptor, left) :]
        except OSError:
            self._cut()
            raise
        self.size += len(content)
        self.lines += len(lines)
        return len(content)

    def stored(self, directory: SpoolDirectory | None, limit: int, start: int, end: int) -> list[bytes]:
        """What stands between two bytes of the file, as it is. directory: None where it is gone. Raises OSError."""
        descriptor = self.descriptor
        if descriptor is None:
            if directory is None:
                return []
            descriptor = directory.segment(self.number)
        try:
            return list(stored_lines(descriptor, start, end, max(limit, CHECKED)))
        finally:
            if self.descriptor is None:
                os.close(descriptor)

    def remember(self, line: bytes) -> None:
        """Keep a line in memory, behind the others."""
        self.memory.append(line)
        self.size += len(line)
        self.lines += 1

    def recalled(self, handed_out: int, limit: int) -> list[bytes]:
        """The next lines of one in memory. handed_out: lines of it that are not confirmed."""
        lines: list[bytes] = []
        size = 0
        for line in self.memory[self.settled + handed_out :]:
            if lines and size + len(line) > limit:
                break
            lines.append(line)
            size += len(line)
        return lines

    def let_go(self) -> None:
        """Write to it no more."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def _cut(self) -> None:
        """Take part of a write back, or write to it no more."""
        assert self.descriptor is not None  # noqa: S101
        try:
            os.ftruncate(self.descriptor, self.size)
        except OSError:
            self.let_go()
