from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.calibration import fit_calibration

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def probabilities(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(6 - 2 * rng.normal(size=count)))


def heavy(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.pareto(2.0, count)


def bounded(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return 3.0 * rng.beta(2.0, 3.0, count)


def two_humps(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """As a classifier that is sure of a few normal flows: nothing between."""
    low, high = rng.beta(0.3, 40.0, count), 1.0 - rng.beta(0.5, 20.0, count)
    return np.where(rng.random(count) < 0.004, high, low)


DRAWS: tuple[Draw, ...] = (probabilities, heavy, bounded, two_humps)
each_draw = pytest.mark.parametrize("draw", DRAWS)


@each_draw
@pytest.mark.parametrize("cut", [0.3, 0.025, 0.005, 0.0005])
def test_normal_traffic_is_below_a_cut_as_often_as_the_cut_says(draw: Draw, cut: float):
    rng = np.random.default_rng(1)
    realised = [(fit_calibration(draw(rng, 20_000)).p_value(draw(rng, 200_000)) < cut).mean() for _ in range(4)]
    assert 0.3 * cut < np.mean(realised) < 1.5 * cut


@each_draw
def test_a_higher_score_never_has_a_higher_p_value(draw: Draw):
    rng = np.random.default_rng(2)
    normal = draw(rng, 3000)
    grid = np.sort(np.concatenate((normal, np.linspace(normal.min() - 1, normal.max() * 3, 20_000))))
    if normal.max() <= 1:
        grid = grid[(grid >= 0) & (grid <= 1)]
    p = fit_calibration(normal).p_value(grid)
    assert (np.diff(p) <= 0).all()
    assert ((p > 0) & (p <= 1)).all()
    assert p[0] == 1.0


def test_the_body_tells_scores_apart_that_differ():
    normal = np.random.default_rng(3).normal(size=5000)
    grid = np.linspace(normal.min(), np.quantile(normal, 0.999), 50_000)
    assert (np.diff(fit_calibration(normal).p_value(grid)) < 0).all()


@pytest.mark.parametrize("count", [50, 1000, 30_000])
def test_no_p_value_is_below_what_the_scores_can_say(count: int):
    normal = np.random.default_rng(4).normal(size=count)
    p = fit_calibration(normal).p_value(np.array([1e3, 1e300]))
    assert (p == 1 / (100 * count)).all()


def test_a_score_over_all_normal_ones_but_within_bounds_counts_as_rare():
    normal = probabilities(np.random.default_rng(5), 20_000)
    p = fit_calibration(normal).p_value(np.array([1.0 - 1e-9]))
    assert p[0] < 1e-5


@pytest.mark.parametrize("share", [1e-3, 1e-4])
def test_beyond_the_highest_normal_score_the_tail_goes_on(share: float):
    normal = np.random.default_rng(8).exponential(size=2000)
    p = fit_calibration(normal).p_value(np.array([-np.log(share), -np.log(share) + 1e-3]))
    assert share / 8 < p[1] < p[0] < share * 8


def test_tied_scores_count_as_high_as_each_other():
    normal = np.repeat([0.0, 0.25, 0.5], [900, 80, 20])
    p = fit_calibration(normal).p_value(np.array([0.0, 0.25, 0.5, 0.75]))
    np.testing.assert_allclose(p[:3], [1.0, 101 / 1001, 21 / 1001])
    assert p[3] < p[2]


def test_scores_that_are_all_alike_still_calibrate():
    p = fit_calibration(np.full(200, 0.5)).p_value(np.array([0.1, 0.5, 0.9]))
    assert p[0] == p[1] == 1.0
    assert p[2] < 0.01


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_any_batching_gives_the_same_bits(batch: int):
    rng = np.random.default_rng(6)
    calibration, scores = fit_calibration(heavy(rng, 2000)), heavy(rng, 500) * 3
    pieces = [calibration.p_value(scores[i : i + batch]) for i in range(0, 500, batch)]
    assert np.array_equal(np.concatenate(pieces), calibration.p_value(scores))


def test_the_order_of_the_scores_does_not_matter():
    rng = np.random.default_rng(7)
    normal = heavy(rng, 2000)
    probe = heavy(rng, 100)
    assert np.array_equal(fit_calibration(normal[::-1]).p_value(probe), fit_calibration(normal).p_value(probe))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(wrong: float):
    with pytest.raises(ValueError, match="hold 1 that are not finite"):
        fit_calibration(np.append(np.zeros(100), wrong))


def test_too_few_scores_are_refused():
    with pytest.raises(ValueError, match="at least 50 scores, found 49"):
        fit_calibration(np.arange(49.0))


@each_draw
def test_scores_that_count_alike_calibrate_as_those_without_counts(draw: Draw):
    scores = draw(np.random.default_rng(1), 4000)
    plain, alike = fit_calibration(scores), fit_calibration(scores, np.full(4000, 0.25))
    assert alike.survival == pytest.approx(plain.survival)
    assert (alike.tail_start, alike.count) == (plain.tail_start, plain.count)
    assert (alike.shape, alike.sigma) == pytest.approx((plain.shape, plain.sigma))


@each_draw
@pytest.mark.parametrize("cut", [0.3, 0.025, 0.005])
def test_a_network_counts_once_however_long_it_is(draw: Draw, cut: float):
    """Two networks, one of which has nine tenths of the flows and lower scores: cuts are those of both by halves."""
    rng = np.random.default_rng(2)
    long, short = draw(rng, 90_000) / 2, draw(rng, 10_000)
    counts = np.repeat([1 / 90_000, 1 / 10_000], [90_000, 10_000])
    calibration = fit_calibration(np.concatenate([long, short]), counts)
    realised = [(calibration.p_value(own) < cut).mean() for own in (draw(rng, 90_000) / 2, draw(rng, 90_000))]
    assert 0.5 * cut < np.mean(realised) < 1.5 * cut
    assert calibration.count == pytest.approx(36_000, rel=0.001)  # Kish: (2)^2 / (1 / 90,000 + 1 / 10,000)


def test_too_few_scores_by_their_counts_are_refused():
    counts = np.r_[np.full(10, 1.0), np.full(1000, 1e-6)]
    with pytest.raises(ValueError, match="at least 50 scores, found 10"):
        fit_calibration(np.random.default_rng(1).random(1010), counts)
