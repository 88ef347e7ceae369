"""Lines of runs that are numbered without gaps: what is missing and what came twice is counted exactly."""

import random

from hypothesis import assume, given
from hypothesis import strategies as st

from sensor.fleet.numbering import GAPS_KEPT, LONGEST_GAP, RUNS_KEPT, LineNumbers, RunLines

RANDOM = st.randoms(use_true_random=False)
Line = tuple[int, int]  # number and time


def lines_of(rng: random.Random, count: int, dropped: float, begin_ns: int = 0) -> list[Line]:
    """Those of a run that came, in their order; several may be of one time."""
    return [(number, begin_ns + number // 3) for number in range(1, count + 1) if rng.random() >= dropped]


@given(RANDOM, st.lists(st.integers(1, 120), min_size=1, max_size=RUNS_KEPT), st.floats(0, 0.6), st.integers(0, 20))
def test_what_is_missing_and_what_came_twice_is_exact(
    rng: random.Random, runs: list[int], dropped: float, window: int
) -> None:
    """Against a plain count of all numbers: random drops, repeats, restarts, and an order that is wrong in a window."""
    came = [lines_of(rng, count, dropped, 1000 * run) for run, count in enumerate(runs)]
    came = [lines for lines in came if lines]
    told = [line for lines in came for line in lines]
    again = told + [line for line in told if rng.random() < 0.2]
    again.sort(key=lambda line: line[1] + rng.uniform(0, window))
    # Nobody can tell that a run is new whose first line here has a higher number than one before it ever had.
    first = [next(number for number, time_ns in again if time_ns // 1000 == lines[0][1] // 1000) for lines in came]
    last = [lines[-1][0] for lines in came]
    assume(all(number <= min(last[:place], default=number) for place, number in enumerate(first)))
    numbers = LineNumbers()
    for line in again:
        numbers.add(*line)
    counts = numbers.counts
    assert counts.repeated == len(again) - len(told)
    assert counts.missing == sum(lines[-1][0] - lines[0][0] + 1 - len(lines) for lines in came)
    assert counts.expected == counts.missing + len(told)


def test_files_of_one_run_may_come_in_any_order() -> None:
    numbers = LineNumbers()
    for number in (*range(5000, 6000), *range(1, 4990), *range(4000, 4500), *range(5400, 5500), 4995):
        numbers.add(number, number)
    assert numbers.counts[:3] == (5999, 9, 600)
    assert numbers.counts.missing_ns == 5000


def test_alerts_by_the_old_clock_in_turn_with_those_by_the_new_one_are_of_one_run() -> None:
    numbers = LineNumbers()
    for number in range(1, 31):
        numbers.add(number, 10_000 + number - (3600 if number > 10 and number % 2 else 0))
    assert numbers.counts[:3] == (30, 0, 0)
    for number in range(1, 6):
        numbers.add(number, 20_000 + number)
    assert numbers.counts[:3] == (35, 0, 0)


def test_numbers_that_somebody_made_up_take_no_room_and_count_for_nothing() -> None:
    numbers = LineNumbers()
    for number in (1, 2, 2**63 - 1, 4, LONGEST_GAP + 5, *range(10, 40_000, 2)):
        numbers.add(number, number)
    assert numbers.counts[:3] == (39_998 + 2, 39_998 - 3 - len(range(10, 40_000, 2)), 0)
    assert sorted(len(run._gaps) for run in numbers._runs) == [0, 0, GAPS_KEPT]
    for number in range(1, 1000):
        numbers.add(number * 2**40, number)
    assert len(numbers._runs) == RUNS_KEPT


def test_a_run_that_is_over_keeps_its_counts() -> None:
    numbers = LineNumbers()
    for run in range(3 * RUNS_KEPT):
        for number in (1, 2, 4, 4):
            numbers.add(number, 100 * run + number)
    assert numbers.counts[:3] == tuple(3 * RUNS_KEPT * each for each in (4, 1, 1))


def test_a_line_fits_by_number_and_time() -> None:
    run = RunLines(5, 5, 50, 50)
    run.add(8, 80)
    lines = ((9, 95), (9, 79), (10, 95), (10, 79), (4, 40), (4, 51), (6, 60), (6, 49), (8, 81))
    assert [run.away_ns(*line) for line in lines] == [15, 1, 15, None, 10, None, 0, None, None]
