"""Runs of the lab that are killed: nothing of them stays, and nothing of others goes."""

import os
import subprocess
import sys
import time
from pathlib import Path

from training.lab.processes import surroundings

RUN = """
import sys, tempfile, time
from pathlib import Path
from training.lab.leftovers import removed_if_killed
from training.lab.namespaces import own_prefix
with removed_if_killed(Path(sys.argv[1])):
    print(tempfile.mkdtemp(prefix=f".out.{own_prefix()}", dir=sys.argv[1]), flush=True)
    sys.stdin.readline()
"""


def run_in(directory: Path) -> "tuple[subprocess.Popen[str], Path]":
    """What stands for a run, and what it has made."""
    environment = surroundings(directory) | {"TMPDIR": str(directory)}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(directory)], stdin=-1, stdout=-1, text=True, env=environment
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_run_made_goes_when_it_is_killed_and_what_another_makes_stays(tmp_path: Path) -> None:
    killed, gone = run_in(tmp_path)
    other, left = run_in(tmp_path)
    assert gone.is_dir()
    killed.kill()  # and nobody asks how it ended, so its id is not free yet
    until = time.monotonic() + 20
    while gone.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not gone.exists()
    assert left.is_dir()
    killed.communicate()
    other.communicate("\n")
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and str(tmp_path) in command_of(pid)]
    assert left.is_dir()


def command_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
