"""Records that fell due together, in parts."""

import random
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import (
    DST_LOW,
    IDENTITY_WIDTH,
    REPORTED_NS,
    SRC_HIGH,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    FlowBatch,
)
from flows.block import PacketBlock, block_of
from flows.columns import NAMES
from flows.meter import Meter
from sensor.metering.due import MOST, PART, PART_LEAST, PART_S, DueRecords, PartSize, before, in_order, parted
from sensor.metering.live import LiveTurns
from sensor.metering.turns import END_NS
from tests.support.packets import udp
from tests.support.scripted import SILENCE, T0, ScriptedCapture

FLOWS = 3 * PART + 5


def records(count: int, first_ns: int = 0) -> FlowBatch:
    """Records reported a nanosecond after another."""
    identity = np.zeros((count, IDENTITY_WIDTH), dtype=np.int64)
    identity[:, REPORTED_NS] = np.arange(first_ns, first_ns + count)
    return FlowBatch(identity, np.zeros((count, len(NAMES))))


def reported(batch: FlowBatch) -> list[int]:
    return [int(moment) for moment in batch.identity[:, REPORTED_NS]]


@pytest.mark.parametrize("counts", [(1,), (PART,), (PART + 1,), (3, 2 * PART, 5)])
def test_parts_are_all_records_in_their_order(counts: tuple[int, ...]) -> None:
    due, at, taken = DueRecords(), 0, []
    for count in counts:
        due.add(records(count, at), END_NS)
        at += count
    while len(due):
        part = due.part()
        assert 0 < len(part) <= PART
        taken += reported(part)
    assert taken == list(range(at))
    assert len(due.part()) == 0


def test_it_is_complete_up_to_the_first_that_waits() -> None:
    due = DueRecords()
    due.add(records(PART + 1, 100), END_NS)
    due.part()
    assert due.complete_until(10_000) == 100 + PART
    due.part()
    assert due.complete_until(10_000) == 10_000


