"""Cuts of both lanes by a site's own traffic: what is promised of them, and what they never do."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sensor.baseline.lanes import LOOSER, SEEN_ENOUGH, TIGHTER, conformal_cut, site_cuts, site_hybrid
from tests.models.builders import make_hybrid, make_isolation_forest, raw_values

RATES = (0.001, 0.01, 0.05)


@given(st.integers(0, 2**32 - 1), st.sampled_from(RATES), st.integers(200, 20_000), st.floats(0.2, 5.0))
def test_no_larger_share_of_the_traffic_learnt_from_is_flagged_than_asked_for(
    seed: int, rate: float, n: int, skew: float
) -> None:
    p = np.random.default_rng(seed).uniform(1e-9, 1, n) ** skew
    cut = conformal_cut(p, rate, shipped=rate)
    assert 0 < cut <= LOOSER * rate
    if rate * (n + 1) >= SEEN_ENOUGH:
        exact = conformal_cut(p, rate, shipped=rate, exact=True)
        assert (p < exact).mean() <= rate
        assert cut in (exact, rate, LOOSER * rate)
        if exact < rate / TIGHTER or rate < exact < LOOSER * rate:
            assert cut == exact


def test_further_traffic_of_the_same_kind_is_flagged_as_often_as_asked_for() -> None:
    draw = np.random.default_rng(4)
    shares = [
        (fresh < conformal_cut(learnt, 0.01, 0.01, exact=True)).mean()
        for learnt, fresh in ((draw.uniform(0, 1, 4000) ** 3, draw.uniform(0, 1, 4000) ** 3) for _ in range(60))
    ]
    assert 0.008 < float(np.mean(shares)) < 0.0115


def test_of_too_few_flows_a_cut_is_never_looser_than_the_bundles() -> None:
    quiet = np.ones(300)
    assert conformal_cut(quiet, 0.001, 0.001) == 0.001
    loud = np.full(300, 1e-6)
    assert conformal_cut(loud, 0.001, 0.001) < 0.001 * 1e-4
    assert conformal_cut(np.array([0.5]), 0.01, 0.01) == 0.01


@given(st.integers(0, 2**32 - 1), st.sampled_from((0.01, 0.05)), st.floats(0, 1))
def test_both_lanes_together_flag_what_was_asked_for_whether_they_agree_or_not(
    seed: int, rate: float, agreement: float
) -> None:
    draw = np.random.default_rng(seed)
    known = draw.uniform(1e-9, 1, 8000)
    novel = np.where(draw.random(8000) < agreement, known, draw.uniform(1e-9, 1, 8000))
    cuts = site_cuts(known, novel, rate, (rate / 2, rate / 2), exact=True)
    share = ((known < cuts[0]) | (novel < cuts[1])).mean()
    assert 0.8 * rate <= share <= rate


def test_a_lane_that_is_off_stays_off() -> None:
    p = np.random.default_rng(1).uniform(0, 1, 5000)
    assert site_cuts(p, p, 0.01, (0.0, 0.01))[0] == 0.0


def test_the_sites_forest_has_a_name_of_its_own_whatever_the_known_lane_has() -> None:
    hybrid, forest, rng = make_hybrid(), make_isolation_forest(), np.random.default_rng(1)
    hybrid.known[0].detector.name = forest.name  # as a bundle may have it that has no novel lane
    site = site_hybrid(hybrid, forest, rng.random(2000), rng.random(2000), raw_values(500, 1), None)
    assert [member.detector.name for member in site.novel] == ["iforest2"]
