"""CSV text as the rows that a record form takes: the same names, numbers as numbers.

Published tables have columns that no model wants: unlike a request's they are left out, and named in a note.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from sensor.api.body import check_count
from sensor.api.cells import Row
from sensor.api.problems import Flaw, Problem, unprocessable
from sensor.api.records import RecordForm

LONGEST_CELL = 4096


@dataclass(frozen=True, slots=True)
class Table:
    """rows: one a line. notes: lines that say what was left out."""

    rows: list[Row]
    notes: tuple[str, ...]


def rows_of_csv(content: bytes, form: RecordForm) -> Table:
    """Rows of a CSV in UTF-8, with a header unless the form can do without. Raises Problem."""
    lines = _lines(content)
    first = [name.strip() for name in lines[0]]
    header, has_header = form.columns(first)
    body, number = (lines[1:], 2) if has_header else (lines, 1)
    check_count(len(body))
    kept = [i for i, name in enumerate(header) if name in form.names and name not in header[:i]]
    left = [name for i, name in enumerate(header) if i not in kept]
    notes = (f"columns left out: {', '.join(left)}",) if left else ()
    plan = [(i, header[i], header[i] in form.texts) for i in kept]
    return Table([_row(line, len(header), plan, number + i) for i, line in enumerate(body)], notes)


def _lines(content: bytes) -> list[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"line {line} is not UTF-8, expected CSV or a capture") from None
    try:
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the table is no CSV: {error}") from None
    if not lines:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the table is empty, expected CSV or a capture")
    return lines


def _row(line: Sequence[str], width: int, plan: Sequence[tuple[int, str, bool]], number: int) -> Row:
    if len(line) != width:
        _refuse(f"{len(line)} cells, the header has {width}", number, None)
    made: Row = {}
    for i, name, is_text in plan:
        made[name] = line[i].strip() if is_text else _number(line[i], number, name)
    return made


def _number(cell: str, line: int, name: str) -> Any:
    if len(cell) > LONGEST_CELL:
        _refuse("a cell too long for a number", line, name)
    try:
        return float(cell)
    except ValueError:
        _refuse(f"{cell!r:.60}, expected a number", line, name)


def _refuse(detail: str, line: int, name: str | None) -> NoReturn:
    raise unprocessable([Flaw(f"line {line}: {detail}", column=name)], "the table cannot be used")
