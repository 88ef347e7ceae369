"""Which public header a table has, and under which of its names each of our columns stands.

The headers are those of flows.dialects; published files vary a little, and each variation that is accepted is counted.
"""

import difflib
from dataclasses import dataclass, replace

import numpy as np

from flows.columns import COLUMNS
from flows.dialects import DIALECTS, DOUBLED, DOUBLED_AFTER, Dialect
from training.datasets.text import TextTable
from training.errors import DatasetError

# As other releases of the same programs spell them.
OTHER_SPELLINGS: dict[str, str] = {
    "Init Win Bytes Fwd": "Init_Win_bytes_forward",
    "Init Win Bytes Bwd": "Init_Win_bytes_backward",
    "Act Data Pkt Fwd": "act_data_pkt_fwd",
    "Min Seg Size Fwd": "min_seg_size_forward",
    "CWR Flag Count": "CWE Flag Count",
}
# Of a foreign table at most this share of names is a dialect's by chance.
ENOUGH = 0.5
USE = {column.name: column.use for column in COLUMNS}
UNNEEDED = frozenset({"flow_id", "src_port", "dst_port", "dst_address", "vlan", "end", "end_reason"})


@dataclass(frozen=True, slots=True)
class Header:
    """A recognised header. names: the header name of each field of the dialect that the table has."""

    dialect: Dialect
    names: dict[str, str]


def recognise(table: TextTable) -> tuple[TextTable, Header]:
    """The dialect of a table, and the table with its names set right where a published file is known to err.

    Raises DatasetError when no dialect fits, and for a column that is missing though a model or the order of flows
    needs it.
    """
    dialect = _nearest(table)
    known = {name.strip(): field for name, field in zip(dialect.header, dialect.fields, strict=True)}
    table = _spelled(_with_the_doubled_name(table, dialect), known)
    # The corrected fork's extra columns stand in the same tables as V4's own.
    extras = {column.v4: column.name for column in COLUMNS if column.v4} if dialect.name == "v4" else {}
    names: dict[str, str] = {}
    for name in table.names:
        field = known.get(name) or extras.get(name)
        if field is not None and field not in names:
            names[field] = name
    for name, field in known.items():
        if field not in names and field not in UNNEEDED and USE.get(field) != "never":
            near = difflib.get_close_matches(name, [found for found in table.names if found not in known], n=1)
            hint = f'; nearest is "{near[0]}"' if near else ""
            problem = f"the header lacks this column of the {dialect.name} dialect{hint}"
            raise DatasetError(table.path, problem, line=1, column=name)
    _refuse_two_of_one_name(table, names)
    return table, Header(dialect, names)


def _nearest(table: TextTable) -> Dialect:
    """The dialect that has the largest share of the table's names, and of whose names the table has most."""
    present = {OTHER_SPELLINGS.get(name, name) for name in table.names} | set(table.names)
    shares = []
    for dialect in DIALECTS:
        header = {name.strip() for name in dialect.header}
        shares.append((len(present & header) / len(header), dialect))
    share, dialect = max(shares, key=lambda found: found[0])
    if share < ENOUGH:
        known = ", ".join(dialect.name for dialect in DIALECTS)
        problem = f"the header is none of {known}: at most {share:.0%} of one's names are there"
        raise DatasetError(table.path, problem, line=1)
    return dialect


def _with_the_doubled_name(table: TextTable, dialect: Dialect) -> TextTable:
    """Some files have the 2017 table's doubled column, and not its name: all names after it are one place off."""
    width = table.frame.width
    if width == len(table.names):
        return table
    known = dict(zip(dialect.fields, (name.strip() for name in dialect.header), strict=True))
    first, before = known[DOUBLED], known[DOUBLED_AFTER]
    if dialect.name == "cic2017" and table.names.count(first) == 1 and before in table.names:
        at = table.names.index(before) + 1
        names = (*table.names[:at], first, *table.names[at:])
        named = replace(table, names=names)
        same = (named.frame[str(names.index(first))] == named.frame[str(at)]).to_numpy()
        if same.all():
            table.repairs["rows with the doubled column, whose name the header lacks"] = len(table)
            return named
    raise DatasetError(table.path, f"{width} fields, the header has {len(table.names)}", line=int(table.line[0]))


def _spelled(table: TextTable, known: dict[str, str]) -> TextTable:
    """The table with other releases' spellings of this dialect's names replaced."""
    other = [name for name in table.names if name not in known and OTHER_SPELLINGS.get(name) in known]
    if not other:
        return table
    table.repairs["columns in another release's spelling"] = len(other)
    return replace(table, names=tuple(OTHER_SPELLINGS[name] if name in other else name for name in table.names))


def _refuse_two_of_one_name(table: TextTable, names: dict[str, str]) -> None:
    """Two columns of one name must agree; the 2017 table has such a pair."""
    for name in names.values():
        places = [i for i, found in enumerate(table.names) if found == name]
        for other in places[1:]:
            differ = (table.frame[str(places[0])] != table.frame[str(other)]).to_numpy()
            if differ.any():
                raise table.error("two columns have this name and differ here", int(np.argmax(differ)), name)
            reason = "doubled columns, read once"
            table.repairs[reason] = table.repairs.get(reason, 0) + 1
