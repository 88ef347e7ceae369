"""The row format of NSL-KDD and KDD'99 records: JSON objects under the published names (flows.kdd.columns).

A service that is not in the published data is accepted as unknown, as there are new services; protocols and flags are
closed lists, and another one is an error.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flows.kdd.columns import FLAGS, PROTOCOLS, SYMBOLS, UNKNOWN, KddColumn, kdd_columns
from flows.kdd.header import DIFFICULTIES, LABELS, NAMES, column_of, columns_in_order, is_header
from sensor.api.body import json_type
from sensor.api.cic import sequence_schema
from sensor.api.json_rows import JsonRow, check_names, check_scalars, column, meant, numbers
from sensor.api.problems import ErrorDetail, unprocessable
from sensor.api.samples import SOURCE, TIME, Samples, parse_addresses, parse_times

IGNORED_COLUMNS: Final = LABELS | DIFFICULTIES | {"id"}  # in published files beside the columns, and not used
OPEN_VOCABULARY: Final = frozenset({"service"})  # columns that may have symbols not in the data
EXAMPLE: Final = {
    "protocol_type": "tcp", "service": "http", "flag": "SF", "src_bytes": 232, "dst_bytes": 8153, "logged_in": 1,
    "count": 5, "srv_count": 5, "same_srv_rate": 1, "dst_host_count": 30, "dst_host_srv_count": 255,
    "dst_host_same_srv_rate": 1, "dst_host_same_src_port_rate": 0.03, "dst_host_srv_diff_host_rate": 0.04,
}  # fmt: skip


class KddFormat:
    """JsonRow format (sensor.api.samples.RowFormat) of connection records."""

    text_columns = frozenset(SYMBOLS) | {SOURCE, TIME} | IGNORED_COLUMNS
    column_names = frozenset(NAMES) | text_columns

    def __init__(self, *, content: bool) -> None:
        """content: whether the model uses the columns that need payloads."""
        self.name = "NSL-KDD records" if content else "NSL-KDD records without content columns"
        self._columns = kdd_columns(content=content)

    def parse(self, rows: Sequence[JsonRow]) -> Samples:
        """Parse records. Raises Problem 422."""
        check_names(rows)
        self._check_complete(rows[0])
        numeric = [column.name for column in self._columns if column.kind != "symbol"]
        values = np.empty((len(rows), len(self._columns)))
        values[:, [i for i, column in enumerate(self._columns) if column.kind != "symbol"]] = numbers(rows, numeric)
        for i, described in enumerate(self._columns):
            if described.kind == "symbol":
                values[:, i] = _positions(column(rows, described.name), described.name)
        check_scalars(rows, [name for name in rows[0] if name not in {column.name for column in self._columns}])
        _check_ranges(values, self._columns)
        if SOURCE not in rows[0]:
            return Samples(values)
        return Samples(values, parse_addresses(column(rows, SOURCE), SOURCE), parse_times(column(rows, TIME), TIME))

    def table_columns(self, first_line: Sequence[str]) -> tuple[Sequence[str], bool]:
        """The names of the header, or those of the published files in their order where there is no header."""
        columns = None if is_header(first_line) else columns_in_order(len(first_line))
        if columns is not None:
            return columns, False
        return [column_of(name) if column_of(name) in NAMES else name for name in first_line], True

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one record."""
        return {
            "type": "object",
            "title": "Record",
            "description": "A connection under the names of NSL-KDD.",
            "properties": {column.name: _schema(column) for column in self._columns} | sequence_schema(),
            "required": [column.name for column in self._columns],
            "additionalProperties": True,
        }

    def example(self) -> dict[str, Any]:
        """A record of a short web connection."""
        return {column.name: EXAMPLE.get(column.name, 0) for column in self._columns}

    def _check_complete(self, row: JsonRow) -> None:
        errors = [ErrorDetail("missing", 0, column.name) for column in self._columns if column.name not in row]
        for name in row:
            if name not in self.column_names:
                near = meant(name, NAMES, errors)
                errors.append(ErrorDetail(f'unknown, did you mean "{near}"?' if near else "unknown", 0, name))
        if (SOURCE in row) != (TIME in row):
            errors.append(ErrorDetail("missing: source and time go together", 0, TIME if SOURCE in row else SOURCE))
        if errors:
            raise unprocessable(errors, "rows are no NSL-KDD records")


def _positions(symbols: Sequence[Any], name: str) -> NDArray[np.float64]:
    """Positions of symbols in the vocabulary of their column, (n,). Raises Problem 422."""
    place = {symbol: float(i) for i, symbol in enumerate(SYMBOLS[name])}
    errors: list[ErrorDetail] = []
    for row, symbol in enumerate(symbols):
        if type(symbol) is not str:
            errors.append(ErrorDetail(f"{json_type(symbol)}, expected text", row, name))
        elif symbol not in place and name not in OPEN_VOCABULARY:
            errors.append(ErrorDetail(f"{symbol!r:.40}, expected one of {', '.join(place)}", row, name))
    if errors:
        raise unprocessable(errors, "a symbol is unknown")
    return np.array([place.get(symbol, float(UNKNOWN)) for symbol in symbols])


def _check_ranges(values: NDArray[np.float64], columns: Sequence[KddColumn]) -> None:
    """Raise Problem for negative counts, shares beyond 1 and truth values other than 0 and 1."""
    highest = np.array([1.0 if column.kind in ("share", "truth") else np.inf for column in columns])
    truth = np.array([column.kind == "truth" for column in columns])
    symbol = np.array([column.kind == "symbol" for column in columns])
    bad = ~((values >= 0) & (values <= highest) & np.isfinite(values)) & ~symbol
    bad |= truth & (values != 0) & (values != 1)
    if bad.any():
        wanted = {"share": "a number from 0 to 1", "truth": "0 or 1"}
        errors = [
            ErrorDetail(
                f"{values[row, i]:g}, expected {wanted.get(columns[i].kind, '0 or more')}", int(row), columns[i].name
            )
            for row, i in np.argwhere(bad)[:100]
        ]
        raise unprocessable(errors, "a column is out of its range")


def _schema(column: KddColumn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "number", "minimum": 0, "description": column.definition}
    if column.kind == "symbol":
        schema = {"type": "string", "description": column.definition}
        if column.name not in OPEN_VOCABULARY:
            schema["enum"] = list(PROTOCOLS if column.name == "protocol_type" else FLAGS)
    elif column.kind == "share":
        schema["maximum"] = 1
    elif column.kind == "truth":
        schema = {"type": "integer", "enum": [0, 1], "description": column.definition}
    return schema
