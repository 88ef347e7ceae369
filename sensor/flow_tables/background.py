"""Writing of a flow table in a thread of its own, so that metering and writing each have a core.

Both release the interpreter lock while they work: kernels are compiled without it, and so is the writer. The rows and
their order are those of a single thread.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flows.batch import FlowBatch
from sensor.flow_tables.table import FlowTableWriter

QUEUE_BATCHES = 64  # a few MB: enough to even out both sides


class BackgroundWriter:
    """Queue of records before a writer in a thread; an error of the thread is raised by a later call."""

    def __init__(self, writer: FlowTableWriter) -> None:
        """Start the thread. writer: used by the thread alone until close or abandon returns."""
        self._writer = writer
        self._batches: queue.Queue[FlowBatch | None] = queue.Queue(QUEUE_BATCHES)
        self._error: BaseException | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="table", daemon=True)
        self._thread.start()

    @property
    def written(self) -> int:
        """Rows written so far."""
        return self._writer.written

    def write(self, batch: FlowBatch, *, flush: bool = False) -> None:
        """Queue records. flush: write them without waiting for more. Raises as FlowTableWriter.flush."""
        self._raise()
        if len(batch):
            self._batches.put(batch)
        if flush:
            self._batches.put(None)

    def close(self) -> None:
        """Write all queued records and end the thread. Raises as FlowTableWriter.flush."""
        self._end()
        self._raise()

    def abandon(self) -> None:
        """Discard all queued records and end the thread."""
        self._abandoned = True
        self._end()

    def _end(self) -> None:
        self._batches.put(_END)
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (batch := self._batches.get()) is not _END:
            if self._error is not None or self._abandoned:
                continue  # discarded, so that no write blocks on a full queue
            try:
                if batch is None:
                    self._writer.flush()
                else:
                    self._writer.write(batch)
            except BaseException as error:  # noqa: BLE001  raised where the records come from
                self._error = error


_END = FlowBatch.__new__(FlowBatch)  # a sentinel, recognised by identity


@contextmanager
def in_background(writer: FlowTableWriter) -> Iterator[BackgroundWriter]:
    """Write a table in a thread of its own; at the end of the block all is written, or abandoned on an exception."""
    table = BackgroundWriter(writer)
    try:
        yield table
    except BaseException:
        table.abandon()
        raise
    table.close()
