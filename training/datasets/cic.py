"""Reader of labelled CICFlowMeter tables with the "V4" header, as the corrected CIC-IDS-2017 is published.

It gives values as this product's meter would have measured them: where the published program is known to write
something else under a name, the value is repaired and counted, or the column is unfit for models (use "never").
Sources: Sharafaldin, Lashkari, Ghorbani 2018; Engelen, Rimmer, Joosen 2021; Liu, Engelen, Lynar, Essam, Joosen 2022.
"""

import csv
import difflib
import gzip
import hashlib
import zlib
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.columns import COLUMNS, INDEX, NAMES
from training.datasets.table import FlowTable, Int64s, Strings
from training.errors import DatasetError
from training.labels import cic_family

if TYPE_CHECKING:
    import polars as pl

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

TIMESTAMP, SOURCE, LABEL = "Timestamp", "Src IP", "Label"
TCP = 6.0

# The published program writes the last backward window under the name of the first: 235 in 40 % of the rows, where the
# server's SYN-ACK carries 28960 (Rosay et al. 2022).
RENAMED = {"bwd_last_win_bytes": "Bwd Init Win Bytes", "bwd_init_win_bytes": None}
# Not in every release, and no model may use them.
OPTIONAL = frozenset(column.name for column in COLUMNS if column.use == "never")
RATES = ("flow_bytes_per_s", "flow_packets_per_s", "fwd_packets_per_s", "bwd_packets_per_s")


def read_cic(path: Path) -> FlowTable:
    """Labelled flows of a CSV or CSV.gz with the V4 header, in the order of the file.

    Rows that only attempted an attack, and rows of protocol 0 (the published program's word for any protocol it does
    not know), are left out and counted in repairs. Raises DatasetError with the line and column of what cannot be read.
    """
    digest = _sha256(path)
    frame = _text_frame(path)
    names = _published_names(path, frame.columns)
    repairs = {"rows": len(frame), "duplicate rows (kept)": len(frame) - len(frame.drop("id", strict=False).unique())}
    values = np.zeros((len(frame), len(NAMES)))
    for name, header in names.items():
        values[:, INDEX[name]] = _numbers(path, frame, header, infinite=name in RATES)
    start_ns = _start_ns(path, frame)
    label = frame[LABEL].str.strip_chars().to_numpy().astype(np.str_)
    family = _families(path, label)
    repair(values, repairs)
    _refuse_infinite(path, values, names)
    table = FlowTable(
        values=values,
        host=_hosts(path, frame[SOURCE].to_list()),
        start_ns=start_ns,
        end_ns=start_ns + values[:, INDEX["flow_duration"]].astype(np.int64) * 1000,
        label=label,
        family=family,
        day=start_ns.astype("datetime64[ns]").astype("datetime64[D]").astype(np.str_),
        missing=tuple(name for name in NAMES if name not in names),
        repairs=repairs,
        sha256=digest,
    )
    attempted = family == ""
    unknown_protocol = (values[:, INDEX["protocol"]] == 0) & ~attempted
    repairs["rows of attempted attacks, left out"] = int(attempted.sum())
    repairs["rows of protocol 0, left out"] = int(unknown_protocol.sum())
    return table.take(~(attempted | unknown_protocol))


def repair(values: Values, repairs: dict[str, int]) -> None:
    """Make published values what this product's meter emits, in place; how often, by reason, goes into repairs.

    values: (n, c) float64 in the order of flows.columns.COLUMNS.
    """
    column = {name: values[:, i] for name, i in INDEX.items()}
    still = column["flow_duration"] <= 0
    for name in RATES:
        _fill(column[name], still, 0.0, f"{name} without duration -> 0", repairs)
    tcp = column["protocol"] == TCP
    _fill(column["fwd_init_win_bytes"], ~tcp, -1.0, "fwd_init_win_bytes of no TCP packet -> -1", repairs)
    no_answer = ~tcp | (column["bwd_packets"] == 0)
    _fill(column["bwd_last_win_bytes"], no_answer, -1.0, "bwd_last_win_bytes of no TCP packet -> -1", repairs)
    # The published program does not look at a flow's first packet; where even the smallest has payload, all have.
    all_data = (column["fwd_packet_length_min"] > 0) & (column["fwd_packets"] > 0)
    _fill(
        column["fwd_act_data_packets"],
        all_data,
        column["fwd_packets"],
        "fwd_act_data_packets without the first packet -> all",
        repairs,
    )
    for way in ("fwd", "bwd"):
        _unwrap_headers(column[f"{way}_header_length"], column[f"{way}_packets"], tcp, way, repairs)
    # 0 where the program turned the flow around after its first packet; no TCP header is under 20 bytes.
    mean_header = column["fwd_header_length"] / np.maximum(column["fwd_packets"], 1)
    smallest = np.clip(mean_header // 4 * 4, 20, 32)
    _fill(
        column["fwd_seg_size_min"],
        tcp & (column["fwd_seg_size_min"] < 20),
        smallest,
        "fwd_seg_size_min 0 on TCP -> from the mean",
        repairs,
    )


def _fill(column: Values, where: Mask, value: float | Values, reason: str, repairs: dict[str, int]) -> None:
    new = np.where(where, value, column)
    repairs[reason] = int((~np.equal(new, column)).sum())
    column[:] = new


def _unwrap_headers(header: Values, packets: Values, tcp: Mask, way: str, repairs: dict[str, int]) -> None:
    """Undo the 16-bit overflow of a sum of headers: TCP headers average 20 bytes bare, 32 with timestamps."""
    wrapped = tcp & (header < 20 * packets)
    candidates = [header + np.round((size * packets - header) / 65536) * 65536 for size in (20, 32)]
    distance = [np.abs(value - size * packets) for value, size in zip(candidates, (20, 32), strict=True)]
    unwrapped = np.where(distance[0] < distance[1], candidates[0], candidates[1])
    _fill(header, wrapped, unwrapped, f"{way}_header_length wrapped at 16 bits -> unwrapped", repairs)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror}); expected a CSV or CSV.gz of flows") from error


