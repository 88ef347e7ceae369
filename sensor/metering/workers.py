"""Metering on several cores: a process for each share of the packets, their records merged in time order.

The kernel spreads the packets by flow (PACKET_FANOUT_HASH), so both directions of a connection meet in one worker. The
rings are opened before the processes are made; a worker that ends unasked ends the capture, which says so.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, cast

import numpy as np

from flows.batch import REPORTED_NS, FlowBatch, empty_batch
from flows.meter import concatenate
from sensor.metering.live import LiveTurns
from sensor.metering.turns import END_NS, CaptureTotals, Turn, sum_of
from sensor.sources.capture import LinkEvent

# A worker that is this far behind the others is not waited for: its records come late rather than hold up alerts.
PATIENCE_NS: Final = 3_000_000_000
SILENCE_S: Final = 10.0  # workers give a turn at least ten times a second


class WorkerTurns:
    """Several live captures as one, each in a process of its own; iterate over it for their turns, merged."""

    ends_by_itself = False
    remarks: Sequence[str] = ()

    def __init__(self, sources: Sequence[LiveTurns]) -> None:
        """Start a process for each source. No thread may run by now: a copy would hold its locks for ever."""
        self.problems: list[str] = []  # why the capture ended unasked
        context = multiprocessing.get_context("fork")
        self._processes: list[BaseProcess] = []
        self._connections: list[Connection] = []
        for source in sources:
            ours, theirs = context.Pipe(duplex=False)
            others = [other for other in sources if other is not source]
            process = context.Process(
                target=_work, args=(source, others, theirs, (ours, *self._connections)), daemon=True
            )
            process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)
        for source in sources:
            source.leave_to_worker()

    def __iter__(self) -> Iterator[Turn]:
        merge = TurnMerge(len(self._connections))
        running = dict(zip(self._connections, range(len(self._connections)), strict=True))
        try:
            while running:
                ready = cast("list[Connection]", wait(list(running), SILENCE_S))
                if not ready:
                    self._give_up("a worker has not told anything for 10 s")
                    break
                for connection in ready:
                    turn = _received(connection)
                    if turn is None:
                        worker = running.pop(connection)
                        if not merge.end(worker):
                            self._give_up(f"worker {worker + 1} ended unasked")
                    else:
                        merge.add(running[connection], turn)
                if merge.complete:
                    yield merge.turn()
        finally:
            self._end()

    def stop(self) -> None:
        """End with the packets that have come by now. May be called by a signal handler."""
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)

    def _give_up(self, problem: str) -> None:
        if not self.problems:
            self.problems.append(problem)
            self.stop()

    def _end(self) -> None:
        for process in self._processes:
            process.join(2)
            if process.is_alive():
                process.kill()
                process.join()
        for connection in self._connections:
            connection.close()


class TurnMerge:
    """Turns of several workers, put together in time order. Knows no process."""

    def __init__(self, workers: int) -> None:
        self._waiting: list[list[FlowBatch]] = [[] for _ in range(workers)]
        self._until_ns = [0] * workers
        self._totals: list[CaptureTotals | None] = [None] * workers
        self._events: list[LinkEvent] = []

    @property
    def complete(self) -> bool:
        """Whether every worker has given a turn."""
        return all(totals is not None for totals in self._totals)

    def end(self, worker: int) -> bool:
        """Wait no longer for a worker; whether it had given its last turn."""
        complete = self._until_ns[worker] == END_NS
        self._until_ns[worker] = END_NS
        return complete

    def add(self, worker: int, turn: Turn) -> None:
        """Add a worker's turn."""
        if len(turn.records):
            self._waiting[worker].append(turn.records)
        self._until_ns[worker] = turn.until_ns
        self._totals[worker] = turn.totals
        # every worker sees every interface; the first one speaks for all
        self._events += [event for event in turn.events if worker == 0 or event.interface is None]

    def turn(self) -> Turn:
        """What is complete by now: records up to the moment that every worker has reached, in the order of time."""
        newest_ns = max((until for until in self._until_ns if until < END_NS), default=END_NS)
        until_ns = max(min(self._until_ns), newest_ns - PATIENCE_NS if newest_ns < END_NS else 0)
        events, self._events = tuple(self._events), []
        totals = sum_of([totals for totals in self._totals if totals is not None])
        return Turn(self._records(until_ns), until_ns, totals, events)

    def _records(self, until_ns: int) -> FlowBatch:
        if not any(self._waiting):
            return empty_batch()
        ready: list[FlowBatch] = []
        for worker, batches in enumerate(self._waiting):
            batch = concatenate(batches)
            due = int(np.searchsorted(batch.identity[:, REPORTED_NS], until_ns, side="right"))
            ready.append(FlowBatch(batch.identity[:due], batch.values[:due]))
            rest = FlowBatch(batch.identity[due:], batch.values[due:])
            self._waiting[worker] = [rest] if len(rest) else []
        merged = concatenate(ready)
        order = np.argsort(merged.identity[:, REPORTED_NS], kind="stable")
        return FlowBatch(merged.identity[order], merged.values[order])


def _received(connection: Connection) -> Turn | None:
    try:
        return cast("Turn", connection.recv())
    except (EOFError, OSError):
        return None


def _work(
    source: LiveTurns, others: Sequence[LiveTurns], connection: Connection, other_connections: Sequence[Connection]
) -> None:
    """The whole life of a worker."""
    for other_connection in other_connections:
        other_connection.close()
    for other in others:  # while a copy is open, the kernel goes on filling a ring that nobody empties
        other.leave_to_worker()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):  # meant for the process that was started
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: source.stop())
    code = 0
    try:
        for turn in source:
            connection.send(turn)
    except (BrokenPipeError, ConnectionResetError):  # the sensor is gone
        code = 1
    os._exit(code)  # nothing of what was inherited is flushed or closed a second time
