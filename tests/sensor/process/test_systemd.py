"""What the service manager hears, on real sockets, and when; and that nobody waits for one that does not listen."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

if sys.platform == "win32":
    pytest.skip("needs sockets with names", allow_module_level=True)

from sensor.process.systemd import Watchdog, notify

WATCHED_US = "30000000"
LIMIT = 10_000  # more datagrams than any queue takes


@pytest.fixture(autouse=True)
def no_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Hears what the service says; never waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield receiver


@pytest.fixture
def in_time() -> Iterator[None]:
    """Whoever waits for the manager fails after some seconds."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("still waiting for the manager")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(5)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def short(value: object) -> str:
    """Name of a case."""
    return ascii(value)[:16]


def heard(receiver: socket.socket) -> list[str]:
    """All datagrams that have come, as text."""
    messages = []
    try:
        while True:
            messages.append(receiver.recv(4096).decode())
    except BlockingIOError:
        return messages


def test_all_lines_reach_the_manager_as_one_message(manager: socket.socket) -> None:
    assert notify("READY=1", "STATUS=watching eth0, wlan-ö")
    assert heard(manager) == ["READY=1\nSTATUS=watching eth0, wlan-ö"]


def test_what_is_no_unicode_is_told_with_marks_in_its_place(manager: socket.socket) -> None:
    assert notify("STATUS=watching eth\udcff0")
    assert heard(manager) == ["STATUS=watching eth?0"]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
def test_an_abstract_name_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"flowvigil-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert notify("READY=1")
        assert heard(receiver) == ["READY=1"]


def test_without_a_manager_nothing_is_told() -> None:
    assert not notify("READY=1")


@pytest.mark.parametrize(
    "name", ["", "@", "/", "/dev/null", "vsock:2:9999", "/nowhere/notify", "/" + "n" * 5000, "/\udcff"], ids=short
)
def test_a_name_at_which_nobody_listens_costs_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert not notify("READY=1")


def test_a_name_beside_the_working_directory_is_not_taken(
    manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", "notify")
    assert not notify("READY=1")
    assert heard(manager) == []


def test_a_manager_that_has_ended_costs_nothing(manager: socket.socket) -> None:
    manager.close()
    assert not notify("READY=1")


@pytest.mark.usefixtures("in_time")
def test_a_manager_that_does_not_read_is_not_waited_for(manager: socket.socket) -> None:
    told = 0
    while notify("WATCHDOG=1"):
        told += 1
        assert told < LIMIT
    assert heard(manager) == ["WATCHDOG=1"] * told
    assert notify("WATCHDOG=1")


def test_a_worker_says_nothing_in_the_name_of_the_main_process(manager: socket.socket) -> None:
    child = os.fork()
    if child == 0:
        os._exit(1 if notify("READY=1") else 0)
    _, code = os.waitpid(child, 0)
    assert code == 0
    assert notify("STOPPING=1")
    assert heard(manager) == ["STOPPING=1"]


def feedings(receiver: socket.socket, seconds: int) -> int:
    """How often the manager is told in so many seconds of a clock of our own, with ten turns in each."""
    now_s = 100.0
    watchdog = Watchdog(lambda: now_s)
    total = 0
    for turn in range(10 * seconds):
        now_s = 100.0 + turn / 10
        watchdog.feed()
        total += heard(receiver).count("WATCHDOG=1")
    return total


def test_the_watchdog_is_fed_three_times_in_its_time(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", WATCHED_US)
    assert feedings(manager, 30) == 3
    assert feedings(manager, 300) == 30


def test_the_watchdog_is_fed_at_once_and_then_when_it_is_time(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", WATCHED_US)
    times = iter([5.0, 5.0, 5.0, 14.9, 15.0, 24.9, 90.0, 99.9, 100.0])
    watchdog = Watchdog(lambda: next(times))
    told = []
    for _ in range(8):
        watchdog.feed()
        told.append(len(heard(manager)))
    assert told == [1, 0, 0, 1, 0, 1, 0, 1]


@pytest.mark.usefixtures("in_time")
def test_a_feeding_that_was_not_taken_is_repeated_at_the_next_turn(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", WATCHED_US)
    watchdog = Watchdog(lambda: 5.0)
    for _ in range(LIMIT):
        if not notify("STATUS=busy"):
            break
    watchdog.feed()
    assert "WATCHDOG=1" not in heard(manager)
    watchdog.feed()
    assert heard(manager) == ["WATCHDOG=1"]


@pytest.mark.parametrize("pid", [str(os.getppid()), "1", "", "me"], ids=("parent", "init", "none", "word"))
def test_the_watchdog_of_another_process_is_left_to_it(
    pid: str, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", WATCHED_US)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert feedings(manager, 30) == 0


def test_the_watchdog_that_names_this_process_is_fed(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", WATCHED_US)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert feedings(manager, 30) == 3


@pytest.mark.parametrize(
    "interval", ["", "0", "-1", "+5", " 5", "abc", "1e6", "1.5", "٣", "9" * 20, "9" * 5000], ids=short
)
def test_an_interval_that_is_none_feeds_nothing(
    interval: str, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", interval)
    assert feedings(manager, 30) == 0


def test_without_an_interval_there_is_no_watchdog(manager: socket.socket) -> None:
    assert feedings(manager, 30) == 0


def test_the_longest_interval_is_fed_once(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "9" * 19)
    assert feedings(manager, 30) == 1
