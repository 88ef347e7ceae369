"""Delimited text as published flow tables have it: one row a line, commas, nothing quoted that needs quotes.

Cells stay text here, so that a bad one can be named with its line and column. Empty rows and header rows inside the
table, both known from published files, are left out and counted.
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.errors import DatasetError

if TYPE_CHECKING:
    import polars as pl

Values = NDArray[np.float64]  # (n,)

GZIP_MAGIC = b"\x1f\x8b"
# Two published files write the dash of "Web Attack – XSS" as Windows does, the rest is ASCII.
WINDOWS_DASH, DASH = b"\x96", "–".encode()


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of a file as text.

    names: of the columns, without blanks around them; a name may come twice. frame: (n, len(names)) text, columns "0",
    "1", ... line: (n,) int64, line of each row in the (unpacked) file, counted from 1. repairs: rows left out and other
    changes, by reason. sha256: of the file as it lies on disk.
    """

    path: Path
    names: tuple[str, ...]
    frame: "pl.DataFrame"
    line: NDArray[np.int64]
    repairs: dict[str, int]
    sha256: str

    def __len__(self) -> int:
        return len(self.line)

    def text(self, name: str) -> "pl.Series":
        """Cells of a column, without blanks around them. Raises ValueError for a name that the header does not have."""
        return self.frame[str(self.names.index(name))].str.strip_chars()

    def numbers(self, name: str, *, infinite: bool = False) -> Values:
        """A column as float64; infinite allows NaN and Infinity. Raises DatasetError with the line of another cell."""
        import polars as pl

        text = self.text(name)
        numbers = text.cast(pl.Float64, strict=False)
        bad = numbers.is_null() | (False if infinite else ~numbers.is_finite().fill_null(False))
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise self.error(f"{text[row]!r} is not a finite number", row, name)
        return numbers.to_numpy().astype(np.float64)

    def error(self, problem: str, row: int, name: str) -> DatasetError:
        """What is wrong with one cell, with its place."""
        return DatasetError(self.path, problem, line=int(self.line[row]), column=name)


def read_text_table(path: Path) -> TextTable:
    """A CSV or CSV.gz as text. Raises DatasetError for what is no such table."""
    import polars as pl
    from polars.exceptions import PolarsError

    stored = _bytes_of(path)
    repairs: dict[str, int] = {}
    content = _utf8(path, _unpacked(path, stored), repairs)
    head, _, body = content.partition(b"\n")
    names = tuple(name.strip() for name in head.decode().split(","))
    first_row = body.partition(b"\n")[0]
    if not first_row.strip():
        raise DatasetError(path, "has a header and no rows after it", line=1)
    width = first_row.count(b",") + 1
    if width not in (len(names), len(names) + 1):
        raise DatasetError(path, f"{width} fields, the header has {len(names)}", line=2)
    schema = {str(i): pl.String for i in range(width)}
    try:
        frame = pl.read_csv(body, has_header=False, schema=schema, infer_schema=False, quote_char=None).fill_null("")
    except PolarsError as error:
        _refuse_long_line(path, body, width)
        raise DatasetError(path, f"is not a CSV table ({str(error).splitlines()[0]})") from error
    line = np.arange(2, len(frame) + 2)
    return _without_stray_rows(TextTable(path, names, frame, line, repairs, hashlib.sha256(stored).hexdigest()))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror}); expected a CSV or CSV.gz of flows") from error


def _unpacked(path: Path, stored: bytes) -> bytes:
    if not stored.startswith(GZIP_MAGIC):
        return stored
    try:
        return gzip.decompress(stored)
    except (EOFError, zlib.error, OSError) as error:
        lines = zlib.decompressobj(wbits=31)
        try:
            good = lines.decompress(stored)
        except zlib.error:
            good = b""
        line = good.count(b"\n")
        raise DatasetError(path, f"compressed data ends or breaks after this line ({error})", line=line) from error


def _utf8(path: Path, content: bytes, repairs: dict[str, int]) -> bytes:
    """The text with bare line ends and no mark or quotes; quotes guard nothing here, and an open one swallows lines."""
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b'"', b"")
    try:
        content.decode()
    except UnicodeDecodeError:
        repaired = content.replace(WINDOWS_DASH, DASH)
        try:
            repaired.decode()
        except UnicodeDecodeError as error:
            line = repaired.count(b"\n", 0, error.start) + 1
            problem = f"not UTF-8 in this line (byte {repaired[error.start]:#04x})"
            raise DatasetError(path, problem, line=line) from error
        repairs["dashes of Windows-1252 -> UTF-8"] = content.count(WINDOWS_DASH)
        return repaired
    return content


def _refuse_long_line(path: Path, body: bytes, width: int) -> None:
    for line, row in enumerate(body.split(b"\n"), start=2):
        if row.count(b",") >= width:
            raise DatasetError(path, f"{row.count(b',') + 1} fields, the header has {width}", line=line)


def _without_stray_rows(table: TextTable) -> TextTable:
    import polars as pl

    empty = table.frame.select(pl.all_horizontal(pl.all().str.strip_chars() == "")).to_series().to_numpy()
    suspects = table.frame["0"].str.strip_chars() == table.names[0]
    doubled = np.zeros(len(table), dtype=np.bool_)
    for row in np.flatnonzero(suspects.to_numpy()):
        doubled[row] = tuple(cell.strip() for cell in table.frame.row(int(row)))[: len(table.names)] == table.names
    for rows, reason in ((empty, "empty rows, left out"), (doubled, "header rows inside the table, left out")):
        if rows.any():
            table.repairs[reason] = int(rows.sum())
    kept = ~(empty | doubled)
    if not kept.any():
        raise DatasetError(table.path, "has a header and no rows", line=1)
    if kept.all():
        return table
    frame = table.frame.filter(pl.Series(kept))
    return TextTable(table.path, table.names, frame, table.line[kept], table.repairs, table.sha256)
