"""Metering on several cores: a process for each share of the packets, their records merged into one order.

The kernel spreads the packets by flow (PACKET_FANOUT_HASH), so both directions of a connection meet in one worker. The
rings are opened before the processes are made, and this process keeps their sockets, so that it can count what a worker
that ended had taken and told of nobody. A worker that ends unasked, in whatever way, ends the capture, which says so.
"""

import mmap
import os
import pickle
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, cast

from flows.batch import REPORTED_NS, FlowBatch, empty_batch
from flows.meter import MeterStats, concatenate
from flows.names.reading import Sightings, joined
from sensor.alerts.spread import counted
from sensor.errors import CaptureError, reason_of
from sensor.metering.due import MOST, before, in_order, parted
from sensor.metering.live import LiveTurns
from sensor.metering.turns import END_NS, CaptureTotals, Turn, sum_of
from sensor.process.children import Child, settled
from sensor.sources.capture import CaptureStatistics, LinkEvent

PATIENCE_S: Final = 3.0  # a worker that tells nothing for so long is not waited for: its records may come late
WAITING: Final = 2 * MOST  # records that wait for whoever is behind, beyond which nobody is waited for; some 120 MB
SILENCE_S: Final = 10.0  # workers give a turn at least ten times a second; one that computes may take some seconds
LOOK_S: Final = 0.1  # between two looks at every worker
UNHEARD_S: Final = 1.0  # of silence that count between two looks: in a longer time nobody has listened
STOPPED_S: Final = 0.3  # a worker that stands still so long (SIGSTOP) is made to go on, once until it tells something
GIVEN_UP_S: Final = 0.7  # and one that stands still nevertheless has ended
ENDING_S: Final = 0.5  # for a worker whose pipe is closed to be gone
GROUP_S: Final = 0.3  # what told a worker to end, such as a service manager, may tell this process so much later
PIPE_BYTES: Final = 1 << 20
LENGTH: Final = 8  # bytes before each turn
REASON: Final = slice(8, 264)  # of a worker's page: why it failed, in UTF-8
_STOP, _TOLD_TO_END, _REASON_LENGTH = range(3)  # bytes of a worker's page


