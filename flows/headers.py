"""Which public header a table of flows has, and what stands under each of its names.

The headers are those of flows.dialects; published tables vary a little. Knows names, no rows.
"""

from collections.abc import Collection

from flows.columns import COLUMNS
from flows.dialects import DIALECTS, Dialect

# As other releases of the same programs spell them.
OTHER_SPELLINGS: dict[str, str] = {
    "Init Win Bytes Fwd": "Init_Win_bytes_forward",
    "Init Win Bytes Bwd": "Init_Win_bytes_backward",
    "Act Data Pkt Fwd": "act_data_pkt_fwd",
    "Min Seg Size Fwd": "min_seg_size_forward",
    "CWR Flag Count": "CWE Flag Count",
}
ENOUGH = 0.3  # of a dialect's columns: a table that has a smaller share of any is of none


def fields_of(dialect: Dialect) -> dict[str, str]:
    """The field under each name that a table of the dialect may have, names without blanks around them."""
    fields = {name.strip(): field for name, field in zip(dialect.header, dialect.fields, strict=True)}
    if dialect.name == "v4":  # the corrected fork's extra columns stand in the same tables as V4's own
        fields |= {column.v4: column.name for column in COLUMNS if column.v4}
    return {other: fields[name] for other, name in OTHER_SPELLINGS.items() if name in fields} | fields


FIELDS: dict[str, dict[str, str]] = {dialect.name: fields_of(dialect) for dialect in DIALECTS}


def nearest(names: Collection[str]) -> tuple[Dialect, float]:
    """The dialect of whose columns these names make the largest share, and that share; names without blanks.

    The share may exceed 1 where tables have columns beside the dialect's own.
    """

    def share(dialect: Dialect) -> float:
        fields = FIELDS[dialect.name]
        return len({fields[name] for name in names if name in fields}) / len(set(dialect.fields))

    dialect = max(DIALECTS, key=share)
    return dialect, share(dialect)
