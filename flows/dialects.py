"""Public flow table headers: which numbers of a flow record stand under which name, in which order, in what form.

A dialect changes names, order, time format, label and the values that stand for "none"; what a column measures stays
as flows.columns defines it, with the published programs' errors corrected. Knows no file and no text format: a batch
comes in, one array a column goes out.
Source: FlowFeature.java of CICFlowMeter at its commits eaa853d (2018) and 98a5eba (2022), the header of the published
CIC-IDS-2017 TrafficLabelling files, and the CSV of Python cicflowmeter 0.2.0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    END_REASONS,
    IP_VERSION,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    VLAN,
    FlowBatch,
    address,
)
from flows.columns import COLUMNS, INDEX

Texts = NDArray[np.bytes_]  # (n,) ASCII
Field = NDArray[Any]  # (n,) int64, float64, bytes (ASCII) or datetime64[us] (UTC)

TCP, UDP = 6, 17

# The 2017 table was glued together from groups of names, each begun without the blank that the others have before them.
BEGIN_A_GROUP = frozenset({
    "Flow ID", "Total Length of Fwd Packets", "Bwd Packet Length Max", "Flow Bytes/s", "Fwd IAT Total", "Bwd IAT Total",
    "Fwd PSH Flags", "Fwd Packets/s", "FIN Flag Count", "Fwd Avg Bytes/Bulk", "Bwd Avg Bulk Rate",
    "Subflow Fwd Packets", "Init_Win_bytes_forward", "Active Mean", "Idle Mean",
})  # fmt: skip
DOUBLED = "fwd_header_length"  # comes a second time in the 2017 table, after this one:
DOUBLED_AFTER = "bwd_segment_size_avg"

# Whole numbers by definition; the others are quotients and roots.
WHOLE: frozenset[str] = frozenset(
    column.name
    for column in COLUMNS
    if not column.name.endswith(("_mean", "_std", "_variance", "_avg", "_per_s", "_ratio"))
    and not column.name.startswith("subflow_")
    and column.name != "average_packet_size"
)
WINDOWS = frozenset({"fwd_init_win_bytes", "bwd_init_win_bytes"})

JAVA = tuple(column.name for column in COLUMNS if column.cic2017 is not None and column.name != "protocol")
AFTER_2017 = JAVA.index(DOUBLED_AFTER) + 1
# The order of cicflowmeter 0.2.0, by our names.
PYTHON = (
    "flow_duration", "flow_bytes_per_s", "flow_packets_per_s", "fwd_packets_per_s", "bwd_packets_per_s", "fwd_packets",
    "bwd_packets", "fwd_bytes", "bwd_bytes", "fwd_packet_length_max", "fwd_packet_length_min",
    "fwd_packet_length_mean", "fwd_packet_length_std", "bwd_packet_length_max", "bwd_packet_length_min",
    "bwd_packet_length_mean", "bwd_packet_length_std", "packet_length_max", "packet_length_min", "packet_length_mean",
    "packet_length_std", "packet_length_variance", "fwd_header_length", "bwd_header_length", "fwd_seg_size_min",
    "fwd_act_data_packets", "flow_iat_mean", "flow_iat_max", "flow_iat_min", "flow_iat_std", "fwd_iat_total",
    "fwd_iat_max", "fwd_iat_min", "fwd_iat_mean", "fwd_iat_std", "bwd_iat_total", "bwd_iat_max", "bwd_iat_min",
    "bwd_iat_mean", "bwd_iat_std", "fwd_psh_flags", "bwd_psh_flags", "fwd_urg_flags", "bwd_urg_flags",
    "fin_flag_count", "syn_flag_count", "rst_flag_count", "psh_flag_count", "ack_flag_count", "urg_flag_count",
    "ece_flag_count", "down_up_ratio", "average_packet_size", "fwd_init_win_bytes", "bwd_init_win_bytes", "active_max",
    "active_min", "active_mean", "active_std", "idle_max", "idle_min", "idle_mean", "idle_std", "fwd_bulk_bytes_avg",
    "fwd_bulk_packets_avg", "bwd_bulk_bytes_avg", "bwd_bulk_packets_avg", "fwd_bulk_rate_avg", "bwd_bulk_rate_avg",
    "fwd_segment_size_avg", "bwd_segment_size_avg", "cwr_flag_count", "subflow_fwd_packets", "subflow_bwd_packets",
    "subflow_fwd_bytes", "subflow_bwd_bytes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """One public header and the conventions that go with it.

    header: names as they stand in the file, blanks and doubles included. fields: for each of them what stands below: a
    column of flows.columns, or one of "flow_id", "src_address", "src_port", "dst_address", "dst_port", "protocol",
    "vlan", "start", "end", "end_reason", "label". time_format: of "start" and "end" in strftime's words, None for
    instants. label: of flows that nobody has labelled. no_window: what stands for the window of no TCP packet.
    ordered_id: the flow id has the endpoint first whose address is smaller by signed bytes, not the originator.
    any_protocol: every IP protocol has its number; else 0, without ports, stands for all but TCP and UDP.
    """

    name: str
    header: tuple[str, ...]
    fields: tuple[str, ...]
    time_format: str | None = None
    label: str = ""
    no_window: int = -1
    ordered_id: bool = False
    any_protocol: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The header with a name that comes twice numbered the second time, as pandas does when it reads the CSV."""
        return tuple(f"{name}.1" if name in self.header[:i] else name for i, name in enumerate(self.header))


