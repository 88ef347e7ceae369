"""Commands whose reader takes nothing, as a pager that shows its first page: an interrupt ends them in order."""

import array
import fcntl
import os
import signal
import subprocess
import termios
from pathlib import Path
from typing import Final

import pytest

from sensor.alerts.alert_record import alert_line
from sensor.errors import INTERRUPTED, OUTPUT
from tests.support.alerts import an_alert
from tests.support.command import DEMO, PIPES, launched
from tests.support.waiting import wait_until

FULL: Final = 30_000  # bytes in a pipe of 64 KiB, whose pages need not be full, that takes no more in a moment


def waiting(descriptor: int) -> int:
    """Bytes in a pipe that nobody has read."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def interrupted(process: "subprocess.Popen[bytes]", descriptor: int) -> tuple[int, str]:
    """Send a command SIGTERM once its pipe is full; its exit code, and what it said."""
    with process:
        try:
            wait_until(lambda: waiting(descriptor) >= FULL or process.poll() is not None, 60.0)
            process.send_signal(signal.SIGTERM)
            code = process.wait(20.0)
        finally:
            process.kill()
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert "Fatal" not in said
    assert "ignored" not in said
    assert "Traceback" not in said
    return code, said


@pytest.mark.real_start
def test_a_table_that_nobody_reads_is_given_up_at_an_interrupt() -> None:
    process = launched(("flows", DEMO), **PIPES)
    assert process.stdout is not None
    code, said = interrupted(process, process.stdout.fileno())
    assert code in (OUTPUT, INTERRUPTED), said


@pytest.mark.real_start
def test_lines_that_nobody_reads_are_given_up_at_an_interrupt(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.jsonl"
    alerts.write_bytes(b"".join(alert_line(an_alert(sequence=number)) for number in range(1, 201)))
    process = launched(("alerts", "convert", alerts), **PIPES)
    assert process.stdout is not None
    code, said = interrupted(process, process.stdout.fileno())
    assert (code, said) == (INTERRUPTED, "flowvigil: interrupted\n")


def test_a_table_in_a_pipe_that_nobody_reads_is_given_up_at_an_interrupt(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    reader = os.open(tmp_path / "t.csv", os.O_RDONLY | os.O_NONBLOCK)
    code, said = interrupted(launched(("flows", DEMO, "-o", tmp_path / "t.csv"), **PIPES), reader)
    assert code in (OUTPUT, INTERRUPTED), said
    os.close(reader)
