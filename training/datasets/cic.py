"""Reader of flow tables in every public header dialect, as the CICFlowMeter programs and this product write them.

It gives values as this product's meter would have measured them: where the program behind a table is known to write
something else under a name, the value is repaired and counted, or the column is named as unfit.
"""

from ipaddress import ip_address
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.columns import INDEX, NAMES
from flows.dialects import DIALECTS
from training.datasets.headers import Header, recognise
from training.datasets.programs import BEFORE_V4, PYTHON, V4, Program, measured_by
from training.datasets.repairs import (
    RATES,
    repair,
    repair_first_packet,
    repair_flag_order,
    repair_missing_windows,
    repair_negatives,
    times_in_us,
)
from training.datasets.table import FlowTable, Int64s, Strings
from training.datasets.text import TextTable, read_text_table
from training.datasets.times import start_times
from training.errors import DatasetError
from training.labels import cic_family

Values = NDArray[np.float64]

UNLABELLED = frozenset(dialect.label for dialect in DIALECTS if dialect.label)
NO_FAMILY = ""


def read_cic(path: Path) -> FlowTable:
    """Labelled flows of a CSV or CSV.gz: as read_flows, and raises DatasetError for a flow that nobody has labelled."""
    table = read_flows(path)
    unlabelled = int((table.family == NO_FAMILY).sum())
    if unlabelled:
        raise DatasetError(path, f"{unlabelled:,} flows have no label; expected one for each", column="Label")
    return table


def read_flows(path: Path) -> FlowTable:
    """Flows of a CSV or CSV.gz with any public header, in the order of the file; family "" where nobody labelled them.

    Rows that only attempted an attack, and rows of protocol 0 (the programs' word for any protocol they do not know),
    are left out and counted in repairs. Raises DatasetError with the line and column of what cannot be read.
    """
    text, header = recognise(read_text_table(path))
    repairs = {"rows": len(text), "duplicate rows (kept)": _duplicates(text)}
    values = np.zeros((len(text), len(NAMES)))
    for field, name in header.names.items():
        if field in INDEX:
            values[:, INDEX[field]] = text.numbers(name, infinite=field in RATES)
    start_ns = start_times(text, header.names["start"], header.dialect.name)
    label, family, attempted = _labels(text, header)
    repairs.update(text.repairs)
    program = _repaired(text, header, values, repairs)
    _refuse_infinite(text, header, values)
    table = FlowTable(
        values=values,
        host=_hosts(text, header.names["src_address"]),
        start_ns=start_ns,
        end_ns=start_ns + values[:, INDEX["flow_duration"]].astype(np.int64) * 1000,
        label=label,
        family=family,
        day=start_ns.astype("datetime64[ns]").astype("datetime64[D]").astype(np.str_),
        missing=_unfit(header, program),
        repairs=repairs,
        sha256=text.sha256,
    )
    unknown_protocol = (values[:, INDEX["protocol"]] == 0) & ~attempted
    repairs["rows of attempted attacks, left out"] = int(attempted.sum())
    repairs["rows of protocol 0, left out"] = int(unknown_protocol.sum())
    return table.take(~(attempted | unknown_protocol))


def _duplicates(text: TextTable) -> int:
    frame = text.frame
    if "id" in text.names:
        frame = frame.drop(str(text.names.index("id")))
    return len(frame) - len(frame.unique())


def _repaired(text: TextTable, header: Header, values: Values, repairs: dict[str, int]) -> Program:
    """Repair the values in place by the rules of the program that measured them; which one that is."""
    if header.dialect.name == "python" and not times_in_us(values, repairs):
        problem = "duration and packet rate contradict each other: its times are neither µs nor seconds throughout"
        raise DatasetError(text.path, problem, column=header.names["flow_duration"])
    program = measured_by(header.dialect.name, values, frozenset(header.names))
    if program is PYTHON:
        repair_negatives(values, repairs)
    if program.first_window:
        repair_missing_windows(values, repairs)
        return program
    # Below the name of the first backward window they write the last: 235 in 40 % of the rows, where the server's
    # SYN-ACK carries 28960 (Rosay et al. 2022).
    first, last = INDEX["bwd_init_win_bytes"], INDEX["bwd_last_win_bytes"]
    values[:, last], values[:, first] = values[:, first], 0
    if program in (BEFORE_V4, V4):
        repair_negatives(values, repairs)
        repair_first_packet(values, repairs)
    if program is BEFORE_V4 and header.dialect.name == "cic2017":
        repair_flag_order(values, repairs)
    repair(values, repairs)
    return program


def _unfit(header: Header, program: Program) -> tuple[str, ...]:
    """Columns that the table lacks, or that its program measured otherwise, in table order."""
    have = frozenset(header.names)
    if not program.first_window and "bwd_init_win_bytes" in have:
        have = have - {"bwd_init_win_bytes"} | {"bwd_last_win_bytes"}
    return tuple(name for name in NAMES if name not in have or name in program.unfit)


def _refuse_infinite(text: TextTable, header: Header, values: Values) -> None:
    rows, columns = np.nonzero(~np.isfinite(values))
    if len(rows):
        name = header.names[NAMES[columns[0]]]
        raise text.error("not finite though the flow has a duration", int(rows[0]), name)


def _labels(text: TextTable, header: Header) -> tuple[Strings, Strings, NDArray[np.bool_]]:
    """Label and family of each row, and which rows only attempted an attack."""
    if "label" not in header.names:
        none = np.full(len(text), NO_FAMILY)
        return none, none.copy(), np.zeros(len(text), dtype=np.bool_)
    name = header.names["label"]
    label: Strings = text.text(name).to_numpy().astype(np.str_)
    known: dict[str, str | None] = dict.fromkeys(UNLABELLED, NO_FAMILY)
    for found in np.unique(label):
        if found in UNLABELLED:
            continue
        try:
            known[found] = cic_family(found)
        except KeyError:
            raise text.error(f"unknown label {str(found)!r}", int(np.argmax(label == found)), name) from None
    family = np.array([known[found] or NO_FAMILY for found in label], dtype=np.str_)
    return label, family, np.array([known[found] is None for found in label], dtype=np.bool_)


def _hosts(text: TextTable, name: str) -> Int64s:
    """Source addresses as two signed words, high and low, as flows.batch holds them."""
    addresses = text.text(name).to_list()
    words: dict[str, tuple[int, int]] = {}
    for row, found in enumerate(addresses):
        if found in words:
            continue
        try:
            number = int(ip_address(found))
        except ValueError:
            raise text.error(f"{found!r} is not an address", row, name) from None
        words[found] = (_signed(number >> 64), _signed(number & (1 << 64) - 1))
    return np.array([words[found] for found in addresses], dtype=np.int64)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
