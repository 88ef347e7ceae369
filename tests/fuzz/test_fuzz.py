"""A short fuzz run; the long one is `python -m tests.fuzz --frames 10000000 --seed 1 --controls`."""

import subprocess
import sys

import pytest

from tests.fuzz.__main__ import REPOSITORY, TARGETS
from tests.fuzz.overrun import check_that_bounds_are_checked

pytestmark = pytest.mark.takes(45)

SECONDS = 300.0  # enough to compile everything on a slow machine


def test_a_short_run_of_every_target_finds_nothing() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--frames", "300000", "--seed", "7"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert all(f"checked  {target}" in run.stdout for target in TARGETS)
    assert run.stdout.endswith("no failure\n")


def test_kernels_that_do_not_check_bounds_are_noticed() -> None:
    with pytest.raises(RuntimeError, match="bounds are not checked"):
        check_that_bounds_are_checked()
