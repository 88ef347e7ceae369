"""Parquet files of flows, from whoever: which they are, what they say of themselves, and their rows.

Two kinds are known by their columns: those of a flow log, and native flow tables (`flowvigil flows -o X.parquet`). A
file that is neither, or damaged, is a FileError of one line.
"""

import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from configs.formats import OtherVersionError
from sensor.errors import InputError, reason_of
from sensor.files.magic import describe
from sensor.flow_log.columns import FORMAT, METADATA, REASON, SCORE, VALUES, contract, schema
from sensor.printable import printable

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import dataset

SUFFIX: Final = ".parquet"
MAGIC: Final = b"PAR1"
ROWS_AT_ONCE: Final = 8192
# What a file may claim, so that a footer cannot ask for all memory.
MAX_GROUP_ROWS: Final = 1 << 20
MAX_GROUP_BYTES: Final = 4 << 30
LEAST_ROW_BYTES: Final = 4  # of a file, for each of its rows: our own have a hundred and more
FEW_ROWS: Final = 100_000  # that any file may have
MAX_FOOTER_BYTES: Final = 64 << 20
MAX_FOOTER_ENTRIES: Final = 1 << 20
TEXTS_BYTES: Final = 16 << 20  # of rows that are read together
BUFFER_BYTES: Final = 1 << 16  # of each column that is read
TEXT_BYTES: Final = 64 << 10  # of what a log says of itself
_NAME: Final = re.compile(r"flows-(?P<first>[0-9]{8}T[0-9]{6}Z)-(?P<run>[0-9a-f]{16})-(?P<number>[0-9]{6,9})\.parquet")
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_SHOWN: Final = 3  # missing columns that are named


class FileError(InputError):
    """A file without flows that can be read."""


@dataclass(frozen=True, slots=True, order=True)
class LogName:
    """What the name of a flow log's file says."""

    first_s: int  # second in which its first record was reported, since 1970
    run: str  # of which run, 16 hexadecimal digits
    number: int  # among the files of the run, from 1

    def __str__(self) -> str:
        stamp = datetime.fromtimestamp(max(0, self.first_s), UTC).strftime(_STAMP)
        return f"flows-{stamp}-{self.run}-{self.number:06}{SUFFIX}"


