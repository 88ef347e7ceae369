"""Counts of columns over fixed bins: everything lands in one, and stretches add up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sensor.drift.table import BINS, MOST_ROWS, ColumnCounts, QuantileCounts, bins_of
from tests.support.examples import examples

ROWS = st.integers(1, MOST_ROWS).flatmap(
    lambda rows: arrays(np.float64, (rows, 3), elements=st.floats(-1e12, 1e12, allow_subnormal=True))
)


@given(values=ROWS)
@examples(100)
def test_every_value_has_a_bin_and_a_larger_one_is_in_no_lower_bin(values: np.ndarray) -> None:
    bins = bins_of(values)
    assert bins.min() >= 0
    assert bins.max() < BINS
    positive = np.sort(values[values > 0])
    assert (np.diff(bins_of(positive)) >= 0).all()


@given(values=ROWS, cut=st.integers(0, MOST_ROWS))
@examples(60)
def test_two_stretches_together_are_what_both_would_be_at_once(values: np.ndarray, cut: int) -> None:
    quantiles = np.array([[-1.0, 0.0, 1.0, 1e6]] * 3)
    whole, first, second = (ColumnCounts(3) for _ in range(3))
    q_whole, q_first, q_second = (QuantileCounts(quantiles) for _ in range(3))
    for counts, rows in ((whole, values), (first, values[:cut]), (second, values[cut:])):
        counts.add(rows)
    for quantile_counts, rows in ((q_whole, values), (q_first, values[:cut]), (q_second, values[cut:])):
        quantile_counts.add(rows)
    first.merge(second)
    q_first.merge(q_second)
    assert (first.counts == whole.counts).all()
    assert (first.counts.sum(axis=1) == len(values)).all()
    assert (first.constant == whole.constant).all()
    assert (q_first.below == q_whole.below).all()
    assert (q_first.up_to == (values[:, :, None] <= quantiles).sum(axis=0)).all()
