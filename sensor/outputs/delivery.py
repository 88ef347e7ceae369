"""One output: lines through a bounded queue and a backlog, in memory or on disk, to a receiver that may be down.

Whoever hands lines over waits only where it was agreed. A thread sends them, keeps each until the receiver has it for
certain, and tries again with growing pauses while the receiver is away. What finds no room is lost and counted, newest
first to go. It does not know what kind of receiver it is, nor how a line looks there.
"""

import threading
import time
from math import inf
from pathlib import Path
from typing import Final

from sensor.errors import OutputError
from sensor.outputs.backlog import Backlog, MemoryBacklog
from sensor.outputs.in_flight import Encode, InFlight
from sensor.outputs.patience import Patience
from sensor.outputs.spool import Spool
from sensor.outputs.status import DeliveryStatus
from sensor.outputs.transport import CONNECT_S, MessageRefusedError, Transport
from sensor.progress.progress import OutputState

BATCH_BYTES: Final = 1 << 17
MOVED_BYTES: Final = 1 << 20  # from memory to disk, at once
WAIT_S: Final = 0.2  # for a receiver, between two looks at what else there is to do
RETRY_S: Final = 0.2
GRACE_S: Final = 1.0  # for the thread, after the deadline, to leave what it does
GIVEN_UP_S: Final = 1.0  # at the end, for an output that was waited for in vain or whose disk refuses
STILL_S: Final = 0.25  # without a move, after which an interrupt does not wait for an output
TOO_SLOW: Final = "the reader is too slow"


class _TakenOverError(Exception):
    """The end did not wait for a receiver to be reached: the spool is another thread's by now."""


