"""`flowvigil watch` on a terminal that takes nothing, or is closed: the sensor sees every packet all the same."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.controlling import ALTERNATE, BACK, Terminal, terminal
from tests.support.load import counted, replay, sessions
from tests.support.namespaces import SCANNER, SERVER, inside
from tests.support.sensors import Notified, Watch, notified

pytestmark = [pytest.mark.live, pytest.mark.ux]

STOP, REDRAW = b"\x13", b"\x0c"
PACKETS = 60_000
ENDING_S = 10.0  # within which it ends; it waits up to 3.5 s for its screen


@contextmanager
def watched(namespace: str, directory: Path) -> Iterator[tuple[Terminal, Watch]]:
    """The interactive view of a sensor that captures by now."""
    alerts = directory / "alerts"
    with notified() as ready, terminal(
        "watch", "-i", "fv1", "-o", alerts, "--set", "process.user=root", namespace=namespace, NOTIFY_SOCKET=ready.name
    ) as pty:  # fmt: skip
        wait_for_start(ready, pty)
        yield pty, Watch(pty.process, alerts, directory / "none")


def wait_for_start(ready: Notified, pty: Terminal) -> None:
    ready.wait("READY=1", pty.process)
    pty.wait_for(b"q quit")
    assert ALTERNATE in pty.shown


def scan(namespace: str) -> None:
    with inside(namespace):
        for port in range(1000, 1300):
            with socket.socket() as knocking:
                knocking.settimeout(0.2)
                knocking.connect_ex((SERVER, port))


def stop(pty: Terminal) -> None:
    pty.type(STOP)


def leave_unread(pty: Terminal) -> None:
    """What is drawn stays in the buffer of the terminal, until that is full."""
    pty.reads = False
    deadline = time.monotonic() + 20
    while not pty.takes_nothing():
        pty.type(REDRAW)
        time.sleep(0.005)
        assert time.monotonic() < deadline


@pytest.mark.parametrize("hold", [stop, leave_unread])
def test_a_terminal_that_takes_nothing_costs_the_sensor_nothing(
    hold: Callable[[Terminal], None], cable: tuple[str, str], tmp_path: Path
) -> None:
    left, right = cable
    capture = sessions(tmp_path / "sessions.pcap")
    with watched(right, tmp_path) as (pty, watch):
        hold(pty)
        time.sleep(1.2)  # two drawings
        assert pty.takes_nothing()
        drawn = len(pty.shown)
        with counted(right, "fv1") as seen:
            sent = replay(left, "fv0", capture, packets_per_s=20_000, packets=PACKETS)
            scan(left)
        watch.wait_for("alert", 10, action="opened")
        assert pty.takes_nothing()
        assert len(pty.shown) == drawn
        pty.process.send_signal(signal.SIGTERM)
        assert pty.end(ENDING_S) == (0, "")
        pty.reads = True
        assert pty.is_as_it_was()
    last = watch.records("stats")[-1]["flowvigil"]
    assert last["final"]
    assert last["received"] >= seen[0] >= sent
    assert last["dropped"] == last["difference"] == last["shed"] == 0
    assert SCANNER in {alert["source"]["ip"] for alert in watch.records("alert")}


def test_a_window_that_is_closed_ends_the_watch_in_order(cable: tuple[str, str], tmp_path: Path) -> None:
    left, right = cable
    with watched(right, tmp_path) as (pty, watch):
        scan(left)
        watch.wait_for("alert", 20, action="opened")
        pty.hang_up()
        assert pty.end() == (0, "")
    assert watch.records("alert")[-1]["event"]["action"] == "closed"
    assert watch.records("stats")[-1]["flowvigil"]["final"]


def test_sighup_in_a_terminal_that_is_there_reads_the_settings_again_and_q_ends(
    cable: tuple[str, str], tmp_path: Path
) -> None:
    with watched(cable[1], tmp_path) as (pty, watch):
        pty.process.send_signal(signal.SIGHUP)
        watch.wait_for("sensor", 10, action="reloaded")
        pty.wait_for(b"settings read again", 5)
        pty.type(b"q")
        pty.wait_for(b"End this watch?", 5)
        pty.type(b"q")
        assert pty.end() == (0, "")
        assert pty.is_as_it_was()
        assert b"received" in pty.shown[pty.shown.rfind(BACK) :]
