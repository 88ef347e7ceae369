"""One output: lines through a bounded queue and a backlog, in memory or on disk, to a receiver that may be down.

Whoever hands lines over waits only where it was agreed. A thread sends them, keeps each until the receiver has it for
certain, and tries again with growing pauses while the receiver is away. What finds no room is lost and counted, newest
first to go. It does not know what kind of receiver it is, nor how a line looks there.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from math import inf
from pathlib import Path
from typing import Final

from sensor.errors import OutputError, reason_of
from sensor.outputs.backlog import Backlog, MemoryBacklog
from sensor.outputs.spool import Spool
from sensor.outputs.transport import CONNECT_S, Transport
from sensor.progress.progress import OutputState

BATCH_BYTES: Final = 1 << 17
MOVED_BYTES: Final = 1 << 20  # from memory to disk, at once
WAIT_S: Final = 0.2  # for a receiver, between two looks at what else there is to do
RETRY_S: Final = 0.2
GRACE_S: Final = 1.0  # for the thread, after the deadline, to leave what it does

Encode = Callable[[bytes], bytes]  # a native line -> a message, empty for none; ValueError for what has no message


class Delivery:
    """An output and its thread.

    written, lost: lines that got out and that did not. over: it takes nothing any more. broken_pipe: because the reader
    of a pipe has gone for good.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        encode: Encode | None,
        *,
        queue_bytes: int,
        spool: Path | None = None,
        spool_bytes: int = 0,
        patience_s: float = 0.0,
        first_error_is_final: bool = False,
    ) -> None:
        """name: for messages. encode: None where a line is its own message. spool: a directory. patience_s: that
        write() may wait for room, and the end for the rest where that is without limit.

        Raises OutputError for a spool that cannot be used.
        """
        self.name = name
        self.written = self.lost = 0
        self.over = self.broken_pipe = False
        self._transport, self._encode = transport, encode
        self._queue = MemoryBacklog(queue_bytes)
        self._backlog: Backlog = self._queue if spool is None else Spool(spool, spool_bytes)
        self._persistent = spool is not None
        self._patience_s, self._first_error_is_final = patience_s, first_error_is_final
        self._on_way: deque[int] = deque()  # lines that each message handed over stands for
        self._moved = self._stuck = False  # lines to the disk; or the disk takes none
        self._up = False
        self._refusal = self._lost_because = ""
        self._retry_s, self._retry_at_s = RETRY_S, 0.0
        self._closing_at_s: float | None = None
        self._late = False
        self._reopen = self._woken = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def write(self, lines: Iterable[bytes]) -> None:
        """Take lines of native JSON, each with its newline. Never raises; waits only with patience."""
        batch = list(lines)
        with self._changed:
            while batch and self._takes_lines():
                taken = self._queue.append(batch)
                self._wake()
                batch = batch[taken:]
                if batch and not self._wait_for_room(len(batch[0])):
                    if not self._patience_s:
                        break
                    self._lose(1, "the reader is too slow")
                    batch = batch[1:]
            self._lose(len(batch), "the reader is too slow")

    def reopen(self) -> None:
        """Connect anew, as after a log rotation."""
        with self._changed:
            self._reopen = True
            self._wake()

    def go_on(self, name: str | None = None) -> None:
        """The transport has got another receiver: try that now. name: of the output from now on, if it changes."""
        with self._changed:
            self.name = name or self.name
            self.over = self.broken_pipe = False
            self._retry_at_s = 0.0
            self._wake()

    def stop_waiting(self) -> None:
        """Have no more patience: neither with room nor at the end. For a signal handler."""
        self._patience_s = 0.0

    def state(self) -> OutputState:
        """The account: written, queued in memory, spooled on disk and lost."""
        with self._changed:
            return OutputState(self.name, self._up, self.written, len(self._queue), self.spooled, self.lost)

    @property
    def failed(self) -> bool:
        """Whether it is over, or told at its end that something was not written."""
        return self.over or self._late

    @property
    def spooled(self) -> int:
        """Lines on disk that are not confirmed."""
        return len(self._backlog) if self._persistent else 0

    @property
    def problem(self) -> str | None:
        """What is wrong, or was when lines were lost: one line, or None."""
        with self._changed:
            reason = self._lost_because or self._refusal
            if not reason:
                return None
            if self.over and self._first_error_is_final:
                return f"{self.name}: {reason}, after {self.written:,} whole alerts"
            lost = f", {self.lost:,} line{'s' * (self.lost != 1)} lost" if self.lost else ""
            spooled = f", {self.spooled:,} spooled" if self.spooled else ""
            return f"{self.name}: {reason}{lost}{spooled}"

    def begin_close(self, timeout_s: float) -> None:
        """Deliver what waits within the timeout, or for as long as patience without limit lasts, and end."""
        with self._changed:
            if self._closing_at_s in (None, inf):
                self._closing_at_s = inf if self._patience_s == inf else time.monotonic() + timeout_s
                self._wake()

    def wait_patiently(self) -> None:
        """Wait for the end while patience without limit lasts; begin_close() follows."""
        while self._patience_s == inf and self._thread.is_alive():
            self._thread.join(WAIT_S)

    def join(self) -> None:
        """Wait for the end; what could not be kept counts as lost."""
        # It may be waiting for a receiver's answer; what is queued reaches the disk only after that.
        grace_s = CONNECT_S + GRACE_S if self._persistent and len(self._queue) else GRACE_S
        if self._thread.is_alive():
            self._thread.join(max(0.0, (self._closing_at_s or 0.0) - time.monotonic()) + grace_s)
        with self._changed:
            # An end in order leaves nothing; else it hangs in the kernel, and if it goes on it drops nothing twice.
            self._lose(len(self._queue), "it hangs")
            self._queue = MemoryBacklog(0)

    def _takes_lines(self) -> bool:
        return self._closing_at_s is None and not self.over

    def _wait_for_room(self, size: int) -> bool:
        began_s = time.monotonic()
        while not self._queue.has_room(size):
            left_s = began_s + self._patience_s - time.monotonic()
            if left_s <= 0 or not self._takes_lines() or not self._thread.is_alive():
                return False
            self._changed.wait(min(left_s, WAIT_S))  # patience may end
        return True

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify_all()

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
            except (OSError, OutputError, UnicodeError) as error:  # the last: a host name that is none
                self._went_down(error)
            self._rest()
        self._end()

    def _is_over(self) -> bool:
        if self._closing_at_s is None:
            return False
        with self._changed:
            if time.monotonic() >= self._closing_at_s or self.over:
                return True
            idle = not self._up or self._transport.idle()
            waiting = self._queue.unsent or self._backlog.unsent
            return not waiting and idle and (self._up or not len(self._backlog))

    def _move(self) -> None:
        """From memory to the disk, where there is one."""
        self._moved = self._stuck = False
        if not self._persistent:
            return
        lines = self._queue.take(MOVED_BYTES)
        taken = 0
        try:
            taken = self._backlog.append(lines)
        except OSError as error:
            self._refusal = f"the spool: {reason_of(error)}"
        self._queue.settle(taken)
        self._queue.rewind()
        self._moved, self._stuck = taken > 0, taken < len(lines)
        self._tell_of_room()

    def _connect_when_due(self) -> None:
        if self._reopen and self._up and self._transport.idle():
            self._reopen = False
            self._settle(self._finished(WAIT_S))
            self._start_again()
        if self._up or self.over or time.monotonic() < self._retry_at_s:
            return
        self._reopen = False
        self._transport.connect()
        self._up, self._retry_s, self._refusal = True, RETRY_S, ""

    def _deliver(self) -> None:
        if self._transport.idle():
            messages = self._next()
            if messages:
                self._transport.offer(messages)
        self._transport.flush(WAIT_S)
        self._settle(self._transport.confirmed(time.monotonic()))

    def _next(self) -> Sequence[bytes]:
        """The next messages; lines that have none are settled with the one before them."""
        lines = self._backlog.take(BATCH_BYTES)
        if not self._persistent:
            self._tell_of_room()
        if self._encode is None:
            self._on_way.extend(repeat(1, len(lines)))
            return lines
        messages: list[bytes] = []
        for line in lines:
            message = self._encoded(line, self._encode)
            if message:
                messages.append(message)
                self._on_way.append(1)
            elif self._on_way:
                self._on_way[-1] += 1
            else:
                self._backlog.settle(1)
        return messages

    def _encoded(self, line: bytes, encode: Encode) -> bytes:
        try:
            return encode(line)
        except ValueError as error:
            with self._changed:
                self._lose(1, str(error))
            return b""

    def _tell_of_room(self) -> None:
        if self._patience_s:
            with self._changed:
                self._changed.notify_all()

    def _settle(self, messages: int) -> None:
        if not messages:
            return
        lines = sum([self._on_way.popleft() for _ in range(messages)])
        self._backlog.settle(lines)
        with self._changed:
            self.written += lines

    def _went_down(self, error: OSError | OutputError | UnicodeError) -> None:
        self._settle(self._transport.confirmed(time.monotonic()) if self._up else 0)
        self._transport.break_off()
        gone = self._transport.forever and isinstance(error, BrokenPipeError)
        with self._changed:
            self._refusal = "the reader has gone" if gone else _in_words(error)
            self._retry_at_s = time.monotonic() + self._retry_s
            self._retry_s = min(self._retry_s * 2, self._transport.longest_pause_s)
            self._start_again()
            if gone or self._first_error_is_final:
                self.broken_pipe, self.over = gone, True
                self._drop_all()
                self._wake()

    def _start_again(self) -> None:
        self._up = False
        self._on_way.clear()
        self._backlog.rewind()

    def _drop_all(self) -> None:
        """Lose what is neither delivered nor on disk."""
        self._lose(self._queue.clear(), "not delivered in time")

    def _rest(self) -> None:
        """Wait for something to do."""
        with self._changed:
            busy = self._up and (self._backlog.unsent or not self._transport.idle())
            if not (self._woken or self._moved or busy or self._is_over()):
                self._changed.wait(self._pause_s())
            self._woken = False

    def _pause_s(self) -> float | None:
        """Until there may be something to do without news: None for never."""
        now = time.monotonic()
        pause = min(
            inf if self._closing_at_s is None else self._closing_at_s - now,
            WAIT_S if self._stuck else inf,
            (self._transport.poll_s or inf) if self._up else inf if self.over else self._retry_at_s - now,
        )
        return None if pause == inf else max(0.001, pause)

    def _finished(self, wait_s: float) -> int:
        """Have the transport let go of its receiver: messages confirmed by then."""
        try:
            return self._transport.finish(wait_s)
        except OSError as error:  # some systems tell only now that something was not written
            with self._changed:
                self._lost_because, self._late = reason_of(error), True
            return self._transport.confirmed(time.monotonic())

    def _end(self) -> None:
        """Hear what is confirmed, keep on disk what is not, and lose what cannot be kept."""
        up, sent, idle = self._up, len(self._on_way), self._transport.idle()
        confirmed = self._finished(max(WAIT_S, min(CONNECT_S, (self._closing_at_s or 0.0) - time.monotonic())))
        if up:
            # Without a spool nobody could send it again: what the kernel took is as good as it gets.
            self._settle(confirmed if self._persistent or not idle else sent)
            if len(self._backlog):
                self._refusal = self._refusal or "the receiver did not take everything by the end"
        self._moved = True
        while self._moved:
            self._move()
        with self._changed:
            self._drop_all()
            self._up = False
        self._backlog.close()


def close_all(deliveries: Sequence[Delivery], timeout_s: float) -> None:
    """End all outputs side by side, together within the timeout, but for those that have patience without limit."""
    for delivery in deliveries:
        delivery.begin_close(timeout_s)
    for delivery in deliveries:
        delivery.wait_patiently()
    for delivery in deliveries:
        delivery.begin_close(timeout_s)
    for delivery in deliveries:
        delivery.join()


def _in_words(error: OSError | OutputError | UnicodeError) -> str:
    return reason_of(error) if isinstance(error, OSError) else str(error)
