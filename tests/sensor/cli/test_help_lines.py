"""The help of every command on a terminal of 80 columns: no line is wider, and no sentence is cut."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from sensor.cli import app

pytestmark = pytest.mark.ux

COLUMNS = 80


def helps(command: Any, parent: Any, path: str) -> Iterator[tuple[str, str]]:
    """The full name and the help of a command and of all below it."""
    context = command.make_context(path.rpartition(" ")[2], [], parent=parent, resilient_parsing=True)
    context.terminal_width = COLUMNS - 2  # as the library has it on such a terminal
    yield path, command.get_help(context)
    for name, below in getattr(command, "commands", {}).items():
        yield from helps(below, context, f"{path} {name}")


HELPS = dict(helps(typer.main.get_command(app), None, "flowvigil"))


@pytest.mark.parametrize("path", list(HELPS))
def test_no_line_of_a_help_is_wider_than_80_columns_and_no_sentence_is_cut(path: str) -> None:
    usage, *parts = HELPS[path].split("\n\n")
    assert usage.startswith("Usage: ")
    lines = [line for part in parts for line in part.splitlines()]
    assert [line for line in lines if len(line) > COLUMNS or line.endswith("...")] == []


@pytest.mark.parametrize("path", list(HELPS))
def test_no_help_speaks_of_types_of_a_programming_language(path: str) -> None:
    assert HELPS[path].isascii()  # for any terminal
    assert not re.search(r"<(str|int|float|path|Path|bool|list|dir)", HELPS[path])


def test_all_commands_are_looked_at() -> None:
    assert {"flowvigil", "flowvigil watch", "flowvigil alerts search", "flowvigil lab run"} <= set(HELPS)
