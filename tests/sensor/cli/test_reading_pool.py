"""The process that reads captures has loaded what its children need, so that none of them loads it anew."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.cli.reading_pool import _one
from sensor.jobs.pool import Page, Result, Task
from tests.support.command import DEMO, surroundings
from tests.support.waiting import wait_until

# A process that gets ready as the pool's does, and a child of it that does a task and says what it had to load.
CHILD = """
import dataclasses, os, sys
from sensor.cli import reading_pool
from sensor.jobs.pool import Page
from sensor.settings.config import Config
kind, capture, part = sys.argv[1:]
config = Config().model_dump(mode="json", exclude={"output"})
settings = {"config": config, "sensor": "s", "quiet": True, "count_hosts": False, "table": None}
if kind == "table":
    settings["table"] = dataclasses.asdict(reading_pool.TableOptions("native", None, False, False))
    work, _ = reading_pool._ready_to_meter(settings)
else:
    work, _ = reading_pool._ready_to_judge(settings)
before = set(sys.modules)
if not os.fork():
    result = work({"capture": capture, "size": 1, "part": part}, Page())
    print(result["code"], *sorted(set(sys.modules) - before), file=sys.stderr, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("kind", ["lines", "table"])
def test_a_child_loads_no_module(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, kind, str(DEMO), str(tmp_path / "part")]
    done = subprocess.run(command, env=surroundings(), stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert done.stderr == "0\n"


@pytest.mark.parametrize(
    ("problems", "account", "may_pass"),
    [
        ([], {"flows": 1}, False),
        (["a.pcap: truncated: the record at byte 9 has 1 of at least 16 bytes"], {"flows": 1}, False),
        (["a.pcap: unreadable after 9 bytes: Input/output error"], {"flows": 1}, True),
        (["a.pcap: found a file that may not be read (permission denied)"], {}, True),
    ],
)
def test_what_the_system_did_not_give_is_no_end_of_a_capture(
    problems: list[str], account: dict[str, int], may_pass: bool, tmp_path: Path
) -> None:
    def work(task: Task, _page: Page, found: Result) -> None:
        Path(task["part"]).touch()
        found |= {"problems": problems, "account": account}

    assert _one(work, {"capture": "a.pcap", "part": str(tmp_path / "part")}, Page())["may_pass"] == may_pass


# A process that begins the pool's, says its id, and waits.
BEGINNER = """
import os, subprocess, sys
from sensor.cli.reading_pool import COMMAND
process = subprocess.Popen([*COMMAND, str(os.getpid())], stdin=subprocess.PIPE)
print(process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with the one that began it")
def test_a_pool_that_stands_still_ends_with_the_run_that_is_killed() -> None:
    command = [sys.executable, "-c", BEGINNER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=surroundings()) as run:
        assert run.stdout is not None
        pool = int(run.stdout.readline())
        wait_until(lambda: os.readlink(f"/proc/{pool}/fd/0") == os.devnull)  # it has begun
        os.kill(pool, signal.SIGSTOP)
        run.kill()
    wait_until(lambda: state_of(pool) in "ZX")


def state_of(pid: int) -> str:
    """A letter of proc_pid_stat(5); X where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
