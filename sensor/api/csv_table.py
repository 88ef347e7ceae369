"""Parses CSV into the rows that a row format takes: the same names, numbers as numbers.

Published tables have columns that no model uses: unlike a request's they are left out, and named in a note.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from sensor.api.body import check_count
from sensor.api.json_rows import JsonRow
from sensor.api.problems import ErrorDetail, Problem, unprocessable
from sensor.api.samples import RowFormat

MAX_CELL_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A parsed table."""

    rows: list[JsonRow]  # one for each line but the header
    notes: tuple[str, ...]  # lines on what was left out


def parse_csv(content: bytes, row_format: RowFormat) -> CsvTable:
    """Parse a CSV in UTF-8, with a header unless the format allows tables without.

    Raises Problem 413 for too many lines, 422 for anything that is no such table.
    """
    lines = _parse_lines(content)
    first = [name.strip() for name in lines[0]]
    header, has_header = row_format.table_columns(first)
    body, number = (lines[1:], 2) if has_header else (lines, 1)
    check_count(len(body))
    used = [i for i, name in enumerate(header) if name in row_format.column_names and name not in header[:i]]
    unused = [name for i, name in enumerate(header) if i not in used]
    notes = (f"columns left out: {', '.join(unused)}",) if unused else ()
    cells = [(i, header[i], header[i] in row_format.text_columns) for i in used]
    return CsvTable([_parse_row(line, len(header), cells, number + i) for i, line in enumerate(body)], notes)


def _parse_lines(content: bytes) -> list[list[str]]:
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


def _parse_row(line: Sequence[str], width: int, cells: Sequence[tuple[int, str, bool]], number: int) -> JsonRow:
    """cells: of the columns to use, their place, name and whether they are text. number: the line's, from 1."""
    if len(line) != width:
        _raise_at(f"{len(line)} cells, the header has {width}", number, None)
    row: JsonRow = {}
    for i, name, is_text in cells:
        row[name] = line[i].strip() if is_text else _parse_number(line[i], number, name)
    return row


def _parse_number(cell: str, line: int, name: str) -> Any:
    if len(cell) > MAX_CELL_CHARACTERS:
        _raise_at("a cell too long for a number", line, name)
    try:
        return float(cell)
    except ValueError:
        _raise_at(f"{cell!r:.60}, expected a number", line, name)


def _raise_at(detail: str, line: int, name: str | None) -> NoReturn:
    raise unprocessable([ErrorDetail(f"line {line}: {detail}", column=name)], "the table cannot be used")
