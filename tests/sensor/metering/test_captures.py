"""Turns of captures: the same records and totals however the packets were read, and an end that leaves nothing open."""

import gzip
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from flows.block import PacketBlock
from flows.meter import Meter, concatenate
from sensor.metering.captures import CaptureTurns
from sensor.metering.turns import END_NS, Turn
from sensor.packets.ring import PAUSES, PacketRing
from sensor.sources.captures.files import CaptureFile
from sensor.sources.captures.stream import CaptureStream
from tests.support.capture_bytes import Arriving
from tests.support.command import DEMO


@dataclass
class InPieces:
    """The demo capture, read in pieces of so many bytes; it ends after `last` blocks."""

    piece: int
    filtered: int = 0
    bytes_read: int = 0
    size: int | None = None
    late: int = 0
    clock_jumps: int = 0
    problems: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[PacketBlock]:
        yield from CaptureFile(Arriving(gzip.decompress(DEMO.read_bytes()), itertools.repeat(self.piece)), "demo")


def turns_of(piece: int, packets: PacketRing | None = None) -> list[Turn]:
    return list(CaptureTurns(InPieces(piece), Meter(65536, news_only=True), packets))  # type: ignore[arg-type]


@pytest.mark.parametrize("piece", [3000, 65_521])
def test_records_do_not_depend_on_how_packets_were_read(piece: int) -> None:
    whole, parts = turns_of(1 << 20), turns_of(piece)
    assert len(parts) > len(whole)
    for expected, found in zip(*(_arrays(turns) for turns in (whole, parts)), strict=True):
        assert np.array_equal(expected, found, equal_nan=True)
    assert whole[-1].totals.stats == parts[-1].totals.stats
    assert whole[-1].until_ns == parts[-1].until_ns == END_NS


def test_totals_only_grow_and_count_every_packet() -> None:
    turns = turns_of(65_521)
    for before, after in itertools.pairwise(turns):
        assert after.totals.stats.packets >= before.totals.stats.packets
        assert after.until_ns >= before.until_ns
    stats = turns[-1].totals.stats
    assert stats.packets == stats.metered + sum(stats.undecoded.values()) == 32_858
    assert turns[0].totals.first_ns == turns[-1].totals.first_ns > 0


def test_packets_are_due_each_time_a_part_of_the_memory_is_new() -> None:
    due = []
    for piece in (3000, 1 << 20):
        ring = PacketRing(1 << 20)
        turns = turns_of(piece, ring)
        due.append([turn.totals.stats.packets for turn in turns if turn.packets_due])
    assert due[0] == due[1]
    assert len(due[0]) >= PAUSES


def test_stopped_they_end_with_what_was_read() -> None:
    source = CaptureTurns(CaptureStream([str(DEMO)]), Meter(65536, news_only=True))
    turns: list[Turn] = []
    for turn in source:
        turns.append(turn)
        source.stop()
    assert [turn.until_ns for turn in turns][-1] == END_NS
    assert len(turns[-1].records)
    assert source.problems == []


def _arrays(turns: list[Turn]) -> tuple[np.ndarray, np.ndarray]:
    records = concatenate([turn.records for turn in turns])
    return records.identity, records.values
