"""Labelled connection records as a bundle sees them, and what it says of each. A record has no host and no time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.baselines import Baselines
from models.detector import FlowSteps
from models.fusion import Hybrid
from models.rules import NO_PORT
from training.arrays import Int64s, Mask, Strings
from training.datasets.kdd import KddTable
from training.datasets.rows import taken
from training.evaluation.scored import ScoredRows, scored_steps
from training.fit.kdd import records_of
from training.label_map import LabelMap
from training.measure import CHUNK


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRecords:
    """Labelled connection records of one file."""

    # (n, 41) or (n, 28) float64, in the order of flows.kdd.columns.kdd_columns; all else as in KddTable
    values: NDArray[np.float64]
    label: Strings
    family: Strings
    repairs: dict[str, int]
    sha256: str
    path: Path = Path()
    label_map: LabelMap | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Int64s | Mask) -> "LabelledRecords":
        """The chosen records, in the order given."""
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64, copy=False)
        label, family = taken(self.label, chosen), taken(self.family, chosen)
        return replace(self, values=taken(self.values, chosen), label=label, family=family)


def seen_by_bundle(table: KddTable, *, content: bool) -> LabelledRecords:
    """The table with the columns of one contract."""
    return LabelledRecords(
        records_of(table, content=content),
        table.label,
        table.family,
        table.repairs,
        table.sha256,
        table.path,
        table.label_map,
    )


def scored_records(hybrid: Hybrid, baselines: Baselines | None, table: LabelledRecords) -> ScoredRows:
    """Judge each record by itself; no type of attack is marked as novel. Raises ValueError for another width."""
    values = table.values if hybrid.encoding is None else hybrid.encoding.encode(table.values)
    plain = {} if baselines is None else baselines.scores(values, np.full(len(table), NO_PORT))
    return scored_steps(hybrid, _steps(table), baselines, plain, (table.label, table.family))


def _steps(table: LabelledRecords) -> Iterator[tuple[Int64s, FlowSteps]]:
    for at in range(0, len(table), CHUNK):
        values = np.asarray(table.values[at : at + CHUNK])
        yield np.arange(at, at + len(values)), record_steps(values)


def record_steps(values: NDArray[np.float64]) -> FlowSteps:
    """Records as a bundle judges them. values: (n, c). No detector that knows hosts can be fitted on records: all of
    them are of one.
    """
    n = len(values)
    nobody, never = np.zeros((n, 2), dtype=np.int64), np.zeros(n, dtype=np.int64)
    return FlowSteps(values, nobody, never, np.zeros(n, dtype=np.bool_))
