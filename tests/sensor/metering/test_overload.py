"""Steps under overload, with a clock that stands until it is moved."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sensor.metering.overload import DOWN_LEAST_S, DOWN_MOST_S, HIGH, LOW, STEPS, UP_S, Overload


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
    assert left_at[0] >= DOWN_LEAST_S - UP_S - 0.01
    assert all(later - earlier >= DOWN_LEAST_S - 0.01 for earlier, later in pairwise(left_at))


def behind(load: Callable[[float], float], seconds: float) -> tuple[list[int], list[float]]:
    """Levels and fillings, ten a second, of a ring that holds a second of what can be metered.

    load: by the second, as many packets as can be metered. The first two steps spare a tenth each.
    """
    clock = Clock()
    overload, fill = Overload(clock), 0.0
    levels, fills = [], []
    spared = [1.0, 0.9, 0.8, *(0.8 / step.keep_one_in for step in STEPS[3:])]
    for _ in range(round(seconds * 100)):
        clock.now += 0.01
        fill = min(max(fill + 0.01 * (load(clock.now - 100) * spared[STEPS.index(overload.step)] - 1), 0.0), 1.0)
        overload.observe(fill)
        levels.append(STEPS.index(overload.step))
        fills.append(fill)
    return levels[::10], fills[::10]


def test_a_sensor_that_was_held_up_for_a_moment_leaves_little_out_and_not_for_long() -> None:
    levels, fills = behind(lambda second: 1.7 if 5 <= second < 6 else 0.75, 30)
    assert max(fills) < 1
    assert max(levels) <= 3
    assert levels[110:] == [0] * len(levels[110:])


def test_load_that_stays_too_much_is_borne_and_tried_again_less_and_less_often() -> None:
    levels, fills = behind(lambda _second: 2.0, 120)
    assert max(fills) < 1
    changes = [at / 10 for at, (one, other) in enumerate(pairwise(levels)) if other < one]
    assert [later - earlier for earlier, later in pairwise(changes)][-1] >= DOWN_MOST_S
    assert len(changes) < 15


def test_after_a_calm_minute_the_next_overload_is_another_one() -> None:
    def bursts(second: float) -> float:
        return 2.0 if second < 60 or 200 < second < 201 else 0.2

    levels, _ = behind(bursts, 220)
    assert levels[1990] == 0
    assert max(levels[2000:2020]) > 0
    assert levels[2120] == 0


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
