"""CIC flows as JSON objects: under our own names or those of any public header (flows.dialects).

Rows are taken at their word: what a program is known to measure wrongly is not undone, since a few rows do not tell
which program it was. Only what a name itself is known to mean is set right: windows where there is none, rates without
a duration, and the public headers' window of the first backward packet, below which the published programs write the
last one (Rosay et al. 2022).
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
from sensor.api.cells import Row, check_names, check_scalars, column, numbers
from sensor.api.problems import Flaw, unprocessable
from sensor.api.records import SOURCE, TIME, Records, hosts_of, times_of

# Beside the flow's own columns in published tables: read by nobody.
ASIDE: Final = frozenset({"id", "Label", "label", "Attempted Category", "Total TCP Flow Time"})
DOUBLED: Final = "Fwd Header Length.1"  # the 2017 table's doubled column, as data frames name it
RATES: Final = ("flow_bytes_per_s", "flow_packets_per_s", "fwd_packets_per_s", "bwd_packets_per_s")
FIRST_WINDOW, LAST_WINDOW = "bwd_init_win_bytes", "bwd_last_win_bytes"
TCP: Final = 6.0


class CicForm:
    """Rows of flows for one model."""

    name = "CIC flows"
    takes_flows = True

    def __init__(self, hybrid: Hybrid) -> None:
        self._normal = hybrid.normal.typical
        self._used = frozenset(NAMES[position] for position in hybrid.seen)
        read = {name for fields in FIELDS.values() for name in fields}
        self.names = frozenset(read | ASIDE | {DOUBLED, SOURCE, TIME})
        self.texts = ASIDE | {SOURCE, TIME} | {
            name for fields in FIELDS.values() for name, field in fields.items() if field not in INDEX
        }  # fmt: skip

    def records(self, rows: Sequence[Row]) -> Records:
        """Rows as numbers; the first one's names decide what they are. Raises Problem."""
        check_names(rows)
        names = self._stripped(rows[0])
        dialect = self._dialect(names)
        fields = self._recognised(names, dialect)
        assumed = self._check_complete(names, fields, dialect)
        read = [field for field in fields if field in INDEX]
        given = [fields[field] for field in read]
        values = np.tile(self._normal, (len(rows), 1))
        values[:, [INDEX[field] for field in read]] = numbers(rows, given)
        check_scalars(rows, [name for name in names.values() if name not in given])
        if dialect is not NATIVE and FIRST_WINDOW in fields and LAST_WINDOW not in fields:
            values[:, INDEX[LAST_WINDOW]] = values[:, INDEX[FIRST_WINDOW]]
        _set_right(values)
        _check_finite(values, fields)
        host, time_ns = _sequence(rows, names, fields, dialect)
        return Records(values, host, time_ns, assumed)

    def columns(self, first: Sequence[str]) -> tuple[Sequence[str], bool]:
        """The first line of a table is its header."""
        return first, True

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one row under our own names; those of the public headers are as good."""
        numbers_ = {
            column.name: {"type": "number", "description": f"{column.definition} ({column.unit})"} for column in COLUMNS
        }
        return {
            "type": "object",
            "title": "Flow",
            "description": "A flow under our own names. The names of the CIC-IDS-2017, CICFlowMeter 2018-2020, "
            "CICFlowMeter V4 and Python cicflowmeter headers are accepted as well; the first row's names decide.",
            "properties": numbers_ | sequence_schema(),
            "required": sorted(self._used, key=INDEX.__getitem__),
            "additionalProperties": True,
        }

    def example(self) -> dict[str, Any]:
        """A row of the medians of normal traffic: no flow that could be, and one that is scored."""
        return {name: float(self._normal[INDEX[name]]) for name in sorted(self._used, key=INDEX.__getitem__)}

    def _stripped(self, row: Row) -> dict[str, str]:
        """The names as sent, by the names without blanks around them."""
        names: dict[str, str] = {}
        for name in row:
            if name.strip() in names:
                raise unprocessable([Flaw("twice in one row", 0, name)], "a row has a column twice")
            names[name.strip()] = name
        return names

    def _dialect(self, names: dict[str, str]) -> Dialect:
        """The header with the largest share of its names among these."""
        dialect, share = nearest(names)
        if share < ENOUGH:
            known = ", ".join(dialect.name for dialect in DIALECTS)
            lacking = [Flaw("missing", 0, name) for name in sorted(self._used, key=INDEX.__getitem__)]
            unknown = [Flaw("unknown", 0, name) for name in names if name not in self.names]
            raise unprocessable([*unknown[:5], *lacking], f"the names are those of none of {known}")
        return dialect

    def _recognised(self, names: dict[str, str], dialect: Dialect) -> dict[str, str]:
        """The name as sent of each field. Raises Problem for names that the dialect does not have."""
        known = FIELDS[dialect.name]
        fields: dict[str, str] = {}
        flaws: list[Flaw] = []
        for plain, sent in names.items():
            if plain in known:
                fields.setdefault(known[plain], sent)
            elif plain not in ASIDE and plain not in (SOURCE, TIME, DOUBLED):
                near = difflib.get_close_matches(plain, known, 1)
                hint = f', did you mean "{near[0]}"?' if near else ""
                flaws.append(Flaw(f"unknown in the {dialect.name} header{hint}", 0, sent))
        if flaws:
            raise unprocessable(flaws, "rows have columns of other names")
        return fields

    def _check_complete(self, names: dict[str, str], fields: dict[str, str], dialect: Dialect) -> tuple[str, ...]:
        """Columns that the model looks at and this header need not have. Raises Problem for those that it has."""
        known = {field: name.strip() for name, field in zip(dialect.header, dialect.fields, strict=True)}
        absent = [name for name in sorted(self._used, key=INDEX.__getitem__) if name not in fields]
        if dialect is not NATIVE and FIRST_WINDOW in fields:
            absent = [name for name in absent if name != LAST_WINDOW]
        flaws = [Flaw("missing", 0, known[name]) for name in absent if name in known]
        if (SOURCE in names) != (TIME in names):
            flaws.append(Flaw("missing: source and time go together", 0, TIME if SOURCE in names else SOURCE))
        if flaws:
            raise unprocessable(flaws, "rows lack columns that the model looks at")
        return tuple(name for name in absent if name not in known)


def sequence_schema() -> dict[str, Any]:
    """JSON Schema of what makes rows of one source a sequence."""
    return {
        SOURCE: {"type": "string", "description": "Address that the row's sequence belongs to; needs time."},
        TIME: {
            "type": ["string", "number"],
            "description": "When it began: ISO 8601 (else UTC) or seconds since 1970; needs source.",
        },
    }


def _sequence(
    rows: Sequence[Row], names: dict[str, str], fields: dict[str, str], dialect: Dialect
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Whose sequence rows belong to, and when they began: `source` and `time`, else the header's own, else neither."""
    if SOURCE in names:
        return hosts_of(column(rows, names[SOURCE]), SOURCE), times_of(column(rows, names[TIME]), TIME)
    address, start = fields.get("src_address"), fields.get("start")
    if address is None or start is None:
        return None, None
    forms = [form for form in (dialect.time_format, "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M") if form is not None]
    return hosts_of(column(rows, address), address), times_of(column(rows, start), start, forms)


def _set_right(values: NDArray[np.float64]) -> None:
    """Rates without a duration are 0 by definition, and windows of anything but TCP are -1."""
    still = values[:, INDEX["flow_duration"]] <= 0
    for name in RATES:
        values[still, INDEX[name]] = 0.0
    no_tcp = values[:, INDEX["protocol"]] != TCP
    unanswered = no_tcp | (values[:, INDEX["bwd_packets"]] == 0)
    values[no_tcp, INDEX["fwd_init_win_bytes"]] = -1.0
    values[unanswered, INDEX[FIRST_WINDOW]] = values[unanswered, INDEX[LAST_WINDOW]] = -1.0


def _check_finite(values: NDArray[np.float64], fields: dict[str, str]) -> None:
    """JSON has no other numbers; tables of text do."""
    bad = ~np.isfinite(values)
    if bad.any():
        flaws = [Flaw("not finite", int(row), fields[COLUMNS[place].name]) for row, place in np.argwhere(bad)[:100]]
        raise unprocessable(flaws, "a column holds no number")