def _named(dialect: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(getattr(COLUMNS[INDEX[name]], dialect)) for name in columns)


JAVA_IDENTITY = ("flow_id", "src_address", "src_port", "dst_address", "dst_port", "protocol", "start")
SHORT_IDENTITY = ("Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Protocol", "Timestamp")
LONG_IDENTITY = ("Flow ID", "Source IP", "Source Port", "Destination IP", "Destination Port", "Protocol", "Timestamp")
PYTHON_IDENTITY = ("src_address", "dst_address", "src_port", "dst_port", "protocol", "start")
NATIVE_IDENTITY = (
    "flow_id", "src_address", "src_port", "dst_address", "dst_port", "protocol", "vlan", "start", "end", "end_reason",
)  # fmt: skip
NATIVE_COLUMNS = tuple(column.name for column in COLUMNS if column.name != "protocol")
COLUMNS_2017 = (*JAVA[:AFTER_2017], DOUBLED, *JAVA[AFTER_2017:])

NATIVE = Dialect("native", (*NATIVE_IDENTITY, *NATIVE_COLUMNS), (*NATIVE_IDENTITY, *NATIVE_COLUMNS))
CIC2017 = Dialect(
    "cic2017",
    tuple(
        name if name in BEGIN_A_GROUP else f" {name}"
        for name in (*LONG_IDENTITY, *_named("cic2017", COLUMNS_2017), "Label")
    ),
    (*JAVA_IDENTITY, *COLUMNS_2017, "label"),
    time_format="%d/%m/%Y %I:%M:%S",  # of twelve hours, without saying which twelve
    label="No Label",
    ordered_id=True,
    any_protocol=False,
)
TOT = Dialect(
    "tot",
    (*SHORT_IDENTITY, *_named("tot", JAVA), "Label"),
    (*JAVA_IDENTITY, *JAVA, "label"),
    time_format="%d/%m/%Y %I:%M:%S %p",
    label="No Label",
    ordered_id=True,
    any_protocol=False,
)
V4 = Dialect(
    "v4",
    (*SHORT_IDENTITY, *_named("v4", JAVA), "Label"),
    (*JAVA_IDENTITY, *JAVA, "label"),
    time_format="%d/%m/%Y %I:%M:%S %p",
    label="NeedManualLabel",
    no_window=0,
)
PYTHON_DIALECT = Dialect(
    "python",
    ("src_ip", "dst_ip", "src_port", "dst_port", "protocol", "timestamp", *_named("python", PYTHON)),
    (*PYTHON_IDENTITY, *PYTHON),
    time_format="%Y-%m-%d %H:%M:%S",
    no_window=0,
)
DIALECTS: tuple[Dialect, ...] = (NATIVE, CIC2017, TOT, V4, PYTHON_DIALECT)


def dialect_fields(batch: FlowBatch, dialect: Dialect) -> tuple[Field, ...]:
    """What stands below each name of the dialect's header, in its order: arrays of length n.

    Whole numbers are int64, quotients float64 (NaN and infinite only where the batch has them), text is ASCII bytes,
    an instant is datetime64[us]. Times of other columns are µs and rates per second in every dialect.
    Raises ValueError when a column of whole numbers holds something else.
    """
    identity = _identity(batch, dialect)
    made: dict[str, Field] = {}
    for name in dialect.fields:
        if name not in made:
            made[name] = identity[name]() if name in identity else _column(batch, name, dialect.no_window)
    return tuple(made[name] for name in dialect.fields)


def as_columns(batch: FlowBatch, dialect: Dialect = NATIVE) -> dict[str, Field]:
    """The same by name, text as str: what data frames are made of. A name that comes twice ends in ".1" then."""
    fields = dialect_fields(batch, dialect)
    texts = (np.char.decode(field, "ascii") if field.dtype.kind == "S" else field for field in fields)
    return dict(zip(dialect.names, texts, strict=True))