class Delivery:
    """An output and its thread.

    over: it takes nothing any more. broken_pipe: because the reader of a pipe has gone for good. status: what became of
    its lines. Hand it lines by write_all() of sensor.outputs.outputs.
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
        mark: bytes = b"",
    ) -> None:
        """name: for messages. encode: None where a line is its own message. spool: a directory. patience_s: that
        write_all() may wait for room in the run until it moves again. waits_at_end: for a reader, without limit.
        mark: what every line has that may be a message there; no other takes room.

        Raises OutputError for a spool that cannot be used.
        """
        self.over = self.broken_pipe = False
        self._transport = transport
        self._queue = MemoryBacklog(queue_bytes)
        self._spool = None if spool is None else Spool(spool, spool_bytes, queue_bytes)
        self._backlog: Backlog = self._queue if self._spool is None else self._spool
        self._in_flight = InFlight(self._backlog, encode)
        self.status = DeliveryStatus(name, self._spool, tells_by_writing=transport.tells_by_writing)
        self._patience, self._first_error_is_final = Patience(patience_s), first_error_is_final
        self._waits_at_end, self._mark = waits_at_end, mark
        self._interrupted, self._moved_at_s = False, time.monotonic()
        self._farthest = 0  # lines that the receiver took, those that were handed over again not counted
        self._moved = self._stuck = False  # lines to the disk; or the disk takes none
        self._up = self._connecting = self._taken_over = self._reopen = self._woken = False
        self._retry_s, self._retry_at_s = RETRY_S, 0.0
        self._closing_at_s: float | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._live, name="output", daemon=True)
        self._thread.start()

    def take_on(self, lines: list[bytes]) -> list[bytes]:
        """Take lines of native JSON, each with its newline; those that are left to be taken on once there is room.

        Never raises, never waits. Without patience left, what finds no room is lost.
        """
        with self._changed:
            wanted = [line for line in lines if self._mark in line]
            self.status.unwanted += len(lines) - len(wanted)
            lines = wanted
            if self._closing_at_s is None and not self.over:
                taken = self._queue.append(lines)
                self._wake()
                lines = lines[taken:]
                if lines and not self._patience.used_up:
                    return lines
            self.status.lose(len(lines), TOO_SLOW)
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
            self.status.name = name or self.status.name
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
            return self.status.news(takes_all=self._up and not self._queue.unsent)

    def state(self) -> OutputState:
        """The account: written, queued in memory, spooled on disk and lost."""
        with self._changed:
            status = self.status
            takes = self._up and not (status.failing and len(self._backlog))
            return OutputState(status.name, takes, status.out, len(self._queue), status.spooled, status.lost)

    @property
    def failed(self) -> bool:
        """Whether it is over, or told at its end that something was not written."""
        return self.over or self.status.failed_at_end

    def begin_close(self, timeout_s: float) -> None:
        """Deliver what waits within the timeout, or for as long as a reader is waited for, and end."""
        with self._changed:
            if self._closing_at_s is None and self._reader_is_waited_for:
                self._closing_at_s = inf
            elif self._closing_at_s in (None, inf):
                is_dead = self._is_dead()
                self._closing_at_s = time.monotonic() + min(timeout_s, GIVEN_UP_S if is_dead else inf)
                if timeout_s > 0 and not is_dead:  # it may be there again, and this is the last time to try
                    self._retry_at_s, self._retry_s = 0.0, RETRY_S
            self._wake()

    def _is_dead(self) -> bool:
        """Whether it was waited for in vain, or would be."""
        if self._interrupted:
            return time.monotonic() - self._moved_at_s > STILL_S
        return self._patience.given_up or (self.status.disk_refuses and bool(self.status.trouble))

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
            self._taken_over = self._connecting and self._spool is not None
        if self._taken_over:  # such as a name that takes long to be no host's
            self._keep()
        with self._changed:
            # An end in order leaves nothing; else it hangs in the kernel, and if it goes on it drops nothing twice.
            self.status.lose(len(self._queue), "it hangs")
            self._queue = MemoryBacklog(0)

    @property
    def _reader_is_waited_for(self) -> bool:
        """Whether the end waits without limit: for a reader, and never for a disk that refuses."""
        status = self.status
        return self._waits_at_end and (not status.trouble or (status.nobody_yet and self._first_error_is_final))

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify_all()

    def _live(self) -> None:
        """The whole life of the thread: whatever ends it, what it leaves is told of."""
        try:
            self._run()
        except _TakenOverError:
            return
        except Exception as error:  # noqa: BLE001  # a fault of ours, which costs this output alone
            with self._changed:
                self.status.fail(f"internal error: {type(error).__name__}: {error}")
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
        self._connect()
        self._up, self._retry_s = True, RETRY_S
        self.status.connected()

    def _connect(self) -> None:
        self._connecting = True
        try:
            self._transport.connect()
        finally:
            with self._changed:
                self._connecting = False
                if self._taken_over:
                    raise _TakenOverError

    def _deliver(self) -> None:
        if self._transport.idle():
            self._offer()
        try:
            self._transport.flush(WAIT_S)
        except MessageRefusedError as error:
            self._lose_refused(str(error))
        if self._transport.idle():
            self._note_movement()
        self._settle(self._transport.confirmed(time.monotonic()))

    def _note_movement(self) -> None:
        """Give patience back for what the receiver took."""
        # Who answers has taken nothing before that.
        handed = self.status.written + (0 if self._transport.acknowledges else len(self._in_flight))
        if handed > self._farthest:
            self._patience.moved(handed - self._farthest)
            self._farthest, self._moved_at_s = handed, time.monotonic()
            self.status.trouble = ""

    def _offer(self) -> None:
        """Hand over the next messages."""
        batch = self._in_flight.next_batch(BATCH_BYTES, self._transport.longest)
        if self._spool is None:
            self._tell_of_room()
        if batch.refused or batch.unwanted:
            with self._changed:
                self.status.unwanted += batch.unwanted
                for reason in batch.refused:
                    self.status.lose(1, reason)
        if batch.messages:
            self._transport.offer(batch.messages)

    def _tell_of_room(self) -> None:
        if not self._patience.used_up:
            with self._changed:
                self._changed.notify_all()

    def _settle(self, messages: int) -> None:
        self._lose_of_spool()
        if not messages:
            return
        lines = self._in_flight.settle(messages)
        with self._changed:
            self.status.written += lines

    def _lose_refused(self, reason: str) -> None:
        """Lose the oldest message on its way, which the receiver will never take; it holds up no other."""
        self._settle(self._transport.confirmed(time.monotonic()))
        lines = self._in_flight.settle(1)
        with self._changed:
            self.status.written += lines - 1  # which the receiver was not to have
            self.status.lose(1, reason)

    def _lose_of_spool(self) -> None:
        """Count lines that the spool has lost."""
        lost = 0 if self._spool is None else self._spool.lost()
        if lost:
            with self._changed:
                self.status.lose_of_spool(lost)

    def _went_down(self, error: OSError | OutputError | UnicodeError) -> None:
        self._settle(self._transport.confirmed(time.monotonic()) if self._up else 0)
        self._transport.break_off()
        gone = self._transport.forever and isinstance(error, BrokenPipeError)
        with self._changed:
            self.status.refused(error, gone=gone)
            self._retry_at_s = time.monotonic() + self._retry_s
            self._retry_s = min(self._retry_s * 2, self._transport.longest_pause_s)
            self._start_again()
            if gone or (self._first_error_is_final and not self.status.nobody_yet):
                self.broken_pipe, self.over = gone, True
                self._drop_all()
                self._wake()

    def _start_again(self) -> None:
        self._up = False
        self._in_flight.restart()

    def _drop_all(self) -> None:
        """Lose what is neither delivered nor on disk."""
        self.status.lose(self._queue.clear(), "not delivered in time")

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
                    self.status.fail_at_end(error)
                return self._transport.confirmed(time.monotonic())

    def _end(self) -> None:
        """Hear what is confirmed, keep on disk what is not, and lose what cannot be kept."""
        up, idle = self._up, self._transport.idle()
        confirmed = self._finished(max(WAIT_S, min(CONNECT_S, (self._closing_at_s or 0.0) - time.monotonic())))
        if up:
            # Without a spool nobody could send it again: what the kernel took is as good as it gets, but where answers
            # or the receiver's kernel tell better.
            answered = self._spool is not None or self._transport.acknowledges
            taken = max(0, len(self._in_flight) - self._transport.missing)
            self._settle(confirmed if answered or not idle else taken)
            if len(self._backlog):
                self.status.end_early()
        self._keep()
        with self._changed:
            self._drop_all()
            self._up = False

    def _keep(self) -> None:
        """Have on disk what can be kept."""
        self._moved = True
        while self._moved:
            self._move()
        self._backlog.close()
        self._lose_of_spool()
