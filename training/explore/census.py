"""What stands in a table: rows by label and family, by part, and over time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.explore.table import LabelledTable

HOUR_NS = 3_600 * 1_000_000_000
HOURS = 24


@dataclass(frozen=True, slots=True)
class LabelCount:
    """Rows of a label within a family, and the parts it stands in."""

    family: str
    label: str
    rows: int
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Census:
    """Counts over all rows of a table."""

    labels: tuple[LabelCount, ...]  # largest families first
    families: dict[str, int]  # rows by family, most first
    parts: dict[str, int]  # rows by part
    # first_ns, last_ns: None without times
    first_ns: int | None
    last_ns: int | None
    hourly: dict[str, NDArray[np.int64]]  # by ISO day (UTC), (24, families) rows in the order of families


def census(table: LabelledTable) -> Census:
    """Count the rows of a table by label, family, part and hour."""
    counts = table.family.counts()
    order = sorted(range(len(counts)), key=lambda i: (-counts[i], table.family.names[i]))
    time = table.time_ns
    return Census(
        labels=_labels(table, order),
        families={table.family.names[i]: int(counts[i]) for i in order},
        parts={name: int(rows) for name, rows in zip(table.part.names, table.part.counts(), strict=True)},
        first_ns=None if time is None else int(time.min()),
        last_ns=None if time is None else int(time.max()),
        hourly={} if time is None else _hourly(time, table.family.codes, order),
    )


def _labels(table: LabelledTable, order: list[int]) -> tuple[LabelCount, ...]:
    families, labels, parts = len(table.family.names), len(table.label.names), len(table.part.names)
    cells = (table.family.codes * labels + table.label.codes) * parts + table.part.codes
    counts = np.bincount(cells, minlength=families * labels * parts).reshape(families, labels, parts)
    found = []
    for family in order:
        rows = counts[family].sum(axis=1)
        for label in sorted(np.flatnonzero(rows), key=lambda i: (-rows[i], i)):
            where = tuple(table.part.names[i] for i in np.flatnonzero(counts[family, label]))
            found.append(LabelCount(table.family.names[family], table.label.names[label], int(rows[label]), where))
    return tuple(found)


def _hourly(time_ns: NDArray[np.int64], family: NDArray[np.int64], order: list[int]) -> dict[str, NDArray[np.int64]]:
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    days, day = np.unique(time_ns // (HOURS * HOUR_NS), return_inverse=True)
    cell = (day * HOURS + time_ns // HOUR_NS % HOURS) * len(order) + place[family]
    counts = np.bincount(cell, minlength=len(days) * HOURS * len(order)).reshape(len(days), HOURS, len(order))
    return {str(np.datetime64(int(number), "D")): counts[i] for i, number in enumerate(days)}
