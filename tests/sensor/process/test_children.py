"""Children of the sensor, whatever it was started with."""

import signal
import sys

import pytest

from sensor.process.children import Child
from sensor.signals import handling
from tests.support.waiting import LONG_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork")


def test_how_a_child_ended_is_known_though_its_parent_was_started_to_ignore_that() -> None:
    with handling({signal.SIGCHLD: signal.SIG_IGN}):  # type: ignore[dict-item]  # one of the two that are no handlers
        assert Child(lambda: 7).ended(LONG_S) == "exit code 7"
