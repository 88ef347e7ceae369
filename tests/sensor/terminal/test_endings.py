"""However the interactive view is left, by keys, signals or a closed window, the terminal is as it was before.

Also when it was stopped with Ctrl-S, or nobody reads it: whoever works must neither wait for it nor leave its screen.
"""

import gzip
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.command import DEMO, flowvigil
from tests.support.controlling import ALTERNATE, BACK, Terminal, terminal

pytestmark = [pytest.mark.ux, pytest.mark.takes(25)]

STOP, CTRL_C = b"\x13", b"\x03"
ENDING_S = 10.0  # within which a run ends; it waits up to 3.5 s for its screen


def half_a_capture(path: Path) -> Path:
    """A pipe with the first half of the demo's capture, held open until the reader goes."""
    os.mkfifo(path)
    content = gzip.decompress(DEMO.read_bytes())[:2_000_000]

    def feed() -> None:
        with path.open("wb") as pipe, suppress(BrokenPipeError):
            pipe.write(content)
            pipe.flush()
            time.sleep(30)

    threading.Thread(target=feed, daemon=True).start()
    return path


def stopped(pty: Terminal) -> None:
    """Stop it with Ctrl-S, with a drawing on its way."""
    pty.type(STOP)
    time.sleep(0.1)
    pty.type(b"s")
    deadline = time.monotonic() + 20
    while not pty.takes_nothing():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)  # for the drawing to have begun


def by(number: int) -> Callable[[Terminal], None]:
    return lambda pty: pty.process.send_signal(number)


def keys(typed: bytes) -> Callable[[Terminal], None]:
    return lambda pty: pty.type(typed)


def after_ctrl_s(number: int) -> Callable[[Terminal], None]:
    def leave(pty: Terminal) -> None:
        stopped(pty)
        pty.process.send_signal(number)

    return leave


WAYS = {
    "q": keys(b"q"),
    "Ctrl-C": keys(CTRL_C),
    "SIGTERM": by(signal.SIGTERM),
    "SIGHUP": by(signal.SIGHUP),
    "Ctrl-S and SIGTERM": after_ctrl_s(signal.SIGTERM),
}


@pytest.mark.parametrize("leave", WAYS.values(), ids=list(WAYS))
def test_the_terminal_is_as_it_was_however_a_capture_at_its_end_is_left(leave: Callable[[Terminal], None]) -> None:
    with terminal("read", DEMO) as pty:
        pty.wait_for(b"at its end")
        leave(pty)
        assert pty.end(ENDING_S) == (0, "")
        assert pty.is_as_it_was()
        assert b"32,858 packets" in pty.shown[pty.shown.rfind(BACK) :]


@pytest.mark.parametrize("way", ["q", "SIGHUP", "Ctrl-S and SIGTERM"])
def test_the_terminal_is_as_it_was_when_a_run_is_ended_on_its_way(way: str, tmp_path: Path) -> None:
    alerts = tmp_path / "alerts"
    with terminal("read", half_a_capture(tmp_path / "pipe"), "-o", alerts) as pty:
        pty.wait_for(b" attack, 0 uncertain")
        WAYS[way](pty)
        assert pty.end(ENDING_S) == (130, "")
        assert pty.is_as_it_was()
        assert b"stopped by the user" in pty.shown[pty.shown.rfind(BACK) :]
    assert b'"action":"closed"' in alerts.read_bytes()  # in order: open alerts were closed


def test_a_window_that_is_closed_ends_the_run_in_order(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts"
    with terminal("read", half_a_capture(tmp_path / "pipe"), "-o", alerts) as pty:
        pty.wait_for(b" attack, 0 uncertain")
        pty.hang_up()
        assert pty.end() == (130, "")
    assert b'"action":"closed"' in alerts.read_bytes()
    with terminal("read", DEMO) as pty:
        pty.wait_for(b"at its end")
        pty.hang_up()
        assert pty.end() == (0, "")


@pytest.mark.real_start
def test_a_key_pressed_before_the_run_has_begun_ends_it_in_order(tmp_path: Path) -> None:
    with terminal("read", half_a_capture(tmp_path / "pipe")) as pty:
        pty.type(b"q")
        assert pty.end() == (130, "")
        assert pty.is_as_it_was()
        assert ALTERNATE in pty.shown


@pytest.mark.real_start
def test_ctrl_c_at_any_time_of_the_start_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    seen = []
    for step in range(6):
        with terminal("read", half_a_capture(tmp_path / f"pipe{step}")) as pty:
            time.sleep(0.15 * (step + 1))
            pty.type(CTRL_C)
            assert pty.process.wait(20) in (130, -signal.SIGINT)  # the latter: before the command has begun
            assert pty.is_as_it_was()
            seen.append(ALTERNATE in pty.shown)
    assert seen[0] is False


def test_a_terminal_that_is_stopped_is_given_back_to_the_shell_all_the_same() -> None:
    with terminal("read", DEMO) as pty:
        pty.wait_for(b"at its end")
        stopped(pty)
        pty.process.send_signal(signal.SIGTSTP)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pty.process.pid}/stat").read_text().split()[2] != "T":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert pty.is_as_it_was()
        del pty.shown[:]
        pty.process.send_signal(signal.SIGCONT)
        pty.wait_for(b"at its end")
        pty.type(b"q")
        assert pty.end() == (0, "")
        assert pty.is_as_it_was()


@pytest.mark.parametrize("how", ["stopped with Ctrl-S", "read by nobody"])
def test_a_terminal_that_takes_nothing_costs_a_capture_none_of_its_alerts(how: str, tmp_path: Path) -> None:
    alerts, expected = tmp_path / "alerts", flowvigil("read", DEMO).stdout
    with terminal("read", DEMO, "-o", alerts, reads=how != "read by nobody") as pty:
        if how == "stopped with Ctrl-S":
            pty.type(STOP)
        else:
            # Fill what it holds back, as a long time would; by a file of our own, for only that shall not wait.
            filling = os.open(os.ttyname(pty.slave), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            for _ in range(20):  # what is full is passed on to where there is still room, a little later
                with suppress(BlockingIOError):
                    while True:
                        os.write(filling, b"x" * 4096)
                time.sleep(0.02)
            os.close(filling)
        assert pty.takes_nothing()
        deadline = time.monotonic() + 60
        while not alerts.exists() or alerts.read_bytes() != expected:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pty.process.send_signal(signal.SIGTERM)
        assert pty.end(ENDING_S)[1] == ""
        pty.reads = True
        assert pty.is_as_it_was()


def test_a_new_size_is_drawn_at_once_and_without_colours_where_they_are_not_wanted() -> None:
    with terminal("read", DEMO, NO_COLOR="1") as pty:
        pty.wait_for(b"at its end")
        del pty.shown[:]
        pty.resize(200, 60)
        pty.wait_for(b"\x1b[60;1H", 2)
        del pty.shown[:]
        pty.resize(30, 6)
        pty.wait_for(b"\x1b[6;1H", 2)
        assert not re.search(rb"\x1b\[(\d+;)*[349][0-7]m", pty.shown)
        pty.type(b"q")
        assert pty.end() == (0, "")
