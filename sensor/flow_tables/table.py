"""Writers of flow tables as CSV or Parquet, streaming and in constant memory.

They know the file formats, not the meaning of the columns (flows.dialects). A file gets its name when it is complete.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from flows.batch import FlowBatch
from flows.dialects import Dialect, Field, dialect_fields
from flows.meter import concatenate
from sensor.errors import OutputError, reason_of
from sensor.files import unfinished
from sensor.files.pipes import PipeStream, never
from sensor.files.special import is_special, open_special
from sensor.files.unfinished import whole_file
from sensor.flow_tables.csv_lines import csv_lines

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 16_384  # rows converted at a time, or in one row group: about 25 MB in between
PARQUET = ".parquet"


class TableFormat(Protocol):
    """Encoder of one file format."""

    def rows(self, fields: tuple[Field, ...]) -> None:
        """Write rows."""

    def end(self) -> None:
        """Write what comes after the last row."""


class LineStream(Protocol):
    """What takes lines of a table."""

    def write(self, content: bytes, /) -> int:
        """Take whole lines. Raises OSError."""

    def flush(self) -> None:
        """Have them written. Raises OSError."""


TableStream = IO[bytes] | PipeStream


class FlowTableWriter:
    """Writes the records of many batches as one table."""

    def __init__(self, name: str, dialect: Dialect, table_format: TableFormat) -> None:
        """name: of the output, for error messages."""
        self.name = name
        self.written = 0  # rows
        self._dialect = dialect
        self._format = table_format
        self._pending: list[FlowBatch] = []
        self._rows = 0

    def write(self, batch: FlowBatch) -> None:
        """Buffer records; they are written once there are ROWS_AT_ONCE. Raises as flush does."""
        if len(batch):
            self._pending.append(batch)
            self._rows += len(batch)
        if self._rows >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write the buffered records. Raises BrokenPipeError when a pipe has no reader left, else OutputError."""
        batch = concatenate(self._pending)
        self._pending, self._rows = [], 0
        for start in range(0, len(batch), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            fields = dialect_fields(FlowBatch(batch.identity[part], batch.values[part]), self._dialect)
            with errors_of(self.name, self.written):
                self._format.rows(fields)
            self.written += len(fields[0])

    def close(self) -> None:
        """Write the buffered records and what the format ends with. Raises as flush does."""
        self.flush()
        with errors_of(self.name, self.written):
            self._format.end()


class CsvFormat:
    """Comma-separated lines after a header line, without quotes: no field contains a comma."""

    def __init__(self, stream: LineStream, header: tuple[str, ...]) -> None:
        """Write the header. stream: owned and closed by the caller."""
        self._stream = stream
        stream.write((",".join(header) + "\n").encode())

    def rows(self, fields: tuple[Field, ...]) -> None:
        """Lines of sensor.flow_tables.csv_lines."""
        self._stream.write(csv_lines(fields))
        self._stream.flush()

    def end(self) -> None:
        """Flush the stream: the header of a table without rows may still be buffered."""
        self._stream.flush()


class ParquetSink:
    """A stream as the Parquet library writes to it, which writes a footer when it lets go, whatever has happened."""

    closed = False

    def __init__(self, stream: TableStream) -> None:
        """stream: owned and closed by the caller."""
        self._stream = stream
        self._size = 0
        self._failed = False

    def write(self, content: bytes, /) -> int:
        """Write, unless the stream has failed or is closed. Raises OSError."""
        if not self._failed and not self._stream.closed:
            try:
                self._stream.write(content)
            except BaseException:
                self._failed = True
                raise
        self._size += len(content)
        return len(content)

    def tell(self) -> int:
        """Bytes by now."""
        return self._size

    def flush(self) -> None:
        """The owner does that."""

    def close(self) -> None:
        """The owner does that."""


class ParquetFormat:
    """Row groups of typed columns, timestamps in µs UTC; repeated column names are numbered, as pandas reads CSVs."""

    def __init__(self, stream: TableStream, dialect: Dialect) -> None:
        """stream: seekable or not, owned and closed by the caller."""
        from pyarrow import parquet

        self._schema = schema_of(dialect)
        self._writer = parquet.ParquetWriter(ParquetSink(stream), self._schema, compression="zstd")

    def rows(self, fields: tuple[Field, ...]) -> None:
        """One row group."""
        import pyarrow as pa

        columns = [pa.array(field).cast(kind) for field, kind in zip(fields, self._schema.types, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def end(self) -> None:
        """Write the footer, without which the file is unreadable."""
        self._writer.close()


def refuse_unwritable(path: Path) -> None:
    """Raise OutputError where no table can be made at a path; nothing is left behind."""
    if not is_special(path):
        with errors_of(str(path), 0):
            unfinished.refuse_unwritable(path)


def _opened(pipe: Path) -> int:
    """Descriptor of a pipe or a device. Waits for the reader of a pipe, where every signal is heard. Raises OSError."""
    while True:
        try:
            return open_special(pipe)
        except OSError as error:
            if error.errno != errno.ENXIO or not pipe.is_fifo():
                raise
            time.sleep(0.05)


@contextmanager
def open_table(path: Path, dialect: Dialect, called_off: Callable[[], bool] = never) -> Iterator[FlowTableWriter]:
    """Table in a file, CSV or Parquet by its suffix, readable for its owner and group only.

    The file gets its name at the end; if the block raises, the previous file stays. A pipe or a device is written as
    the rows come. called_off: as of table_stream. Raises OutputError.
    """
    with ExitStack() as opened:
        with errors_of(str(path), 0):
            stream = opened.enter_context(table_stream(path, called_off))
            table_format = _format(stream, dialect, parquet=path.suffix == PARQUET)
        writer = FlowTableWriter(str(path), dialect, table_format)
        yield writer
        writer.close()
        with errors_of(str(path), writer.written):
            opened.close()


@contextmanager
def part_of_table(path: Path, dialect: Dialect, *, parquet: bool) -> Iterator[FlowTableWriter]:
    """The same in a file that may have any name, as a part of another table (sensor.flow_tables.parts)."""
    with whole_file(path) as stream:
        writer = FlowTableWriter(str(path), dialect, _format(stream, dialect, parquet=parquet))
        yield writer
        writer.close()


def table_stream(path: Path, called_off: Callable[[], bool] = never) -> AbstractContextManager[TableStream]:
    """Where the bytes of a table go: a file that gets its name at the end, or a pipe or a device. Raises OSError.

    called_off: whether to wait for no reader of a pipe any more that takes nothing.
    """
    return _written_directly(path, called_off) if is_special(path) else whole_file(path)


@contextmanager
def _written_directly(path: Path, called_off: Callable[[], bool]) -> Iterator[PipeStream]:
    descriptor = _opened(path)
    stream = PipeStream(descriptor, called_off)
    try:
        yield stream
    finally:
        stream.close()
        os.close(descriptor)


@contextmanager
def stream_table(stream: LineStream, name: str, dialect: Dialect) -> Iterator[FlowTableWriter]:
    """Table as CSV on a stream that the caller owns. Raises as FlowTableWriter.flush."""
    with errors_of(name, 0):
        table_format = CsvFormat(stream, dialect.header)
    writer = FlowTableWriter(name, dialect, table_format)
    yield writer
    writer.close()


def _format(stream: TableStream, dialect: Dialect, *, parquet: bool) -> TableFormat:
    return ParquetFormat(stream, dialect) if parquet else CsvFormat(stream, dialect.header)


@contextmanager
def errors_of(name: str, written: int) -> Iterator[None]:
    """Turn an OSError into an OutputError that states the output and the rows written; a broken pipe passes through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = reason_of(error)
        raise OutputError(f"{name}: cannot be written: {reason}, after {written:,} flows") from error


def schema_of(dialect: Dialect) -> "pa.Schema":
    """Columns of a dialect's Parquet files."""
    import pyarrow as pa

    from flows.batch import empty_batch

    kinds = {"i": pa.int64(), "f": pa.float64(), "S": pa.string(), "M": pa.timestamp("us", "UTC")}
    fields = dialect_fields(empty_batch(), dialect)
    return pa.schema([(name, kinds[field.dtype.kind]) for name, field in zip(dialect.names, fields, strict=True)])
