"""One output: lines through a bounded queue and a backlog, in memory or on disk, to a receiver that may be down.

Whoever hands lines over never waits. A thread moves them to the backlog, sends them, keeps each until the receiver has
it for certain, and tries again with growing pauses while the receiver is away. What finds no room is lost and counted,
newest first to go. It does not know what kind of receiver it is, nor how a line looks there.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from sensor.errors import OutputError
from sensor.files.descriptors import reason_of
from sensor.outputs.backlog import Backlog, MemoryBacklog
from sensor.outputs.spool import Spool
from sensor.outputs.transport import CONNECT_S, Transport
from sensor.progress.progress import OutputState

BATCH_BYTES: Final = 1 << 17
MEMORY_BYTES: Final = 1 << 20  # between the queue and the receiver
WAIT_S: Final = 0.2  # for a receiver, between two looks at the queue
RETRY_S, LONGEST_RETRY_S = 0.2, 15.0

Encode = Callable[[bytes], bytes]  # a native line -> a message, empty for none; ValueError for what has no message


class Delivery:
    """An output and its thread. lost: lines that did not get out. broken_pipe: a pipe's reader has gone for good."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        encode: Encode,
        *,
        queue_bytes: int,
        spool: Path | None = None,
        spool_bytes: int = 0,
        patience_s: float = 0.0,
    ) -> None:
        """name: for messages. spool: a directory. patience_s: that write() may wait for room, for who can wait.

        Raises OutputError for a spool that cannot be used.
        """
        self.name = name
        self.written = self.lost = 0
        self.broken_pipe = False
        self._transport, self._encode = transport, encode
        self._backlog: Backlog = MemoryBacklog(MEMORY_BYTES) if spool is None else Spool(spool, spool_bytes)
        self._persistent = spool is not None
        self._capacity, self._patience_s = queue_bytes, patience_s
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._on_way: deque[int] = deque()  # lines that each message handed over stands for
        self._moved = False
        self._up = False
        self._refusal = self._lost_because = ""
        self._retry_s, self._retry_at_s = RETRY_S, 0.0
        self._closing_at_s: float | None = None
        self._reopen = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def write(self, lines: Iterable[bytes]) -> None:
        """Take lines of native JSON, each with its newline. Never raises; waits only with patience."""
        with self._changed:
            for line in lines:
                if not self._has_room(line):
                    self._lose(1, "no room left")
                    continue
                self._queue.append(line)
                self._queued_bytes += len(line)
            self._changed.notify_all()

    def reopen(self) -> None:
        """Connect anew, as after a log rotation."""
        with self._changed:
            self._reopen = True
            self._changed.notify_all()

    def state(self) -> OutputState:
        """The account: written, queued in memory, spooled on disk and lost."""
        with self._changed:
            waiting = len(self._backlog)
            spooled = waiting if self._persistent else 0
            return OutputState(
                self.name, self._up, self.written, len(self._queue) + waiting - spooled, spooled, self.lost
            )

    @property
    def problem(self) -> str | None:
        """What is wrong, or was when lines were lost: one line, or None."""
        with self._changed:
            lost = f", {self.lost:,} line{'s' * (self.lost != 1)} lost" if self.lost else ""
            spooled = f", {len(self._backlog):,} spooled" if self._persistent and len(self._backlog) else ""
            reason = self._lost_because if self.lost else self._refusal
            return f"{self.name}: {reason}{lost}{spooled}" if reason and (lost or spooled) else None

    def begin_close(self, deadline_s: float) -> None:
        """Deliver what waits until then (monotonic) and end."""
        with self._changed:
            self._closing_at_s = deadline_s
            self._changed.notify_all()

    def join(self, deadline_s: float) -> None:
        """Wait for the end; what could not be kept counts as lost."""
        # It may be waiting for a receiver's answer; what is queued reaches the disk only after that.
        grace_s = CONNECT_S + 1.0 if self._persistent and self._queue else 1.0
        self._thread.join(max(0.0, deadline_s - time.monotonic()) + grace_s)
        with self._changed:
            if self._thread.is_alive():  # it hangs in the kernel
                left = len(self._queue) + (0 if self._persistent else len(self._backlog))
                self._queue.clear()
                self._lose(left, "it hangs")

    def _has_room(self, line: bytes) -> bool:
        if self._closing_at_s is not None or self.broken_pipe:
            return False
        if self._queued_bytes + len(line) > self._capacity and self._patience_s:
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._queued_bytes + len(line) <= self._capacity, self._patience_s)
        return self._queued_bytes + len(line) <= self._capacity

    def _lose(self, lines: int, reason: str) -> None:
        self.lost += lines
        if lines:
            self._lost_because = self._refusal or reason

    def _run(self) -> None:
        while not self._is_over():
            self._move()
            try:
                self._connect_when_due()
                if self._up:
                    self._deliver()
            except BrokenPipeError as error:
                self._went_down(error)
                if self._transport.forever:
                    self._reader_has_gone()
            except (OSError, OutputError, UnicodeError) as error:  # the last: a host name that is none
                self._went_down(error)
            self._rest()
        self._end()

    def _is_over(self) -> bool:
        with self._changed:
            if self._closing_at_s is None:
                return False
            if time.monotonic() >= self._closing_at_s:
                return True
            idle = not self._up or self._transport.idle()
            return not self._queue and not self._backlog.unsent and idle and (self._up or not len(self._backlog))

    def _move(self) -> None:
        """From the queue to the backlog."""
        with self._changed:
            lines = list(islice(self._queue, 4096))
        self._moved = False
        if not lines:
            return
        try:
            taken = self._backlog.append(lines)
        except OSError as error:
            self._refusal = f"the spool: {reason_of(error)}"
            return
        self._moved = taken > 0
        with self._changed:
            for _ in range(taken):
                self._queued_bytes -= len(self._queue.popleft())
            self._changed.notify_all()

    def _connect_when_due(self) -> None:
        if self._reopen and self._up and self._transport.idle():
            self._reopen = False
            self._settle(self._transport.finish(WAIT_S))
            self._start_again()
        if self._up or time.monotonic() < self._retry_at_s:
            return
        self._transport.connect()
        self._up, self._retry_s, self._refusal = True, RETRY_S, ""

    def _deliver(self) -> None:
        if self._transport.idle():
            messages = self._next()
            if messages:
                self._transport.offer(messages)
        self._transport.flush(WAIT_S)
        self._settle(self._transport.confirmed(time.monotonic()))

    def _next(self) -> list[bytes]:
        """The next messages; lines that have none are settled with the one before them."""
        messages: list[bytes] = []
        for line in self._backlog.take(BATCH_BYTES):
            message = self._encoded(line)
            if message:
                messages.append(message)
                self._on_way.append(1)
            elif self._on_way:
                self._on_way[-1] += 1
            else:
                self._backlog.settle(1)
        return messages

    def _encoded(self, line: bytes) -> bytes:
        try:
            return self._encode(line)
        except (ValueError, LookupError, TypeError) as error:
            with self._changed:
                self._lose(1, f"a record that cannot be told: {error}")
            return b""

    def _settle(self, messages: int) -> None:
        if not messages:
            return
        lines = sum(self._on_way.popleft() for _ in range(messages))
        self._backlog.settle(lines)
        with self._changed:
            self.written += messages

    def _went_down(self, error: OSError | OutputError | UnicodeError) -> None:
        self._settle(self._transport.confirmed(time.monotonic()) if self._up else 0)
        self._transport.close()
        with self._changed:
            self._refusal = reason_of(error) if isinstance(error, OSError) else str(error)
            self._retry_at_s = time.monotonic() + self._retry_s
            self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)
            self._start_again()

    def _start_again(self) -> None:
        self._up = False
        self._on_way.clear()
        self._backlog.rewind()

    def _reader_has_gone(self) -> None:
        with self._changed:
            self.broken_pipe = True
            self._refusal = "the reader has gone"
            self._drop_all()

    def _drop_all(self) -> None:
        """Lose what is neither delivered nor on disk."""
        self._lose(len(self._queue), "not delivered in time")
        self._queue.clear()
        self._queued_bytes = 0
        if not self._persistent:
            self._lose(len(self._backlog), "not delivered in time")
            self._backlog = MemoryBacklog(MEMORY_BYTES)

    def _rest(self) -> None:
        """Wait for something to do."""
        with self._changed:
            if self._moved or (self._up and (self._backlog.unsent or not self._transport.idle())):
                return
            due_s = WAIT_S if self._up else self._retry_at_s - time.monotonic()
            self._changed.wait(max(0.001, min(due_s, WAIT_S)))

    def _end(self) -> None:
        """Hear what is confirmed, keep on disk what is not, and lose what cannot be kept."""
        left_s = max(0.2, (self._closing_at_s or 0.0) - time.monotonic())
        if self._up:
            sent = len(self._on_way)
            idle = self._transport.idle()
            confirmed = self._transport.finish(left_s)
            # Without a spool nobody could send it again: what the kernel took is as good as it gets.
            self._settle(confirmed if self._persistent or not idle else sent)
            if len(self._backlog):
                self._refusal = self._refusal or "the receiver did not take everything by the end"
        else:
            self._transport.close()
        while self._queue and self._persistent:
            before = len(self._queue)
            self._move()
            if len(self._queue) == before:
                break
        with self._changed:
            self._drop_all()
            self._up = False
        self._backlog.close()


def close_all(deliveries: Sequence[Delivery], timeout_s: float) -> None:
    """End all outputs side by side, together within the timeout."""
    deadline = time.monotonic() + timeout_s
    for delivery in deliveries:
        delivery.begin_close(deadline)
    for delivery in deliveries:
        delivery.join(deadline)
