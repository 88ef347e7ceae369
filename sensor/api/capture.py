"""Meters an uploaded capture in memory, up to as many flows as a request may have rows.

What is scored of each flow is its flow record, with its context where the model takes that, or the connection record
that a model of NSL-KDD's columns takes.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import END_REASON, SNAPSHOT, SRC_HIGH, SRC_LOW, START_NS, START_SHIFT_NS, FlowBatch
from flows.block import PacketBlock
from flows.compression import COMPRESSED
from flows.meter import Meter, concatenate
from flows.pcap import MAGICS
from flows.pcapng import MAGIC
from sensor.api.body import MAX_ROWS
from sensor.api.budget import TimeBudget
from sensor.api.problems import Problem
from sensor.api.samples import Samples
from sensor.errors import InputError
from sensor.sources.captures.files import CaptureFile

MAX_UNPACKED_BYTES: Final = 256 << 20
MAX_PACKETS: Final = 2_000_000  # a small file may unpack into a large one


@dataclass(frozen=True, slots=True)
class CaptureFlows:
    """The n flows of a capture, in the order in which they ended."""

    flows: FlowBatch
    values: NDArray[np.float64]  # (n, c) features of each flow, in the order of the bundle's contract
    notes: tuple[str, ...]  # lines on what was left out

    def samples(self) -> Samples:
        """The flows as samples to be scored; those of one source address are a sequence."""
        identity = self.flows.identity
        return Samples(
            self.values,
            np.ascontiguousarray(identity[:, [SRC_HIGH, SRC_LOW]]),
            identity[:, START_NS] + identity[:, START_SHIFT_NS],
        )


# Features of the records of a batch, (n, c) float64; called with all batches of a capture, in order.
FlowFeatures = Callable[[FlowBatch], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class CaptureReader:
    """Reads captures into flows and their features; may be used by several threads."""

    new_meter: Callable[[], Meter]  # creates the meter of one capture
    new_features: Callable[[], FlowFeatures]  # creates the feature extraction of one capture

    def read(self, content: bytes, name: str, budget: TimeBudget) -> CaptureFlows:
        """The flows of a capture, as far as it can be read.

        Raises Problem: 422 where it is none, or has no flow, 413 where it takes too long or unpacks into too much.
        """

        def check(unpacked_bytes: int) -> None:
            budget.check()
            if unpacked_bytes > MAX_UNPACKED_BYTES:
                detail = f"{name} unpacks into more than {MAX_UNPACKED_BYTES >> 20} MB, expected a smaller capture"
                raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)

        notes: list[str] = []
        try:
            source = _MemoryFile(content, budget)
            with closing(CaptureFile(source, name, len(content), check=check)) as capture:
                flows, values = self._meter(capture, notes)
                if capture.problem:
                    notes.append(capture.problem)
        except InputError as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        if not len(flows):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join([f"{name}: no flow in this capture", *notes]))
        return CaptureFlows(flows, values, tuple(notes))

    def _meter(self, capture: CaptureFile, notes: list[str]) -> tuple[FlowBatch, NDArray[np.float64]]:
        meter, features = self.new_meter(), self.new_features()
        batches: list[FlowBatch] = []
        values: list[NDArray[np.float64]] = []
        count = 0
        for batch in _batches(capture, meter, notes):
            ended = batch.identity[:, END_REASON] != SNAPSHOT
            values.append(features(batch)[ended])
            batches.append(FlowBatch(batch.identity[ended], batch.values[ended]))
            count += int(ended.sum())
            if count > MAX_ROWS:
                notes.append(f"only the first {MAX_ROWS:,} flows are scored")
                break
        flows = concatenate(batches)
        first = FlowBatch(flows.identity[:MAX_ROWS], flows.values[:MAX_ROWS])
        return first, np.concatenate(values)[:MAX_ROWS]


def flow_values(batch: FlowBatch) -> NDArray[np.float64]:
    """Features for models that take flow records themselves: the records' values, (n, c)."""
    return batch.values


class _MemoryFile(io.RawIOBase):
    """Bytes as an unbuffered binary file, each read of which is held to the time budget: packing may hold nothing."""

    def __init__(self, content: bytes, budget: TimeBudget) -> None:
        super().__init__()
        self._stream = io.BytesIO(content)
        self._budget = budget

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override] # it is only called with views
        self._budget.check()
        return self._stream.readinto(view)


def is_capture(content: bytes) -> bool:
    """Whether bytes begin with the magic number of a capture (pcap, pcapng) or of a compressed file."""
    return content[:4] in MAGICS or content.startswith((MAGIC, *COMPRESSED))


def _batches(capture: Iterable[PacketBlock], meter: Meter, notes: list[str]) -> Iterator[FlowBatch]:
    """Flow records of the capture's packets, the first MAX_PACKETS of them at least."""
    packets = 0
    for block in capture:
        packets += len(block)
        yield meter.feed(block)
        if packets >= MAX_PACKETS:
            notes.append(f"only the first {packets:,} packets were read")
            break
    yield meter.drain()
