"""Why rows were flagged: the columns that explain it, as in alerts (sensor.episodes.reasons).

To attribute a score to columns takes about eighty evaluations of the model a row, so that clients can leave it out;
equal rows are explained once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.attribution import top_columns
from models.fusion import Hybrid, Judgement
from sensor.alerts.deviation import Deviation, quantity, sentence
from sensor.alerts.kinds import number
from sensor.api.budget import TimeBudget
from sensor.episodes.reasons import Explainer

# "full": as alerts have them. "quick": the columns furthest from normal traffic, without asking the model. "none".
FULL, QUICK, NONE = "full", "quick", "none"
REASONS: Final = (FULL, QUICK, NONE)
ROWS_BETWEEN_CHECKS: Final = 200  # of the time budget

Reasons = list[dict[str, Any]]  # of one row, as JSON has them


def reasons_of(
    hybrid: Hybrid,
    explainer: Explainer,
    values: NDArray[np.float64],
    judgement: Judgement,
    thresholds: tuple[float, float],
    method: str,
    budget: TimeBudget,
) -> Mapping[int, Reasons]:
    """Reasons of each flagged row, by its number; none of any row for method NONE.

    values: (n, c). thresholds: p-values below which the known and the novel lane flag. method: one of REASONS. Raises
    Problem 413 where the time budget is used up.
    """
    flagged = np.flatnonzero(judgement.verdict)
    if method == NONE or not len(flagged):
        return {}
    lanes = np.stack([judgement.p_known[flagged] < thresholds[0], judgement.p_novel[flagged] < thresholds[1]], axis=1)
    told = np.ascontiguousarray(np.column_stack([values[flagged], lanes]))
    # By their bytes: a masked column, NaN, is not equal to itself.
    _, first, which = np.unique(told.view(f"V{told.itemsize * told.shape[1]}"), return_index=True, return_inverse=True)
    rows, flagging = np.ascontiguousarray(told[first, :-2]), told[first, -2:].astype(np.bool_)
    moved: list[list[int]] = [[] for _ in rows]
    if method == FULL:
        moved = list(_moved(hybrid, explainer, rows, flagging, budget))
    documents = []
    for row, columns in zip(rows, moved, strict=True):
        budget.check()
        documents.append(_documents(explainer.deviations(row, columns)))
    return {row: documents[place] for row, place in zip(flagged.tolist(), which.reshape(-1).tolist(), strict=True)}


def _moved(
    hybrid: Hybrid,
    explainer: Explainer,
    rows: NDArray[np.float64],
    flagging: NDArray[np.bool_],
    budget: TimeBudget,
) -> Iterator[list[int]]:
    """The columns that moved each row's score."""
    for at in range(0, len(rows), ROWS_BETWEEN_CHECKS):
        budget.check()
        part = slice(at, at + ROWS_BETWEEN_CHECKS)
        yield from top_columns(hybrid, rows[part], flagging[part], explainer.candidates).tolist()


def _documents(deviations: Sequence[Deviation]) -> Reasons:
    return [
        {
            "name": deviation.name,
            "unit": deviation.unit,
            "value": number(deviation.value),
            "normal_median": number(deviation.median),
            "normal_p99": number(deviation.p99),
            "text": _text(deviation),
        }
        for deviation in deviations
    ]


def _text(deviation: Deviation) -> str:
    """One sentence. As detectors see columns together, one that moved the score may be in normal traffic's range."""
    if deviation.outside:
        return sentence(deviation)
    value, median = quantity(deviation.value, deviation.unit), quantity(deviation.median, deviation.unit)
    return f"{deviation.name} {value}, normally about {median}"