def _column(batch: FlowBatch, name: str, no_window: int) -> Field:
    values = batch.values[:, INDEX[name]]
    if name not in WHOLE:
        return np.ascontiguousarray(values)
    with np.errstate(invalid="ignore"):
        whole: NDArray[np.int64] = values.astype(np.int64)
    if not np.array_equal(whole, values):
        raise ValueError(f"{name} holds a value that is no whole number")
    return np.where(whole == -1, no_window, whole) if name in WINDOWS and no_window != -1 else whole


def _identity(batch: FlowBatch, dialect: Dialect) -> dict[str, Callable[[], Field]]:
    """How to make the fields that are no measurement; only those that the dialect has are made."""
    rows = batch.identity
    protocol = rows[:, PROTOCOL].copy()
    src_port, dst_port = rows[:, SRC_PORT].copy(), rows[:, DST_PORT].copy()
    if not dialect.any_protocol:
        other = (protocol != TCP) & (protocol != UDP)
        protocol[other] = src_port[other] = dst_port[other] = 0
    source = _addresses(rows[:, SRC_HIGH], rows[:, SRC_LOW], rows[:, IP_VERSION])
    destination = _addresses(rows[:, DST_HIGH], rows[:, DST_LOW], rows[:, IP_VERSION])

    def flow_id() -> Texts:
        turned = _is_turned(batch) if dialect.ordered_id else np.zeros(len(batch), dtype=np.bool_)
        parts = (
            np.where(turned, destination, source),
            np.where(turned, source, destination),
            _decimal(np.where(turned, dst_port, src_port)),
            _decimal(np.where(turned, src_port, dst_port)),
            _decimal(protocol),
        )
        text = parts[0]
        for part in parts[1:]:
            text = np.char.add(np.char.add(text, b"-"), part)
        return text

    return {
        "flow_id": flow_id,
        "src_address": lambda: source,
        "dst_address": lambda: destination,
        "src_port": lambda: src_port,
        "dst_port": lambda: dst_port,
        "protocol": lambda: protocol,
        "vlan": rows[:, VLAN].copy,
        "start": lambda: _times(rows[:, START_NS], dialect.time_format),
        "end": lambda: _times(rows[:, END_NS], dialect.time_format),
        "end_reason": lambda: np.array(END_REASONS, dtype=np.bytes_)[rows[:, END_REASON]],
        "label": lambda: np.full(len(batch), dialect.label.encode()),
    }


_OCTETS = np.array([b"%d" % octet for octet in range(256)])


def _addresses(high: NDArray[np.int64], low: NDArray[np.int64], version: NDArray[np.int64]) -> Texts:
    """Text of each address. An IPv6 address is written once however often it comes."""
    text: Texts = _OCTETS[low >> 24 & 0xFF]
    for shift in (16, 8, 0):
        text = np.char.add(np.char.add(text, b"."), _OCTETS[low >> shift & 0xFF])
    six = np.flatnonzero(version != 4)
    if not len(six):
        return text
    words, which = np.unique(np.stack([high[six], low[six]], axis=1), axis=0, return_inverse=True)
    written = np.array([address(int(top), int(bottom), 6).encode() for top, bottom in words])
    text = text.astype(f"S{max(text.dtype.itemsize, written.dtype.itemsize)}")
    text[six] = written[which.reshape(-1)]
    return text


def _decimal(numbers: NDArray[np.int64]) -> Texts:
    """Text of numbers of which few differ."""
    distinct, which = np.unique(numbers, return_inverse=True)
    written: Texts = np.array([b"%d" % number for number in distinct.tolist()], dtype="S5")
    return written[which.reshape(-1)]


def _is_turned(batch: FlowBatch) -> NDArray[np.bool_]:
    """Where the responder's address comes first by the signed bytes of Java."""
    flip = np.int64(np.uint64(0x8080808080808080).view(np.int64))
    rows = batch.identity
    pairs = [((rows[:, j] ^ flip).view(np.uint64)) for j in (SRC_HIGH, SRC_LOW, DST_HIGH, DST_LOW)]
    turned: NDArray[np.bool_] = (pairs[0] > pairs[2]) | ((pairs[0] == pairs[2]) & (pairs[1] > pairs[3]))
    return turned


def _times(ns: NDArray[np.int64], time_format: str | None) -> Field:
    if time_format is None:
        return (ns // 1000).astype("datetime64[us]")
    seconds, which = np.unique(ns // 1_000_000_000, return_inverse=True)
    written = [datetime.fromtimestamp(second, UTC).strftime(time_format).encode() for second in seconds.tolist()]
    return np.array(written, dtype=np.bytes_)[which.reshape(-1)]
