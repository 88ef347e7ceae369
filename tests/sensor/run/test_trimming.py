"""Memory that a live run gives back while it goes on."""

import ctypes
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from sensor.metering.turns import Turn
from sensor.run.run import Run
from sensor.run.trimming import EVERY_S, TrimmedMemory, trimmer

RUN, TURN = cast("Run", None), cast("Turn", None)
ARRAYS, BYTES = 400, 100_000  # each below what the C library would map by itself


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) << 10


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.skipif(
    sys.platform == "linux" and not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc, which gives back"
)
def test_what_a_busy_moment_took_is_given_back_soon() -> None:
    now = [0.0]
    hook = TrimmedMemory(trimmer(), clock=lambda: now[0])
    hook.begin(RUN)
    before = resident_bytes()
    arrays = [np.ones(BYTES, dtype=np.uint8) for _ in range(ARRAYS)]
    last = np.ones(BYTES, dtype=np.uint8)  # holds the end of the heap
    del arrays
    now[0] = EVERY_S - 1
    hook.after(TURN, RUN)
    assert resident_bytes() - before > ARRAYS * BYTES // 2
    now[0] = EVERY_S
    hook.after(TURN, RUN)
    assert resident_bytes() - before < ARRAYS * BYTES // 4
    assert last.all()
