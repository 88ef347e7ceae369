"""One table made of the tables of several captures, in their order; native ones say of each row which capture it is of.

A part is a table by itself, of the same dialect and in the same format. The rows stay as they are.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from flows.dialects import NATIVE, Dialect
from sensor.flow_tables.table import (
    PARQUET,
    ROWS_AT_ONCE,
    LineStream,
    ParquetSink,
    TableStream,
    errors_of,
    schema_of,
    table_stream,
)
from sensor.printable import printable

if TYPE_CHECKING:
    pass

CAPTURE: Final = "capture"  # the column
PATH_LETTERS: Final = 4096  # of a capture's path, escapes included
_BLOCK_BYTES: Final = 1 << 20


class Joined(Protocol):
    """A table that takes parts."""

    def add(self, part: Path, capture: str) -> None:
        """Take the rows of a part. Raises OSError."""

    def end(self) -> None:
        """Write what comes after the last row. Raises OSError."""


class JoinedTable:
    """Such a table with its errors told."""

    def __init__(self, joined: Joined, name: str) -> None:
        """name: of the output, for error messages."""
        self.written = 0  # rows
        self._joined = joined
        self._name = name

    def add(self, part: Path, capture: str, rows: int) -> None:
        """Take the rows of a part. Raises BrokenPipeError when a pipe has no reader left, else OutputError."""
        with errors_of(self._name, self.written):
            self._joined.add(part, capture)
        self.written += rows

    def close(self) -> None:
        """Write what comes after the last row. Raises as add does."""
        with errors_of(self._name, self.written):
            self._joined.end()


@contextmanager
def join_in_file(path: Path, dialect: Dialect, called_off: Callable[[], bool]) -> Iterator[JoinedTable]:
    """A table in a file, as sensor.flow_tables.table.open_table has it. Raises OutputError."""
    with ExitStack() as opened:
        with errors_of(str(path), 0):
            stream = opened.enter_context(table_stream(path, called_off))
            joined = JoinedParquet(stream, dialect) if path.suffix == PARQUET else JoinedCsv(stream, dialect)
        table = JoinedTable(joined, str(path))
        yield table
        table.close()
        with errors_of(str(path), table.written):
            opened.close()


@contextmanager
def join_on_stream(stream: LineStream, name: str, dialect: Dialect) -> Iterator[JoinedTable]:
    """A table as CSV on a stream that the caller owns. Raises as JoinedTable.add."""
    with errors_of(name, 0):
        joined = JoinedCsv(stream, dialect)
    table = JoinedTable(joined, name)
    yield table
    table.close()


class JoinedCsv:
    """Lines of CSV; a path with a comma or a quotation mark stands in quotation marks (RFC 4180)."""

    def __init__(self, stream: LineStream, dialect: Dialect) -> None:
        """Write the header. stream: owned and closed by the caller."""
        self._stream = stream
        self._names_captures = dialect is NATIVE
        header = (*dialect.header, CAPTURE) if self._names_captures else dialect.header
        stream.write((",".join(header) + "\n").encode())

    def add(self, part: Path, capture: str) -> None:
        """Its lines but the header."""
        field = b"," + _csv_field(printable(capture, PATH_LETTERS)).encode() + b"\n"
        with part.open("rb") as lines:
            lines.readline()
            while block := lines.read(_BLOCK_BYTES):
                block += lines.readline()
                self._stream.write(block.replace(b"\n", field) if self._names_captures else block)
        self._stream.flush()

    def end(self) -> None:
        """Flush the stream: the header of a table without rows may still be buffered."""
        self._stream.flush()


def _csv_field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


class JoinedParquet:
    """Row groups as those of one table: small parts share them."""

    def __init__(self, stream: TableStream, dialect: Dialect) -> None:
        """stream: owned and closed by the caller."""
        import pyarrow as pa
        from pyarrow import parquet

        self._names_captures = dialect is NATIVE
        schema = schema_of(dialect)
        self._schema = schema.append(pa.field(CAPTURE, pa.string())) if self._names_captures else schema
        self._writer = parquet.ParquetWriter(ParquetSink(stream), self._schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, part: Path, capture: str) -> None:
        """Its row groups."""
        import pyarrow as pa
        from pyarrow import parquet

        with parquet.ParquetFile(part) as file:
            for number in range(file.num_row_groups):
                rows = file.read_row_group(number, use_threads=False)
                if self._names_captures:
                    name = pa.repeat(pa.scalar(printable(capture, PATH_LETTERS), pa.string()), rows.num_rows)
                    rows = rows.append_column(self._schema.field(CAPTURE), name)
                self._waiting.append(rows)
                self._rows += rows.num_rows
                if self._rows >= ROWS_AT_ONCE:
                    self._write()

    def end(self) -> None:
        """Write the footer, without which the file is unreadable."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROWS_AT_ONCE)
        self._waiting, self._rows = [], 0
