"""`flowvigil watch` on a cable between two namespaces: what it tells live is what `read` tells of the kept packets."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.command import Result, flowvigil
from tests.support.namespaces import inside, ip
from tests.support.sensors import Watch, lines_of, watching

pytestmark = pytest.mark.live

SCANNER, CLIENT, SERVER = "10.99.0.1", "10.99.0.3", "10.99.0.2"
SCANNED_PORTS = range(1000, 1400)
WEB_PORT = 8080


@pytest.fixture
def cable(namespaces: tuple[str, str]) -> tuple[str, str]:
    """The two namespaces with addresses: the scanner and a client on the left, a server on the right."""
    left, right = namespaces
    for address in (SCANNER, CLIENT):
        ip("-n", left, "address", "add", f"{address}/24", "dev", "fv0")
    ip("-n", right, "address", "add", f"{SERVER}/24", "dev", "fv1")
    return left, right


def scan(namespace: str) -> None:
    """Knock at many ports of the server from one address, most of them closed."""
    with inside(namespace):
        for port in SCANNED_PORTS:
            with socket.socket() as knocking:
                knocking.bind((SCANNER, 0))
                knocking.connect_ex((SERVER, port))
            time.sleep(0.002)


@contextmanager
def web_server(namespace: str) -> Iterator[None]:
    """Answers requests on the server, a connection at a time, until closed."""
    with inside(namespace):
        listening = socket.create_server((SERVER, WEB_PORT), backlog=64)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while connection.recv(4096):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + bytes(9000))

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        server.join(5)


def browse(namespace: str, sessions: int) -> None:
    """HTTP-like sessions of a few requests with pauses, from the client's address."""
    for session in range(sessions):
        with inside(namespace), socket.socket() as connection:
            connection.bind((CLIENT, 0))
            connection.connect((SERVER, WEB_PORT))
            for _ in range(1 + session % 4):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n")
                received = 0
                while received < 9000:
                    received += len(connection.recv(65536))
                time.sleep(0.03)


def wait_for_alert_of(address: str, watch: Watch, seconds: float) -> None:
    """Fail when no alert names the address in time."""
    deadline = time.monotonic() + seconds
    while not any(alert["source"]["ip"] == address for alert in watch.records("alert")):
        assert time.monotonic() < deadline, watch.told()
        time.sleep(0.05)


def check_against_reading(result: Result, watch: Watch) -> None:
    """What was told live, on stdout and in the file, is what reading the kept packets tells; every packet is there."""
    assert result.code == 0, result
    assert len(result.stderr) == 1, result.stderr
    assert "dropped: 0" in result.stderr[0]
    again = flowvigil("read", watch.kept)
    assert again.code == 0
    assert result.stdout == watch.alerts.read_bytes()
    assert lines_of(result.stdout, "alert") == again.stdout.splitlines()
    last = watch.records("stats")[-1]["flowvigil"]
    assert last["final"]
    assert last["received"] == last["metered"] + sum(last["undecoded"].values())
    assert last["difference"] == last["waiting"] == last["dropped"] == 0


@pytest.mark.real_start
def test_a_port_scan_is_told_within_ten_seconds_and_read_again_the_same(cable: tuple[str, str], tmp_path: Path) -> None:
    left, right = cable
    with watching(right, tmp_path) as watch:
        scanner = threading.Thread(target=scan, args=(left,))
        scanner.start()
        wait_for_alert_of(SCANNER, watch, 10)
        scanner.join()
        result = watch.stop()
    check_against_reading(result, watch)
    assert {alert["source"]["ip"] for alert in watch.records("alert")} == {SCANNER}


def test_a_find_is_exit_code_10_at_the_end_and_the_log_is_json_when_asked_for(
    cable: tuple[str, str], tmp_path: Path
) -> None:
    left, right = cable
    with watching(right, tmp_path, "--fail-on", "attack", write=False, FLOWVIGIL_LOG_FORMAT="json") as watch:
        scan(left)
        wait_for_alert_of(SCANNER, watch, 10)
        result = watch.stop()
    assert result.code == 10
    last = json.loads(result.stderr[-1])
    assert last["message"] == "watch fv1 ended"
    assert last["flowvigil"]["alerts"]["attack"] >= 1


def test_a_scan_among_ordinary_sessions_and_a_long_silence_is_read_again_the_same(
    cable: tuple[str, str], tmp_path: Path
) -> None:
    left, right = cable
    with watching(right, tmp_path) as watch, web_server(right), ExitStack() as people:
        for _ in range(2):
            person = threading.Thread(target=browse, args=(left, 25))
            person.start()
            people.callback(person.join)
        time.sleep(1)
        scan(left)
        wait_for_alert_of(SCANNER, watch, 10)
        people.close()
        time.sleep(12)  # longer than it takes until an open flow is looked at
        result = watch.stop()
    check_against_reading(result, watch)
    assert SCANNER in {alert["source"]["ip"] for alert in watch.records("alert")}


def test_a_sensor_that_was_held_up_tells_the_same(cable: tuple[str, str], tmp_path: Path) -> None:
    left, right = cable
    with watching(right, tmp_path) as watch, web_server(right):
        for _ in range(4):
            browse(left, 2)
            os.killpg(watch.process.pid, signal.SIGSTOP)
            browse(left, 4)
            time.sleep(1.5)  # longer than the sensor waits for late packets
            os.killpg(watch.process.pid, signal.SIGCONT)
            time.sleep(0.3)
        scan(left)
        wait_for_alert_of(SCANNER, watch, 10)
        result = watch.stop()
    check_against_reading(result, watch)


def test_stopping_at_once_ends_well(cable: tuple[str, str], tmp_path: Path) -> None:
    with watching(cable[1], tmp_path) as watch:
        result = watch.stop()
    check_against_reading(result, watch)
    assert not watch.records("alert")
