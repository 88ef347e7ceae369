"""Processes of the lab: stopped ones end as others do, and switches that fail at their end are told."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from training.lab.network import Network
from training.lab.processes import ENDING_S, end, send
from training.lab.run import LabError, Run


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


def test_a_run_whose_switches_fail_as_they_write_out_their_captures_is_refused(tmp_path: Path) -> None:
    nothing: Any = None
    script = "import sys; sys.stdin.read(); raise OSError(28, 'No space left on device')"
    with (tmp_path / "fabric.log").open("wb") as log:
        switches = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    network = Network(nothing, switches, {})
    run = Run(nothing, nothing, network, tmp_path, tmp_path, lambda _line: None, Event())
    run.refuse_without_switches()
    network.end()
    with pytest.raises(LabError, match=r"^the switches failed at the end of the run: OSError: .*No space left"):
        run.refuse_failed_switches()
