"""What tests of several rooms of the sensor need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tmux import Pane, opened


@pytest.fixture
def pane(tmp_path: Path) -> Iterator[Pane]:
    """A shell at work in the test's directory, in a terminal of 80 by 24."""
    with opened(tmp_path) as made:
        yield made
