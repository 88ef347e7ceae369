"""A short fuzz run; the long ones are `make fuzz` and `make fuzz-long`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import NAMES
from tests.fuzz.overrun import check_that_bounds_are_checked
from tests.fuzz.parts import DONE, Part, Run, parts_of
from tests.fuzz.processes import REPOSITORY

pytestmark = pytest.mark.takes(45)

SECONDS = 300.0  # enough to compile everything on a slow machine


def test_a_short_run_of_every_target_finds_nothing_and_is_not_repeated(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--frames", "200000", "--files", "800", "--seed", "7"]
    command += ["--state", str(tmp_path)]
    for _ in range(2):
        run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        assert all(f"checked  {target}" in run.stdout for target in NAMES)
        assert run.stdout.endswith("no failure\n")
    assert len((tmp_path / DONE).read_text().splitlines()) == len(NAMES)


def test_kernels_that_do_not_check_bounds_are_noticed() -> None:
    with pytest.raises(RuntimeError, match="bounds are not checked"):
        check_that_bounds_are_checked()


def test_parts_are_all_inputs_and_every_target_gets_on() -> None:
    parts = parts_of({"frames": 3_500_000, "documents": 4_001})
    assert sum(part.inputs for part in parts if part.target == "frames") == 3_500_000
    assert sum(part.inputs for part in parts if part.target == "documents") == 4_001
    assert {part.target for part in parts[:2]} == {"frames", "documents"}


def test_a_run_goes_on_where_another_of_its_seed_was_stopped(tmp_path: Path) -> None:
    parts = parts_of({"frames": 2_000_000})
    first = Run.begin(tmp_path, 1, parts)
    part = first.take()
    assert part is not None
    first.finish(part, {"decoded": 5}, 1.0)
    again = Run.begin(tmp_path, 1, parts)
    assert [*again.waiting] == parts[1:]
    assert again.done["frames"] == part.inputs
    assert again.counts["frames"]["decoded"] == 5
    assert [*Run.begin(tmp_path, 2, parts).waiting] == parts  # of another seed
    assert json.loads((tmp_path / DONE).read_text())["part"] == part.number


def test_a_part_that_failed_is_tried_again(tmp_path: Path) -> None:
    parts = [Part("ring", 0, 10)]
    run = Run.begin(tmp_path, 1, parts)
    run.fail(parts[0], "exit code 1: IndexError")
    assert run.failures == ["ring, part 0 of 10 inputs: exit code 1: IndexError"]
    assert [*Run.begin(tmp_path, 1, parts).waiting] == parts
