"""Forests: an Isolation Forest and a random forest, which read what the leaves of their trees say.

It does not know how trees are grown. Isolation score: Liu, Ting, Zhou, "Isolation Forest", 2008, eq. 1 and 2. Equal to
scikit-learn 1.x within 1e-9; like it, rows are compared as float32.
"""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kernels.jit import Word, entry, inner
from models.detector import ANY_ATTACK, FlowSteps, Labels, Probabilities, Vector, attack_of
from models.manifest import Arrays
from models.scaling import Matrix, Scaling
from models.stored import Forms, SettingTypes, StoredParts
from models.trees import FOREST_FORMS, Forest

EULER_GAMMA = 0.5772156649015329
LONGEST_PATH = 512.0  # the deepest tree and c(2^31), more than any leaf of an Isolation Forest can hold
SUM_TOLERANCE = 1e-6  # of a leaf's probabilities, from 1


class IsolationForest:
    """Isolation Forest: normal rows need many random splits to be alone, odd ones few."""

    FORMS: ClassVar[Forms] = FOREST_FORMS
    SETTINGS: ClassVar[SettingTypes] = {"trees": int, "psi": int}

    def __init__(self, scaling: Scaling, forest: Forest, psi: int, name: str = "iforest") -> None:
        """forest: leaves hold depth + c(rows in the leaf), within 0..512. psi: rows each tree was grown on.

        Raises ValueError for others.
        """
        if forest.value.shape[1] != 1 or forest.width != len(scaling.columns):
            raise ValueError(
                f"isolation forest has {forest.value.shape[1]} values a leaf over {forest.width} columns, "
                f"expected 1 over {len(scaling.columns)}"
            )
        lengths = forest.value[forest.leaf]
        if lengths.min() < 0 or lengths.max() > LONGEST_PATH:
            raise ValueError(
                f"isolation forest has path lengths from {lengths.min():g} to {lengths.max():g}, "
                f"expected 0 to {LONGEST_PATH:g}"
            )
        if not 1 <= psi < 1 << 31:
            raise ValueError("isolation forest's psi is not within 1..2^31")
        self.name = name
        self.scaling = scaling
        self.forest = forest
        self.psi = psi

    def score(self, steps: FlowSteps) -> Vector:
        """2^(-mean path length / c(psi)) of each step, (n,) float64 in (0, 1]; higher is more anomalous."""
        return self.score_rows(steps.scaled(self.scaling))

    def score_rows(self, x: Matrix) -> Vector:
        """As score, of rows that are already scaled, (n, d) float32: equals -score_samples(x) of scikit-learn."""
        out = np.empty(len(x))
        _isolation(self.forest.mean_value(x), average_path_length(self.psi), out)
        return out

    def forget(self) -> None:
        """Nothing to forget: a row's score depends on that row."""

    def arrays(self) -> Arrays:
        """The arrays of its trees, by the names of FOREST_FORMS."""
        return self.forest.arrays()

    def settings(self) -> dict[str, Any]:
        """The number of trees, and of rows that each was grown on."""
        return {"trees": len(self.forest.roots), "psi": int(self.psi)}

    @classmethod
    def restored(cls, parts: StoredParts) -> "IsolationForest":
        """The forest of these parts. Raises ValueError where they do not fit together."""
        return cls(parts.scaling, Forest.restored(parts), parts.settings["psi"], parts.name)


class RandomForest:
    """Random forest: class probabilities averaged over the trees; labels[0] is normal traffic."""

    FORMS: ClassVar[Forms] = FOREST_FORMS
    SETTINGS: ClassVar[SettingTypes] = {"trees": int}

    def __init__(self, scaling: Scaling, forest: Forest, labels: tuple[str, ...], name: str = "rforest") -> None:
        """forest: leaves hold a probability of each label, together 1. Raises ValueError for others."""
        if forest.value.shape[1] != len(labels) or len(labels) < 2 or forest.width != len(scaling.columns):
            raise ValueError(
                f"random forest has {forest.value.shape[1]} values a leaf over {forest.width} columns, "
                f"expected {len(labels)} (at least 2) over {len(scaling.columns)}"
            )
        shares = forest.value[forest.leaf]
        if shares.min() < 0 or np.abs(shares.sum(axis=1) - 1).max() > SUM_TOLERANCE:
            raise ValueError("random forest has a leaf whose probabilities are negative or not together 1")
        self.name = name
        self.scaling = scaling
        self.forest = forest
        self.labels = labels

    def score(self, steps: FlowSteps) -> Vector:
        """Probability that a step is not normal, (n,) float64 in [0, 1]."""
        return self.score_labels(steps)[0]

    def score_labels(self, steps: FlowSteps) -> tuple[Vector, Labels]:
        """As score, and the likeliest attack class of each step: (n,) int64, index into labels, never 0."""
        return attack_of(self.probabilities(steps))

    def probabilities(self, steps: FlowSteps) -> Probabilities:
        """Mean over the trees of what each leaf says of the labels, (n, k) float64."""
        return self.forest.mean_value(steps.scaled(self.scaling))

    def score_rows(self, x: Matrix) -> Vector:
        """As score, of rows that are already scaled, (n, d) float32."""
        return attack_of(self.forest.mean_value(x))[0]

    def forget(self) -> None:
        """Nothing to forget: a row's score depends on that row."""

    def arrays(self) -> Arrays:
        """The arrays of its trees, by the names of FOREST_FORMS."""
        return self.forest.arrays()

    def settings(self) -> dict[str, Any]:
        """The number of trees it has."""
        return {"trees": len(self.forest.roots)}

    @classmethod
    def restored(cls, parts: StoredParts) -> "RandomForest":
        """The forest of these parts; with as many values a leaf as the model has labels it names them.

        Raises ValueError where they do not fit together.
        """
        forest = Forest.restored(parts)
        labels = parts.labels if forest.value.shape[1] == len(parts.labels) else ANY_ATTACK
        return cls(parts.scaling, forest, labels, parts.name)


def average_path_length(rows: float) -> float:
    """c(rows): mean path length of an unsuccessful search in a binary search tree of that many rows."""
    if rows <= 1:
        return 0.0
    if rows <= 2:
        return 1.0
    return 2.0 * (math.log(rows - 1.0) + EULER_GAMMA) - 2.0 * (rows - 1.0) / rows


@entry
def _isolation(mean_path: NDArray[np.float64], expected_path: float, out: Vector) -> None:
    """Isolation scores of mean_path (n, 1) into out (n,)."""
    for row in range(mean_path.shape[0]):
        if expected_path > 0.0:
            out[row] = _exp2(-mean_path[row, 0] / expected_path)
        else:
            out[row] = 0.5  # trees of one row: scikit-learn's answer


LN2 = math.log(2.0)


@inner
def _exp2(power: Word) -> Word:
    """2 to a power in [-1000, 0]."""
    # Own arithmetic: a vectorised library exp2 may differ between the body and the remainder of a batch.
    whole = math.floor(power)
    rest = (power - whole) * LN2
    total = 1.0
    for n in range(18, 0, -1):
        total = 1.0 + total * rest / n
    return math.ldexp(total, int(whole))
