"""One output: lines through a bounded queue and a backlog, in memory or on disk, to a receiver that may be down.

Whoever hands lines over waits only where it was agreed. A thread sends them, keeps each until the receiver has it for
certain, and tries again with growing pauses while the receiver is away. What finds no room is lost and counted, newest
first to go. It does not know what kind of receiver it is, nor how a line looks there.
"""

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from math import inf
from pathlib import Path
from typing import Final

from sensor.alerts.spread import counted
from sensor.errors import OutputError, reason_of
from sensor.outputs.backlog import Backlog, MemoryBacklog
from sensor.outputs.patience import Patience
from sensor.outputs.spool import Spool
from sensor.outputs.transport import CONNECT_S, MessageRefusedError, NoReaderYetError, Transport
from sensor.progress.progress import OutputState

BATCH_BYTES: Final = 1 << 17
MOVED_BYTES: Final = 1 << 20  # from memory to disk, at once
WAIT_S: Final = 0.2  # for a receiver, between two looks at what else there is to do
RETRY_S: Final = 0.2
GRACE_S: Final = 1.0  # for the thread, after the deadline, to leave what it does
GIVEN_UP_S: Final = 1.0  # at the end, for an output that was waited for in vain or whose disk refuses
STILL_S: Final = 0.25  # without a move, after which an interrupt does not wait for an output
LOOK_S: Final = 0.05  # between two looks for room, where several are waited for
LONGEST_LOOK_S: Final = 1.0  # that one of them counts for: beyond, this process stood still itself, as by Ctrl-Z
DISK_REFUSES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
TOO_SLOW: Final = "the reader is too slow"
FAILED, GOES_ON = "output-failed", "output-goes-on"  # actions of the events

Encode = Callable[[bytes], bytes]  # a native line -> a message, empty for none; ValueError for what has no message


