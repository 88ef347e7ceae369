"""Trees that scikit-learn has fitted, as our own: attributes of its models are read, and nothing of it is imported."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.forest import average_path_length
from models.trees import Forest, joined_trees


def forest_from_sklearn(model: Any) -> Forest:
    """Trees of a fitted scikit-learn IsolationForest or RandomForestClassifier.

    Only the model's attributes are read. Leaves hold depth + c(rows) for the former (k = 1), class probabilities for
    the latter. Raises ValueError for trees with more than one output.
    """
    picks = getattr(model, "estimators_features_", None)
    return forest_from_trees(
        model.estimators_, int(model.n_features_in_), isolation=hasattr(model, "offset_"), picks=picks
    )


def forest_from_trees(
    estimators: Sequence[Any], width: int, *, isolation: bool, picks: Sequence[NDArray[np.int64]] | None = None
) -> Forest:
    """Fitted trees of scikit-learn, over width columns, as forest_from_sklearn takes them from a model.

    picks: the columns that each tree was given, all in their order without.
    """
    parts = []
    for number, estimator in enumerate(estimators):
        tree = estimator.tree_
        if tree.n_outputs != 1:
            raise ValueError(f"tree {number} has {tree.n_outputs} outputs, expected 1")
        leaf = tree.children_left < 0
        feature = np.where(leaf, 0, tree.feature)
        if picks is not None:
            feature = np.where(leaf, 0, picks[number][feature])
        value = _path_lengths(tree) if isolation else _probabilities(tree)
        parts.append((feature, np.where(leaf, 0.0, tree.threshold), tree.children_left, tree.children_right, value))
    return joined_trees(parts, width)


def _path_lengths(tree: Any) -> NDArray[np.float64]:
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children come after their parent
        if tree.children_left[node] >= 0:
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    rest = np.array([average_path_length(float(rows)) for rows in tree.n_node_samples])
    length: NDArray[np.float64] = (depth + rest)[:, None]
    return length


def _probabilities(tree: Any) -> NDArray[np.float64]:
    counts = tree.value[:, 0, :]
    shares: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return shares
