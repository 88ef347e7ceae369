"""Hostile bundles, a few hundred of those that `python -m tests.trust hostile-bundles` tries."""

import pytest

from tests.trust.bundles import try_hostile

pytestmark = pytest.mark.takes(20)


def test_240_hostile_bundles_are_refused_in_a_line_or_work():
    outcome = try_hostile(240, every=40)
    assert outcome.failures == []
    assert outcome.tries >= 200
