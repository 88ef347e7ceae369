"""Lines that an output still has to deliver, on disk: they outlive the sensor, in their order.

A directory of one output holds numbered segments of lines and a file that says how far they are confirmed. The
confirmation is written from time to time: after a crash some lines are sent twice, none is left out. It is not synced,
so a power failure may cost the last seconds.
"""

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sensor.errors import OutputError, reason_of
from sensor.files.ownership import APPEND, MODE

SEGMENT_BYTES: Final = 4 << 20
MARK_LINES: Final = 4096  # confirmed between two writes of the mark
_SUFFIX: Final = ".jsonl"


class Spool:
    """A backlog in a directory of its own."""

    def __init__(self, directory: Path, capacity_bytes: int) -> None:
        """directory: exists or can be made. Raises OutputError, also where another sensor uses it."""
        self._directory = directory
        self._capacity = capacity_bytes
        self._sent_sizes: deque[int] = deque()  # of lines handed out and not confirmed
        self._unmarked = 0
        self._reading = self._offset = 0  # send position
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock = _locked(directory)
            self._open()
        except OSError as error:
            raise OutputError(f"spool {directory}: {reason_of(error)}, expected a directory of our own") from error

    def __len__(self) -> int:
        return self._count

    @property
    def unsent(self) -> bool:
        """Whether there are lines to send."""
        return self._count > len(self._sent_sizes)

    def append(self, lines: Sequence[bytes]) -> int:
        """Write lines at the end, as many as the capacity allows. Raises OSError: then none was written."""
        room = self._capacity - self._bytes
        batch: list[bytes] = []
        for line in lines:
            room -= len(line)
            if room < 0:
                break
            batch.append(line)
        if not batch:
            return 0
        size = self._write(b"".join(batch))
        self._bytes += size
        self._count += len(batch)
        return len(batch)

    def take(self, limit_bytes: int) -> list[bytes]:
        """Read lines from the send position on. Raises OSError."""
        while self.unsent:
            with self._segment(self._reading).open("rb") as stream:
                stream.seek(self._offset)
                batch = stream.read(limit_bytes).splitlines(keepends=True)
                if batch and not batch[-1].endswith(b"\n"):
                    rest = batch.pop()
                    if not batch:  # a line longer than the limit
                        batch = [rest + stream.readline()]
            if batch:
                self._offset += sum(map(len, batch))
                self._sent_sizes.extend(map(len, batch))
                return batch
            if self._reading >= self._last:
                break
            self._reading, self._offset = self._reading + 1, 0
        return []

    def settle(self, count: int) -> None:
        """The oldest lines are confirmed: segments that hold no others go."""
        for _ in range(count):
            size = self._sent_sizes.popleft()
            self._bytes -= size
            if self._marked_offset >= self._sizes[self._first]:
                self._drop_first()
            self._marked_offset += size
        self._count -= count
        self._unmarked += count
        if not self._count or self._unmarked >= MARK_LINES:
            self._mark()

    def rewind(self) -> None:
        """Send again what is not confirmed."""
        self._reading, self._offset = self._first, self._marked_offset
        self._sent_sizes.clear()

    def close(self) -> None:
        """Say how far it is confirmed and let others have the directory."""
        self._mark()
        os.close(self._tail)
        os.close(self._lock)

    def _open(self) -> None:
        """Go on where the last sensor ended."""
        numbers = sorted(int(path.stem) for path in self._directory.glob(f"*{_SUFFIX}") if path.stem.isdigit())
        first, offset = _read_mark(self._directory / "confirmed")
        for number in [number for number in numbers if number < first]:
            self._segment(number).unlink()
        numbers = [number for number in numbers if number >= first] or [max(first, 1)]
        self._first, self._last = numbers[0], numbers[-1]
        self._marked_offset = offset if self._first == first else 0
        self._sizes = {number: _whole(self._segment(number)) for number in numbers}
        self._marked_offset = min(self._marked_offset, self._sizes[self._first])
        self._bytes = sum(self._sizes.values()) - self._marked_offset
        self._count = sum(_lines_in(self._segment(number)) for number in numbers)
        self._count -= _lines_in(self._segment(self._first), self._marked_offset)
        self._tail = self._opened(self._last)
        self.rewind()

    def _write(self, content: bytes) -> int:
        if self._sizes[self._last] >= SEGMENT_BYTES:
            tail = self._opened(self._last + 1)
            os.close(self._tail)
            self._tail = tail
            self._last += 1
            self._sizes[self._last] = 0
        before = self._sizes[self._last]
        left = memoryview(content)
        try:
            while left:
                left = left[os.write(self._tail, left) :]
        except OSError:
            os.ftruncate(self._tail, before)
            raise
        self._sizes[self._last] += len(content)
        return len(content)

    def _drop_first(self) -> None:
        self._segment(self._first).unlink(missing_ok=True)
        del self._sizes[self._first]
        self._first += 1
        self._marked_offset = 0
        self._mark()

    def _mark(self) -> None:
        """Note how far lines are confirmed. A full disk only means that some are sent twice after a restart."""
        self._unmarked = 0
        mark, new = self._directory / "confirmed", self._directory / "confirmed.new"
        try:
            new.write_text(f"{self._first} {self._marked_offset}\n")
            new.replace(mark)
        except OSError:
            return

    def _segment(self, number: int) -> Path:
        return self._directory / f"{number:08d}{_SUFFIX}"

    def _opened(self, number: int) -> int:
        return os.open(self._segment(number), APPEND | os.O_CREAT, MODE)


def _locked(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, MODE)
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows, where no second sensor is kept out
        return descriptor
    except BlockingIOError:
        os.close(descriptor)
        raise OSError(None, "used by another sensor") from None
    return descriptor


def _read_mark(path: Path) -> tuple[int, int]:
    """First segment and the confirmed bytes of it; nothing confirmed where it cannot be read."""
    try:
        first, offset = (int(word) for word in path.read_text().split())
    except (OSError, ValueError):
        return 0, 0
    return max(first, 0), max(offset, 0)


def _whole(segment: Path) -> int:
    """Bytes of a segment after half a line, which a crash left, was cut off."""
    try:
        content = segment.read_bytes()
    except FileNotFoundError:
        return 0
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(segment, whole)
    return whole


def _lines_in(segment: Path, until: int | None = None) -> int:
    try:
        return segment.read_bytes()[:until].count(b"\n")
    except FileNotFoundError:
        return 0
