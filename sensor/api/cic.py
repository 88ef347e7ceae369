"""The row format of CIC flows: JSON objects under our own names or those of any public header (flows.dialects).

Known errors of the programs that write such flows are not corrected, since a few rows do not identify the program.
Corrected is only what follows from a name itself: windows where there is none, rates without a duration, and the public
headers' window of the first backward packet, under which the published programs write that of the last one (Rosay et
al. 2022). Most public headers count resets of both sides together: who has sent them is taken to be who refuses or ends
a conversation most often, the side that was asked, where it sent anything.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flows.columns import COLUMNS, INDEX
from flows.context.columns import CONTEXT_COLUMNS
from flows.dialects import DIALECTS, NATIVE, Dialect
from flows.headers import ENOUGH, FIELDS, nearest
from models.fusion import Hybrid
from sensor.api.json_rows import JsonRow, check_names, check_scalars, column, meant, numbers
from sensor.api.problems import ErrorDetail, unprocessable
from sensor.api.samples import SOURCE, TIME, Samples, parse_addresses, parse_times

# In published tables beside the flow's own columns, and not used.
IGNORED_COLUMNS: Final = frozenset({"id", "Label", "label", "Attempted Category", "Total TCP Flow Time"})
DUPLICATE_COLUMN: Final = "Fwd Header Length.1"  # of the 2017 tables, as data frames name it
MAY_BE_WITHOUT: Final = (
    " Columns of what the hosts did before the flow may be left out by all rows together: then nothing is taken to be "
    "known of them, and no reason names them."
)
RATES: Final = ("flow_bytes_per_s", "flow_packets_per_s", "fwd_packets_per_s", "bwd_packets_per_s")
FIRST_WINDOW, LAST_WINDOW = "bwd_init_win_bytes", "bwd_last_win_bytes"
RESETS, RESETS_OUT, RESETS_BACK = "rst_flag_count", "fwd_rst_flags", "bwd_rst_flags"
TCP: Final = 6.0  # IANA protocol number, as a column has it


class CicFormat:
    """JsonRow format (sensor.api.samples.RowFormat) of flows, for one model.

    Rows may have columns of context too, under our own names: what the hosts of a flow did before it, which the API,
    that keeps no state, does not know. Of a model that uses them they are optional: without them the rows are masked.
    """

    name = "CIC flows"

    def __init__(self, hybrid: Hybrid) -> None:
        self._normal = hybrid.normal.typical
        names = hybrid.normal.columns
        self._place = {name: i for i, name in enumerate(names)}
        self._used = frozenset(names[position] for position in hybrid.seen)
        self._context = tuple(column for column in CONTEXT_COLUMNS if column.name in self._place)
        self._optional = frozenset(hybrid.maskable)
        known = {name for fields in FIELDS.values() for name in fields} | {column.name for column in self._context}
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
        masked = tuple(name for name in self._in_order(self._optional) if name not in fields)
        numeric = [field for field in fields if field in self._place]
        sent = [fields[field] for field in numeric]
        values = np.tile(self._normal, (len(rows), 1))
        values[:, [self._place[field] for field in numeric]] = numbers(rows, sent)
        check_scalars(rows, [name for name in names.values() if name not in sent])
        derived: dict[str, str] = {}  # columns that another one gives, by whose name they are found wrong
        if dialect is not NATIVE and FIRST_WINDOW in fields and LAST_WINDOW not in fields:
            values[:, INDEX[LAST_WINDOW]] = values[:, INDEX[FIRST_WINDOW]]
            derived[LAST_WINDOW] = fields[FIRST_WINDOW]
        if RESETS in fields and RESETS_OUT not in fields and RESETS_BACK not in fields:
            _part_resets(values)
            derived |= dict.fromkeys((RESETS_OUT, RESETS_BACK), fields[RESETS])
        _set_undefined(values)
        self._check_finite(values, derived | fields)
        values[:, [self._place[name] for name in masked]] = np.nan
        host, time_ns = _sequence(rows, names, fields, dialect)
        return Samples(values, host, time_ns, imputed, masked)

    def table_columns(self, first_line: Sequence[str]) -> tuple[Sequence[str], bool]:
        """The first line of a table is its header."""
        return first_line, True

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one row under our own names; those of the public headers are as good."""
        number_schemas = {
            column.name: {"type": "number", "description": f"{column.definition} ({column.unit})"}
            for column in (*COLUMNS, *self._context)
        }
        return {
            "type": "object",
            "title": "Flow",
            "description": "A flow under our own names. The names of the CIC-IDS-2017, CICFlowMeter 2018-2020, "
            "CICFlowMeter V4 and Python cicflowmeter headers are accepted as well; the first row's names decide."
            + MAY_BE_WITHOUT
            * bool(self._optional),
            "properties": number_schemas | sequence_schema(),
            "required": self._in_order(self._used - self._optional),
            "additionalProperties": True,
        }

    def example(self) -> dict[str, Any]:
        """A row of the medians of normal traffic: accepted, though no real flow has all of them."""
        needed = self._in_order(self._used - self._optional)
        return {name: float(self._normal[self._place[name]]) for name in needed}

    def _in_order(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=self._place.__getitem__)

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
            lacking = [ErrorDetail("missing", 0, name) for name in self._in_order(self._used - self._optional)]
            unknown = [ErrorDetail("unknown", 0, name) for name in names if name not in self.column_names]
            raise unprocessable([*unknown[:5], *lacking], f"the names are those of none of {known}")
        return dialect

    def _sent_names(self, names: dict[str, str], dialect: Dialect) -> dict[str, str]:
        """The name as sent of each field. Raises Problem 422 for names that the dialect does not have."""
        known = FIELDS[dialect.name] | {column.name: column.name for column in self._context}
        fields: dict[str, str] = {}
        errors: list[ErrorDetail] = []
        for stripped, sent in names.items():
            if stripped in known:
                fields.setdefault(known[stripped], sent)
            elif stripped not in IGNORED_COLUMNS and stripped not in (SOURCE, TIME, DUPLICATE_COLUMN):
                near = meant(stripped, known, errors)
                hint = f', did you mean "{near}"?' if near else ""
                errors.append(ErrorDetail(f"unknown in the {dialect.name} header{hint}", 0, sent))
        if errors:
            raise unprocessable(errors, "rows have columns of other names")
        return fields

    def _check_complete(self, names: dict[str, str], fields: dict[str, str], dialect: Dialect) -> tuple[str, ...]:
        """Columns that the model uses and this header does not have; the caller imputes them.

        Raises Problem 422 for missing columns that the header does have.
        """
        known = {field: name.strip() for name, field in zip(dialect.header, dialect.fields, strict=True)}
        known |= {column.name: column.name for column in self._context}
        absent = [name for name in self._in_order(self._used - self._optional) if name not in fields]
        if dialect is not NATIVE and FIRST_WINDOW in fields:
            absent = [name for name in absent if name != LAST_WINDOW]
        errors = [ErrorDetail("missing", 0, known[name]) for name in absent if name in known]
        if (SOURCE in names) != (TIME in names):
            errors.append(ErrorDetail("missing: source and time go together", 0, TIME if SOURCE in names else SOURCE))
        if errors:
            raise unprocessable(errors, "rows lack columns that the model looks at")
        return tuple(name for name in absent if name not in known)

    def _check_finite(self, values: NDArray[np.float64], fields: dict[str, str]) -> None:
        """Raise Problem 422 for infinity and NaN, which JSON cannot have and tables of text can.

        fields: the name as sent of each column that rows gave.
        """
        bad = ~np.isfinite(values)
        if bad.any():
            names = tuple(self._place)
            errors = [ErrorDetail("not finite", int(row), fields[names[at]]) for row, at in np.argwhere(bad)[:100]]
            raise unprocessable(errors, "a column holds no number")


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


def _part_resets(values: NDArray[np.float64]) -> None:
    """Give the resets of both sides to one: to that which was asked, or, where nothing came back, to the other."""
    resets, answered = values[:, INDEX[RESETS]], values[:, INDEX["bwd_packets"]] > 0
    values[:, INDEX[RESETS_OUT]] = np.where(answered, 0.0, resets)
    values[:, INDEX[RESETS_BACK]] = np.where(answered, resets, 0.0)
