"""Processes of the fuzzer: how kernels run is settled when numba is imported, so each way has processes of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from sensor.process.kernel_cache import VARIABLE, use_kernel_cache

REPOSITORY: Final = Path(__file__).resolve().parents[2]
INTERPRETED: Final = {"NUMBA_DISABLE_JIT": "1"}
COMPILED: Final = {"NUMBA_BOUNDSCHECK": "1"}
CONTROL_FRAMES: Final = 400_000


def start(
    arguments: list[str], surroundings: dict[str, str], code: Path = REPOSITORY, **streams: int
) -> "subprocess.Popen[str]":
    """A process of this command over the code in a directory."""
    use_kernel_cache()
    # numba does not put bounds checks into the key of its cache
    cache = Path(os.environ[VARIABLE]) / "bounds" if code == REPOSITORY else code / "cache"
    environment = {**os.environ, **surroundings, VARIABLE: str(cache), "PYTHONPATH": f"{code}:{REPOSITORY}"}
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.Popen(command, env=environment, cwd=code, text=True, **streams)  # type: ignore[call-overload,no-any-return]


def last_line_of_failure(target: str, seed: int, code: Path, surroundings: dict[str, str]) -> str:
    """Run one target over the code in a directory, and keep its inputs there; empty when nothing fails."""
    arguments = ["--seed", str(seed), "--inside", str(code), "--guide" if surroundings is INTERPRETED else "--work"]
    arguments += ["--targets", target, "--frames", str(CONTROL_FRAMES), "--files", str(CONTROL_FRAMES // 20)]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(arguments, surroundings, code, **streams)
    inputs = CONTROL_FRAMES // {"frames": 1, "captures": 20, "ring": 10, "names": 20}[target]
    _, errors = process.communicate(f"{target} 0 {inputs}\n")
    return errors.strip().splitlines()[-1] if process.returncode else ""
