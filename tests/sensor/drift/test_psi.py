"""How far distributions have moved: chance is no movement, ties are no movement, a movement is one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.drift.psi import CHANGED, QUANTILE_LEVELS, cells_of, nearest_psi, psi_bound, psi_by_quantiles, psi_of_counts
from sensor.drift.table import BINS, bins_of
from tests.support.examples import examples

COUNTS = st.lists(st.integers(0, 5000), min_size=2, max_size=12).filter(any)


def binned(values: np.ndarray) -> np.ndarray:
    return np.bincount(bins_of(np.ascontiguousarray(values, dtype=float)), minlength=BINS)


def quantile_psi(values: np.ndarray, reference: np.ndarray) -> float:
    quantiles = np.quantile(reference, QUANTILE_LEVELS)
    below = (values[:, None] < quantiles).sum(axis=0)[None, :]
    up_to = (values[:, None] <= quantiles).sum(axis=0)[None, :]
    return float(psi_by_quantiles(below, up_to, len(values))[0])


def test_the_index_is_that_of_the_textbook() -> None:
    found, expected = np.array([300_000, 700_000]), np.array([500_000, 500_000])
    by_hand = (0.3 - 0.5) * math.log(0.3 / 0.5) + (0.7 - 0.5) * math.log(0.7 / 0.5)
    assert psi_of_counts(found, expected) == pytest.approx(by_hand, rel=1e-4)


@given(counts=COUNTS, other=COUNTS)
@examples(100)
def test_equal_samples_do_not_differ_and_the_order_of_two_does_not_matter(counts: list[int], other: list[int]) -> None:
    width = min(len(counts), len(other))
    one, two = np.array(counts[:width]), np.array(other[:width])
    assert psi_of_counts(one, one) == 0
    assert psi_of_counts(one, two) == pytest.approx(psi_of_counts(two, one))
    assert psi_of_counts(one, two) >= 0


@pytest.mark.parametrize("rows", [500, 5000])
def test_two_samples_of_one_distribution_stay_within_what_chance_makes(rows: int) -> None:
    """By 2,000 pairs; and the bound without its allowance for a change holds the .999 quantile of them."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(12))
    pairs = rng.multinomial(rows, shares, size=(2000, 2))
    found = np.array([psi_of_counts(one, two) for one, two in pairs])
    assert found.max() < psi_bound(12, rows, rows)
    assert np.quantile(found, 0.999) < psi_bound(12, rows, rows) - CHANGED


def test_a_bound_is_wider_for_fewer_rows_and_never_under_what_counts_as_a_change() -> None:
    bounds = [psi_bound(10, rows, rows) for rows in (200, 1000, 100_000)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] == pytest.approx(CHANGED, abs=0.01)


def test_a_common_value_is_a_cell_and_rare_ones_between_are_merged() -> None:
    reference = np.array([90, 1, 1, 1, 0, 50, 0, 0])
    assert cells_of(reference).tolist() == [0, 1, 5, 6]


def test_what_comes_up_where_nothing_was_before_is_seen() -> None:
    before, now = np.zeros(4000), np.zeros(4000)
    now[:800] = 7.0
    index, bound = nearest_psi(binned(now), [binned(before)])
    assert index > bound


def test_the_nearest_of_the_days_before_counts() -> None:
    rng = np.random.default_rng(2)
    weekday, weekend = rng.lognormal(3, 1, 4000), rng.lognormal(6, 1, 4000)
    again = rng.lognormal(6, 1, 4000)
    far, bound = nearest_psi(binned(again), [binned(weekday)])
    near, same_bound = nearest_psi(binned(again), [binned(weekday), binned(weekend)])
    assert far > bound
    assert near < same_bound


@pytest.mark.parametrize("name", ["poisson", "always zero", "mostly zero", "two values", "smooth"])
def test_ties_in_discrete_columns_are_no_difference_from_their_own_quantiles(name: str) -> None:
    rng = np.random.default_rng(3)

    def draw(rows: int) -> np.ndarray:
        return {
            "poisson": rng.poisson(2, rows).astype(float),
            "always zero": np.zeros(rows),
            "mostly zero": np.where(rng.random(rows) < 0.985, 0.0, rng.exponential(5, rows)),
            "two values": rng.choice([6.0, 17.0], rows),
            "smooth": rng.normal(0, 1, rows),
        }[name]

    assert quantile_psi(draw(3000), draw(100_000)) < 0.05


def test_other_values_differ_from_the_quantiles_with_ties_and_without() -> None:
    rng = np.random.default_rng(4)
    reference = np.where(rng.random(100_000) < 0.9, 0.0, rng.exponential(5, 100_000))
    assert quantile_psi(rng.exponential(5, 3000), reference) > CHANGED + 0.5
    assert quantile_psi(np.full(3000, 9.0), rng.normal(0, 1, 100_000)) > CHANGED + 0.5
