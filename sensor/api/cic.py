"""The row format of CIC flows: JSON objects under our own names or those of any public header (flows.dialects).

Known errors of the programs that write such flows are not corrected, since a few rows do not identify the program.
Corrected is only what follows from a name itself: windows where there is none, rates without a duration, and the public
headers' window of the first backward packet, under which the published programs write that of the last one (Rosay et
al. 2022).
"""

import difflib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flows.columns import COLUMNS, INDEX, NAMES
from flows.dialects import DIALECTS, NATIVE, Dialect
from flows.headers import ENOUGH, FIELDS, nearest
from models.fusion import Hybrid
from sensor.api.json_rows import JsonRow, check_names, check_scalars, column, numbers
from sensor.api.problems import ErrorDetail, unprocessable
from sensor.api.samples import SOURCE, TIME, Samples, parse_addresses, parse_times

# In published tables beside the flow's own columns, and not used.
IGNORED_COLUMNS: Final = frozenset({"id", "Label", "label", "Attempted Category", "Total TCP Flow Time"})
DUPLICATE_COLUMN: Final = "Fwd Header Length.1"  # of the 2017 tables, as data frames name it
RATES: Final = ("flow_bytes_per_s", "flow_packets_per_s", "fwd_packets_per_s", "bwd_packets_per_s")
FIRST_WINDOW, LAST_WINDOW = "bwd_init_win_bytes", "bwd_last_win_bytes"
TCP: Final = 6.0  # IANA protocol number, as a column has it


