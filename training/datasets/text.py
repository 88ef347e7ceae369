"""Flow tables as text, some rows at a time: CSV as published (nothing quoted that needs quotes) and Parquet.

Cells are text here, so that a bad one can be named with its line and column. Empty rows and header rows inside the
table, both known from published files, are left out and counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.manifest import MAX_NUMBER
from training.arrays import Values
from training.datasets.packed import first_bytes, line_blocks, unreadable
from training.errors import DatasetError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from pyarrow import parquet

Repairs = Counter[str]
# Cells of a first line in, names of the columns out.
Headless = Callable[[tuple[str, ...]], tuple[str, ...] | None]

PARQUET_MAGIC = b"PAR1"
PARQUET_ROWS = 16_384  # what our own files have in a row group
MAX_COLUMNS = 512
MAX_LINES = 65_536  # of a table: an empty line takes as much memory as a row
LEAST_ROWS, ROWS_A_BYTE = 100_000, 4  # that a Parquet file may have, for its size: repeated rows take next to nothing
PAGE_BYTES = 1 << 17  # read ahead of each column
LONGEST_ROW, TEXT_BYTES = 1 << 20, 64 << 20  # bytes of text: of a row, and of rows that come together
FIRST_DAY, LAST_DAY = -719_162, 2_932_896  # of the years 1 to 9999, since 1970
DAY_OF = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
FOOTER_BYTES, FOOTER_ENTRIES = 64 << 20, 1 << 20  # that a footer may ask for
HEADER_BYTES = 1 << 16  # that a file without rows has at most
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Two published files write the dash of "Web Attack – XSS" as Windows does, the rest is ASCII.
WINDOWS_DASH, DASH = b"\x96", "–".encode()
STRAY_ROWS = ("empty rows, left out", "header rows inside the table, left out")
SHOWN = 60  # characters of a cell in a message


@dataclass(frozen=True, slots=True)
class TextTable:
    """Some consecutive rows of a file as text."""

    path: Path
    names: tuple[str, ...]  # of the columns, without blanks around them; a name may come twice
    frame: "pl.DataFrame"  # (n, len(names)) text, columns "0", "1", …
    line: NDArray[np.int64]  # (n,) int64, line of each row in the (unpacked) file, counted from 1; in Parquet its row
    repairs: Repairs  # of the whole file so far, by reason; each table of the file counts on in it

    def __len__(self) -> int:
        return len(self.line)

    def text(self, name: str) -> "pl.Series":
        """Cells of a column, without blanks around them. Raises ValueError for a name that the header does not have."""
        return self.frame[str(self.names.index(name))].str.strip_chars()

    def numbers(self, names: Sequence[str], infinite: frozenset[str] = frozenset()) -> Values:
        """Columns as float64, (n, len(names)); those in infinite may hold NaN and Infinity.

        Raises DatasetError with line and column of the first other cell, column by column, and of one that is larger
        than any number of traffic.
        """
        import polars as pl

        places = [str(self.names.index(name)) for name in names]
        numbers = self.frame.select(pl.col(places).cast(pl.Float64, strict=False))
        if any(numbers.null_count().row(0)):
            numbers = self.frame.select(pl.col(places).str.strip_chars().cast(pl.Float64, strict=False))
        values = np.empty((len(self), len(names)))
        for i, (name, nulls) in enumerate(zip(names, numbers.null_count().row(0), strict=True)):
            column = numbers[places[i]]
            values[:, i] = column.to_numpy()
            if nulls or not (name in infinite or np.isfinite(values[:, i]).all()):
                bad = column.is_null() | (False if name in infinite else ~column.is_finite().fill_null(False))
                row = int(bad.arg_max() or 0)
                raise self.error(f"{shown(self.text(name)[row])} is not a finite number, expected one", row, name)
            large = np.isfinite(values[:, i]) & (np.abs(values[:, i]) > MAX_NUMBER)
            if large.any():
                row = int(np.argmax(large))
                expected = f"expected one within {MAX_NUMBER:g}"
                raise self.error(f"{shown(self.text(name)[row])} is no number of traffic, {expected}", row, name)
        return values

    def error(self, problem: str, row: int, name: str, detail: tuple[str, ...] = ()) -> DatasetError:
        """What is wrong with one cell, with its place. detail: lines to be shown below."""
        return DatasetError(self.path, problem, line=int(self.line[row]), column=name, detail=detail)


def shown(cell: str) -> str:
    """A cell quoted for a message, cut where it is long."""
    return repr(cell if len(cell) <= SHOWN else cell[:SHOWN] + "…")


def text_tables(
    path: Path, repairs: Repairs, headless: Headless | None = None, constants: Mapping[str, str] | None = None
) -> Iterator[TextTable]:
    """A CSV (plain or compressed) or Parquet file as tables of at most some ten thousand rows, in its order.

    headless: told a CSV's first line, names its columns where that line is a row; None where it is a header. constants:
    columns with one text in every row, by name, for want of such columns in the file. Raises DatasetError for what is
    no such table or has no rows.
    """
    is_parquet = first_bytes(path, 4) == PARQUET_MAGIC
    tables = _parquet_tables(path, repairs) if is_parquet else _csv_tables(path, repairs, headless)
    some = False
    for table in tables:
        kept = _with_constants(_without_stray_rows(table), constants or {})
        some = some or len(kept) > 0
        if len(kept):
            yield kept
    if not some:
        raise DatasetError(path, "has a header and no rows; expected flows below it", line=1)


def _with_constants(table: TextTable, constants: Mapping[str, str]) -> TextTable:
    """The table with a column for each name that it does not have."""
    import polars as pl

    lacking = {name: text for name, text in constants.items() if name not in table.names}
    if not lacking or table.frame.width != len(table.names):
        return table
    added = [pl.lit(text).alias(str(table.frame.width + i)) for i, text in enumerate(lacking.values())]
    return replace(table, names=(*table.names, *lacking), frame=table.frame.with_columns(added))


def has_no_rows(path: Path, headless: Headless | None = None) -> bool:
    """Whether a file is whole and has no row, as programs write for a part that nothing fell into.

    Such a part is Parquet, or a CSV with a header at most. headless: as of text_tables.
    """
    if first_bytes(path, 4) != PARQUET_MAGIC:
        return not path.name.endswith(".parquet") and _is_bare_header(path, headless)
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return bool(parquet.read_metadata(path).num_rows == 0)
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError):  # which its reader tells
        return False


def _is_bare_header(path: Path, headless: Headless | None) -> bool:
    """Whether a CSV has no line but a header of several columns, or no byte at all."""
    try:
        if path.stat().st_size > HEADER_BYTES:
            return False
        content = b"".join(islice(line_blocks(path), 2)).removeprefix(BYTE_ORDER_MARK)
        head, _, body = content.partition(b"\n")
        names = tuple(name.strip() for name in head.decode().split(","))
        named = len(names) > 1 and (headless is None or headless(names) is None)
    except (DatasetError, OSError, UnicodeDecodeError):  # which its reader tells
        return False
    return not content or (named and not body.strip())


def _csv_tables(path: Path, repairs: Repairs, headless: Headless | None) -> Iterator[TextTable]:
    blocks = line_blocks(path)
    first = next(blocks, b"")
    _refuse_other_text(path, first)
    head, _, body = _plain(path, first.removeprefix(BYTE_ORDER_MARK), 1, repairs).partition(b"\n")
    line = 2
    while not body.strip() and (more := next(blocks, b"")):
        line += body.count(b"\n")
        body = _plain(path, more, line, repairs)
    if not head.strip() and not body.strip():
        raise DatasetError(path, "is empty; expected a header and flows")
    _refuse_wide(path, head.count(b",") + 1, 1)
    names = tuple(name.strip() for name in head.decode().split(","))
    if headless is not None and (given := headless(names)) is not None:
        names, line, body = given, line - 1, head + b"\n" + body
    width = body.lstrip().partition(b"\n")[0].count(b",") + 1
    if body.strip() and width not in (len(names), len(names) + 1):
        line += body[: len(body) - len(body.lstrip())].count(b"\n")
        raise DatasetError(path, f"{width} fields, the header has {len(names)}", line=line)
    while body:
        for part in _parts(body):
            frame = _frame(path, part, width, line)
            yield TextTable(path, names, frame, np.arange(line, line + len(frame)), repairs)
            line += len(frame)
        body = _plain(path, next(blocks, b""), line, repairs)


def _parts(body: bytes) -> Iterator[bytes]:
    """The lines of a block, at most MAX_LINES at a time."""
    if body.count(b"\n") <= MAX_LINES:
        yield body
        return
    lines = body.removesuffix(b"\n").split(b"\n")
    for at in range(0, len(lines), MAX_LINES):
        yield b"\n".join(lines[at : at + MAX_LINES]) + b"\n"


def _refuse_wide(path: Path, columns: int, line: int) -> None:
    if columns > MAX_COLUMNS:
        raise DatasetError(path, f"{columns:,} columns; expected a table of at most {MAX_COLUMNS}", line=line)


def _refuse_other_text(path: Path, content: bytes) -> None:
    """Raise DatasetError for UTF-16, and for a first line that separates its fields by something else than commas."""
    if content.startswith(UTF_16_MARKS):
        problem = "is UTF-16; expected UTF-8, which iconv -f UTF-16 -t UTF-8 makes of it"
        raise DatasetError(path, problem, line=1)
    head = content.partition(b"\n")[0]
    for mark, name in ((b";", "semicolons"), (b"\t", "tabs")):
        if b"," not in head and head.count(mark) > 1:
            raise DatasetError(path, f"separates its fields by {name}; expected commas", line=1)


def _frame(path: Path, body: bytes, width: int, line: int) -> "pl.DataFrame":
    """Rows of text; line: of the first one. A short row is filled up with empty cells."""
    import polars as pl
    from polars.exceptions import PolarsError

    schema = {str(i): pl.String for i in range(width)}
    # Below a header of its own, a block may begin with an empty or a short row.
    table = ",".join(schema).encode() + b"\n" + body
    try:
        return pl.read_csv(table, schema=schema, infer_schema=False, quote_char=None).fill_null("")
    except PolarsError as error:
        for at, row in enumerate(body.split(b"\n"), start=line):
            if row.count(b",") >= width:
                raise DatasetError(path, f"{row.count(b',') + 1} fields, expected {width}", line=at) from error
        raise DatasetError(
            path, f"is not a CSV table ({str(error).splitlines()[0]}); expected one", line=line
        ) from error


def _plain(path: Path, content: bytes, line: int, repairs: Repairs) -> bytes:
    """UTF-8 with bare line ends and without quotes, which guard nothing here: an open one would swallow lines.

    line: of the first one.
    """
    content = content.replace(b"\r\n", b"\n").replace(b'"', b"")
    nul = content.find(b"\0")
    if nul >= 0:
        raise DatasetError(path, "a NUL byte in this line; expected text", line=line + content.count(b"\n", 0, nul))
    try:
        content.decode()
    except UnicodeDecodeError:
        repaired = content.replace(WINDOWS_DASH, DASH)
        try:
            repaired.decode()
        except UnicodeDecodeError as error:
            at = line + repaired.count(b"\n", 0, error.start)
            raise DatasetError(
                path, f"not UTF-8 (byte {repaired[error.start]:#04x}); expected text in UTF-8", line=at
            ) from error
        repairs["dashes of Windows-1252 -> UTF-8"] += content.count(WINDOWS_DASH)
        return repaired
    return content


def _parquet_tables(path: Path, repairs: Repairs) -> Iterator[TextTable]:
    import polars as pl
    import pyarrow as pa
    from polars.exceptions import PanicException, PolarsError
    from pyarrow import parquet

    row = 1
    try:
        # Pages are read as they come: a row group may be the whole file.
        limits = {
            "thrift_string_size_limit": FOOTER_BYTES, "thrift_container_size_limit": FOOTER_ENTRIES,
            "pre_buffer": False, "buffer_size": PAGE_BYTES,
        }  # fmt: skip
        with parquet.ParquetFile(path, **limits) as file:
            texts = _text_columns(path, file.schema_arrow)
        with parquet.ParquetFile(path, read_dictionary=texts, **limits) as file:
            at_once = _rows_at_once(path, file, texts)
        with parquet.ParquetFile(path, **limits) as file:
            _refuse_wide(path, len(file.schema_arrow.names), 1)
            size = path.stat().st_size
            if file.metadata.num_rows > LEAST_ROWS + ROWS_A_BYTE * size:
                raise DatasetError(path, f"says that it has {file.metadata.num_rows:,} rows in {size:,} bytes")
            stored = file.schema_arrow.names
            # A name that comes twice is numbered the second time.
            plain = (name[:-2] if name.endswith(".1") and name[:-2] in stored else name for name in stored)
            names = tuple(name.strip() for name in plain)
            for batch in file.iter_batches(at_once):
                batch.validate(full=True)  # texts that are no UTF-8, or not in their dictionary, end others in a panic
                typed = pl.DataFrame([pl.Series(str(i), column) for i, column in enumerate(batch.columns)])
                frame = typed.select(_as_text(name, kind) for name, kind in typed.schema.items()).fill_null("")
                yield TextTable(path, names, frame, np.arange(row, row + len(frame)), repairs)
                row += len(frame)
    # what the libraries raise for damage: names that are no text are a ValueError, a page an OSError without a number
    except (pa.ArrowException, PolarsError, PanicException, OSError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        why = (str(error).splitlines() or [type(error).__name__])[0]
        problem = f"is a broken Parquet file, or none of flows ({why}); expected a whole one"
        raise DatasetError(path, problem, line=row) from error


def _text_columns(path: Path, schema: "pa.Schema") -> list[str]:
    """Names of the columns of text. Raises DatasetError for one of what is neither number nor text nor time."""
    import pyarrow as pa

    is_of = pa.types
    texts = []
    for field in schema:
        kind = field.type.value_type if is_of.is_dictionary(field.type) else field.type
        if is_of.is_string(kind) or is_of.is_large_string(kind) or is_of.is_string_view(kind) or is_of.is_binary(kind):
            texts.append(field.name)
        elif (
            is_of.is_decimal256(kind)
            or is_of.is_duration(kind)
            or not (is_of.is_primitive(kind) or is_of.is_decimal(kind) or is_of.is_null(kind))
        ):
            problem = f"is of {kind!s:.60}; expected numbers, text or times"
            raise DatasetError(path, problem, column=field.name)
    return texts


def _rows_at_once(path: Path, file: "parquet.ParquetFile", texts: list[str]) -> int:
    """How many rows come together: fewer where texts are long, as one that repeats is stored once.

    file: that gives its texts as dictionaries, which come whole with the first row of a row group. Raises DatasetError
    for texts that no flow table has.
    """
    import pyarrow.compute as pc

    longest = 0
    for group in range(file.metadata.num_row_groups if texts else 0):
        for batch in islice(file.iter_batches(1, row_groups=[group], columns=texts), 1):
            words = (getattr(column, "dictionary", column) for column in batch.columns)  # plain of a second name
            longest = max(longest, sum(pc.max(pc.binary_length(own)).as_py() or 0 for own in words if len(own)))
    if longest > LONGEST_ROW:
        problem = f"has rows of up to {longest:,} bytes; expected a table of flows, of at most {LONGEST_ROW:,}"
        raise DatasetError(path, problem, line=1)
    return max(1, min(PARQUET_ROWS, TEXT_BYTES // max(longest, 1)))


def _as_text(name: str, kind: "pl.DataType") -> "pl.Expr":
    import polars as pl

    column = pl.col(name)
    if isinstance(kind, pl.Datetime | pl.Date):
        # The library ends with a panic at times that no calendar has; what they are instead is told as a number.
        number = column.to_physical().cast(pl.Int64)
        a_day = DAY_OF[kind.time_unit] if isinstance(kind, pl.Datetime) else 1
        first, last = max(FIRST_DAY * a_day, -(1 << 63)), min(LAST_DAY * a_day, (1 << 63) - 1)
        column = pl.when(number.is_between(first, last)).then(column).otherwise(None)
        if isinstance(kind, pl.Datetime):
            column = column.dt.convert_time_zone("UTC") if kind.time_zone else column
            column = column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        return column.cast(pl.String).fill_null(number.cast(pl.String))
    if kind.is_float():
        return column.cast(pl.String).str.strip_suffix(".0")  # as a part says it whose column is of whole numbers
    return column.cast(pl.String)


def _without_stray_rows(table: TextTable) -> TextTable:
    import polars as pl

    empty = table.frame.select(pl.all_horizontal(pl.all().str.strip_chars() == "")).to_series().to_numpy()
    suspects = table.frame["0"].str.strip_chars() == table.names[0]
    doubled = np.zeros(len(table), dtype=np.bool_)
    for row in np.flatnonzero(suspects.to_numpy()):
        doubled[row] = tuple(cell.strip() for cell in table.frame.row(int(row)))[: len(table.names)] == table.names
    for rows, reason in zip((empty, doubled), STRAY_ROWS, strict=True):
        if rows.any():
            table.repairs[reason] += int(rows.sum())
    kept = ~(empty | doubled)
    if kept.all():
        return table
    return replace(table, frame=table.frame.filter(pl.Series(kept)), line=table.line[kept])
