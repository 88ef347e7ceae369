"""Why rows were flagged: the columns that say so, as alerts name them (sensor.episodes.reasons).

The columns that moved a score cost about eighty evaluations of the model a row, so that they can be left out; rows
that are equal are explained once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.attribution import Groups, top_columns
from models.fusion import Hybrid, Judgement
from sensor.alerts.deviation import Deviation, quantity, sentence
from sensor.alerts.kinds import number

# "full": as alerts have them. "quick": the columns furthest from normal traffic, without asking the model. "none".
FULL, QUICK, NONE = "full", "quick", "none"
REASONS: Final = (FULL, QUICK, NONE)

Reasons = list[dict[str, Any]]


class Explains(Protocol):
    """What ranks the columns of a row (sensor.episodes.reasons.Explainer)."""

    @property
    def candidates(self) -> Groups:
        """Positions that it may name, siblings together."""

    def deviations(self, values: NDArray[np.float64], moved: Sequence[int] = (), top: int = 5) -> tuple[Deviation, ...]:
        """Columns of one row against normal traffic."""


def reasons_of(
    hybrid: Hybrid,
    explainer: Explains,
    values: NDArray[np.float64],
    judgement: Judgement,
    cuts: tuple[float, float],
    how: str,
) -> Mapping[int, Reasons]:
    """Reasons of each flagged row, by its number. values: (n, c). cuts: p-values below which the lanes speak."""
    flagged = np.flatnonzero(judgement.verdict)
    if how == NONE or not len(flagged):
        return {}
    lanes = np.stack([judgement.p_known[flagged] < cuts[0], judgement.p_novel[flagged] < cuts[1]], axis=1)
    distinct, which = np.unique(np.column_stack([values[flagged], lanes]), axis=0, return_inverse=True)
    rows, asked = np.ascontiguousarray(distinct[:, :-2]), distinct[:, -2:].astype(np.bool_)
    moved: list[list[int]] = [[] for _ in rows]
    if how == FULL:
        moved = top_columns(hybrid, rows, asked, explainer.candidates).tolist()
    told = [_told(explainer.deviations(row, columns)) for row, columns in zip(rows, moved, strict=True)]
    return {row: told[place] for row, place in zip(flagged.tolist(), which.reshape(-1).tolist(), strict=True)}


def _told(deviations: Sequence[Deviation]) -> Reasons:
    return [
        {
            "name": deviation.name,
            "unit": deviation.unit,
            "value": number(deviation.value),
            "normal_median": number(deviation.median),
            "normal_p99": number(deviation.p99),
            "text": _in_words(deviation),
        }
        for deviation in deviations
    ]


def _in_words(deviation: Deviation) -> str:
    """A detector sees columns together: one that moved the score may well be within normal traffic's range."""
    if deviation.outside:
        return sentence(deviation)
    value, median = quantity(deviation.value, deviation.unit), quantity(deviation.median, deviation.unit)
    return f"{deviation.name} {value}, normally about {median}"
