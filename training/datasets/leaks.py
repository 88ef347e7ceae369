"""Flows that no model can tell apart though something else does: their label, or the day that a split puts them on.

Equal flows of two labels bound what any detector can reach; equal flows on two days are known before they are judged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.columns import INDEX, usable_by_models
from training.datasets.rows import ROWS_AT_ONCE
from training.datasets.table import FlowTable, Strings
from training.labels import canonical

Digests = NDArray[np.uint64]  # (n,) one for each different row


@dataclass(frozen=True, slots=True)
class Shared:
    """Flows of two labels, or of two days, that are equal in all columns that models may use.

    distinct: different such flows. flows: how many rows they are on each side.
    """

    sides: tuple[str, str]
    distinct: int
    flows: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Leaks:
    """What repeats in a table of `rows` flows.

    repeated: rows equal to one above them in all columns that models may use. labels, days: the pairs that have such
    rows in common, in alphabetical order.
    """

    rows: int
    repeated: int
    labels: tuple[Shared, ...]
    days: tuple[Shared, ...]


def leaks(table: FlowTable) -> Leaks:
    """Count equal flows of a table, in the columns that models may use (fingerprints too) and that it has.

    Spellings of one label are one label, written as the first of them. Flows are compared by 64-bit digests.
    """
    digests = _digests(table)
    return Leaks(
        rows=len(table),
        repeated=len(table) - len(np.unique(digests)),
        labels=_shared(digests, table.label),
        days=_shared(digests, table.day),
    )


def _digests(table: FlowTable) -> Digests:
    import polars as pl

    names = [name for name in usable_by_models(fingerprints=True) if name not in table.missing]
    columns = [INDEX[name] for name in names]
    digests = np.empty(len(table), dtype=np.uint64)
    for first in range(0, len(table), ROWS_AT_ONCE):
        part = table.values[first : first + ROWS_AT_ONCE][:, columns]
        digests[first : first + len(part)] = pl.DataFrame(part, schema=names).hash_rows().to_numpy()
    return digests


def _shared(digests: Digests, sides: Strings) -> tuple[Shared, ...]:
    """Pairs of sides with equal rows. sides: (n,) of each row."""
    import polars as pl

    names, side = _coded(sides)
    counts = pl.DataFrame({"row": digests, "side": side}).group_by("row", "side").len()
    pairs = (
        counts.join(counts, on="row", suffix="_other")
        .filter(pl.col("side") < pl.col("side_other"))
        .group_by("side", "side_other")
        .agg(pl.len().alias("distinct"), pl.col("len", "len_other").sum())
        .sort("side", "side_other")
    )
    return tuple(
        Shared((names[one], names[other]), distinct, (flows, flows_other))
        for one, other, distinct, flows, flows_other in pairs.iter_rows()
    )


def _coded(sides: Strings) -> tuple[list[str], NDArray[np.int32]]:
    """The names in alphabetical order, and of each row the place of its name's first spelling.

    Some rows at a time: the text of a large table is longer than memory may be.
    """
    spans = [slice(first, first + ROWS_AT_ONCE) for first in range(0, len(sides), ROWS_AT_ONCE)]
    names = sorted({str(name) for span in spans for name in np.unique(sides[span])})
    first: dict[str, int] = {}
    place = np.array([first.setdefault(canonical(name), i) for i, name in enumerate(names)], dtype=np.int32)
    codes = np.empty(len(sides), dtype=np.int32)
    for span in spans:
        codes[span] = place[np.searchsorted(np.array(names), sides[span])]
    return names, codes