def log_name(name: str) -> LogName | None:
    """What a file's name says; None for one that no flow log gives."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        first = datetime.fromisoformat(found["first"])
    except ValueError:  # the 31st of February
        return None
    return LogName(int(first.timestamp()), found["run"], int(found["number"]))


@dataclass(frozen=True, slots=True)
class FlowsFile:
    """A file of flows that was opened and looks whole."""

    path: Path
    about: Mapping[str, Any] | None  # what a flow log says of itself; None: a native flow table
    fragment: "dataset.ParquetFileFragment"
    columns: "pa.Schema"  # those that are read, scores included

    @property
    def detectors(self) -> tuple[str, ...]:
        """Detectors whose scores it has."""
        return tuple(name.removeprefix(SCORE) for name in self.columns.names if name.startswith(SCORE))

    @property
    def first_ns(self) -> int:
        """A moment before which no record was reported, by the footer; 0 where it does not say."""
        return self._reported()[0]

    @property
    def last_ns(self) -> int:
        """A moment after which no record was reported, by the footer; 0 where it does not say."""
        return self._reported()[1]

    @property
    def last_packet_ns(self) -> int:
        """A moment after which none of its flows had a packet, by the footer; 0 where it does not say.

        A report may be later: what is open when a run ends is reported as of the moment at which it would have been.
        """
        return self._least_and_most("end", _UNIT_NS[self.columns.field("end").type.unit])[1]

    def _reported(self) -> tuple[int, int]:
        if self.about is not None:
            return self._least_and_most("reported", 1)
        return self._least_and_most("end", _UNIT_NS[self.columns.field("end").type.unit])

    def _least_and_most(self, name: str, unit_ns: int) -> tuple[int, int]:
        """Of a column, by the footer, in nanoseconds; 0, 0 where it does not say."""
        metadata = self.fragment.metadata
        least: list[int] = []
        most: list[int] = []
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            for at in range(group.num_columns):
                column = group.column(at)
                if column.path_in_schema == name:
                    found = column.statistics
                    if found is None or not found.has_min_max or not isinstance(found.min_raw, int):
                        return 0, 0
                    least.append(found.min_raw * unit_ns)
                    most.append(found.max_raw * unit_ns)
        return max(0, min(least, default=0)), max(0, max(most, default=0))

    @property
    def count(self) -> int:
        """How many rows its row groups say that they have: no more are read, whatever the footer says of the whole."""
        return _rows_of(self.fragment.metadata)

    def rows(
        self, columns: Sequence[str], where: Any = None, asked: Sequence[str] = (), at_once: int = ROWS_AT_ONCE
    ) -> Iterator["pa.RecordBatch"]:
        """These columns of its rows, in order, few at a time. where: of which rows, a filter of pyarrow's datasets.

        asked: columns that the filter looks at beside these. at_once: how many rows together, at most, of all. Raises
        FileError for damage, when it is met.
        """
        with _damage(self.path):
            for batch in self._all(columns, at_once) if where is None else self._some(columns, where, asked):
                if batch.num_rows:
                    yield batch

    def _all(
        self, columns: Sequence[str], at_once: int, groups: Sequence[int] | None = None
    ) -> Iterator["pa.RecordBatch"]:
        """Page by page: of a row group that is small as it is stored and large in memory, little is held at a time.

        groups: numbers of the row groups, None for all.
        """
        from pyarrow import parquet

        limits: dict[str, Any] = {
            "pre_buffer": False,
            "buffer_size": BUFFER_BYTES,
            "thrift_string_size_limit": MAX_FOOTER_BYTES,
            "thrift_container_size_limit": MAX_FOOTER_ENTRIES,
        }
        texts = [name for name in columns if _is_text(self.fragment.physical_schema.field(name).type)]
        with parquet.ParquetFile(self.path, read_dictionary=texts, **limits) as file:
            longest = _longest_texts(file, texts, range(file.num_row_groups) if groups is None else groups)
        # A long text that repeats is stored once, and would be as long in each row.
        at_once = max(1, min(at_once, TEXTS_BYTES // max(longest, 1)))
        with parquet.ParquetFile(self.path, **limits) as file:
            for batch in file.iter_batches(at_once, row_groups=groups, columns=list(columns), use_threads=False):
                batch.validate(full=True)  # whether texts are UTF-8, and each row's is in the dictionary of them
                yield batch

    def _some(self, columns: Sequence[str], where: Any, asked: Sequence[str]) -> Iterator["pa.RecordBatch"]:
        """Those of row groups that may have an answer, by what the footer says of them."""
        import pyarrow as pa

        parts = self.fragment.split_by_row_group(where, self.columns)
        groups = [group.id for part in parts for group in part.row_groups]
        for batch in self._all(tuple(dict.fromkeys((*columns, *asked))), ROWS_AT_ONCE, groups) if groups else ():
            yield from pa.Table.from_batches([batch]).filter(where).select(list(columns)).to_batches()


def open_flows(path: Path) -> FlowsFile:
    """Open a file of flows and check its footer. Raises FileError."""
    _refuse_foreign(path)
    with _damage(path):
        file = _opened(path)
        _ = file.first_ns, file.last_packet_ns  # read the names in the footer's metadata, which may be damaged too
        return file


def _opened(path: Path) -> FlowsFile:
    from pyarrow import dataset, fs

    limits = dataset.ParquetFragmentScanOptions(
        pre_buffer=False,
        use_buffered_stream=True,
        thrift_string_size_limit=MAX_FOOTER_BYTES,
        thrift_container_size_limit=MAX_FOOTER_ENTRIES,
    )
    form = dataset.ParquetFileFormat(default_fragment_scan_options=limits)
    fragment = form.make_fragment(str(path.absolute()), fs.LocalFileSystem())
    metadata, found = fragment.metadata, fragment.physical_schema
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if not 0 <= group.num_rows <= MAX_GROUP_ROWS or not 0 <= group.total_byte_size <= MAX_GROUP_BYTES:
            raise FileError(
                f"{_shown(path)}: found a row group of {group.num_rows:,} rows and {group.total_byte_size:,} bytes, "
                f"expected at most {MAX_GROUP_ROWS:,} and {MAX_GROUP_BYTES:,}"
            )
    rows = _rows_of(metadata)
    if rows > FEW_ROWS + path.stat().st_size // LEAST_ROW_BYTES:
        raise FileError(
            f"{_shown(path)}: found {rows:,} rows in {path.stat().st_size:,} bytes, expected fewer than one for "
            f"{LEAST_ROW_BYTES} bytes"
        )
    about = _about(path, found.metadata or {})
    if about is None:
        expected = _native_schema()
        _refuse_columns(path, found, expected, logged=False)
        return FlowsFile(path, None, fragment, _as_found(found, expected))
    detectors = tuple(name.removeprefix(SCORE) for name in found.names if name.startswith(SCORE))
    expected = schema(detectors)
    _refuse_columns(path, found, expected, logged=True)
    return FlowsFile(path, about, fragment, expected)


def _rows_of(metadata: Any) -> int:
    """Rows of all row groups, to which pyarrow's reader keeps."""
    return sum(int(metadata.row_group(number).num_rows) for number in range(metadata.num_row_groups))