def test_the_room_is_full_with_as_many_as_may_wait() -> None:
    due = DueRecords()
    due.add(records(MOST // 2), END_NS)
    assert due.fill == 0.5
    due.add(records(MOST // 2 + 1), END_NS)
    assert due.fill > 1


# Few moments, few ends: most records have others of the same moment, many of the same first packet.
few = st.integers(0, 3)
rows = st.lists(st.tuples(few, few, few, few, few), max_size=60)


def of_rows(drawn: list[tuple[int, int, int, int, int]]) -> FlowBatch:
    identity = np.zeros((len(drawn), IDENTITY_WIDTH), dtype=np.int64)
    for column, words in zip(
        (REPORTED_NS, START_NS, SRC_HIGH, SRC_PORT, DST_LOW), zip(*drawn, strict=True), strict=False
    ):
        identity[:, column] = words
    identity[:, START_SHIFT_NS] = 1 - 2 * identity[:, DST_LOW]
    values = np.zeros((len(drawn), len(NAMES)))
    values[:, 0] = identity[:, [START_NS, SRC_HIGH, SRC_PORT, DST_LOW]] @ [64, 16, 4, 1]
    return FlowBatch(identity, values)


def key(row: list[int]) -> tuple[int, ...]:
    return row[REPORTED_NS], row[START_NS] + row[START_SHIFT_NS], row[SRC_HIGH], row[DST_LOW], row[SRC_PORT]


@given(rows, st.randoms())
def test_records_of_a_moment_have_one_order_whatever_order_and_portions_they_come_in(
    drawn: list[tuple[int, int, int, int, int]], chance: random.Random
) -> None:
    once = in_order(of_rows(drawn))
    assert once.identity.tolist() == sorted(of_rows(drawn).identity.tolist(), key=key)
    assert (
        once.values[:, 0].tolist()
        == (once.identity[:, [START_NS, SRC_HIGH, SRC_PORT, DST_LOW]] @ [64, 16, 4, 1]).tolist()
    )
    shuffled = of_rows(chance.sample(drawn, len(drawn)))
    assert in_order(shuffled).identity.tolist() == once.identity.tolist()
    by_report = np.argsort(shuffled.identity[:, REPORTED_NS], kind="stable")  # as a meter gives them
    due, taken, rest = DueRecords(), [], FlowBatch(shuffled.identity[by_report], shuffled.values[by_report])
    while len(rest):
        portion, rest = parted(rest, chance.randint(1, len(rest)))
        due.add(portion, int(portion.identity[-1, REPORTED_NS]))
        while len(due) and chance.random() < 0.7:
            taken += due.part().identity.tolist()
    due.add(rest, END_NS)
    while len(due):
        taken += due.part().identity.tolist()
    assert taken == once.identity.tolist()


@given(rows, st.randoms(), st.integers(1, 9))
def test_of_a_moment_that_goes_on_few_records_are_held_and_portions_change_nothing(
    drawn: list[tuple[int, int, int, int, int]], chance: random.Random, together: int
) -> None:
    records = of_rows(drawn)
    by_report = np.argsort(records.identity[:, REPORTED_NS], kind="stable")
    rest = FlowBatch(records.identity[by_report], records.values[by_report])
    once, due, taken, added = DueRecords(together=together), DueRecords(together=together), [], 0
    once.add(rest, END_NS)
    while len(rest):
        portion, rest = parted(rest, chance.randint(1, len(rest)))
        due.add(portion, int(portion.identity[-1, REPORTED_NS]))
        taken += due.all().identity.tolist()
        added += len(portion)
        assert added - len(taken) < together
    due.add(rest, END_NS)
    assert [*taken, *due.all().identity.tolist()] == once.all().identity.tolist()


def test_those_of_the_moment_itself_were_not_reported_before_it() -> None:
    assert [before(records(5, 10), moment) for moment in (9, 10, 12, 15)] == [0, 0, 2, 5]


@given(st.floats(1e-7, 1e-2), st.floats(0, PART_S / 2))
def test_a_part_takes_as_long_as_it_may_whatever_records_cost(each_s: float, each_part_s: float) -> None:
    size = PartSize()
    for _ in range(80):
        most = size.most(behind=False)
        size.took(most, each_part_s + most * each_s)
    took_s = each_part_s + most * each_s
    assert most == PART_LEAST or took_s < 1.2 * PART_S
    assert most == PART or took_s > 0.8 * PART_S


@given(st.floats(1e-5, 3e-4), st.floats(1, 8))
def test_a_part_of_dear_records_takes_little_longer_where_cheap_ones_came_before(each_s: float, dearer: float) -> None:
    size = PartSize()
    for _ in range(40):
        cheap = size.most(behind=True)
        size.took(cheap, cheap * each_s)
        dear = size.most(behind=True)
        size.took(dear, dear * dearer * each_s)
    assert dear == PART_LEAST or dear * dearer * each_s < 1.35 * PART_S


def test_a_part_is_shorter_by_what_was_spent_before_it_down_to_half() -> None:
    size = PartSize()
    size.took(100, 100 * 2e-4)
    most = [size.most(behind=True, spent_s=spent_s) for spent_s in (0.0, 0.01, 0.1)]
    assert most == pytest.approx([PART_S / 2e-4, (PART_S - 0.01) / 2e-4, PART_S / 2 / 2e-4], abs=1)


def many_flows(start: float, count: int = FLOWS) -> PacketBlock:
    """A packet each of so many flows, which all fall due together."""
    packets = [udp(f"10.{i >> 8}.{i & 255}.1:5000", "10.9.9.9:53", payload=10, at=start) for i in range(count)]
    return block_of([packet.frame for packet in packets], [T0 + int(start * 1e9)] * count)


@pytest.mark.parametrize("busy", [False, True])
def test_a_second_in_which_many_flows_end_is_handed_on_in_parts(busy: bool) -> None:
    later = block_of([udp("10.0.0.1:1", "10.0.0.2:2", payload=1, at=0).frame], [T0 + 500 * 10**9])
    capture = ScriptedCapture([(lambda: None, many_flows(0.0)), (lambda: None, later), (lambda: None, SILENCE)])
    capture.busy = busy
    turns = list(LiveTurns(capture, Meter(2 * FLOWS, news_only=True)))
    assert sum(len(turn.records) for turn in turns) == FLOWS + 1
    assert max(len(turn.records) for turn in turns) <= PART
    moments = [turn.until_ns for turn in turns]
    assert moments == sorted(moments)


def test_many_records_that_wait_are_an_overload_and_do_not_keep_it_from_packets_that_come() -> None:
    count, blocks = int(0.8 * MOST), 60
    turns_at: list[int] = []  # how many blocks had come
    came = [0]

    def comes() -> None:
        came[0] += 1

    one = [
        block_of([udp("10.0.0.1:1", "10.0.0.2:2", payload=1, at=0).frame], [T0 + 500 * 10**9 + i])
        for i in range(blocks)
    ]
    capture = ScriptedCapture([(comes, many_flows(0.0, count)), *((comes, block) for block in one)], busy=True)
    now_s = [0.0]
    steps = []
    for turn in LiveTurns(capture, Meter(2 * count, news_only=True), clock=lambda: now_s[0]):
        turns_at.append(came[0])
        steps.append(turn.totals.overload)
        now_s[0] += 1e-4 * len(turn.records)
    assert max(turns_at.count(block) for block in range(1, blocks)) == 1
    assert steps[blocks // 2] != ""


def test_whoever_takes_long_over_records_gets_fewer_at_once() -> None:
    later = block_of([udp("10.0.0.1:1", "10.0.0.2:2", payload=1, at=0).frame], [T0 + 500 * 10**9])
    capture = ScriptedCapture([(lambda: None, many_flows(0.0)), (lambda: None, later), (lambda: None, SILENCE)])
    now_s, sizes = [0.0], []
    for turn in LiveTurns(capture, Meter(2 * FLOWS, news_only=True), clock=lambda: now_s[0]):
        sizes.append(len(turn.records))
        now_s[0] += 0.001 * len(turn.records)
    assert sum(sizes) == FLOWS + 1
    assert sizes[sizes.index(PART) + 3] < PART / 3


@dataclass
class SlowMeter:
    """A meter that takes so long over a block, by a clock of its own."""

    takes_s: float
    now_s: float = 0.0
    meter: Meter = field(default_factory=lambda: Meter(2 * FLOWS, news_only=True))

    def feed(self, block: PacketBlock) -> FlowBatch:
        self.now_s += self.takes_s
        return self.meter.feed(block)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.meter, name)


@pytest.mark.parametrize(("takes_s", "most"), [(0.0, PART), (2 * PART_S, PART // 2)])
def test_what_the_meter_took_is_spent(takes_s: float, most: int) -> None:
    packet = udp("10.0.0.1:1", "10.0.0.2:2", payload=1, at=0).frame
    later = [block_of([packet], [T0 + 500 * 10**9 + i]) for i in range(9)]
    capture = ScriptedCapture([(lambda: None, block) for block in (many_flows(0.0), *later)], busy=True)
    meter = SlowMeter(takes_s)
    sizes = []
    for turn in LiveTurns(capture, cast("Meter", meter), clock=lambda: meter.now_s):
        sizes.append(len(turn.records))
        meter.now_s += PART_S / PART * len(turn.records)
    assert max(sizes[: len(later)]) == most


def test_no_turn_says_that_it_is_complete_while_records_wait() -> None:
    later = block_of([udp("10.0.0.1:1", "10.0.0.2:2", payload=1, at=0).frame], [T0 + 500 * 10**9])
    capture = ScriptedCapture([(lambda: None, many_flows(0.0)), (lambda: None, later)], busy=True)
    until_ns = 0
    for turn in LiveTurns(capture, Meter(2 * FLOWS, news_only=True)):
        if len(turn.records):
            assert int(turn.records.identity[0, REPORTED_NS]) >= until_ns
        until_ns = turn.until_ns
