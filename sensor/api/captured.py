"""A small capture as flows: metered by our own meter, in memory, up to as many flows as a request may have rows.

What is scored of each flow is its record, or the connection record that a model of NSL-KDD's columns takes.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import END_REASON, SNAPSHOT, SRC_HIGH, SRC_LOW, START_NS, FlowBatch
from flows.block import PacketBlock
from flows.meter import Meter, concatenate
from flows.pcap import MAGICS
from flows.pcapng import MAGIC
from sensor.api.body import MOST_ROWS
from sensor.api.problems import Problem
from sensor.api.records import Records
from sensor.errors import InputError
from sensor.files.magic import GZIP_MAGIC, ZSTD_MAGIC
from sensor.sources.captures.files import CaptureFile

MOST_PACKETS: Final = 2_000_000  # a small file may unpack into a large one


@dataclass(frozen=True, slots=True)
class Captured:
    """Flows in the order in which they ended. values: (n, c) what is scored. notes: lines on what is left out."""

    flows: FlowBatch
    values: NDArray[np.float64]
    notes: tuple[str, ...]

    def records(self) -> Records:
        """As rows to be scored, each source a sequence."""
        identity = self.flows.identity
        return Records(
            self.values,
            np.ascontiguousarray(identity[:, [SRC_HIGH, SRC_LOW]]),
            np.ascontiguousarray(identity[:, START_NS]),
        )


Columns = Callable[[FlowBatch], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Captures:
    """How captures become rows. new_meter: a meter for one. new_columns: what is scored of its flows, in order."""

    new_meter: Callable[[], Meter]
    new_columns: Callable[[], Columns]

    def read(self, content: bytes, name: str) -> Captured:
        """The flows of a capture, as far as it can be read. Raises Problem where it is none, or holds no flow."""
        notes: list[str] = []
        try:
            with closing(CaptureFile(_Memory(content), name, len(content))) as capture:
                flows, values = self._flows(capture, notes)
                if capture.problem:
                    notes.append(capture.problem)
        except InputError as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        if not len(flows):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join([f"{name}: no flow in this capture", *notes]))
        return Captured(flows, values, tuple(notes))

    def _flows(self, capture: CaptureFile, notes: list[str]) -> tuple[FlowBatch, NDArray[np.float64]]:
        meter, columns = self.new_meter(), self.new_columns()
        batches: list[FlowBatch] = []
        values: list[NDArray[np.float64]] = []
        count = 0
        for batch in _batches(capture, meter, notes):
            ended = batch.identity[:, END_REASON] != SNAPSHOT
            values.append(columns(batch)[ended])
            batches.append(FlowBatch(batch.identity[ended], batch.values[ended]))
            count += int(ended.sum())
            if count > MOST_ROWS:
                notes.append(f"only the first {MOST_ROWS:,} flows are scored")
                break
        flows = concatenate(batches)
        kept = FlowBatch(flows.identity[:MOST_ROWS], flows.values[:MOST_ROWS])
        return kept, np.concatenate(values)[:MOST_ROWS]


def own_values(batch: FlowBatch) -> NDArray[np.float64]:
    """What is scored where models take flow records themselves."""
    return batch.values


class _Memory(io.RawIOBase):
    """Bytes as an unbuffered file."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._stream = io.BytesIO(content)

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override] # a view is all that it is given
        return self._stream.readinto(view)


def is_capture(content: bytes) -> bool:
    """Whether bytes begin as a capture does, or as a file that is packed."""
    return content[:4] in MAGICS or content[:4] in (MAGIC, ZSTD_MAGIC) or content[:2] == GZIP_MAGIC


def _batches(capture: Iterable[PacketBlock], meter: Meter, notes: list[str]) -> Iterator[FlowBatch]:
    """The meter's reports, to the end of the capture or of what is read of it."""
    packets = 0
    for block in capture:
        packets += len(block)
        yield meter.feed(block)
        if packets >= MOST_PACKETS:
            notes.append(f"only the first {packets:,} packets were read")
            break
    yield meter.drain()
