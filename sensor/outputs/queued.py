"""JSON lines through a queue: whoever hands lines over never waits for a slow reader or a full disk.

A thread writes. What finds no room in the queue is lost and counted, newest first to go; what an output refuses is
tried again, and a file never holds part of a line.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate
from typing import Final

from sensor.errors import OutputError
from sensor.files.descriptors import reason_of
from sensor.outputs.jsonl import JsonlSink

CAPACITY_BYTES: Final = 32 << 20  # some 20 000 alerts
WRITE_BYTES: Final = 65536  # at once: what a pipe holds
RETRY_S: Final = 0.5  # after an error
POLL_S: Final = 0.05  # where the descriptor does not wait by itself
ORDERLY_S: Final = 0.3  # for the thread, if it does not hang in the kernel, to leave its file with whole lines


class QueuedSink:
    """A sink that takes lines at once. lost: lines that did not get out. broken_pipe: the reader has gone."""

    def __init__(self, sink: JsonlSink, capacity_bytes: int = CAPACITY_BYTES) -> None:
        """sink: where to; belongs to the thread from now on, closed with it. capacity_bytes: that may wait."""
        self.lost = 0
        self.broken_pipe = False
        self._sink = sink
        self._capacity = capacity_bytes
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._batch: list[bytes] = []  # taken from the queue, not completely written
        self._written = 0  # bytes of the batch
        self._replacement: tuple[int, str] | None = None
        self._refusal = ""  # why the output takes nothing now
        self._lost_because = ""
        self._closing = self._given_up = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """What is wrong with this output, or was when lines were lost: one line, or None."""
        with self._changed:
            reason = self._refusal or self._lost_because
            lost = f", {self.lost:,} line{'s' * (self.lost != 1)} lost" if self.lost else ""
            return f"{self._sink.name}: {reason}{lost}" if reason else None

    def write(self, lines: Iterable[bytes]) -> None:
        """Take lines, each with its newline. Never waits and never raises."""
        with self._changed:
            before = len(self._queue)
            for line in lines:
                if self._closing or self.broken_pipe or self._queued_bytes + len(line) > self._capacity:
                    self._lose(1, "the reader is too slow")
                else:
                    self._queue.append(line)
                    self._queued_bytes += len(line)
            if len(self._queue) > before:
                self._changed.notify()

    def reopen(self, opener: Callable[[], int], name: str | None = None) -> None:
        """Go on with another descriptor, between two lines; what is not written yet goes there.

        opener: gives the descriptor; what it raises leaves everything as it was. name: of the new output, for messages.
        """
        descriptor = opener()
        with self._changed:
            if self._replacement is not None:
                os.close(self._replacement[0])
            self._replacement = descriptor, name or self._sink.name
            self.broken_pipe = False
            self._changed.notify()

    def close(self, timeout_s: float) -> bool:
        """Write what waits, for as long as the timeout allows; whether all of it got out. The rest counts as lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            self._given_up = True
            self._changed.notify()
        self._thread.join(ORDERLY_S)
        with self._changed:
            left = self._unwritten()
            self._lose(left, "the reader is too slow")
        return left == 0

    def _lose(self, lines: int, reason: str) -> None:
        self.lost += lines
        if lines:
            self._lost_because = self._refusal or ("the reader has gone" if self.broken_pipe else reason)

    def _run(self) -> None:
        while self._take():
            self._swap()
            if self._batch:
                self._write_batch()
        self._leave_whole_lines()
        self._let_go(self._sink.close)

    def _take(self) -> bool:
        """Wait for something to do and take a batch from the queue; False when all is done."""
        with self._changed:
            while not (self._given_up or self._batch or self._queue or self._replacement or self._closing):
                self._changed.wait()
            if not self._batch:
                size = 0
                while self._queue and (not size or size + len(self._queue[0]) <= WRITE_BYTES):
                    self._batch.append(self._queue.popleft())
                    size += len(self._batch[-1])
                self._queued_bytes -= size
            return bool(self._batch or self._replacement) and not self._given_up

    def _write_batch(self) -> None:
        """One try. What is left of the batch stays for the next."""
        content = memoryview(b"".join(self._batch))
        try:
            while self._written < len(content):
                taken = self._sink.write_some(content[self._written :])
                with self._changed:
                    self._written += taken
        except BlockingIOError:
            self._pause(POLL_S)
        except BrokenPipeError:
            self._reader_has_gone()
        except OSError as error:
            with self._changed:
                self._refusal = reason_of(error)
            self._pause(RETRY_S)
        else:
            with self._changed:
                self._batch, self._written, self._refusal = [], 0, ""

    def _reader_has_gone(self) -> None:
        with self._changed:
            if self._replacement is not None:  # which gets all of it
                return
            self.broken_pipe = True
            left = self._unwritten()
            self._batch, self._written, self._queued_bytes = [], 0, 0
            self._queue.clear()
            self._lose(left, "")

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._given_up or self._replacement is not None, seconds)

    def _swap(self) -> None:
        with self._changed:
            replacement, self._replacement = self._replacement, None
        if replacement is None:
            return
        self._leave_whole_lines()
        self._let_go(partial(self._sink.replace, *replacement))
        with self._changed:
            self._refusal = ""

    def _let_go(self, close: Callable[[], None]) -> None:
        """Close a descriptor: some systems tell only then that something was not written."""
        name = self._sink.name
        try:
            close()
        except OutputError as error:
            with self._changed:
                self._lost_because = str(error).removeprefix(f"{name}: ")

    def _leave_whole_lines(self) -> None:
        """Cut off the part of a line that the output took, and forget the lines that it took whole."""
        whole = self._whole_lines()
        part = self._written - sum(map(len, self._batch[:whole]))
        if part:
            self._sink.cut(part)  # not from a pipe: who reads it sees half a line
        with self._changed:
            self._batch, self._written = self._batch[whole:], 0

    def _unwritten(self) -> int:
        return len(self._batch) - self._whole_lines() + len(self._queue)

    def _whole_lines(self) -> int:
        """Lines of the batch that are written completely."""
        return sum(end <= self._written for end in accumulate(map(len, self._batch)))
