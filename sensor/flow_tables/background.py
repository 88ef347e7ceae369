"""A flow table written in a thread of its own, so that metering and writing each have a core.

Both let go of the interpreter while they work: kernels are compiled without it, and so is the table writer. The rows
and their order stay those of a single thread.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flows.batch import FlowBatch
from sensor.flow_tables.table import FlowTableSink

WAITING = 64  # batches, a few MB: enough to even out both sides


class BackgroundTable:
    """Takes records at once and has them written; what goes wrong is raised by a later call."""

    def __init__(self, sink: FlowTableSink) -> None:
        """sink: belongs to the thread until close or abandon returns."""
        self._sink = sink
        self._batches: queue.Queue[FlowBatch | None] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="table", daemon=True)
        self._thread.start()

    @property
    def written(self) -> int:
        """Flows written so far."""
        return self._sink.written

    def write(self, batch: FlowBatch, *, at_once: bool = False) -> None:
        """Hand over records. at_once: do not wait for more before they are written. Raises as FlowTableSink.flush."""
        self._raise()
        if len(batch):
            self._batches.put(batch)
        if at_once:
            self._batches.put(None)

    def close(self) -> None:
        """Have everything written that was handed over. Raises as FlowTableSink.flush."""
        self._end()
        self._raise()

    def abandon(self) -> None:
        """Write nothing more."""
        self._given_up = True
        self._end()

    def _end(self) -> None:
        self._batches.put(_END)
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (batch := self._batches.get()) is not _END:
            if self._error is not None or self._given_up:
                continue  # taken, so that nobody waits for room
            try:
                if batch is None:
                    self._sink.flush()
                else:
                    self._sink.write(batch)
            except BaseException as error:  # noqa: BLE001  raised where the records come from
                self._error = error


_END = FlowBatch.__new__(FlowBatch)  # a mark, told by identity


@contextmanager
def in_background(sink: FlowTableSink) -> Iterator[BackgroundTable]:
    """The table in a thread of its own; when the block ends, all is written or given up."""
    table = BackgroundTable(sink)
    try:
        yield table
    except BaseException:
        table.abandon()
        raise
    table.close()
