"""Rows of alerts on stdout: words for people, in a terminal or where they are asked for, else lines of JSON."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensor.cli.alert_rows import Row
from sensor.cli.stdout import encoded, write_each
from sensor.printable import in_ascii, takes_unicode

if TYPE_CHECKING:
    from rich.text import Text

    from sensor.alerts.reading import Entry

NARROWEST: Final = 40  # cells that words are wrapped at, at least
_LABEL_CELLS: Final = 12  # of what stands before each part of a detail
_COURSE_CELLS: Final = 70  # of a line of the course of an alert, without its bar
_LABEL: Final = re.compile(r"[A-Z][a-z]+(?: [a-z]+)? +| +")
_OTHERS_NAMED: Final = 12  # sensors that tell of the same attack
_INDENT: Final = 4  # of what does not fit on the first line

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON lines, also in a terminal.")]
TextOption = Annotated[bool, typer.Option("--text", help="As words for people, also into a pipe such as less.")]
AllLinesOption = Annotated[
    bool, typer.Option("--all-lines", help="Every line of an alert, not its last alone: opened, updated, closed.")
]


class Form(Enum):
    """How rows are written."""

    JSON = "as they were written"
    TEXT = "words without colour"
    TERMINAL = "words for this terminal"


def form_of(*, json: bool, text: bool) -> Form:
    """How rows are written by the options and where stdout leads. Raises BadParameter for both options."""
    if json and text:
        raise typer.BadParameter("found it with --json, expected one of the two", param_hint="--text")
    if json or not (text or sys.stdout.isatty()):
        return Form.JSON
    return Form.TERMINAL if sys.stdout.isatty() else Form.TEXT


def show_rows(rows: Iterable[Row], form: Form, *, lines: bool) -> int:
    """Write rows as they come; returns how many. lines: whether a row is a line of an alert, not an alert."""
    counted = _Counted(rows)
    if form is Form.JSON:
        write_each(row.line for row in counted)
    elif form is Form.TEXT:
        width = text_width()
        write_each(encoded(line.plain for line in _words(row, width, lines=lines)) for row in counted)
    else:
        from rich.console import Console

        console = Console(highlight=False)
        for row in counted:
            for line in _words(row, console.width, lines=lines):
                console.print(line, soft_wrap=True)
    return counted.count


def text_width() -> int:
    """Cells that words are wrapped at: COLUMNS, or those of the terminal that stdout or else stderr or stdin is."""
    if not os.environ.get("COLUMNS", "").isdigit():
        for descriptor in (1, 2, 0):
            try:
                return max(NARROWEST, os.get_terminal_size(descriptor).columns)
            except OSError:
                continue
    return max(NARROWEST, shutil.get_terminal_size().columns)


def print_lines(lines: Iterable[str]) -> None:
    """Lines whose texts have been made printable, as they are."""
    write_each([encoded(lines)])


def wrapped_detail(entries: "Sequence[Entry]", width: int) -> list[str]:
    """All about one alert, what is too long for a line below its beginning; filters stay whole to be copied."""
    from sensor.cli.alert_text import BAR, detail
    from sensor.terminal.glyphs import wrapped

    drawn: list[str] = []
    for line in detail(entries, max(1, min(BAR, width - _COURSE_CELLS))):
        if len(line) <= width or line.startswith("Packets "):
            drawn.append(line)
            continue
        indent = _LABEL_CELLS if _LABEL.fullmatch(line[:_LABEL_CELLS]) else 0
        step = 3 if line[indent + 1 : indent + 3] == ". " else 0
        first, *rest = wrapped(line[indent:], width, indent, hanging=step)
        drawn += [line[:indent] + first.plain[indent:], *(each.plain for each in rest)]
    return drawn


class _Counted:
    """Rows that are counted as they are taken."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _words(row: Row, width: int, *, lines: bool) -> "list[Text]":
    from sensor.alerts.words import severity_word
    from sensor.cli.alert_text import line_in_words, row_in_words
    from sensor.terminal.glyphs import SEVERITY_STYLES, wrapped

    words = severity_word(row.alert.severity)
    told = line_in_words(row.alert) if lines else row_in_words(row.alert)
    if row.others:
        told += f"; also told by {', '.join(sensor for sensor, _, _ in row.others[:_OTHERS_NAMED])}"
        if len(row.others) > _OTHERS_NAMED:
            told += f" and {len(row.others) - _OTHERS_NAMED:,} more"
    if not takes_unicode(sys.stdout.encoding):
        told = in_ascii(told)
    drawn = wrapped(told, width, 0, hanging=_INDENT)
    drawn[0].highlight_words([words.upper()], SEVERITY_STYLES[words])
    return drawn