def _refuse_foreign(path: Path) -> None:
    """Raise FileError for what is no regular file with Parquet's first and last bytes."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{_shown(path)}: found no regular file, expected a Parquet file of flows")
        with path.open("rb") as stream:
            first = stream.read(512)
            stream.seek(max(0, status.st_size - len(MAGIC)))
            last = stream.read()
    except OSError as error:
        raise FileError(f"{_shown(path)}: {reason_of(error)}") from error
    if not first.startswith(MAGIC):
        raise FileError(f"{_shown(path)}: found {describe(first)}, expected a Parquet file of flows")
    if last != MAGIC or status.st_size < 12:
        raise FileError(f"{_shown(path)}: cut short: found no end of a Parquet file, expected a whole one")


def _about(path: Path, metadata: Mapping[bytes, bytes]) -> Mapping[str, Any] | None:
    """What a flow log says of itself, None for any other table. Raises FileError for a log that is not understood."""
    text = metadata.get(METADATA)
    if text is None:
        return None
    try:
        about = json.loads(text[:TEXT_BYTES])
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or not isinstance(about.get("schema"), str):
        raise FileError(f"{_shown(path)}: found metadata that no flow log has, expected {FORMAT}")
    try:
        FORMAT.version_of(about["schema"])
    except OtherVersionError as error:
        raise FileError(f"{_shown(path)}: {printable(str(error), 200)}") from None
    if about.get("columns") != contract():
        said = about.get("columns")
        meaning = printable(said, 16) if isinstance(said, str) else f"of {type(said).__name__}"
        raise FileError(
            f"{_shown(path)}: found a {FORMAT} with values of another meaning ({meaning}), expected {contract()}: "
            f"{FORMAT.instead}"
        )
    return about


def _native_schema() -> "pa.Schema":
    """The columns of a native flow table that are read."""
    import pyarrow as pa

    instant = pa.timestamp("us", "UTC")
    return pa.schema([
        *((name, pa.string() if name.endswith("address") else pa.int64()) for name in _ENDPOINTS),
        ("start", instant), ("end", instant), (REASON, pa.string()),
        *((name, pa.float64()) for name in VALUES),
    ])  # fmt: skip


_ENDPOINTS: Final = ("src_address", "src_port", "dst_address", "dst_port", "protocol", "vlan")


def _refuse_columns(path: Path, found: "pa.Schema", expected: "pa.Schema", *, logged: bool) -> None:
    names = found.names
    missing = [name for name in expected.names if name not in names]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        kind = "flow log" if logged else "native flow table (flowvigil flows -o X.parquet) or flow log"
        raise FileError(f"{_shown(path)}: found no column {', '.join(missing[:_SHOWN])}{more}, expected a {kind}")
    for field in expected:
        if names.count(field.name) > 1:
            raise FileError(f"{_shown(path)}: found column {printable(field.name, 64)} twice, expected it once")
        kind = found.field(field.name).type
        if not _fits(kind, field.type, logged=logged):
            raise FileError(
                f"{_shown(path)}: column {printable(field.name, 64)} is of {printable(str(kind), 64)}, "
                f"expected {field.type}"
            )


def _fits(found: "pa.DataType", expected: "pa.DataType", *, logged: bool) -> bool:
    """Whether a column can be read; a native table may have passed through another program that has other widths."""
    import pyarrow as pa

    if found == expected:
        return True
    if pa.types.is_dictionary(found) or pa.types.is_dictionary(expected):
        values = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (found, expected)]
        return all(pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in values)
    if logged:
        return False
    if pa.types.is_timestamp(expected):
        return bool(pa.types.is_timestamp(found)) and found.tz == expected.tz
    if pa.types.is_string(expected):
        return bool(pa.types.is_large_string(found))
    numbers = pa.types.is_integer if pa.types.is_integer(expected) else _is_number
    return bool(numbers(found)) and not pa.types.is_uint64(found)


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


def _longest_texts(file: Any, texts: Sequence[str], groups: Iterable[int]) -> int:
    """Bytes that these columns' longest texts have together, as far as a row group's dictionaries tell.

    file: that gives them as dictionaries, which come whole with the first row of a row group.
    """
    import pyarrow.compute as pc

    longest = 0
    for group in groups if texts else ():
        for batch in islice(file.iter_batches(1, row_groups=[group], columns=list(texts), use_threads=False), 1):
            words = (column.dictionary for column in batch.columns)
            longest = max(longest, sum(pc.max(pc.binary_length(own)).as_py() or 0 for own in words if len(own)))
    return longest


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _as_found(found: "pa.Schema", expected: "pa.Schema") -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([(name, found.field(name).type) for name in expected.names])


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Raise FileError for whatever the Parquet library finds wrong with a file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, FileError):
            raise
        why = " ".join(str(error).split()) or type(error).__name__
        raise FileError(f"{_shown(path)}: damaged: {printable(why, 160)}") from error


def _shown(path: Path) -> str:
    return printable(str(path), 200)
