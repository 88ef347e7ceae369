"""Rows of a flow log, or of a native flow table, as flow records: whatever a stranger's file says is checked before any
kernel sees it.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    END_REASONS,
    END_SHIFT_NS,
    IDENTITY_WIDTH,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SEEN,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    VLAN,
    FlowBatch,
    Identity,
    Values,
)
from flows.columns import INDEX, NAMES
from sensor.flow_log.columns import INSTANTS, REASON, VALUES, WORDS
from sensor.printable import printable

if TYPE_CHECKING:
    import pyarrow as pa

Int64s = NDArray[np.int64]

LARGEST: Final = 2.0**62  # of any value: kernels make whole numbers of some
LATEST_NS: Final = 2.0**63 - 2.0**48  # flows.clock stops two days before 64 bits end
# Least and greatest value of each word that has bounds of its own.
_BOUNDS: Final[tuple[tuple[int, int, int], ...]] = (
    (SRC_PORT, 0, 65_535),
    (DST_PORT, 0, 65_535),
    (PROTOCOL, 0, 255),
    (VLAN, 0, (1 << 24) - 1),
    (END_REASON, 0, len(END_REASONS) - 1),
    (REPORT, 0, 1 << 40),
    (NEW_PACKETS, 0, 1 << 40),
    (SEEN, 0, 1 << 48),
    (START_NS, 0, 1 << 62),
    (END_NS, 0, 1 << 62),
    (REPORTED_NS, 0, int(LATEST_NS)),
)
_NAMES: Final = {word: name for name, word in (*WORDS.items(), *INSTANTS.items())} | {END_REASON: REASON}


class RowError(ValueError):
    """A row that no meter writes; its text says which column and why."""


def logged_records(rows: "pa.RecordBatch", columns: Collection[str] = VALUES) -> FlowBatch:
    """Records of rows of a flow log. columns: those that were read, 0 stands in the others. Raises RowError."""
    identity = np.empty((rows.num_rows, IDENTITY_WIDTH), dtype=np.int64)
    for name, word in (*WORDS.items(), *INSTANTS.items()):
        identity[:, word] = whole_numbers_of(rows.column(name), name)
    identity[:, END_REASON] = codes_of(rows.column(REASON), END_REASONS, REASON)
    return _checked(FlowBatch(identity, _values(rows, identity, columns)))


def table_records(rows: "pa.RecordBatch", after_ns: int) -> FlowBatch:
    """Records of rows of a native flow table, whole flows without earlier reports, in the table's order.

    What the table does not say is made of what it says: a record was reported at its end, or at the latest end before
    it in the table, after_ns for the first; which side sent which TCP flag follows from their counts
    (flows.context.tables). Raises RowError.
    """
    from flows.context.tables import records_of_table

    identity = np.zeros((rows.num_rows, IDENTITY_WIDTH), dtype=np.int64)
    for name in ("src_port", "dst_port", "protocol", "vlan"):
        identity[:, WORDS[name]] = whole_numbers_of(rows.column(name), name)
    for name, high, low in (("src_address", SRC_HIGH, SRC_LOW), ("dst_address", DST_HIGH, DST_LOW)):
        identity[:, [high, low]], identity[:, IP_VERSION] = _addresses(rows.column(name), name)
    identity[:, END_REASON] = codes_of(rows.column(REASON), END_REASONS, REASON)
    for name in ("start", "end"):
        identity[:, INSTANTS[name]] = whole_numbers_of(rows.column(name), name)
    identity[:, REPORTED_NS] = identity[:, END_NS]
    values = _values(rows, identity, VALUES)
    checked = _checked(FlowBatch(identity, values))
    ends = [SRC_HIGH, SRC_LOW], [DST_HIGH, DST_LOW], [SRC_PORT, DST_PORT]
    source, target, ports = (np.ascontiguousarray(identity[:, words]) for words in ends)
    made, order = records_of_table(source, target, identity[:, IP_VERSION], ports, identity[:, START_NS], values)
    for word in (SEEN, NEW_PACKETS):
        checked.identity[order, word] = made.identity[:, word]
    checked.identity[:, REPORTED_NS] = np.maximum.accumulate(np.maximum(identity[:, END_NS], after_ns))
    return checked


def _checked(batch: FlowBatch) -> FlowBatch:
    """The records, if a meter could have written them. Raises RowError."""
    identity, values = batch.identity, batch.values
    for word, least, greatest in _BOUNDS:
        column = identity[:, word]
        _refuse((column < least) | (column > greatest), _NAMES[word], column, f"{least:,} to {greatest:,}")
    four = identity[:, IP_VERSION] == 4
    _refuse(~four & (identity[:, IP_VERSION] != 6), "ip_version", identity[:, IP_VERSION], "4 or 6")
    for high, low in ((SRC_HIGH, SRC_LOW), (DST_HIGH, DST_LOW)):
        wide = four & ((identity[:, high] != 0) | (identity[:, low] >> 32 != 0))
        _refuse(wide, _NAMES[low], identity[:, low], "an IPv4 address of 32 bits")
    clock = [identity[:, at] + identity[:, by] for at, by in _CLOCKS]  # below 0 where that is beyond 64 bits, too
    wrong = (
        (np.minimum(*clock) < 0)
        | (clock[1] > LATEST_NS)
        | (identity[:, END_NS] < identity[:, START_NS]) & (clock[1] < clock[0])
    )
    _refuse(wrong, "start_shift_ns", identity[:, START_SHIFT_NS], "times of a clock that never goes back")
    packets = values[:, INDEX["fwd_packets"]] + values[:, INDEX["bwd_packets"]]
    _refuse(packets < 1, "fwd_packets", packets, "at least one packet of both directions")
    return batch


_CLOCKS: Final = ((START_NS, START_SHIFT_NS), (END_NS, END_SHIFT_NS))


def _values(rows: "pa.RecordBatch", identity: Identity, columns: Collection[str]) -> Values:
    values = np.zeros((rows.num_rows, len(NAMES)), dtype=np.float64)
    values[:, INDEX["protocol"]] = identity[:, PROTOCOL]
    for name in columns:
        column = numbers_of(rows.column(name), name)
        # written so that what is not a number is refused, too
        _refuse(~((column >= -1) & (column <= LARGEST)), name, column, "a finite number from -1 to 2^62")
        values[:, INDEX[name]] = column
    return values


def _refuse(wrong: NDArray[np.bool_], name: str, column: NDArray[Any], expected: str) -> None:
    """Raise RowError for the first row that is wrong."""
    if wrong.any():
        at = int(np.argmax(wrong))
        raise RowError(f"{name} is {column[at]} in a row, expected {expected}")


def whole_numbers_of(column: "pa.Array", name: str) -> Int64s:
    """A column of whole numbers, or instants in nanoseconds."""
    import pyarrow as pa

    _refuse_gaps(column, name)
    if pa.types.is_timestamp(column.type):
        try:
            column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise RowError(f"{name} has an instant beyond the year 2262") from error
    whole: Int64s = column.to_numpy(zero_copy_only=False)
    return whole


def numbers_of(column: "pa.Array", name: str) -> NDArray[np.float64]:
    _refuse_gaps(column, name)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def texts_of(column: "pa.Array", name: str) -> list[str]:
    """A column of few texts, made printable."""
    _refuse_gaps(column, name)
    found = column if hasattr(column, "indices") else column.dictionary_encode()
    texts = [printable(str(text), 64) for text in found.dictionary.to_pylist()]
    return [texts[place] for place in found.indices.to_pylist()]


def codes_of(column: "pa.Array", texts: tuple[str, ...], name: str) -> Int64s:
    """Place of each row's text among the texts that there are."""
    _refuse_gaps(column, name)
    found = column if hasattr(column, "indices") else column.dictionary_encode()
    places = {text: place for place, text in enumerate(texts)}
    codes = np.array([places.get(text, -1) for text in found.dictionary.to_pylist()] or [0], dtype=np.int64)
    said: Int64s = codes[found.indices.to_numpy(zero_copy_only=False)]
    if (said < 0).any():
        raise RowError(f"{name} has a text that is none of {', '.join(texts)}")
    return said


def _addresses(column: "pa.Array", name: str) -> tuple[Int64s, Int64s]:
    """Words (n, 2) and version (n,) of addresses in text."""
    from ipaddress import ip_address

    _refuse_gaps(column, name)
    found = column if hasattr(column, "indices") else column.dictionary_encode()
    words = np.zeros((max(1, len(found.dictionary)), 3), dtype=np.int64)
    for place, text in enumerate(found.dictionary.to_pylist()):
        try:
            read = ip_address(text)
        except ValueError as error:
            raise RowError(f"{name} has a text that is no address") from error
        high, low = int(read) >> 64, int(read) & (1 << 64) - 1
        words[place] = _signed(high), _signed(low), read.version
    said = words[found.indices.to_numpy(zero_copy_only=False)]
    return said[:, :2], said[:, 2]


def _refuse_gaps(column: "pa.Array", name: str) -> None:
    if column.null_count:
        raise RowError(f"{name} lacks a value in a row")


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
