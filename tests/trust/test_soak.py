"""Whether memory grows is told from how it goes up and down."""

import random

import pytest

from tests.bench.soak import slope_an_hour


@pytest.mark.parametrize("lost_mb", [0.0, 2.0, 30.0])
def test_what_is_lost_is_told_from_ups_and_downs(lost_mb: float) -> None:
    chance, times = random.Random(1), [600 + 5.0 * sample for sample in range(600)]
    resident = [440 + lost_mb * at / 3600 + 12 * chance.random() ** 2 for at in times]
    assert slope_an_hour(times, resident) == pytest.approx(lost_mb, abs=1)


def test_of_less_than_two_spans_there_is_no_slope() -> None:
    assert slope_an_hour([0.0, 5.0], [1.0, 9.0]) == 0
