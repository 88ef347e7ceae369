"""Processes of the lab: stopped ones end as others do."""

import signal
import subprocess
import time
from pathlib import Path

from training.lab.processes import ENDING_S, end, send


def state_of(process: "subprocess.Popen[bytes]") -> str:
    return Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def test_a_stopped_process_ends_when_it_is_told_to() -> None:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    send(process, signal.SIGSTOP)
    until = time.monotonic() + 20
    while state_of(process) != "T" and time.monotonic() < until:
        time.sleep(0.01)
    assert state_of(process) == "T"
    began = time.monotonic()
    end(process)
    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - began < ENDING_S
    send(process, signal.SIGCONT)  # to nobody
