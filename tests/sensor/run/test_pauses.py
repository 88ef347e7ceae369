"""What keeps a live run from leaving its ring alone for long."""

import gc
import sys
import weakref
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest

from flows.batch import IDENTITY_WIDTH, FlowBatch
from flows.columns import NAMES
from flows.meter import MeterStats
from sensor.metering.turns import CaptureTotals, Turn
from sensor.run.pauses import AT_LAST_S, QUIET_AFTER_S, ShortPauses
from sensor.run.run import Run
from sensor.sources.capture import CaptureStatistics

RUN = cast("Run", None)


class Held:
    """An object that holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds, turn_s = gc.get_threshold(), sys.getswitchinterval()
    yield
    sys.setswitchinterval(turn_s)
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def turn(received: int, records: int = 0) -> Turn:
    batch = FlowBatch(np.zeros((records, IDENTITY_WIDTH), dtype=np.int64), np.zeros((records, len(NAMES))))
    return Turn(batch, 0, CaptureTotals(CaptureStatistics(received=received), MeterStats()))


def test_old_objects_are_looked_at_when_no_packet_comes_or_a_day_has_passed() -> None:
    now = [0.0]
    hook = ShortPauses(clock=lambda: now[0])
    hook.begin(RUN)
    dropped = weakref.ref(Held())
    gc.collect(1)
    dropped_old = _of_the_oldest()
    assert dropped() is None
    for at_s, received, records, there in (
        (1.0, 5, 0, True),
        (2.0, 5, 0, True),  # quiet, but not due
        (QUIET_AFTER_S, 6, 0, True),  # due, but not quiet
        (QUIET_AFTER_S + 1, 6, 1, True),  # records of the packets that have come
        (QUIET_AFTER_S + 2, 6, 0, False),
    ):
        now[0] = at_s
        hook.after(turn(received, records), RUN)
        assert (dropped_old() is not None) == there
    dropped_old = _of_the_oldest()
    now[0] = QUIET_AFTER_S + 1 + AT_LAST_S
    hook.after(turn(7), RUN)
    assert dropped_old() is not None
    now[0] += 2
    hook.after(turn(8), RUN)
    assert dropped_old() is None


def _of_the_oldest() -> "weakref.ref[Held]":
    """One that has outlived two looks at young ones, and is dropped then."""
    held = Held()
    gc.collect(0)
    gc.collect(1)
    return weakref.ref(held)


def test_what_is_there_at_the_start_is_looked_at_no_more() -> None:
    ShortPauses().begin(RUN)
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[2] > 1 << 20
    assert sys.getswitchinterval() < 0.001
