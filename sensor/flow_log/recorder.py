"""Recorder of all flows of a run: what is judged is handed over, and a thread of its own writes it as a flow log.

Whoever judges never waits for a disk, unless it asks to: what finds the queue full is counted as lost. So is what the
disk does not take; the recorder tries again with the next file.
"""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from flows.batch import REPORTED_NS
from sensor.errors import reason_of
from sensor.flow_log.columns import JudgedRecords
from sensor.flow_log.directory import LogDirectory
from sensor.flow_log.file_writer import LogFileWriter
from sensor.flow_log.files import LogName
from sensor.progress.progress import LoggedFlows

QUEUE_RECORDS: Final = 65_536  # that may wait, about 1 KB each
GROUP_RECORDS: Final = 8192  # of a row group
RETRY_S: Final = 10.0  # after a failure, before which nothing is tried
_SHARE: Final = 8  # a file has at most this part of the directory's limit, so that little is deleted at once
_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FileLimits:
    """When a file is finished and the next one begun, whichever comes first."""

    seconds: float = 900.0  # of the steady clock, since its first record
    records: int = 1_000_000
    size_bytes: int = 1 << 28  # as it is stored; a row group may go beyond

    @classmethod
    def of(cls, seconds: float, records: int, directory_bytes: int) -> "FileLimits":
        """Those of a directory with such a limit."""
        return cls(seconds, records, max(1, directory_bytes // _SHARE))


class FlowRecorder:
    """Records judged flows while it is entered; on exit the last file is finished."""

    def __init__(
        self,
        directory: LogDirectory,
        limits: FileLimits,
        about: Mapping[str, Any],
        *,
        waits: bool,
        run: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """about: what the log says of the run. waits: whether `add` waits for room in the queue, or loses records.

        run: 16 hexadecimal digits by which its files are known, None: any. clock: seconds, steady.
        """
        self.problem: str | None = None  # why records were lost first, one line
        self._directory = directory
        self._limits = limits
        self._run = run or secrets.token_hex(8)
        self._about = {**about, "run": self._run}
        self._waits = waits
        self._clock = clock
        self._queue: deque[JudgedRecords] = deque()
        self._queued = 0  # records in the queue
        self._changed = threading.Condition()
        self._ending = self._due = False
        self._takes = True
        self._files = self._written = self._bytes = self._lost = 0
        self._file: _OpenFile | None = None
        self._retry_at_s = 0.0
        self._thread = threading.Thread(target=self._work, name="flow log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def state(self) -> LoggedFlows:
        """Counts of records so far: all that were handed over are written, waiting or lost."""
        with self._changed:
            waiting = self._queued + (self._file.records if self._file else 0)
            return LoggedFlows(
                files=self._files,
                records=self._written,
                bytes=self._bytes,
                waiting=waiting,
                lost=self._lost,
                files_deleted=self._directory.deleted,
            )

    def add(self, part: JudgedRecords) -> None:
        """Hand records over, in the order of their reports."""
        with self._changed:
            if not self._takes:
                return
            while self._waits and self._queued >= QUEUE_RECORDS and self._thread.is_alive():
                self._changed.wait(1.0)
            if not self._thread.is_alive() or (not self._waits and self._queued >= QUEUE_RECORDS):
                self._lose(len(part), "flows came faster than the disk took them")
                return
            self._queue.append(part)
            self._queued += len(part)
            self._changed.notify_all()

    def finish_file(self) -> None:
        """Have what was handed over so far be found in whole files soon."""
        with self._changed:
            self._due = True
            self._changed.notify_all()

    def take_no_more(self) -> None:
        """Keep nothing of what comes from now on, which loses nothing: whoever wanted it has enough."""
        with self._changed:
            self._takes = False

    def close(self) -> None:
        """Write what waits, finish the last file and end the thread; more than once does nothing."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        """The life of the thread."""
        going = True
        while going:
            part, due, going = self._next()
            try:
                if part is not None:
                    self._take(part)
                if self._file is not None and (due or not going or self._is_full(self._file)):
                    self._finish(self._file)
            except Exception as error:  # noqa: BLE001  whatever it is: it is told, and the run goes on
                self._fail(error)

    def _next(self) -> tuple[JudgedRecords | None, bool, bool]:
        """The next records, whether the file is to be finished after them, and whether there will be more."""
        with self._changed:
            while not self._queue and not self._ending and not self._due:
                wait_s = None if self._file is None else self._file.begun_s + self._limits.seconds - self._clock()
                if wait_s is not None and wait_s <= 0:
                    return None, True, True
                self._changed.wait(wait_s)
            part = None
            if self._queue:
                part = self._queue.popleft()
            due = self._due and not self._queue
            self._due = self._due and not due
            return part, due, bool(self._queue) or not self._ending

    def _take(self, part: JudgedRecords) -> None:
        file = None
        try:
            file = self._file_for(part)
        finally:
            with self._changed:
                self._queued -= len(part)
                self._changed.notify_all()
                if file is None:
                    self._lost += len(part)
                else:
                    file.add(part)
        if file is not None and file.waiting >= GROUP_RECORDS:
            file.flush()

    def _file_for(self, part: JudgedRecords) -> "_OpenFile | None":
        """The file that records go to; None soon after a failure. Raises OSError."""
        if self._file is not None:
            if self._file.writer.by == part.by:
                return self._file
            self._finish(self._file)
        if self._clock() < self._retry_at_s:
            return None
        name = LogName(int(part.records.identity[0, REPORTED_NS]) // _SECOND_NS, self._run, self._files + 1)
        writer = LogFileWriter(self._directory.unfinished(name), part.by, self._about)
        self._file = _OpenFile(name, writer, self._clock())
        return self._file

    def _is_full(self, file: "_OpenFile") -> bool:
        limits = self._limits
        return (
            file.records >= limits.records
            or file.writer.size >= limits.size_bytes
            or self._clock() >= file.begun_s + limits.seconds
        )

    def _finish(self, file: "_OpenFile") -> None:
        file.flush()
        file.writer.finish()
        size = file.writer.size
        self._directory.finish(file.name, size)
        file.writer.close()
        with self._changed:
            self._file = None
            self._files += 1
            self._written += file.records
            self._bytes += size

    def _fail(self, error: Exception) -> None:
        """Lose the file that is being written."""
        reason = reason_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        file = self._file
        if file is not None:
            file.writer.abandon()
        with self._changed:
            self._file = None
            self._retry_at_s = self._clock() + RETRY_S
            self._lose(file.records if file else 0, f"flows cannot be written: {reason}")

    def _lose(self, records: int, why: str) -> None:
        self._lost += records
        if self.problem is None:
            self.problem = f"{self._directory.path}: {why}"


@dataclass(slots=True)
class _OpenFile:
    """The file that is being written."""

    name: LogName
    writer: LogFileWriter
    begun_s: float
    pending: list[JudgedRecords] = field(default_factory=list)  # that wait for their row group
    records: int = 0  # of the file, with these
    waiting: int = 0  # records of these

    def add(self, part: JudgedRecords) -> None:
        """Have records wait."""
        self.pending.append(part)
        self.records += len(part)
        self.waiting += len(part)

    def flush(self) -> None:
        """Write a row group of what waits. Raises OSError."""
        if self.pending:
            self.writer.write(self.pending)
            self.pending, self.waiting = [], 0


def warm_flow_recorder() -> None:
    """Load what writing needs, while its files can be read and no thread runs."""
    import io

    import pyarrow as pa
    from pyarrow import parquet

    # Its own allocators keep what they once had: 30 MB more, and a third of the time that writing takes.
    pa.set_memory_pool(pa.system_memory_pool())
    with parquet.ParquetWriter(io.BytesIO(), pa.schema([("flows", pa.int64())]), compression="zstd") as writer:
        writer.write_table(pa.table({"flows": [0]}))