class Delivery:
    """An output and its thread.

    written, lost: lines that got out and that did not. over: it takes nothing any more. broken_pipe: because the reader
    of a pipe has gone for good. Hand it lines by write_all().
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
        waits_at_end: bool = False,
    ) -> None:
        """name: for messages. encode: None where a line is its own message. spool: a directory. patience_s: that
        write_all() may wait for room in the run until it moves again. waits_at_end: for a reader, without limit.

        Raises OutputError for a spool that cannot be used.
        """
        self.name = name
        self.written = self.lost = 0
        self.over = self.broken_pipe = False
        self._transport, self._encode = transport, encode
        self._queue = MemoryBacklog(queue_bytes)
        self._spool = None if spool is None else Spool(spool, spool_bytes, queue_bytes)
        self._backlog: Backlog = self._queue if self._spool is None else self._spool
        self._patience, self._first_error_is_final = Patience(patience_s), first_error_is_final
        self._waits_at_end = waits_at_end
        self._interrupted, self._moved_at_s = False, time.monotonic()
        self._farthest = 0  # lines handed to the receiver, those that were handed over again not counted
        self._trouble = ""  # why it takes nothing, until it takes something
        self._disk_refuses = self._nobody_yet = False  # which is for that reason
        self._spool_lost = 0  # of the lines lost, those of the spool
        self._told_of_spool = ""  # what was told of it last
        self._told = False  # of trouble or lost lines, and not yet that it goes on
        self._told_lost = 0  # lines lost that were told of
        self._on_way: deque[int] = deque()  # lines that each message handed over stands for
        self._moved = self._stuck = False  # lines to the disk; or the disk takes none
        self._up = False
        self._refusal = self._lost_because = ""
        self._retry_s, self._retry_at_s = RETRY_S, 0.0
        self._closing_at_s: float | None = None
        self._late = False
        self._reopen = self._woken = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._live, name="output", daemon=True)
        self._thread.start()

    def take_on(self, lines: list[bytes]) -> list[bytes]:
        """Take lines of native JSON, each with its newline; those that are left to be taken on once there is room.

        Never raises, never waits. Without patience left, what finds no room is lost.
        """
        with self._changed:
            if self._takes_lines():
                taken = self._queue.append(lines)
                self._wake()
                lines = lines[taken:]
                if lines and not self._patience.used_up:
                    return lines
            self._lose(len(lines), TOO_SLOW)
            return []

    def wait_for_room(self, seconds: float) -> None:
        """Wait until something happens, for a moment at most."""
        with self._changed:
            self._changed.wait(min(seconds, self._patience.left_s))

    def spend(self, seconds: float) -> None:
        """Somebody has waited for it."""
        self._patience.spend(seconds)

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
        self._patience.end()
        self._waits_at_end, self._interrupted = False, True

    def news(self) -> tuple[str, str] | None:
        """Action and message of an event, where it has begun to refuse or to lose lines, or goes on after that."""
        with self._changed:
            if self._spool is not None and self._spool.problem != self._told_of_spool:
                self._told_of_spool = self._spool.problem
                return FAILED, self.spool_problem
            failing = bool(self._trouble) and self._transport.tells_by_writing
            if not self._told:
                if not failing and self.lost == self._told_lost:
                    return None
                self._told = True
                return FAILED, f"{self.name}: {self._trouble or self._lost_because}{self._account()}"
            if self._trouble or not self._up or self._queue.unsent:
                return None
            self._told = False
            lost, self._told_lost = self.lost - self._told_lost, self.lost
            return GOES_ON, f"{self.name}: goes on, {counted(lost, 'line')} lost"

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
        return len(self._backlog) if self._spool is not None else 0

    @property
    def problem(self) -> str | None:
        """What is wrong, or was when lines were lost: one line, or None."""
        with self._changed:
            reason = self._lost_because or self._refusal
            if not reason:
                return None
            return f"{self.name}: {reason}{self._account()}"

    @property
    def spool_problem(self) -> str:
        """What is or was wrong with the spool, and what it cost: one line, or ""."""
        if self._spool is None or not self._spool.problem:
            return ""
        lost = f", {counted(self._spool_lost, 'line')} lost in it" if self._spool_lost else ""
        return f"{self._spool.name}: {self._spool.problem}{lost}"

    def begin_close(self, timeout_s: float) -> None:
        """Deliver what waits within the timeout, or for as long as a reader is waited for, and end."""
        with self._changed:
            if self._closing_at_s is None and self._reader_is_waited_for:
                self._closing_at_s = inf
            elif self._closing_at_s in (None, inf):
                most_s = GIVEN_UP_S if self._is_dead() else inf
                self._closing_at_s = time.monotonic() + min(timeout_s, most_s)
            self._wake()

    def _is_dead(self) -> bool:
        """Whether it was waited for in vain, or would be."""
        if self._interrupted:
            return time.monotonic() - self._moved_at_s > STILL_S
        return self._patience.given_up or (self._disk_refuses and bool(self._trouble))

    def wait_patiently(self) -> None:
        """Wait for the end while a reader is waited for; begin_close() follows."""
        while self._reader_is_waited_for and self._thread.is_alive():
            self._thread.join(WAIT_S)

    def join(self) -> None:
        """Wait for the end; what could not be kept counts as lost."""
        # It may be waiting for a receiver's answer; what is queued reaches the disk only after that.
        grace_s = CONNECT_S + GRACE_S if self._spool is not None and len(self._queue) else GRACE_S
        if self._thread.is_alive():
            self._thread.join(max(0.0, (self._closing_at_s or 0.0) - time.monotonic()) + grace_s)
        with self._changed:
            # An end in order leaves nothing; else it hangs in the kernel, and if it goes on it drops nothing twice.
            self._lose(len(self._queue), "it hangs")
            self._queue = MemoryBacklog(0)

    def _takes_lines(self) -> bool:
        return self._closing_at_s is None and not self.over

    @property
    def _reader_is_waited_for(self) -> bool:
        """Whether the end waits without limit: for a reader, and never for a disk that refuses."""
        return self._waits_at_end and (not self._trouble or (self._nobody_yet and self._first_error_is_final))

    def _account(self) -> str:
        """What became of its lines, where not all got out."""
        spooled = f", {self.spooled:,} spooled" if self.spooled else ""
        if self._disk_refuses:
            lost = f", {self.lost:,} lost" if self.lost else ""
            return f", after {counted(self.written, 'whole line')}{lost}{spooled}"
        return f", {counted(self.lost, 'line')} lost{spooled}" if self.lost else spooled

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify_all()

    def _lose(self, lines: int, reason: str) -> None:
        self.lost += lines
        if lines:
            self._lost_because = self._trouble or self._refusal or reason

    def _live(self) -> None:
        """The whole life of the thread: whatever ends it, what it leaves is told of."""
        try:
            self._run()
        except Exception as error:  # noqa: BLE001  # a fault of ours, which costs this output alone
            with self._changed:
                self._refusal = self._trouble = f"internal error: {type(error).__name__}: {error}"
                self.over, self._up = True, False
                self._drop_all()
                self._wake()

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
        if self._spool is None:
            return
        lines = self._queue.take(MOVED_BYTES)
        taken = self._backlog.append(lines)
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
        if not self._transport.tells_by_writing:
            self._trouble = ""

    def _deliver(self) -> None:
        if self._transport.idle():
            messages = self._next()
            if messages:
                self._transport.offer(messages)
        try:
            self._transport.flush(WAIT_S)
        except MessageRefusedError as error:
            self._lose_refused(str(error))
        if self._transport.idle():
            self._note_movement()
        self._settle(self._transport.confirmed(time.monotonic()))

    def _note_movement(self) -> None:
        """Give patience back for what the receiver took."""
        handed = self.written + len(self._on_way)
        if handed > self._farthest:
            self._patience.moved(handed - self._farthest)
            self._farthest, self._moved_at_s = handed, time.monotonic()
            self._trouble = ""

    def _next(self) -> Sequence[bytes]:
        """The next messages; lines that have none are settled with the one before them."""
        lines = self._backlog.take(BATCH_BYTES)
        if self._spool is None:
            self._tell_of_room()
        if self._encode is None and max(map(len, lines), default=0) <= self._transport.longest:
            self._on_way.extend(repeat(1, len(lines)))
            return lines
        messages: list[bytes] = []
        for line in lines:
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
        """The message for a line, b"" where it has none; one that nobody takes is lost, and holds up no other."""
        try:
            message = line if self._encode is None else self._encode(line)
            if len(message) > self._transport.longest:
                raise ValueError(
                    f"found a line of {len(message):,} bytes, expected {self._transport.longest:,} at most"
                )
        except ValueError as error:
            with self._changed:
                self._lose(1, str(error))
            return b""
        return message

    def _tell_of_room(self) -> None:
        if not self._patience.used_up:
            with self._changed:
                self._changed.notify_all()

    def _settle(self, messages: int) -> None:
        self._lose_of_spool()
        if not messages:
            return
        lines = sum([self._on_way.popleft() for _ in range(messages)])
        self._backlog.settle(lines)
        with self._changed:
            self.written += lines

    def _lose_refused(self, reason: str) -> None:
        """Lose the oldest message on its way, which the receiver will never take; it holds up no other."""
        self._settle(self._transport.confirmed(time.monotonic()))
        lines = self._on_way.popleft()
        self._backlog.settle(lines)
        with self._changed:
            self._lose(lines, reason)

    def _lose_of_spool(self) -> None:
        """Count lines that the spool has lost."""
        lost = 0 if self._spool is None else self._spool.lost()
        if lost:
            with self._changed:
                self.lost += lost
                self._spool_lost += lost
                self._told_lost += lost  # by what the spool's own event says

    def _went_down(self, error: OSError | OutputError | UnicodeError) -> None:
        self._settle(self._transport.confirmed(time.monotonic()) if self._up else 0)
        self._transport.break_off()
        gone = self._transport.forever and isinstance(error, BrokenPipeError)
        with self._changed:
            self._refusal = self._trouble = "the reader has gone" if gone else _in_words(error)
            self._nobody_yet = isinstance(error, NoReaderYetError)
            self._disk_refuses = isinstance(error, OSError) and error.errno in DISK_REFUSES
            self._retry_at_s = time.monotonic() + self._retry_s
            self._retry_s = min(self._retry_s * 2, self._transport.longest_pause_s)
            self._start_again()
            if gone or (self._first_error_is_final and not self._nobody_yet):
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
        deadline_s = time.monotonic() + wait_s
        while True:
            try:
                return self._transport.finish(max(0.0, deadline_s - time.monotonic()))
            except MessageRefusedError as error:
                self._lose_refused(str(error))
            except OSError as error:  # some systems tell only now that something was not written
                with self._changed:
                    self._lost_because, self._late = reason_of(error), True
                return self._transport.confirmed(time.monotonic())

    def _end(self) -> None:
        """Hear what is confirmed, keep on disk what is not, and lose what cannot be kept."""
        up, idle = self._up, self._transport.idle()
        confirmed = self._finished(max(WAIT_S, min(CONNECT_S, (self._closing_at_s or 0.0) - time.monotonic())))
        if up:
            # Without a spool nobody could send it again: what the kernel took is as good as it gets, but where answers
            # tell better.
            answered = self._spool is not None or self._transport.acknowledges
            self._settle(confirmed if answered or not idle else len(self._on_way))
            if len(self._backlog):
                self._refusal = self._refusal or "the receiver did not take everything by the end"
        self._moved = True
        while self._moved:
            self._move()
        with self._changed:
            self._drop_all()
            self._up = False
        self._backlog.close()
        self._lose_of_spool()


def write_all(deliveries: Sequence[Delivery], lines: Iterable[bytes]) -> None:
    """Hand native lines, each with its newline, to all outputs; wait for room side by side, while patience lasts."""
    batch = list(lines)
    rests = dict.fromkeys(deliveries, batch)
    while rests := {delivery: left for delivery, rest in rests.items() if (left := delivery.take_on(rest))}:
        began_s = time.monotonic()
        next(iter(rests)).wait_for_room(LOOK_S)
        waited_s = min(time.monotonic() - began_s, LONGEST_LOOK_S)
        for delivery in rests:
            delivery.spend(waited_s)


def close_all(deliveries: Sequence[Delivery], timeout_s: float) -> None:
    """End all outputs side by side, together within the timeout, but for those whose reader is waited for."""
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
