"""`watch --attach` and a real sensor: root starts it, it becomes nobody, and others look at it."""

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.alerts.reading import NativeLine
from sensor.attach.client import Attachment
from sensor.errors import CaptureError
from tests.support.attached import looking
from tests.support.namespaces import SCANNER, SERVER, inside
from tests.support.sensors import Watch, lines_of, watching
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.ux]

GROUP = 2345


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the socket is made: a directory that everybody may look into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name) / "looked-at"


def scan(namespace: str, first: int = 1000) -> None:
    with inside(namespace):
        for port in range(first, first + 400):
            with socket.socket() as knocking:
                knocking.connect_ex((SERVER, port))
            time.sleep(0.002)


def seen_by(group: int, place: Path) -> int:
    """What somebody in this group alone finds: 0 for an alert, else the exit code of the refusal."""
    child = os.fork()
    if not child:
        os.setgroups([group])
        os.setresgid(5678, 5678, 5678)
        os.setresuid(5678, 5678, 5678)
        try:
            with Attachment(place) as attachment:
                os._exit(
                    0
                    if any(isinstance(one, NativeLine) and one.kind == "alert" for one in attachment.messages())
                    else 1
                )
        except CaptureError as error:
            os._exit(error.exit_code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def attached(place: Path) -> tuple[str, ...]:
    return "--set", f"attach.socket={place}", "--set", f"attach.group={GROUP}"


def is_connected(place: Path) -> bool:
    """Whether a client here has come through: sockets are of the client's network, but for the one that listens."""
    return place.name in Path("/proc/net/unix").read_text()


def wait_for_alerts(watch: Watch, number: int) -> None:
    deadline = time.monotonic() + 20
    while len(watch.records("alert")) < number:
        assert time.monotonic() < deadline, watch.told()
        time.sleep(0.05)


def test_the_group_sees_the_alerts_and_others_are_refused(cable: tuple[str, str], tmp_path: Path, place: Path) -> None:
    left, right = cable
    with watching(right, tmp_path, *attached(place), write=False) as watch:
        scan(left)
        wait_for_alerts(watch, 1)
        assert seen_by(GROUP, place) == 0
        assert seen_by(GROUP + 1, place) == 5
        assert watch.stop().code == 0


def test_a_client_that_stands_still_costs_the_sensor_and_its_outputs_nothing(
    cable: tuple[str, str], tmp_path: Path, place: Path
) -> None:
    left, right = cable
    with watching(right, tmp_path, *attached(place), write=False) as watch, looking(place) as client:
        assert client.stdout is not None
        wait_until(lambda: is_connected(place))
        client.send_signal(signal.SIGSTOP)
        scan(left)
        wait_for_alerts(watch, 2)
        client.send_signal(signal.SIGCONT)
        result = watch.stop()
        lines, _ = client.communicate(timeout=20)
    assert result.code == 0
    assert "dropped: 0" in result.stderr[0]
    assert result.stdout == watch.alerts.read_bytes()
    assert lines == result.stdout  # it was there from the start, and what waited for it was not too much
    assert client.returncode == 0


def test_a_sensor_that_was_killed_is_exit_code_5_and_the_next_takes_its_place(
    cable: tuple[str, str], tmp_path: Path, place: Path
) -> None:
    left, right = cable
    with watching(right, tmp_path, *attached(place), write=False) as watch, looking(place) as client:
        assert client.stdout is not None
        wait_until(lambda: is_connected(place))
        watch.tell(signal.SIGUSR1)
        assert client.stdout.readline()  # an account: it is looked at
        watch.tell(signal.SIGKILL)
        _, told = client.communicate(timeout=20)
    assert client.returncode == 5, told
    assert b"the sensor has gone without a word" in told
    assert place.is_socket()
    with watching(right, tmp_path, *attached(place), write=False) as watch:
        scan(left)
        wait_for_alerts(watch, 1)
        with Attachment(place) as attachment:
            alert = next(one for one in attachment.messages() if isinstance(one, NativeLine) and one.kind == "alert")
        assert json.loads(alert.line)["source"]["ip"] == SCANNER
        assert lines_of(watch.told() + b"\n", "alert")[0] == alert.line.rstrip()
        watch.stop()
