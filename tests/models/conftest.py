"""Fixtures of the models' tests."""

import pytest

from models.fusion import Hybrid
from tests.models.builders import make_hybrid


@pytest.fixture
def hybrid() -> Hybrid:
    """Both lanes and three detectors, freshly forgotten."""
    return make_hybrid()
