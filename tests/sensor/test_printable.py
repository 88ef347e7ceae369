"""Text on its way to a terminal: nothing that it would obey, and JSON stays the JSON that it was."""

import json
import os
import pty
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from sensor.outputs.lines import LinesTransport
from sensor.printable import terminal_safe, terminal_safe_line


@given(st.text())
def test_json_for_a_terminal_is_the_same_json_without_orders(text: str) -> None:
    line = json.dumps({text: [text]}, ensure_ascii=False)
    safe = terminal_safe(line)
    assert json.loads(safe) == {text: [text]}
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") for character in safe)


def test_printable_text_of_any_language_line_ends_and_tabs_stay() -> None:
    text = "größer 漢字 עברית\t→\n"
    assert terminal_safe(text) == text
    assert terminal_safe("\x9b31m\u202e\x7f\U000e0041") == "\\u009b31m\\u202e\\u007f\\udb40\\udc41"
    assert terminal_safe_line(b"\x9b31m\n") == b"\\udc9b31m\n"


def test_lines_to_a_terminal_are_escaped_and_those_to_a_pipe_are_not() -> None:
    leader, terminal = pty.openpty()
    out, into = os.pipe()
    line = '{"a": "\x9b\u202e"}\n'.encode()
    for descriptor, reader, expected in (
        (terminal, leader, b'{"a": "\\u009b\\u202e"}\r\n'),
        (into, out, line),
    ):
        transport = LinesTransport(lambda opened=descriptor: os.dup(opened))  # type: ignore[misc]
        transport.connect()
        transport.offer([line])
        transport.flush(1.0)
        assert os.read(reader, 1000) == expected
        transport.finish(1.0)
    for descriptor in (leader, terminal, out, into):
        os.close(descriptor)
