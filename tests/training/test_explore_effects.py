import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy")

from scipy.stats import chi2_contingency, mannwhitneyu
from scipy.stats.contingency import association

from training.explore.effects import (
    DELTA_SIZES,
    amounts_differ,
    categories_differ,
    corrected,
    size_of,
    smallest_significant,
)

AMOUNTS = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


def column(values: list[int] | list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


@given(AMOUNTS, AMOUNTS)
def test_delta_is_how_much_oftener_the_first_is_larger_than_smaller(first: list[int], second: list[int]) -> None:
    expected = np.mean([np.sign(a - b) for a in first for b in second])
    found = amounts_differ(column(first), column(second))[0]
    assert found.effect == pytest.approx(expected)
    assert amounts_differ(column(second), column(first))[0].effect == pytest.approx(-expected)


def test_each_column_is_tested_as_scipy_tests_it_alone() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.poisson(3, (40, 6)).astype(float), rng.poisson(4, (70, 6)).astype(float)
    for i, found in enumerate(amounts_differ(first, second, "less")):
        assert found.p == mannwhitneyu(first[:, i], second[:, i], alternative="less", method="asymptotic").pvalue


def test_a_column_of_one_value_differs_in_nothing() -> None:
    found = amounts_differ(column([7.0] * 5), column([7.0] * 9))[0]
    assert (found.effect, found.size, found.p) == (0.0, "negligible", 1.0)


def test_without_rows_nothing_is_known() -> None:
    assert [found.p for found in amounts_differ(np.empty((0, 2)), np.ones((3, 2)))] == [1.0, 1.0]
    assert categories_differ(np.empty(0, dtype=np.int64), np.ones(3, dtype=np.int64)).p == 1.0


def test_categories_that_never_meet_differ_wholly() -> None:
    found = categories_differ(np.zeros(50, dtype=np.int64), np.ones(80, dtype=np.int64))
    assert found.effect == pytest.approx(1.0, abs=0.01)
    assert found.size == "large"


def test_categories_are_tested_as_scipy_tests_their_table() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 4, 300), rng.integers(0, 3, 500)
    counts = np.array([np.bincount(part, minlength=4) for part in (first, second)])
    found = categories_differ(first, second)
    assert found.p == pytest.approx(chi2_contingency(counts, correction=False).pvalue)
    assert found.effect == pytest.approx(association(counts, method="cramer"), abs=0.01)


def test_many_rare_categories_are_no_effect() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 400, 500), rng.integers(0, 400, 500)
    counts = np.array([np.bincount(part, minlength=400) for part in (first, second)])
    assert association(counts[:, counts.sum(axis=0) > 0], method="cramer") > 0.5
    found = categories_differ(first, second)
    assert found.size == "negligible" or found.effect < 0.2
    assert found.doubtful


def test_p_values_are_corrected_as_benjamini_and_hochberg_do() -> None:
    ps = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]
    by_hand = [min(p * len(ps) / rank for rank, p in enumerate(ps[i:], start=i + 1)) for i in range(len(ps))]
    assert corrected(ps).tolist() == pytest.approx(by_hand)
    assert len(corrected([])) == 0


@pytest.mark.parametrize(("effect", "word"), [(0.1, "negligible"), (-0.2, "small"), (0.4, "medium"), (-0.9, "large")])
def test_an_effect_has_a_word_whatever_its_sign(effect: float, word: str) -> None:
    assert size_of(effect, DELTA_SIZES) == word


def test_the_smallest_significant_shift_is_where_the_test_says_so() -> None:
    rng = np.random.default_rng(1)
    normal, shifts = rng.random(3000), np.linspace(0, 0.1, 60)
    found = [
        amounts_differ(column((rng.random(2000) + shift).tolist()), column(normal.tolist()))[0] for shift in shifts
    ]
    least = smallest_significant(2000, 3000)
    assert all((difference.p < 0.01) == (abs(difference.effect) > least) for difference in found)
