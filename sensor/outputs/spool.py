"""Lines that an output still has to deliver, on disk: they outlive the sensor, in their order.

A run writes segments of its own and never into one that it found. The confirmation is written from time to time: after
a crash some lines are sent twice, none is left out. It is not synced, so a power failure may cost the last seconds.

A spool costs at most what is in it. Lines that cannot be written to it are kept in memory and delivered from there;
segments that are missing, damaged or no files are passed over, and what they held counts as lost.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from configs.formats import OtherVersionError
from sensor.alerts.spread import counted
from sensor.errors import OutputError, reason_of
from sensor.files.alone import InUseError
from sensor.outputs.segment import Segment
from sensor.outputs.spool_directory import CHECKED, PIECE, SpoolDirectory, unchecked

SEGMENT_BYTES: Final = 4 << 20
MARK_LINES: Final = 4096  # confirmed between two writes of the mark
HELD: Final = 16  # segments that were removed and are held open
AGAIN_S: Final = 1.0  # between two tries to write after one that failed
LOOK_S: Final = 10.0  # between two looks whether the segments are still there, or longer where looking takes long
DISK_REFUSES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})


class Spool:
    """A backlog in a directory of its own. Nothing but its making raises."""

    def __init__(self, directory: Path, capacity_bytes: int, memory_bytes: int = 16 << 20) -> None:
        """directory: exists or can be made. memory_bytes: of lines that wait there while the disk takes none.

        Raises OutputError for what can be no directory of ours, also where another sensor uses it.
        """
        self.problem = ""  # what was wrong last, without the name of the spool
        self._path = directory
        self._capacity, self._memory_capacity = capacity_bytes, memory_bytes
        self._segments: deque[Segment] = deque()
        self._at = 0  # the segment that is handed out next
        self._sent: deque[tuple[Segment, int]] = deque()  # of each line handed out: where it ends there
        self._unread: deque[int] = deque()  # segments of earlier runs beyond the capacity: read in their turn
        self._count = self._bytes = self._memory_bytes = self._unmarked = self._lost = 0
        self._next_number = 1
        self._again_s = 0.0
        self._look_at_s = time.monotonic() + LOOK_S
        self._directory: SpoolDirectory | None = None
        try:
            self._open()
        except OtherVersionError as error:
            raise OutputError(f"spool {directory}: {error}") from error
        except OSError as error:
            if isinstance(error, InUseError) or error.errno not in DISK_REFUSES:
                raise OutputError(f"spool {directory}: {reason_of(error)}, expected a directory of our own") from error
            self._fail(error)

    def __len__(self) -> int:
        return self._count

    @property
    def name(self) -> str:
        """For messages."""
        return f"spool {self._path}"

    @property
    def unsent(self) -> bool:
        """Whether there are lines to send."""
        here = islice(self._segments, self._at, None)
        return bool(self._unread) or any(segment.offset < segment.size for segment in here)

    def lost(self) -> int:
        """Lines that were lost in it since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def append(self, lines: Sequence[bytes]) -> int:
        """Take on lines, as many as there is room for: on disk, or in memory where the disk takes none."""
        self._look_now_and_then()
        room = self._capacity - self._bytes
        batch: list[bytes] = []
        for line in lines:
            room -= len(line) + CHECKED
            if room < 0:
                break
            batch.append(line)
        if not batch or (time.monotonic() >= self._again_s and self._written(batch)):
            return len(batch)
        return self._remembered(batch)

    def take(self, limit_bytes: int) -> list[bytes]:
        """Lines from the send position on, which moves behind them."""
        while self._unread or self._at < len(self._segments):
            if self._is_unread_next():
                self._take_over(self._unread.popleft(), 0, self._at)
                continue
            segment = self._segments[self._at]
            lines = self._read(segment, limit_bytes)
            if lines:
                return lines
            if segment is self._segments[-1] and not self._unread:
                break
            self._at += 1
        self._drop_done()
        return []

    def settle(self, count: int) -> None:
        """The oldest lines are confirmed: segments that hold no others go."""
        for _ in range(count):
            segment, end = self._sent.popleft()
            segment.settled += 1
            if segment.number:
                self._bytes -= end - segment.confirmed
            segment.confirmed = end
        self._count -= count
        self._unmarked += count
        self._drop_done()
        if self._unmarked and (not self._count or self._unmarked >= MARK_LINES):
            self._mark()

    def rewind(self) -> None:
        """Send again what is not confirmed."""
        for segment in self._segments:
            segment.offset = segment.confirmed
        self._at = 0
        self._sent.clear()

    def close(self) -> None:
        """Write what is in memory, say how far it is confirmed, and let others have the directory."""
        self.rewind()
        for segment in [segment for segment in self._segments if not segment.number]:
            self._segments.remove(segment)
            self._count -= segment.lines - segment.settled
            self._memory_bytes -= segment.size
            rest = segment.memory[segment.settled :]
            if not self._written(rest):
                self._lost += len(rest)
        self._lose_what_was_taken(at_end=True)
        self._drop_done()
        self._mark()
        for segment in self._segments:
            segment.let_go()
        if self._directory is not None:
            self._directory.close()
            self._directory = None

    def _open(self) -> None:
        """Go on where the last sensor ended. Raises OSError."""
        directory = SpoolDirectory(self._path)
        try:
            directory.take_over()
            numbers = directory.numbers()
        except (OSError, OtherVersionError):
            directory.close()
            raise
        self._directory = directory
        marked, offset = directory.mark() or (0, 0)
        # Behind the mark too, which may be of a segment that is gone: it must not speak of another one.
        self._next_number = max(self._next_number, marked + 1, *(number + 1 for number in numbers))
        if marked not in numbers:  # of segments that are all gone, or none of ours
            marked = offset = 0
        for number in numbers:
            if number < marked:
                self._remove_confirmed(directory, number)
            elif self._bytes > self._capacity:
                self._unread.append(number)
            else:
                self._take_over(number, offset if number == marked else 0, len(self._segments))
        if self._unread:
            self._note(f"more than {self._capacity:,} bytes: what is behind them is delivered, and counted, after them")

    def _remove_confirmed(self, directory: SpoolDirectory, number: int) -> None:
        """Remove a segment of an earlier run that was delivered; what is none stays."""
        if (descriptor := self._opened(directory, number)) is not None:
            os.close(descriptor)
            with suppress(OSError):
                directory.remove(number)

    def _take_over(self, number: int, confirmed: int, place: int) -> None:
        """Count the lines of a segment of an earlier run. confirmed: bytes of it that are. place: among the others."""
        descriptor = None if self._directory is None else self._opened(self._directory, number)
        if descriptor is None:
            return
        segment = Segment(number)
        try:
            segment.find(descriptor, confirmed)
        except OSError as error:
            self._note(f"{number:08d}.jsonl: {reason_of(error)}")
        finally:
            os.close(descriptor)
        self._segments.insert(place, segment)
        self._count += segment.lines
        self._bytes += segment.size - segment.confirmed

    def _opened(self, directory: SpoolDirectory, number: int) -> int | None:
        """Descriptor of a segment of an earlier run, None of what is passed over."""
        try:
            return directory.segment(number)
        except OSError as error:
            what = "may not be read" if isinstance(error, PermissionError) else "is no segment"
            self._note(f"{number:08d}.jsonl {what} and is passed over")
            return None

    def _is_unread_next(self) -> bool:
        """Whether a segment of an earlier run that was not read yet comes before what is to be handed out next."""
        if not self._unread or self._at == len(self._segments):
            return bool(self._unread)
        number = self._segments[self._at].number
        return not number or number > self._unread[0]  # written by this run, if only to memory

    def _written(self, batch: list[bytes]) -> bool:
        """Write lines to the disk, all or none."""
        try:
            self._bytes += self._tail().write(batch)
        except OSError as error:
            self._fail(error)
            return False
        self._count += len(batch)
        return True

    def _tail(self) -> Segment:
        """The segment to write to, which is open. Raises OSError."""
        if self._segments:
            last = self._segments[-1]
            if last.descriptor is not None and last.size < SEGMENT_BYTES:
                found = os.fstat(last.descriptor)
                if found.st_nlink and found.st_size == last.size:
                    return last
                self._note("a segment was removed or changed while it was written")
        if self._directory is None:
            self._directory = SpoolDirectory(self._path)
        try:
            descriptor = self._begun(self._directory)
        except FileNotFoundError:  # the directory itself was removed
            self._directory.close()
            self._directory = None
            self._note("the directory was removed, and is made anew")
            self._directory = SpoolDirectory(self._path)
            descriptor = self._begun(self._directory)
        found = os.fstat(descriptor)
        segment = Segment(self._next_number, (found.st_dev, found.st_ino), descriptor=descriptor)
        self._next_number += 1
        self._let_go_of_others()
        self._segments.append(segment)
        return segment

    def _let_go_of_others(self) -> None:
        """Close segments that can be opened again; of those that were removed some are held open, to be read."""
        held = 0
        for segment in self._segments:
            if segment.descriptor is None:
                continue
            held += 1
            if os.fstat(segment.descriptor).st_nlink or held > HELD:
                segment.let_go()
                held -= 1

    def _begun(self, directory: SpoolDirectory) -> int:
        """A new segment behind all others. Raises OSError."""
        for _ in range(1000):
            try:
                return directory.begun(self._next_number)
            except FileExistsError:
                self._next_number += 1
        raise OSError(errno.EEXIST, "names of segments are taken")

    def _remembered(self, batch: list[bytes]) -> int:
        """Keep lines in memory, as many as there is room for."""
        taken = 0
        for line in batch:
            if self._memory_bytes + len(line) > self._memory_capacity:
                break
            if not self._segments or self._segments[-1].number or self._segments[-1].size >= PIECE:
                self._segments.append(Segment(0))
            self._segments[-1].remember(line)
            self._memory_bytes += len(line)
            taken += 1
        self._count += taken
        return taken

    def _read(self, segment: Segment, limit: int) -> list[bytes]:
        """The next lines of a segment, without those that are damaged; none where nothing more of it can be read."""
        if not segment.number:
            recalled = segment.recalled(self._handed_out(segment), limit)
            for one in recalled:
                segment.offset += len(one)
                self._sent.append((segment, segment.offset))
            return recalled
        lines: list[bytes] = []
        while segment.offset < segment.size and not lines:
            stored = self._stored(segment, limit, segment.offset, segment.size)
            if not stored:
                segment.offset = segment.size
            for one in stored:
                segment.offset += len(one)
                line = unchecked(one, old=segment.old)
                if line is not None:
                    lines.append(line)
                    self._sent.append((segment, segment.offset))
        return lines

    def _stored(self, segment: Segment, limit: int, start: int, end: int) -> list[bytes]:
        """What stands between two bytes of it, as it is; nothing where it cannot be read."""
        try:
            return segment.stored(self._directory, limit, start, end)
        except OSError as error:
            self._note(f"{segment.number:08d}.jsonl: {reason_of(error)}")
            return []

    def _handed_out(self, segment: Segment) -> int:
        """Lines of a segment that were handed out and are not confirmed."""
        return sum(1 for sent, _ in self._sent if sent is segment)

    def _look_now_and_then(self) -> None:
        """See whether the segments are still there: who waits for a receiver reads none of them."""
        began_s = time.monotonic()
        if began_s < self._look_at_s:
            return
        self._lose_what_was_taken(at_end=False)
        self._drop_done()
        now_s = time.monotonic()
        self._look_at_s = now_s + max(LOOK_S, 100 * (now_s - began_s))

    def _lose_what_was_taken(self, *, at_end: bool) -> None:
        """Lose what stands in no segment any more. at_end: also what could be read as long as it is held open."""
        gone = 0
        for segment in self._segments:
            if segment.number and (at_end or segment.descriptor is None):
                gone += self._cut_to_what_stands(segment)
        if gone:
            self._lost += gone
            self._count -= gone
            self._note(f"{counted(gone, 'line')} went with segments that others removed or cut short")

    def _cut_to_what_stands(self, segment: Segment) -> int:
        """Have a segment end where its file does now: how many of its lines nobody will hand out."""
        size = 0 if self._directory is None else self._directory.size_of(segment.number, segment.file)
        if size >= segment.size:
            return 0
        waiting = segment.lines - segment.settled - self._handed_out(segment)
        end, left = segment.offset, 0
        while end < size and (stored := self._stored(segment, PIECE, end, size)):
            end += sum(map(len, stored))
            left += len(stored)
        self._bytes -= segment.size - end
        segment.size = end
        segment.lines -= waiting - left
        return waiting - left

    def _drop_done(self) -> None:
        """Forget segments of which everything is confirmed or lost; the last one stays to be written to."""
        while self._segments:
            first = self._segments[0]
            waiting = first.offset < first.size or (self._sent and self._sent[0][0] is first)
            written_to = first is self._segments[-1] and first.descriptor is not None and first.size < SEGMENT_BYTES
            if waiting or (written_to and first.lines == first.settled):
                return
            self._segments.popleft()
            self._at = max(0, self._at - 1)
            self._forget(first)
            if written_to:
                return

    def _forget(self, segment: Segment) -> None:
        damaged = segment.lines - segment.settled
        self._lost += damaged
        self._count -= damaged
        if damaged:
            self._note(f"{damaged:,} line{'s' * (damaged != 1)} of it cannot be read any more")
        if not segment.number:
            self._memory_bytes -= segment.size
            return
        self._bytes -= segment.size - segment.confirmed
        segment.let_go()
        if self._directory is not None:
            with suppress(OSError):
                self._directory.remove(segment.number)

    def _mark(self) -> None:
        """Note how far lines are confirmed. Where that fails some are sent twice after a restart."""
        self._unmarked = 0
        first = next((segment for segment in self._segments if segment.number), Segment(self._next_number))
        if self._unread and self._unread[0] < first.number:
            first = Segment(self._unread[0])
        if self._directory is not None:
            with suppress(OSError):
                self._directory.set_mark(first.number, first.confirmed)

    def _fail(self, error: OSError) -> None:
        self._again_s = time.monotonic() + AGAIN_S
        self._note(f"{reason_of(error)}, lines wait in memory")

    def _note(self, problem: str) -> None:
        self.problem = problem
