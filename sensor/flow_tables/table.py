"""Flow tables as CSV or Parquet, written while flows come, in constant memory.

Knows the text and file formats, not what the columns mean (flows.dialects). A file appears under its name when it is
whole, and not before.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np

from flows.batch import FlowBatch
from flows.dialects import Dialect, Field, dialect_fields
from flows.meter import concatenate
from sensor.errors import OutputError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 16_384  # flows turned into text, or put into one row group, in one go: about 25 MB in between
PARQUET = ".parquet"


class Format(Protocol):
    """What writes the rows of one file format."""

    def rows(self, fields: tuple[Field, ...]) -> None:
        """Write some rows."""

    def end(self) -> None:
        """Write what comes after the last row."""


class FlowTableSink:
    """Writes the records of many batches as one table."""

    def __init__(self, name: str, dialect: Dialect, form: Format) -> None:
        """name: for error messages."""
        self.name = name
        self.written = 0  # flows handed to the format
        self._dialect = dialect
        self._form = form
        self._waiting: list[FlowBatch] = []
        self._rows = 0

    def write(self, batch: FlowBatch) -> None:
        """Take records; they are written as soon as enough have come. Raises OutputError."""
        if len(batch):
            self._waiting.append(batch)
            self._rows += len(batch)
        if self._rows >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what has come so far. Raises BrokenPipeError when the reader has gone, OutputError otherwise."""
        batch = concatenate(self._waiting)
        self._waiting, self._rows = [], 0
        for start in range(0, len(batch), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            fields = dialect_fields(FlowBatch(batch.identity[part], batch.values[part]), self._dialect)
            with _named(self.name, self.written):
                self._form.rows(fields)
            self.written += len(fields[0])

    def close(self) -> None:
        """Write the rest. Raises as flush does."""
        self.flush()
        with _named(self.name, self.written):
            self._form.end()


class CsvForm:
    """Comma-separated lines after one header line. Nothing needs quotes: no field holds a comma."""

    def __init__(self, stream: IO[bytes], header: tuple[str, ...]) -> None:
        """stream: where to; stays the caller's."""
        self._stream = stream
        self._columns = [str(i) for i in range(len(header))]
        stream.write((",".join(header) + "\n").encode())

    def rows(self, fields: tuple[Field, ...]) -> None:
        """Numbers in the fewest digits that read back as the same number; NaN and Infinity as Java spells them."""
        import pyarrow as pa
        from pyarrow import csv

        table = pa.table([_text(field) for field in fields], names=self._columns)
        options = csv.WriteOptions(include_header=False, batch_size=1024, quoting_style="none")
        lines = pa.BufferOutputStream()
        csv.write_csv(table, lines, options)
        self._stream.write(lines.getvalue())
        self._stream.flush()

    def end(self) -> None:
        """Nothing but the header of a table without rows waits."""
        self._stream.flush()


class ParquetForm:
    """Row groups of typed columns, instants in µs UTC; a name that comes twice is numbered, as pandas reads CSVs."""

    def __init__(self, stream: IO[bytes], dialect: Dialect) -> None:
        """stream: where to, seekable or not; stays the caller's."""
        from pyarrow import parquet

        self._schema = _schema(dialect)
        self._writer = parquet.ParquetWriter(stream, self._schema, compression="zstd")

    def rows(self, fields: tuple[Field, ...]) -> None:
        """One row group."""
        import pyarrow as pa

        columns = [_arrow(field).cast(kind) for field, kind in zip(fields, self._schema.types, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def end(self) -> None:
        """The footer, without which nobody can read the rest."""
        self._writer.close()


@contextmanager
def open_table(path: Path, dialect: Dialect) -> Iterator[FlowTableSink]:
    """Table in a file, CSV or Parquet by its suffix, which only its owner and group may read.

    The file gets its name at the end; where the caller stops with an exception, what stood there before stays. A pipe
    or a device is written as the rows come. Raises OutputError.
    """
    target = path.resolve()
    direct = target.exists() and not stat.S_ISREG(target.stat().st_mode)
    temporary = target if direct else target.with_name(f".{target.name}.{os.getpid()}.part")
    with _named(str(path), 0):
        flags = os.O_WRONLY if direct else os.O_WRONLY | os.O_CREAT | os.O_EXCL
        stream = os.fdopen(os.open(temporary, flags, 0o640), "wb")
    try:
        sink = FlowTableSink(str(path), dialect, _form(path, stream, dialect))
        yield sink
        sink.close()
        with _named(str(path), sink.written):
            stream.flush()
            if not direct:
                os.fsync(stream.fileno())
            stream.close()
            if not direct:
                temporary.replace(target)
    except BaseException:
        with suppress(OSError):  # what is still buffered cannot be written either
            stream.close()
        if not direct:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise


@contextmanager
def stream_table(stream: IO[bytes], name: str, dialect: Dialect) -> Iterator[FlowTableSink]:
    """CSV on a stream that stays the caller's. Raises BrokenPipeError when the reader has gone, else OutputError."""
    with _named(name, 0):
        form = CsvForm(stream, dialect.header)
    sink = FlowTableSink(name, dialect, form)
    yield sink
    sink.close()


def _form(path: Path, stream: IO[bytes], dialect: Dialect) -> Format:
    if path.suffix == PARQUET:
        return ParquetForm(stream, dialect)
    return CsvForm(stream, dialect.header)


@contextmanager
def _named(name: str, written: int) -> Iterator[None]:
    """Turn the system's refusals into one line that says where, and after how much."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{name}: cannot be written: {reason}, after {written:,} flows") from error


def _arrow(field: Field) -> "pa.Array[Any]":
    import pyarrow as pa

    return pa.array(field)


def _text(field: Field) -> "pa.Array[Any]":
    """What the CSV writer can spell by itself, or text."""
    import pyarrow as pa
    from pyarrow import compute

    if field.dtype.kind == "M":
        field = _iso_times(field)
    if field.dtype.kind == "S":
        return pa.array(field).cast(pa.string())
    if field.dtype.kind == "f" and not np.isfinite(field).all():
        text = pa.array(field, from_pandas=False).cast(pa.string())
        for found, spelled in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
            text = compute.if_else(compute.equal(text, found), spelled, text)
        return text
    return pa.array(field)


_THREE_DIGITS = np.array([b"%03d" % number for number in range(1000)])


def _iso_times(instants: Field) -> Field:
    """ISO 8601 with microseconds, UTC. A second is spelled once however many flows begin in it."""
    micros = instants.astype(np.int64)
    seconds, which = np.unique(micros // 1_000_000, return_inverse=True)
    text = np.char.add(np.datetime_as_string(seconds.astype("datetime64[s]")).astype(np.bytes_), b".")
    thousands, ones = _THREE_DIGITS[micros // 1000 % 1000], _THREE_DIGITS[micros % 1000]
    return np.char.add(np.char.add(text[which.reshape(-1)], thousands), np.char.add(ones, b"Z"))


def _schema(dialect: Dialect) -> "pa.Schema":
    import pyarrow as pa

    from flows.batch import empty_batch

    kinds = {"i": pa.int64(), "f": pa.float64(), "S": pa.string(), "M": pa.timestamp("us", "UTC")}
    fields = dialect_fields(empty_batch(), dialect)
    return pa.schema([(name, kinds[field.dtype.kind]) for name, field in zip(dialect.names, fields, strict=True)])
