"""The control chart of a rate: how seldom it tells what is not so, and how soon what is."""

import numpy as np
import pytest

from sensor.drift.chart import ASKED, RUN_LENGTH, RateChart

pytestmark = pytest.mark.takes(6)


def days_until(asked: float, rate: float, what: str, runs: int, most: int) -> np.ndarray:
    """Days to the first telling in each run, at most so many."""
    rng = np.random.default_rng(5)
    days = np.full(runs, most)
    for run in range(runs):
        chart = RateChart(asked)
        for day, count in enumerate(rng.poisson(rate, most).tolist(), 1):
            chart.add(count)
            if getattr(chart, what):
                days[run] = day
                break
    return days


@pytest.mark.parametrize("what", ["more", "fewer"])
@pytest.mark.parametrize("asked", [1.0, 5.0, 20.0])
def test_at_the_asked_rate_it_tells_once_in_a_thousand_days(asked: float, what: str) -> None:
    """Of 60 runs the mean has a standard error of an eighth. Runs are cut at 4,000 days, which makes it shorter."""
    assert days_until(asked, asked, what, 60, 4000).mean() > 0.6 * RUN_LENGTH


@pytest.mark.parametrize(("asked", "days"), [(1.0, 20), (5.0, 6), (20.0, 3), (200.0, 2)])
def test_twice_the_rate_is_told_in_so_many_days_in_the_mean(asked: float, days: int) -> None:
    assert days_until(asked, 2 * asked, "more", 60, 400).mean() <= days


@pytest.mark.parametrize(("asked", "days"), [(1.0, 40), (5.0, 11), (20.0, 4)])
def test_half_the_rate_is_told_in_so_many_days_in_the_mean(asked: float, days: int) -> None:
    assert days_until(asked, asked / 2, "fewer", 60, 400).mean() <= days


@pytest.mark.parametrize("asked", [1.0, 5.0, 200.0])
def test_one_bad_day_is_no_change_of_the_rate(asked: float) -> None:
    chart = RateChart(asked)
    chart.add(int(50 * asked))
    assert not chart.more
    chart.add(int(50 * asked))
    assert chart.more


def test_it_holds_until_the_rate_has_made_up_for_it() -> None:
    chart = RateChart(5.0)
    for count in (15, 15, 15):
        chart.add(count)
    assert chart.more
    days = 0
    while chart.more:
        chart.add(5)
        days += 1
    assert 2 <= days <= 8
    assert not chart.fewer


@pytest.mark.parametrize("asked", [0.0, 1e-300, 1e-7, -1.0, float("nan"), float("inf"), 1e7])
def test_what_is_no_rate_is_refused(asked: float) -> None:
    with pytest.raises(ValueError, match="the asked rate is"):
        RateChart(asked)


def test_every_rate_that_can_be_asked_for_has_its_charts() -> None:
    """Rare ones and frequent ones, of which a telling may be rarer than numbers can say."""
    for asked in np.geomspace(*ASKED, 100).tolist():
        chart = RateChart(asked)
        chart.add(round(asked))
        assert not chart.more or asked < 1
        assert not chart.fewer


def test_of_rare_alerts_nobody_tells_that_they_are_fewer_and_many_are_told() -> None:
    chart = RateChart(0.02)
    for _ in range(400):
        chart.add(0)
    assert not chart.fewer
    for _ in range(3):
        chart.add(2)
    assert chart.more
