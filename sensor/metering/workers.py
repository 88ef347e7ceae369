"""Metering on several cores: a process for each share of the packets, their records merged in time order.

The kernel spreads the packets by flow (PACKET_FANOUT_HASH), so both directions of a connection meet in one worker. The
rings are opened before the processes are made; a worker that ends unasked ends the capture, which says so.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, cast

import numpy as np

from flows.batch import REPORTED_NS, FlowBatch, empty_batch
from flows.meter import concatenate
from sensor.metering.live import END_NS, Account, Metering, Report, added
from sensor.sources.capture import LinkEvent

# A worker that is this far behind the others is not waited for: its records come late rather than hold up alerts.
PATIENCE_NS: Final = 3_000_000_000
SILENCE_S: Final = 10.0  # workers tell at least ten times a second


class Workers:
    """Several meterings as one; iterate over it for merged reports. problem: None, or why the capture ended."""

    def __init__(self, meterings: Sequence[Metering]) -> None:
        """Start a process for each metering. No thread may run by now: a copy would hold its locks for ever."""
        self.problem: str | None = None
        context = multiprocessing.get_context("fork")
        self._processes: list[BaseProcess] = []
        self._connections: list[Connection] = []
        for metering in meterings:
            ours, theirs = context.Pipe(duplex=False)
            others = [other for other in meterings if other is not metering]
            process = context.Process(
                target=_work, args=(metering, others, theirs, (ours, *self._connections)), daemon=True
            )
            process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)
        for metering in meterings:
            metering.leave_to_worker()

    def __iter__(self) -> Iterator[Report]:
        merge = Merge(len(self._connections))
        running = dict(zip(self._connections, range(len(self._connections)), strict=True))
        try:
            while running:
                ready = cast("list[Connection]", wait(list(running), SILENCE_S))
                if not ready:
                    self._give_up("a worker has not told anything for 10 s")
                    break
                for connection in ready:
                    report = _received(connection)
                    if report is None:
                        worker = running.pop(connection)
                        if not merge.end(worker):
                            self._give_up(f"worker {worker + 1} ended unasked")
                    else:
                        merge.take(running[connection], report)
                if merge.complete:
                    yield merge.report()
        finally:
            self._end()

    def stop(self) -> None:
        """End with the packets that have come by now. May be called by a signal handler."""
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)

    def _give_up(self, problem: str) -> None:
        if self.problem is None:
            self.problem = problem
            self.stop()

    def _end(self) -> None:
        for process in self._processes:
            process.join(2)
            if process.is_alive():
                process.kill()
                process.join()
        for connection in self._connections:
            connection.close()


class Merge:
    """Reports of several workers, put together in time order. Knows no process."""

    def __init__(self, workers: int) -> None:
        self._waiting: list[list[FlowBatch]] = [[] for _ in range(workers)]
        self._until_ns = [0] * workers
        self._accounts: list[Account | None] = [None] * workers
        self._events: list[LinkEvent] = []

    @property
    def complete(self) -> bool:
        """Whether every worker has told something."""
        return all(account is not None for account in self._accounts)

    def end(self, worker: int) -> bool:
        """Wait no longer for a worker; whether it has told its last."""
        told_all = self._until_ns[worker] == END_NS
        self._until_ns[worker] = END_NS
        return told_all

    def take(self, worker: int, report: Report) -> None:
        """Take in what a worker tells."""
        if len(report.records):
            self._waiting[worker].append(report.records)
        self._until_ns[worker] = report.until_ns
        self._accounts[worker] = report.account
        # every worker sees every interface; the first one speaks for all
        self._events += [event for event in report.events if worker == 0 or event.interface is None]

    def report(self) -> Report:
        """What can be told by now: records up to the moment that every worker has reached, in the order of time."""
        newest_ns = max((until for until in self._until_ns if until < END_NS), default=END_NS)
        until_ns = max(min(self._until_ns), newest_ns - PATIENCE_NS if newest_ns < END_NS else 0)
        events, self._events = tuple(self._events), []
        account = added([account for account in self._accounts if account is not None])
        return Report(self._records(until_ns), until_ns, account, events)

    def _records(self, until_ns: int) -> FlowBatch:
        if not any(self._waiting):
            return empty_batch()
        told: list[FlowBatch] = []
        for worker, batches in enumerate(self._waiting):
            batch = concatenate(batches)
            due = int(np.searchsorted(batch.identity[:, REPORTED_NS], until_ns, side="right"))
            told.append(FlowBatch(batch.identity[:due], batch.values[:due]))
            rest = FlowBatch(batch.identity[due:], batch.values[due:])
            self._waiting[worker] = [rest] if len(rest) else []
        merged = concatenate(told)
        order = np.argsort(merged.identity[:, REPORTED_NS], kind="stable")
        return FlowBatch(merged.identity[order], merged.values[order])


def _received(connection: Connection) -> Report | None:
    try:
        return cast("Report", connection.recv())
    except (EOFError, OSError):
        return None


def _work(
    metering: Metering, others: Sequence[Metering], connection: Connection, other_connections: Sequence[Connection]
) -> None:
    """The whole life of a worker."""
    for other_connection in other_connections:
        other_connection.close()
    for other in others:  # while a copy is open, the kernel goes on filling a ring that nobody empties
        other.leave_to_worker()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):  # meant for the process that was started
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: metering.stop())
    code = 0
    try:
        for report in metering:
            connection.send(replace(report, events=tuple(report.events)))
    except (BrokenPipeError, ConnectionResetError):  # the sensor is gone
        code = 1
    os._exit(code)  # nothing of what was inherited is flushed or closed a second time
