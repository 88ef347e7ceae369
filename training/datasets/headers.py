"""Which public header a table has, and under which of its names each of our columns stands.

The header is recognised by flows.headers; each variation of it that is accepted is counted.
"""

import difflib
from dataclasses import dataclass, replace

import numpy as np

from flows.columns import COLUMNS
from flows.dialects import DIALECTS, DOUBLED, DOUBLED_AFTER, Dialect
from flows.headers import ENOUGH, FIELDS, OTHER_SPELLINGS, nearest
from training.datasets.foreign import foreign_set
from training.datasets.text import TextTable
from training.errors import DatasetError

USE = {column.name: column.use for column in COLUMNS}
UNNEEDED = frozenset({"flow_id", "src_port", "dst_port", "dst_address", "vlan", "end", "end_reason"})
# Files published for machine learning have none of these; a file that has some of them has lost the others.
ADDRESSES = frozenset({"flow_id", "src_address", "dst_address"})
# What such files may lack as well: MachineLearningCVE has neither, CSE-CIC-IDS2018 both.
WITHOUT_ADDRESSES = frozenset({"src_address", "start"})
PROTOCOL_TOLD = frozenset({"cic2017"})  # dialects whose values tell the protocol (training.datasets.measured)


LABEL = "label"


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a file, as it was recognised."""

    dialect: Dialect
    names: dict[str, str]  # the header name of each field of the dialect that the table has
    columns: tuple[str, ...]  # names of all columns, set right where a published file is known to err
    doubled: bool  # the header lacked a name

    @property
    def has_hosts(self) -> bool:
        """Whether flows have source addresses."""
        return "src_address" in self.names

    @property
    def has_times(self) -> bool:
        """Whether flows have start times."""
        return "start" in self.names

    def over(self, table: TextTable) -> TextTable:
        """Rows of the file under the names set right.

        Raises DatasetError with the line where two columns of one name differ; the 2017 table has such a pair.
        """
        table = replace(table, names=self.columns)
        for name in self.names.values():
            places = [i for i, found in enumerate(self.columns) if found == name]
            for other in places[1:]:
                differ = (table.frame[str(places[0])] != table.frame[str(other)]).to_numpy()
                if differ.any():
                    raise table.error(
                        "two columns have this name and differ here; expected one", int(np.argmax(differ)), name
                    )
        if self.doubled:
            table.repairs["rows with the doubled column, whose name the header lacks"] += len(table)
        return table


def recognise(table: TextTable) -> Header:
    """The header of a file, told from its first rows.

    Raises DatasetError when no dialect fits, and for a column that is missing though a model or the order of flows
    needs it; a file without any address may lack times as well, and in the dialect of 2017 protocols. Columns of no use
    here are left unread, and counted.
    """
    dialect = _dialect(table)
    known = {name.strip(): field for name, field in zip(dialect.header, dialect.fields, strict=True)}
    named = _with_the_doubled_name(table, dialect)
    columns = _spelled(named, known, table)
    names: dict[str, str] = {}
    for name in columns:
        field = FIELDS[dialect.name].get(name) or (LABEL if name.lower() == LABEL else None)
        if field is not None and field not in names:
            names[field] = name
    unneeded = UNNEEDED if ADDRESSES & names.keys() else UNNEEDED | WITHOUT_ADDRESSES
    if not ADDRESSES & names.keys() and dialect.name in PROTOCOL_TOLD:
        unneeded |= {"protocol"}
    for name, field in known.items():
        if field not in names and field not in unneeded and USE.get(field) != "never":
            near = difflib.get_close_matches(name, [found for found in columns if found not in known], n=1)
            hint = f'; nearest is "{near[0]}"' if near else ""
            problem = f"the header lacks this column of the {dialect.name} dialect{hint}"
            raise DatasetError(table.path, problem, line=1, column=name)
    twice = sum(columns.count(name) - 1 for name in names.values())
    extra = sum(name not in names.values() for name in columns)
    for count, reason in ((twice, "doubled columns, read once"), (extra, "columns of no use here, not read")):
        if count:
            table.repairs[reason] += count
    return Header(dialect, names, columns, doubled=len(columns) > len(table.names))


def _dialect(table: TextTable) -> Dialect:
    dialect, share = nearest(table.names)
    if share < ENOUGH:
        named = foreign_set(table.names)
        if named is not None:
            raise DatasetError(table.path, named, line=1)
        known = ", ".join(dialect.name for dialect in DIALECTS)
        problem = f"the header is none of {known}: at most {share:.0%} of one's names are there"
        raise DatasetError(table.path, problem, line=1)
    return dialect


def _with_the_doubled_name(table: TextTable, dialect: Dialect) -> tuple[str, ...]:
    """Some files have the 2017 table's doubled column, and not its name: all names after it are one place off."""
    width = table.frame.width
    if width == len(table.names):
        return table.names
    known = dict(zip(dialect.fields, (name.strip() for name in dialect.header), strict=True))
    first, before = known[DOUBLED], known[DOUBLED_AFTER]
    if dialect.name == "cic2017" and table.names.count(first) == 1 and before in table.names:
        at = table.names.index(before) + 1
        same = (table.frame[str(table.names.index(first))] == table.frame[str(at)]).to_numpy()
        if same.all():
            return (*table.names[:at], first, *table.names[at:])
    raise DatasetError(table.path, f"{width} fields, the header has {len(table.names)}", line=int(table.line[0]))


def _spelled(columns: tuple[str, ...], known: dict[str, str], table: TextTable) -> tuple[str, ...]:
    """The names with other releases' spellings of this dialect's replaced."""
    other = [name for name in columns if name not in known and OTHER_SPELLINGS.get(name) in known]
    if other:
        table.repairs["columns in another release's spelling"] += len(other)
    return tuple(OTHER_SPELLINGS[name] if name in other else name for name in columns)
