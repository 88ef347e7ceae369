"""Hostile bundles, a few hundred of those that `python -m tests.trust hostile-bundles` tries."""

import pytest

from tests.trust.bundles import try_extremes, try_hostile, try_signed

pytestmark = pytest.mark.takes(20)


def test_240_hostile_bundles_are_refused_in_a_line_or_work():
    outcome = try_hostile(240, every=40)
    assert outcome.failures == []
    assert outcome.tries >= 200


def test_bundles_as_extreme_as_they_may_be_give_finite_scores():
    outcome = try_extremes(24)
    assert outcome.failures == []


def test_no_change_of_a_signed_bundle_is_taken():
    outcome = try_signed(90)
    assert outcome.failures == []
