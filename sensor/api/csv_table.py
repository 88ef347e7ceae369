"""Parses CSV into the rows that a row format takes: the same names, numbers as numbers.

Published tables have columns that no model uses: unlike a request's they are left out, and named in a note.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from sensor.api.body import MAX_ROWS, check_count
from sensor.api.json_rows import JsonRow
from sensor.api.problems import ErrorDetail, Problem, unprocessable
from sensor.api.samples import RowFormat

MAX_CELL_CHARACTERS = 4096
MAX_COLUMNS = 512  # of a table, of which a model uses some
MAX_ROW_CHARACTERS = 65_536
MAX_BLANK_LINES = 1000


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A parsed table."""

    rows: list[JsonRow]  # one for each line but the header
    notes: tuple[str, ...]  # lines on what was left out


def parse_csv(content: bytes, row_format: RowFormat) -> CsvTable:
    """Parse a CSV in UTF-8, with a header unless the format allows tables without.

    Raises Problem 413 for too many or too long lines, 422 for anything that is no such table.
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
    """The lines that are not blank, as cells; read no further than a table of MAX_ROWS rows goes."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"line {number} is not UTF-8, expected CSV or a capture"
        ) from None
    lines: list[list[str]] = []
    blank, source = 0, _Lines(text)
    try:
        for line in csv.reader(source, strict=True):
            source.row_characters = 0
            if not any(cell.strip() for cell in line):
                blank += 1
            elif len(line) > MAX_COLUMNS:
                raise _too_much(f"a line of {len(line):,} cells, expected at most {MAX_COLUMNS}")
            else:
                lines.append(line)
            if blank > MAX_BLANK_LINES:
                raise _too_much(f"more than {MAX_BLANK_LINES:,} blank lines, expected rows")
            if len(lines) > MAX_ROWS + 1:  # with a header
                raise _too_much(f"more than {MAX_ROWS:,} rows, expected at most {MAX_ROWS:,} a request")
    except csv.Error as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the table is no CSV: {error}") from None
    if not lines:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the table is empty, expected CSV or a capture")
    return lines


class _Lines:
    """Lines with their ends, of which a row takes several where its cells have ends of lines in them."""

    def __init__(self, text: str) -> None:
        self._lines = enumerate(io.StringIO(text), start=1)
        self.row_characters = 0  # since it was last set to 0, which is at the end of a row

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next one. Raises Problem 413 where the row becomes a long one."""
        number, line = next(self._lines)
        self.row_characters += len(line)
        if self.row_characters > MAX_ROW_CHARACTERS:
            found = f"line {number}: a row of {self.row_characters:,} characters or more"
            raise _too_much(f"{found}, expected at most {MAX_ROW_CHARACTERS:,}")
        return line


def _too_much(detail: str) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


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
