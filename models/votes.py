"""What the p-values of a lane's detectors mean together: a weighted vote, or the smallest of them.

Fisher's method with weights: Good, "On the Weighted Combination of Significance Tests", 1955. It does not know how a
detector scores.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from models.calibration import Calibration
from models.detector import Vector


class Voice(Protocol):
    """A detector of a lane (models.fusion.Member), of which only the weight counts here."""

    @property
    def weight(self) -> float:
        """What it weighs in its lane."""


def voted(members: Sequence[Voice], p_values: Sequence[Vector], vote: Calibration | None, rows: int) -> Vector:
    """One p-value of a lane, (rows,): 1 without detectors, as it is of one, of several as vote says."""
    if vote is not None:
        return vote.p_value(fisher(members, p_values))
    if not p_values:
        return np.ones(rows)
    smallest: Vector = np.min(p_values, axis=0)
    return np.minimum(smallest * len(p_values), 1.0)


def fisher(members: Sequence[Voice], p_values: Sequence[Vector]) -> Vector:
    """Weighted sum of -log p, (n,), the larger the less normal. p_values: (n,) in (0, 1] of each member."""
    total = np.zeros(len(p_values[0]))
    for member, p in zip(members, p_values, strict=True):
        total -= member.weight * np.log(p)
    return total