class CicFormat:
    """JsonRow format (sensor.api.samples.RowFormat) of flows, for one model."""

    name = "CIC flows"
    accepts_flows = True

    def __init__(self, hybrid: Hybrid) -> None:
        self._normal = hybrid.normal.typical
        self._used = frozenset(NAMES[position] for position in hybrid.seen)
        known = {name for fields in FIELDS.values() for name in fields}
        self.column_names = frozenset(known | IGNORED_COLUMNS | {DUPLICATE_COLUMN, SOURCE, TIME})
        self.text_columns = IGNORED_COLUMNS | {SOURCE, TIME} | {
            name for fields in FIELDS.values() for name, field in fields.items() if field not in INDEX
        }  # fmt: skip

    def parse(self, rows: Sequence[JsonRow]) -> Samples:
        """Parse rows; the names of the first one decide which header they have. Raises Problem 422."""
        check_names(rows)
        names = self._stripped(rows[0])
        dialect = self._dialect(names)
        fields = self._sent_names(names, dialect)
        imputed = self._check_complete(names, fields, dialect)
        numeric = [field for field in fields if field in INDEX]
        sent = [fields[field] for field in numeric]
        values = np.tile(self._normal, (len(rows), 1))
        values[:, [INDEX[field] for field in numeric]] = numbers(rows, sent)
        check_scalars(rows, [name for name in names.values() if name not in sent])
        if dialect is not NATIVE and FIRST_WINDOW in fields and LAST_WINDOW not in fields:
            values[:, INDEX[LAST_WINDOW]] = values[:, INDEX[FIRST_WINDOW]]
        _set_undefined(values)
        _check_finite(values, fields)
        host, time_ns = _sequence(rows, names, fields, dialect)
        return Samples(values, host, time_ns, imputed)

    def table_columns(self, first_line: Sequence[str]) -> tuple[Sequence[str], bool]:
        """The first line of a table is its header."""
        return first_line, True

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one row under our own names; those of the public headers are as good."""
        number_schemas = {
            column.name: {"type": "number", "description": f"{column.definition} ({column.unit})"} for column in COLUMNS
        }
        return {
            "type": "object",
            "title": "Flow",
            "description": "A flow under our own names. The names of the CIC-IDS-2017, CICFlowMeter 2018-2020, "
            "CICFlowMeter V4 and Python cicflowmeter headers are accepted as well; the first row's names decide.",
            "properties": number_schemas | sequence_schema(),
            "required": sorted(self._used, key=INDEX.__getitem__),
            "additionalProperties": True,
        }

    def example(self) -> dict[str, Any]:
        """A row of the medians of normal traffic: accepted, though no real flow has all of them."""
        return {name: float(self._normal[INDEX[name]]) for name in sorted(self._used, key=INDEX.__getitem__)}

    def _stripped(self, row: JsonRow) -> dict[str, str]:
        """The names as sent, by the same without surrounding blanks. Raises Problem 422 for two that are the same."""
        names: dict[str, str] = {}
        for name in row:
            if name.strip() in names:
                raise unprocessable([ErrorDetail("twice in one row", 0, name)], "a row has a column twice")
            names[name.strip()] = name
        return names

    def _dialect(self, names: dict[str, str]) -> Dialect:
        """The header with the largest share of its names among these. Raises Problem 422 where that is too small."""
        dialect, share = nearest(names)
        if share < ENOUGH:
            known = ", ".join(dialect.name for dialect in DIALECTS)
            lacking = [ErrorDetail("missing", 0, name) for name in sorted(self._used, key=INDEX.__getitem__)]
            unknown = [ErrorDetail("unknown", 0, name) for name in names if name not in self.column_names]
            raise unprocessable([*unknown[:5], *lacking], f"the names are those of none of {known}")
        return dialect

    def _sent_names(self, names: dict[str, str], dialect: Dialect) -> dict[str, str]:
        """The name as sent of each field. Raises Problem 422 for names that the dialect does not have."""
        known = FIELDS[dialect.name]
        fields: dict[str, str] = {}
        errors: list[ErrorDetail] = []
        for stripped, sent in names.items():
            if stripped in known:
                fields.setdefault(known[stripped], sent)
            elif stripped not in IGNORED_COLUMNS and stripped not in (SOURCE, TIME, DUPLICATE_COLUMN):
                near = difflib.get_close_matches(stripped, known, 1)
                hint = f', did you mean "{near[0]}"?' if near else ""
                errors.append(ErrorDetail(f"unknown in the {dialect.name} header{hint}", 0, sent))
        if errors:
            raise unprocessable(errors, "rows have columns of other names")
        return fields

    def _check_complete(self, names: dict[str, str], fields: dict[str, str], dialect: Dialect) -> tuple[str, ...]:
        """Columns that the model uses and this header does not have; the caller imputes them.

        Raises Problem 422 for missing columns that the header does have.
        """
        known = {field: name.strip() for name, field in zip(dialect.header, dialect.fields, strict=True)}
        absent = [name for name in sorted(self._used, key=INDEX.__getitem__) if name not in fields]
        if dialect is not NATIVE and FIRST_WINDOW in fields:
            absent = [name for name in absent if name != LAST_WINDOW]
        errors = [ErrorDetail("missing", 0, known[name]) for name in absent if name in known]
        if (SOURCE in names) != (TIME in names):
            errors.append(ErrorDetail("missing: source and time go together", 0, TIME if SOURCE in names else SOURCE))
        if errors:
            raise unprocessable(errors, "rows lack columns that the model looks at")
        return tuple(name for name in absent if name not in known)


def sequence_schema() -> dict[str, Any]:
    """JSON Schema of the columns that make rows of one source a sequence."""
    return {
        SOURCE: {"type": "string", "description": "Address that the row's sequence belongs to; needs time."},
        TIME: {
            "type": ["string", "number"],
            "description": "When it began: ISO 8601 (else UTC) or seconds since 1970; needs source.",
        },
    }


def _sequence(
    rows: Sequence[JsonRow], names: dict[str, str], fields: dict[str, str], dialect: Dialect
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Source addresses (n, 2) and start times in ns (n,): of `source` and `time`, else of the header, else None."""
    if SOURCE in names:
        return parse_addresses(column(rows, names[SOURCE]), SOURCE), parse_times(column(rows, names[TIME]), TIME)
    address, start = fields.get("src_address"), fields.get("start")
    if address is None or start is None:
        return None, None
    formats = [known for known in (dialect.time_format, "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M") if known is not None]
    return parse_addresses(column(rows, address), address), parse_times(column(rows, start), start, formats)


def _set_undefined(values: NDArray[np.float64]) -> None:
    """Set what is undefined as the meter does: rates without a duration to 0, windows of anything but TCP to -1."""
    no_duration = values[:, INDEX["flow_duration"]] <= 0
    for name in RATES:
        values[no_duration, INDEX[name]] = 0.0
    no_tcp = values[:, INDEX["protocol"]] != TCP
    unanswered = no_tcp | (values[:, INDEX["bwd_packets"]] == 0)
    values[no_tcp, INDEX["fwd_init_win_bytes"]] = -1.0
    values[unanswered, INDEX[FIRST_WINDOW]] = values[unanswered, INDEX[LAST_WINDOW]] = -1.0


def _check_finite(values: NDArray[np.float64], fields: dict[str, str]) -> None:
    """Raise Problem 422 for infinity and NaN, which JSON cannot have and tables of text can."""
    bad = ~np.isfinite(values)
    if bad.any():
        errors = [
            ErrorDetail("not finite", int(row), fields[COLUMNS[place].name]) for row, place in np.argwhere(bad)[:100]
        ]
        raise unprocessable(errors, "a column holds no number")
