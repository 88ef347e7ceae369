"""Steps under overload, with a clock that stands until it is moved."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sensor.metering.overload import DOWN_S, HIGH, LOW, STEPS, UP_S, Overload


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def overloaded(clock: Clock, levels: int) -> Overload:
    overload = Overload(clock)
    for _ in range(levels):
        assert overload.observe(HIGH)
        clock.now += 1.01 * UP_S
    return overload


def test_a_ring_that_is_half_full_brings_the_first_step_at_once_and_the_others_in_turn() -> None:
    clock = Clock()
    overload = Overload(clock)
    seen = [overload.step]
    for _ in range(200):
        if overload.observe(0.9):
            seen.append(overload.step)
        clock.now += UP_S / 4
    assert seen == list(STEPS)
    assert clock.now - 100.0 < 200 * UP_S


def test_each_step_meters_no_more_than_the_one_before() -> None:
    for milder, harder in pairwise(STEPS):
        assert harder.keep_one_in >= milder.keep_one_in
        assert harder.capacity_share <= milder.capacity_share
        assert (harder.idle_timeout_ns or 0) <= (milder.idle_timeout_ns or 1 << 62)
        assert harder != milder


def test_a_step_is_left_only_after_a_quiet_time_and_one_at_a_time() -> None:
    clock = Clock()
    overload = overloaded(clock, 3)
    left_at = []
    start = clock.now
    for _ in range(1000):
        clock.now += 0.1
        if overload.observe(LOW / 2):
            left_at.append(clock.now - start)
    assert len(left_at) == 3
    assert overload.step == STEPS[0]
    assert left_at[0] >= DOWN_S - UP_S - 0.01
    assert all(later - earlier >= DOWN_S - 0.01 for earlier, later in pairwise(left_at))


def test_load_between_the_marks_keeps_the_step() -> None:
    clock = Clock()
    overload = overloaded(clock, 2)
    for _ in range(1000):
        clock.now += 0.1
        assert not overload.observe((HIGH + LOW) / 2)
    assert overload.step == STEPS[2]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 30)), max_size=60))
def test_whatever_comes_it_moves_by_one_step_and_says_so(looks: list[tuple[float, float]]) -> None:
    clock = Clock()
    overload = Overload(clock)
    for fill, pause in looks:
        before = STEPS.index(overload.step)
        changed = overload.observe(fill)
        after = STEPS.index(overload.step)
        assert abs(after - before) == changed
        clock.now += pause
