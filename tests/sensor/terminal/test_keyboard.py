"""Keys of a terminal, and the terminal as it was afterwards: on a real pseudo-terminal."""

import os
import pty
import termios
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.terminal.keyboard import Keyboard, is_foreground_terminal, keys_of, unfinished

pytestmark = pytest.mark.ux


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The user's end and the program's end."""
    control, end = pty.openpty()
    yield control, end
    os.close(control)
    os.close(end)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("jq/", ["j", "q", "/"]),
        ("\x1b[A\x1bOB\x1b[5~\x1b[6~", ["up", "down", "page up", "page down"]),
        ("\r\x7f\x15\x0c", ["enter", "backspace", "clear", "redraw"]),
        ("\x1b", ["escape"]),
        ("\x1bq", ["escape", "q"]),
        ("\x1b[1;5Cx\x1b[200~", ["x"]),
        ("é流\x00\x07", ["é", "流"]),
    ],
)
def test_bytes_become_names_of_keys(text: str, keys: list[str]) -> None:
    assert keys_of(text) == keys


@pytest.mark.parametrize(
    ("text", "rest"),
    [("\x1b", True), ("a\x1b[", True), ("\x1b[1;5", True), ("\x1b[A", False), ("a", False), ("", False)],
)
def test_a_sequence_that_has_not_ended_is_known(text: str, rest: bool) -> None:
    assert unfinished(text) is rest


@given(st.text(max_size=60))
def test_any_text_becomes_printable_letters_and_known_names(text: str) -> None:
    assert all(len(key) > 1 or key.isprintable() for key in keys_of(text))


def test_keys_come_one_at_a_time_and_unseen_and_the_terminal_is_as_it_was(terminal: tuple[int, int]) -> None:
    control, end = terminal
    before = termios.tcgetattr(end)
    with Keyboard(end) as keyboard:
        os.write(control, b"j")
        assert keyboard.keys(5.0) == ["j"]
        during = termios.tcgetattr(end)
        assert not during[3] & (termios.ICANON | termios.ECHO)
        assert during[3] & termios.ISIG
    assert termios.tcgetattr(end) == before


def test_a_key_in_two_parts_is_one_key(terminal: tuple[int, int]) -> None:
    control, end = terminal
    with Keyboard(end) as keyboard:
        os.write(control, b"\x1b[")
        threading.Timer(0.01, os.write, (control, b"B")).start()
        assert keyboard.keys(5.0) == ["down"]


def test_the_terminal_is_given_back_when_the_run_fails_though_it_takes_nothing(terminal: tuple[int, int]) -> None:
    _, end = terminal
    before = termios.tcgetattr(end)
    termios.tcflow(end, termios.TCOOFF)
    start = time.monotonic()

    def fail() -> None:
        with Keyboard(end):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert time.monotonic() - start < 5
    assert termios.tcgetattr(end) == before


def test_the_wait_for_a_key_can_be_ended(terminal: tuple[int, int]) -> None:
    with Keyboard(terminal[1]) as keyboard:
        keyboard.wake()
        start = time.monotonic()
        assert keyboard.keys(20.0) == []
        assert keyboard.keys(0.05) == []
        assert time.monotonic() - start < 10


def test_a_terminal_that_has_gone_is_no_reason_to_run_in_circles() -> None:
    control, end = pty.openpty()
    with Keyboard(end) as keyboard:
        os.close(control)
        assert keyboard.keys(5.0) == []
        assert keyboard.gone
        start = time.monotonic()
        assert keyboard.keys(0.2) == []
        assert time.monotonic() - start > 0.15
    os.close(end)


def test_only_the_controlling_terminal_of_the_foreground_gives_keys(terminal: tuple[int, int]) -> None:
    assert not is_foreground_terminal(terminal[1])  # somebody's, but not this process's
    reader, writer = os.pipe()
    assert not is_foreground_terminal(reader)
    os.close(reader)
    os.close(writer)
