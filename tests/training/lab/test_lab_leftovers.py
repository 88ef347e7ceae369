"""Runs of the lab that are killed: nothing of them stays, and nothing of others goes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import wait_until
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
    wait_until(lambda: not gone.exists())
    assert left.is_dir()
    killed.communicate()
    other.communicate("\n")
    wait_until(lambda: not processes_of(tmp_path))
    assert left.is_dir()


def processes_of(directory: Path) -> list[str]:
    """Ids of those whose command line names it. One that removes files ends a moment after they are gone."""
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and str(directory) in command_of(pid)]


def command_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
