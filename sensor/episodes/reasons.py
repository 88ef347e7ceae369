"""Which numbers of a flow speak for an alert, as a deviation with this model's normal traffic.

First come the columns that moved the score (models.attribution), then those that lie furthest from the quantiles that
the bundle keeps of normal traffic. Of columns tied to each other (flows.columns.SIBLINGS) one speaks for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.columns import COLUMNS, NAMES, reasons
from flows.context.columns import CONTEXT_COLUMNS, CONTEXT_NAMES, context_reasons
from flows.kdd.columns import kdd_columns, kdd_reasons
from models.attribution import Groups
from models.normal import NormalProfile
from sensor.alerts.deviation import MINIMAL_SPAN, Deviation

NEAR = 0.25  # nearer to the median than this share of the way to the edge, a column says nothing


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a contract's columns are called in reasons."""

    columns: tuple[str, ...]  # their names, in order
    units: tuple[str, ...]  # of each, "" for none
    reasons: tuple[tuple[int, ...], ...]  # positions of the columns that may be named, those tied together as one


FLOWS = Vocabulary(NAMES, tuple(column.unit for column in COLUMNS), reasons())
IN_CONTEXT = Vocabulary(
    (*NAMES, *CONTEXT_NAMES), tuple(column.unit for column in (*COLUMNS, *CONTEXT_COLUMNS)), context_reasons()
)
CONNECTIONS = tuple(
    Vocabulary(
        tuple(column.name for column in kdd_columns(content=content)),
        tuple(column.kind if column.kind == "bytes" else "" for column in kdd_columns(content=content)),
        kdd_reasons(content=content),
    )
    for content in (False, True)
)


def vocabulary_of(columns: Sequence[str]) -> Vocabulary:
    """The vocabulary of the contract that has these columns. Raises ValueError for columns of none."""
    for vocabulary in (FLOWS, IN_CONTEXT, *CONNECTIONS):
        if tuple(columns) == vocabulary.columns:
            return vocabulary
    raise ValueError(f"{len(columns)} columns are those of no contract")


class Explainer:
    """Ranks the columns of a row by how far each lies from normal traffic."""

    def __init__(self, normal: NormalProfile) -> None:
        """normal: what the bundle keeps. Columns that it does not use are left out of explanations too."""
        words = vocabulary_of(normal.columns)
        # positions of the columns that it may name, siblings together
        self.candidates: Groups = normal.among_used(words.reasons)
        reason = {column: place for place, group in enumerate(self.candidates) for column in group}
        kept = sorted(reason)
        self._names = [words.columns[i] for i in kept]
        self._units = [words.units[i] for i in kept]
        self._reason = [reason[i] for i in kept]
        self._index = np.array(kept, dtype=np.int64)
        self._raw = np.stack([quantile[kept] for quantile in (normal.p01, normal.median, normal.p99, normal.p999)])
        low, middle, high, _ = _signed_log(self._raw)
        self._middle = middle
        self._span_low = np.maximum(middle - low, MINIMAL_SPAN)
        self._span_high = np.maximum(high - middle, MINIMAL_SPAN)

    def deviations(self, values: NDArray[np.float64], moved: Sequence[int] = (), top: int = 5) -> tuple[Deviation, ...]:
        """The columns that moved the score, then those furthest from normal; of these none nearer than NEAR.

        values: (c,) one row of the contract; a masked column, NaN, is never named. moved: positions of columns that may
        be reasons, strongest first, -1 for none. Of a reason's columns only the first is kept, but for those that
        moved the score.
        """
        raw = values[self._index]
        x = _signed_log(raw)
        distance = np.maximum((x - self._middle) / self._span_high, (self._middle - x) / self._span_low)
        distance[np.isnan(raw)] = -np.inf
        chosen: list[Deviation] = []
        named_reasons: set[int] = set()
        first = [int(np.searchsorted(self._index, position)) for position in moved if position >= 0]
        for place, i in enumerate([*first, *np.argsort(-distance, kind="stable").tolist()]):
            named = place < len(first)
            if len(chosen) == top or (distance[i] < NEAR and not named):
                break
            if self._reason[i] in named_reasons and not named:
                continue
            named_reasons.add(self._reason[i])
            p01, median, p99, p999 = (float(q) for q in self._raw[:, i])
            name, unit = self._names[i], self._units[i]
            chosen.append(Deviation(name, unit, float(raw[i]), median, p01, p99, p999, float(distance[i])))
        return tuple(chosen)


def _signed_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """sign(x)·log(1 + |x|): the scale on which columns of any unit are comparable."""
    result: NDArray[np.float64] = np.sign(x) * np.log1p(np.abs(x))
    return result
