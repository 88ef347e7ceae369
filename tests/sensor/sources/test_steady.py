"""Steady time: flows live through steps of the wall clock and through sleep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import END_REASON, IDLE_TIMEOUT, SNAPSHOT, START_NS
from flows.block import block_of
from flows.meter import Meter
from sensor.sources.live.steady import SteadyClock
from tests.support.examples import examples
from tests.support.packets import tcp

SECOND, MINUTE, HOUR, DAY = 10**9, 60 * 10**9, 3600 * 10**9, 86_400 * 10**9
START = 1_790_000_000 * SECOND


class Machine:
    """A machine's two clocks, and a steady clock that looks at them."""

    def __init__(self) -> None:
        self.realtime = START
        self.monotonic = 77 * SECOND
        self.steady = SteadyClock(lambda: self.realtime, lambda: self.monotonic)

    def run(self, elapsed: int, slewing_ppm: int = 0) -> None:
        """Let time pass, looked at each second."""
        while elapsed > 0:
            turn = min(elapsed, SECOND)
            self.monotonic += turn
            self.realtime += turn + turn * slewing_ppm // 1_000_000
            elapsed -= turn
            self.steady.observe()

    def step(self, by: int) -> None:
        """Set the wall clock, or sleep: nobody looks meanwhile."""
        self.realtime += by

    def corrected(self, *stamps: int) -> list[int]:
        ts_ns = np.array(stamps, dtype=np.int64)
        self.steady.correct(ts_ns)
        return ts_ns.tolist()  # type: ignore[no-any-return]


def test_without_steps_nothing_is_changed() -> None:
    machine = Machine()
    machine.run(MINUTE)
    assert machine.corrected(START, machine.realtime) == [START, START + MINUTE]
    assert (machine.steady.step_ns, machine.steady.now_ns()) == (0, START + MINUTE)


@pytest.mark.parametrize("by", [HOUR, -DAY, 8 * HOUR, -SECOND, SECOND])
def test_time_goes_on_through_a_step(by: int) -> None:
    machine = Machine()
    machine.run(SECOND)
    machine.step(by)
    machine.run(SECOND)
    assert machine.steady.step_ns == by
    assert machine.steady.now_ns() == START + 2 * SECOND
    machine.steady.settle()
    assert machine.corrected(machine.realtime) == [START + 2 * SECOND]


@pytest.mark.parametrize("by", [HOUR, -DAY])
def test_packets_that_waited_through_a_step_keep_their_times(by: int) -> None:
    machine = Machine()
    machine.run(SECOND)
    before = machine.realtime - SECOND // 100
    machine.step(by)
    after = machine.realtime
    machine.run(SECOND // 10)
    assert machine.corrected(before, after, before) == [before, START + SECOND, before]


def test_two_steps_in_a_row_are_both_left_out() -> None:
    machine = Machine()
    machine.run(SECOND)
    first = machine.realtime
    machine.step(HOUR)
    second = machine.realtime
    machine.run(SECOND // 10)
    machine.step(-DAY)
    third = machine.realtime
    machine.run(SECOND // 10)
    assert machine.corrected(first, second, third) == [START + SECOND, START + SECOND, START + SECOND + SECOND // 10]
    assert machine.steady.step_ns == HOUR - DAY


def test_a_step_that_is_taken_back_leaves_nothing() -> None:
    machine = Machine()
    machine.step(HOUR)
    machine.run(SECOND)
    machine.step(-HOUR)
    machine.run(SECOND)
    assert machine.steady.step_ns == 0
    assert machine.corrected(machine.realtime) == [START + 2 * SECOND]


def test_slewing_is_ordinary_time() -> None:
    machine = Machine()
    machine.run(2 * HOUR, slewing_ppm=500)
    assert machine.steady.step_ns == 0
    assert machine.steady.now_ns() == machine.realtime == START + 2 * HOUR + 2 * HOUR * 500 // 1_000_000


def test_a_process_held_up_between_its_two_readings_sees_no_step() -> None:
    realtime, monotonic = START, 0

    def tick_long() -> int:
        nonlocal realtime, monotonic
        realtime, monotonic = realtime + SECOND, monotonic + SECOND
        return monotonic

    clock = SteadyClock(lambda: realtime, tick_long)
    for _ in range(5):
        clock.observe()
    assert clock.step_ns == 0


@examples(50)
@given(
    steps=st.lists(st.sampled_from([HOUR, -HOUR, DAY, -DAY, 8 * HOUR, 2 * SECOND, -2 * SECOND]), max_size=4),
    pauses=st.lists(st.integers(1, 25), min_size=5, max_size=5),
)
def test_the_meter_ends_no_flow_early_and_none_late(steps: list[int], pauses: list[int]) -> None:
    machine = Machine()
    meter = Meter(64, idle_timeout_ns=30 * SECOND, active_timeout_ns=HOUR // 2)
    records = []

    def say() -> None:
        """A packet of a connection that goes on, stamped by the wall clock."""
        packets = block_of([tcp("10.0.0.1:40000", "10.0.0.2:80", "A").frame], [machine.realtime])
        machine.steady.correct(packets.ts_ns)
        records.append(meter.feed(packets))

    for pause, step in zip(pauses, [*steps, *[0] * 5], strict=False):
        say()
        machine.step(step)
        machine.run(pause * SECOND)
        records.append(meter.advance(machine.steady.now_ns()))
        machine.steady.settle()
    say()
    assert meter.stats.flows == 1
    assert not [row for batch in records for row in batch.identity if row[END_REASON] != SNAPSHOT]
    machine.run(31 * SECOND)
    ended = meter.advance(machine.steady.now_ns())
    assert meter.stats.flows == 0
    assert ended.identity[-1, END_REASON] == IDLE_TIMEOUT
    assert ended.identity[-1, START_NS] == START
