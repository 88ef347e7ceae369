"""Logistic regression: the weighted sum of a row's scaled columns as a probability.

It does not know how the weights were found. Equal to scikit-learn 1.x within 1e-9.
"""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kernels.jit import Word, as_taken, entry, inner
from models.detector import FlowSteps, Vector
from models.manifest import Arrays
from models.scaling import Matrix, Scaling
from models.stored import Forms, SettingTypes, StoredParts

MAX_WEIGHT = 1e9


class LogisticRegression:
    """Probability of an attack, one weight for each scaled column."""

    FORMS: ClassVar[Forms] = {"weights": (np.float64, 1)}
    SETTINGS: ClassVar[SettingTypes] = {"bias": float}

    def __init__(
        self, scaling: Scaling, weights: NDArray[np.float64], bias: float, name: str = "logistic_regression"
    ) -> None:
        """weights: (d,) float64 in the order of the scaling's columns. Raises ValueError for others."""
        if weights.shape != (len(scaling.columns),) or weights.dtype != np.float64:
            raise ValueError(
                f"logistic regression weights are {weights.dtype} {weights.shape}, "
                f"expected float64 ({len(scaling.columns)},)"
            )
        if not ((np.abs(weights) <= MAX_WEIGHT).all() and abs(bias) <= MAX_WEIGHT):
            raise ValueError("logistic regression has a weight that is not finite or beyond 1e9")
        self.name = name
        self.scaling = scaling
        self.weights = as_taken(weights, np.float64)
        self.bias = float(bias)

    def score(self, steps: FlowSteps) -> Vector:
        """Probability that a step is an attack, (n,) float64 in [0, 1]."""
        return self.score_rows(steps.scaled(self.scaling))

    def score_rows(self, x: Matrix) -> Vector:
        """As score, of rows that are already scaled, (n, d) float32."""
        out = np.empty(len(x))
        _weigh(as_taken(x, np.float32), self.weights, self.bias, out)
        return out

    def forget(self) -> None:
        """Nothing to forget: a row's score depends on that row."""

    def arrays(self) -> Arrays:
        """The weights of the columns."""
        return {"weights": self.weights}

    def settings(self) -> dict[str, Any]:
        """The log-odds of a row of zeros."""
        return {"bias": self.bias}

    @classmethod
    def restored(cls, parts: StoredParts) -> "LogisticRegression":
        """The regression of these parts. Raises ValueError where they do not fit together."""
        return cls(parts.scaling, parts.arrays["weights"], parts.settings["bias"], parts.name)


def sigmoid(log_odds: Vector) -> Vector:
    """1 / (1 + exp(-log_odds)) of each, (n,) float64 in [0, 1]; the same bits for any batching."""
    out = np.empty(len(log_odds))
    _sigmoids(as_taken(log_odds, np.float64), out)
    return out


@entry
def _weigh(x: Matrix, weights: Vector, bias: float, out: Vector) -> None:
    """Probabilities of x (n, d) by weights (d,) into out (n,)."""
    for row in range(x.shape[0]):
        total = bias
        for column in range(weights.shape[0]):
            total += weights[column] * np.float64(x[row, column])
        out[row] = _sigmoid(total)


@entry
def _sigmoids(log_odds: Vector, out: Vector) -> None:
    for row in range(log_odds.shape[0]):
        out[row] = _sigmoid(log_odds[row])


@inner
def _sigmoid(log_odds: Word) -> Word:
    # neither branch can overflow
    if log_odds >= 0.0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1.0 + odds)