def _text_frame(path: Path) -> "pl.DataFrame":
    """The table as text, so that a bad number can be named with its line. One row a line: the format quotes nothing."""
    import polars as pl
    from polars.exceptions import PolarsError

    try:
        frame = pl.read_csv(path, infer_schema=False).fill_null("")
    except (PolarsError, OSError) as error:
        _raise_ragged_line(path)
        raise DatasetError(path, f"is not a CSV table ({str(error).splitlines()[0]})") from error
    frame = frame.rename({name: name.strip() for name in frame.columns})
    if frame.is_empty():
        raise DatasetError(path, "has a header and no rows", line=1)
    return frame


def _raise_ragged_line(path: Path) -> None:
    """Find the line that stopped the reader, one line at a time."""
    with path.open("rb") as magic:
        packed = magic.read(2) == b"\x1f\x8b"
    line = 0
    try:
        with gzip.open(path, "rt", newline="") if packed else path.open(newline="") as stream:
            rows = csv.reader(stream)
            width = len(next(rows, []))
            line = 1
            for row in rows:
                line += 1
                if len(row) > width:
                    raise DatasetError(path, f"{len(row)} fields, the header has {width}", line=line)
    except (EOFError, zlib.error, OSError) as error:
        raise DatasetError(path, f"compressed data ends or breaks after this line ({error})", line=line) from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            path, f"not UTF-8 after this line (byte {error.object[error.start]:#04x})", line=line
        ) from error


def _published_names(path: Path, header: list[str]) -> dict[str, str]:
    """Header name of each table column that the file has. Raises DatasetError for one that a model needs."""
    present = set(header)
    names: dict[str, str] = {}
    wanted: list[tuple[str | None, str]] = [(None, SOURCE), (None, TIMESTAMP), (None, LABEL)]
    for column in COLUMNS:
        published = RENAMED.get(column.name, column.v4)
        if published is not None and (published in present or column.name not in OPTIONAL):
            wanted.append((column.name, published))
    for name, published in wanted:
        if published not in present:
            near = difflib.get_close_matches(published, header, n=1)
            hint = f'; nearest is "{near[0]}"' if near else ""
            raise DatasetError(path, f"the header lacks this column of the V4 dialect{hint}", line=1, column=published)
        if name is not None:
            names[name] = published
    return names


def _line(row: int) -> int:
    return row + 2  # line 1 is the header


def _numbers(path: Path, frame: "pl.DataFrame", header: str, *, infinite: bool) -> Values:
    """A column as float64. Only rates may be NaN or Infinity (the published division by a duration of 0)."""
    import polars as pl

    text = frame[header].str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    bad = numbers.is_null() | (False if infinite else ~numbers.is_finite().fill_null(False))
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DatasetError(path, f"{text[row]!r} is not a finite number", line=_line(row), column=header)
    return numbers.to_numpy().astype(np.float64)


def _refuse_infinite(path: Path, values: Values, names: dict[str, str]) -> None:
    rows, columns = np.nonzero(~np.isfinite(values))
    if len(rows):
        header = names[NAMES[columns[0]]]
        raise DatasetError(path, "not finite though the flow has a duration", line=_line(int(rows[0])), column=header)


def _start_ns(path: Path, frame: "pl.DataFrame") -> Int64s:
    import polars as pl

    text = frame[TIMESTAMP].str.strip_chars()
    times = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ns", strict=False)
    if times.null_count():
        row = int(times.is_null().arg_max() or 0)
        found = f"{text[row]!r} is not a time like 2017-07-03 11:57:41.826651 (UTC)"
        raise DatasetError(path, found, line=_line(row), column=TIMESTAMP)
    return times.cast(pl.Int64).to_numpy().astype(np.int64)


def _families(path: Path, label: Strings) -> Strings:
    """Family of each row, "" for an attempted attack."""
    known: dict[str, str] = {}
    for text in np.unique(label):
        try:
            known[text] = cic_family(text) or ""
        except KeyError:
            row = int(np.argmax(label == text))
            raise DatasetError(path, f"unknown label {str(text)!r}", line=_line(row), column=LABEL) from None
    return np.array([known[text] for text in label], dtype=np.str_)


def _hosts(path: Path, addresses: list[str]) -> Int64s:
    """Source addresses as two signed words, high and low, as flows.batch holds them."""
    words: dict[str, tuple[int, int]] = {}
    for row, text in enumerate(addresses):
        if text in words:
            continue
        try:
            number = int(ip_address(text.strip()))
        except ValueError:
            raise DatasetError(path, f"{text!r} is not an address", line=_line(row), column=SOURCE) from None
        words[text] = (_signed(number >> 64), _signed(number & (1 << 64) - 1))
    return np.array([words[text] for text in addresses], dtype=np.int64)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
