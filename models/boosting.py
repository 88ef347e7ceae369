"""Boosted trees: leaves summed over the trees are the log-odds of an attack.

It does not know how the trees are grown; they are the flat trees of models.trees. Ke et al., "LightGBM", 2017. Equal
to scikit-learn's HistGradientBoostingClassifier within 1e-9 for rows without missing values.
"""

from typing import Any, ClassVar

import numpy as np

from models.detector import FlowSteps, Vector
from models.logistic import sigmoid
from models.manifest import Arrays
from models.quickscorer import LEAF
from models.scaling import Matrix, Scaling
from models.stored import Forms, SettingTypes, StoredParts
from models.trees import FOREST_FORMS, Forest, joined_trees

MAX_BASELINE = 1e9


class BoostedTrees:
    """Gradient boosting for two classes."""

    FORMS: ClassVar[Forms] = FOREST_FORMS
    SETTINGS: ClassVar[SettingTypes] = {"trees": int, "baseline": float}

    def __init__(self, scaling: Scaling, forest: Forest, baseline: float, name: str = "gradient_boosting") -> None:
        """forest: leaves hold log-odds, already times the learning rate. baseline: log-odds before the first tree."""
        if forest.value.shape[1] != 1 or forest.width != len(scaling.columns):
            raise ValueError(
                f"boosted trees have {forest.value.shape[1]} values a leaf over {forest.width} columns, "
                f"expected 1 over {len(scaling.columns)}"
            )
        if not abs(baseline) <= MAX_BASELINE:
            raise ValueError(f"boosted trees have a baseline of {baseline}, expected at most 1e9")
        self.name = name
        self.scaling = scaling
        self.forest = forest
        self.baseline = float(baseline)

    def score(self, steps: FlowSteps) -> Vector:
        """Probability that a step is an attack, (n,) float64 in [0, 1]."""
        return self.score_rows(steps.scaled(self.scaling))

    def score_rows(self, x: Matrix) -> Vector:
        """As score, of rows that are already scaled, (n, d) float32."""
        return sigmoid(self.forest.mean_value(x)[:, 0] * len(self.forest.roots) + self.baseline)

    def forget(self) -> None:
        """Nothing to forget: a row's score depends on that row."""

    def arrays(self) -> Arrays:
        """The arrays of its trees, by the names of FOREST_FORMS."""
        return self.forest.arrays()

    def settings(self) -> dict[str, Any]:
        """The number of trees, and the log-odds before the first."""
        return {"trees": len(self.forest.roots), "baseline": self.baseline}

    @classmethod
    def restored(cls, parts: StoredParts) -> "BoostedTrees":
        """The trees of these parts. Raises ValueError where they do not fit together."""
        return cls(parts.scaling, Forest.restored(parts), parts.settings["baseline"], parts.name)


def boosting_from_sklearn(model: Any) -> tuple[Forest, float]:
    """Trees and baseline of a fitted scikit-learn HistGradientBoostingClassifier of two classes.

    Only the model's attributes are read. Raises ValueError for more classes and for columns of categories.
    """
    if model.n_trees_per_iteration_ != 1:
        raise ValueError(f"boosting has {model.n_trees_per_iteration_} trees an iteration, expected 1: two classes")
    parts = []
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        if nodes["is_categorical"].any():
            raise ValueError("boosting has columns of categories, expected numbers alone")
        leaf = nodes["is_leaf"].astype(np.bool_)
        parts.append(
            (
                np.where(leaf, 0, nodes["feature_idx"]),
                np.where(leaf, 0.0, nodes["num_threshold"]),
                np.where(leaf, LEAF, nodes["left"].astype(np.int64)),
                np.where(leaf, LEAF, nodes["right"].astype(np.int64)),
                np.where(leaf, nodes["value"], 0.0)[:, None],
            )
        )
    return joined_trees(parts, int(model.n_features_in_)), float(model._baseline_prediction.ravel()[0])