class WorkerTurns:
    """Several live captures as one, each in a process of its own; iterate over it for their turns, merged."""

    ends_by_itself = False
    remarks: Sequence[str] = ()

    def __init__(
        self,
        sources: Sequence[LiveTurns],
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Start a process for each source. No thread may run by now: a copy would hold its locks for ever.

        clock: seconds. wall_clock_ns: of events. Raises CaptureError where the system gives no process.
        """
        self.problems: list[str] = []  # why the capture ended unasked
        self._clock = clock
        self._wall_clock_ns = wall_clock_ns
        self._stopping = False
        self._poll = select.poll()
        self._workers: list[Worker] = []
        for number, source in enumerate(sources):
            try:
                worker = Worker(number, source, sources, self._workers, clock())
            except OSError as error:  # a limit of processes, of descriptors or of memory
                for begun in self._workers:
                    begun.end()
                reason = f"{len(sources)} capture workers cannot be started, {number} could: {reason_of(error)}"
                raise CaptureError(reason) from error
            self._workers.append(worker)
            self._poll.register(worker.pipe, select.POLLIN)
        for source in sources:
            source.give_to_worker()

    def __iter__(self) -> Iterator[Turn]:
        merge = TurnMerge(len(self._workers))
        looked_s = self._clock()
        try:
            while any(worker.running for worker in self._workers):
                news = self._take(merge)
                passed_s = self._clock() - looked_s
                if passed_s >= LOOK_S:
                    looked_s += passed_s
                    if passed_s > UNHEARD_S:  # this process was stopped or held up, and they perhaps with it
                        self._forgive_silence(passed_s - UNHEARD_S, looked_s)
                    ended = [worker for worker in self._workers if self._look_at(worker, merge)]
                    news = news or bool(ended)
                if news and merge.complete:
                    yield merge.turn(self._silent())
        finally:
            for worker in self._workers:
                worker.end()

    def stop(self) -> None:
        """End with the packets that have come by now. May be called by a signal handler."""
        self._stopping = True
        for worker in self._workers:
            worker.stop()

    def _silent(self) -> set[int]:
        """Numbers of the workers that are not waited for."""
        now_s = self._clock()
        return {worker.number for worker in self._workers if now_s - worker.heard_s > PATIENCE_S}

    def _take(self, merge: "TurnMerge") -> bool:
        """Wait for turns, at most for LOOK_S, and give them to the merge; whether there was anything new."""
        ready = {descriptor for descriptor, _ in self._poll.poll(LOOK_S * 1000)}
        for worker in self._workers:
            if worker.running and worker.pipe in ready:
                for turn in worker.received(self._clock()):
                    merge.add(worker.number, turn)
                if worker.closed:
                    self._poll.unregister(worker.pipe)
                    self._ended(worker, "closed its pipe", merge)
        return bool(ready)

    def _forgive_silence(self, seconds: float, now_s: float) -> None:
        """Have it count against no worker that it told nothing in this time."""
        for worker in self._workers:
            worker.heard_s = min(now_s, worker.heard_s + seconds)

    def _look_at(self, worker: "Worker", merge: "TurnMerge") -> bool:
        """See whether a worker runs; whether it does not."""
        if not worker.running:
            return False
        now_s, stopped_s = self._clock(), worker.child.stopped_s
        if stopped_s > STOPPED_S and worker.told_turns > worker.continued_at:
            worker.continued_at = worker.told_turns
            worker.child.send(signal.SIGCONT)
            merge.tell("worker-stopped", f"{worker.name} was stopped by a signal: made to go on", self._wall_clock_ns())
        elif stopped_s > GIVEN_UP_S:
            self._give_up(worker, "stopped by a signal", merge)
        elif worker.told_to_end and not self._stopping:
            worker.told_s = worker.told_s or now_s
            if now_s - worker.told_s > GROUP_S:
                why = "was told to end by SIGTERM, which is for the process that began it"
                self._problem(f"{worker.name} {why}", merge)
        elif now_s - worker.heard_s > SILENCE_S:
            self._give_up(worker, f"told nothing for {SILENCE_S:.0f} s", merge)
        elif worker.child.ended() is not None:  # though its pipe is open elsewhere
            self._give_up(worker, "", merge)
        return not worker.running

    def _give_up(self, worker: "Worker", why: str, merge: "TurnMerge") -> None:
        self._poll.unregister(worker.pipe)
        self._ended(worker, why, merge)

    def _ended(self, worker: "Worker", why: str, merge: "TurnMerge") -> None:
        """Reap a worker, and account for what it had where it has not ended as it should.

        why: what was wrong with it where it has not ended by itself.
        """
        how = worker.end(ENDING_S if worker.closed else 0.0)
        for turn in worker.rest(self._clock()):
            merge.add(worker.number, turn)
        counts = worker.source.last_counts()
        if merge.end(worker.number):
            return
        packets, flows, records = merge.lose(worker.number, counts)
        reason = worker.reason or (why if worker.killed else how)
        untold = f", and {counted(records, 'flow record')} that it had not handed on," if records else ""
        lost = f"{counted(packets, 'packet')} and {counted(flows, 'flow')} of its table{untold} are lost with it"
        self._problem(f"{worker.name} ended unasked ({reason}): {lost}", merge)

    def _problem(self, problem: str, merge: "TurnMerge") -> None:
        """Tell why the capture ends, and end it with what the others have."""
        merge.tell("worker-ended", problem, self._wall_clock_ns())
        self.problems.append(problem)
        self.stop()


class Worker:
    """A process that meters one capture, as the process that began it sees it."""

    def __init__(
        self, number: int, source: LiveTurns, sources: Sequence[LiveTurns], before: "Sequence[Worker]", now_s: float
    ) -> None:
        """Start it. sources: of all workers. before: workers that were started before. now_s: monotonic."""
        self.number = number
        self.name = f"worker {number + 1}"
        self.source = source
        self.running = True
        self.closed = False  # whether its pipe is
        self.killed = False  # whether it had to be
        self.told_turns = 0  # turns that it has told
        self.continued_at = -1  # turns that it had told when it was made to go on
        self.told_s = 0.0  # when it was seen that somebody told it to end, 0 while nobody did
        self.heard_s = now_s  # when it last told something
        self._page = mmap.mmap(-1, mmap.PAGESIZE)  # shared with it
        self._received = bytearray()
        self.pipe, theirs = os.pipe()
        others = [other for other in sources if other is not source]
        pipes = [self.pipe, *(worker.pipe for worker in before)]
        self.child = Child(partial(_work, source, others, theirs, pipes, self._page), self._failed)
        os.close(theirs)
        os.set_blocking(self.pipe, False)
        _widen(self.pipe)

    def stop(self) -> None:
        """Have it end with the packets that have come by now. May be called by a signal handler."""
        self._page[_STOP] = 1

    @property
    def told_to_end(self) -> bool:
        """Whether somebody else told it to end."""
        return bool(self._page[_TOLD_TO_END])

    @property
    def reason(self) -> str:
        """Why it failed, as it said itself; "" where it did not."""
        return self._page[REASON][: self._page[_REASON_LENGTH]].decode("utf-8", "replace")

    def received(self, now_s: float) -> list[Turn]:
        """Whole turns that it has sent by now; `closed` tells whether there are no more."""
        try:
            part = os.read(self.pipe, PIPE_BYTES)
        except BlockingIOError:
            return []
        self.closed = not part
        self.heard_s = now_s
        self._received += part
        turns: list[Turn] = []
        while len(self._received) >= LENGTH:
            end = LENGTH + int.from_bytes(self._received[:LENGTH])
            if len(self._received) < end:
                break
            turns.append(cast("Turn", pickle.loads(memoryview(self._received)[LENGTH:end])))  # noqa: S301  # our own
            del self._received[:end]
        self.told_turns += len(turns)
        return turns

    def end(self, within_s: float = 0.0) -> str:
        """Have it gone, killed if it has not ended after so long, and how it ended."""
        self.running = False
        how = self.child.ended(within_s)
        if how is None:
            self.killed = True
            how = self.child.end()
        return how

    def rest(self, now_s: float) -> list[Turn]:
        """Whole turns that it had sent before it ended; its pipe is closed."""
        turns: list[Turn] = []
        while not self.closed and select.select([self.pipe], [], [], 0)[0]:
            turns += self.received(now_s)
        os.close(self.pipe)
        return turns

    def _failed(self, reason: str) -> None:
        """Called in the worker: leave word why it fails, in memory that is there already."""
        text = reason.encode("utf-8", "replace")[:200]
        self._page[REASON.start : REASON.start + len(text)] = text
        self._page[_REASON_LENGTH] = len(text)


class TurnMerge:
    """Turns of several workers, put together in time order. Knows no process."""

    def __init__(self, workers: int) -> None:
        self._waiting: list[deque[FlowBatch]] = [deque() for _ in range(workers)]
        self._until_ns = [0] * workers
        self._totals: list[CaptureTotals | None] = [None] * workers
        self._lost: list[CaptureTotals] = []  # of workers that ended unasked
        self._events: list[LinkEvent] = []
        self._seen: list[Sightings] = []  # since the last turn that was given

    @property
    def complete(self) -> bool:
        """Whether every worker has given a turn."""
        return all(totals is not None for totals in self._totals)

    def end(self, worker: int) -> bool:
        """Wait no longer for a worker; whether it had given its last turn."""
        complete = self._until_ns[worker] == END_NS
        self._until_ns[worker] = END_NS
        return complete

    def lose(self, worker: int, counts: CaptureStatistics) -> tuple[int, int, int]:
        """Account for a worker that is gone: (packets that it had not told of, flows in its table, records due).

        counts: of its capture, at the end. Flows and records are those of its last turn.
        """
        told = self._totals[worker] or CaptureTotals(CaptureStatistics(), MeterStats())
        packets = max(0, counts.received - counts.dropped - told.stats.packets)
        capture = replace(counts, dropped=counts.dropped + packets, waiting=0, lost_with_worker=packets)
        self._totals[worker] = replace(told, capture=capture, stats=replace(told.stats, flows=0))
        return packets, told.stats.flows, told.records_due

    def tell(self, action: str, message: str, time_ns: int) -> None:
        """Add an event of the whole capture. time_ns: wall clock."""
        self._events.append(LinkEvent(None, action, message, time_ns))

    def add(self, worker: int, turn: Turn) -> None:
        """Add a worker's turn."""
        if len(turn.records):
            self._waiting[worker].append(turn.records)
        if len(turn.seen):
            self._seen.append(turn.seen)
        self._until_ns[worker] = turn.until_ns
        self._totals[worker] = turn.totals
        # every worker sees every interface; the first one speaks for all
        self._events += [event for event in turn.events if worker == 0 or event.interface is None]

    def turn(self, silent: Collection[int] = ()) -> Turn:
        """What is complete by now: records of before the moment that every worker has reached, in one order.

        silent: numbers of workers that are not waited for.
        """
        too_many = sum(len(batch) for batches in self._waiting for batch in batches) > WAITING
        waited_for = [until for worker, until in enumerate(self._until_ns) if worker not in silent and not too_many]
        newest_ns = max((until for until in self._until_ns if until < END_NS), default=END_NS)
        until_ns = min(*waited_for, newest_ns, END_NS)  # not the end, where who is not waited for has not come to it
        events, self._events = tuple(self._events), []
        seen, self._seen = joined(self._seen), []
        # what is said once is said by one that still runs
        known = [totals for totals in self._totals if totals is not None]
        totals = sum_of(sorted(known, key=lambda each: each.capture.lost_with_worker is not None))
        return Turn(self._records(until_ns), until_ns, totals, events, seen)

    def _records(self, until_ns: int) -> FlowBatch:
        ready: list[FlowBatch] = []
        for batches in self._waiting:
            while batches and batches[0].identity[0, REPORTED_NS] < until_ns:
                batch = batches.popleft()
                complete, rest = parted(batch, before(batch, until_ns))
                ready.append(complete)
                if len(rest):
                    batches.appendleft(rest)
        return in_order(concatenate(ready)) if ready else empty_batch()


def _widen(pipe: int) -> None:
    """Let a pipe hold a turn of usual size, where the system allows that."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _work(
    source: LiveTurns, others: Sequence[LiveTurns], pipe: int, other_pipes: Sequence[int], page: mmap.mmap
) -> int:
    """The whole life of a worker; its exit code."""

    def told_to_end(_number: int, _frame: object) -> None:
        page[_TOLD_TO_END] = 1  # said to the process that began it: if only one worker ends, its packets are nobody's

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):  # meant for the process that was started
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, told_to_end)
    settled()
    for other_pipe in other_pipes:
        os.close(other_pipe)
    for other in others:  # while a copy is open, the kernel goes on filling a ring that nobody empties
        other.leave_to_worker()
    with suppress(BrokenPipeError):  # the sensor is gone
        for turn in source:
            if page[_STOP]:
                source.stop()
            _send(pipe, turn)
        return 0
    return 1


def _send(pipe: int, turn: Turn) -> None:
    data = pickle.dumps(turn, pickle.HIGHEST_PROTOCOL)
    view = memoryview(len(data).to_bytes(LENGTH) + data)
    while view:
        view = view[os.write(pipe, view) :]
