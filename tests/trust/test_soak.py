"""Whether memory grows is told from how it goes up and down, and what the machine does from what the sensor does."""

import random

import pytest

from tests.bench.soak import machine_of, slope_an_hour


@pytest.mark.parametrize("lost_mb", [0.0, 2.0, 30.0])
def test_what_is_lost_is_told_from_ups_and_downs(lost_mb: float) -> None:
    chance, times = random.Random(1), [600 + 5.0 * sample for sample in range(600)]
    resident = [440 + lost_mb * at / 3600 + 12 * chance.random() ** 2 for at in times]
    assert slope_an_hour(times, resident) == pytest.approx(lost_mb, abs=1)


def test_of_less_than_two_spans_there_is_no_slope() -> None:
    assert slope_an_hour([0.0, 5.0], [1.0, 9.0]) == 0


def test_seconds_of_a_slow_machine_are_those_in_which_counting_took_longer_than_usual() -> None:
    told = ["slept 5000000", *["counted 300000"] * 6, "slept 17000000", "counted 460000", "counted 3800000"]
    assert machine_of("\n".join(told)) == (0.017, 0.25)
    assert machine_of("") == (0.0, 0.0)
