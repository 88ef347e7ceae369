"""Grows forests with scikit-learn and hands them over as this product's own flat trees.

It knows rows of scaled columns, not what they mean. Liu, Ting, Zhou 2008 (Isolation Forest); Breiman 2001.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.detector import Vector
from models.forest import IsolationForest, RandomForest, forest_from_sklearn
from models.scaling import Matrix, Scaling


def fit_isolation_forest(
    scaling: Scaling, values: NDArray[np.float64], trees: int, sample: int, seed: int
) -> IsolationForest:
    """Forest of so many trees over normal traffic; each tree sees sample rows.

    values: (n, c) float64 in the order of the feature contract. Raises ValueError when n is below sample.
    """
    from sklearn.ensemble import IsolationForest as SklearnForest

    if len(values) < sample:
        raise ValueError(f"{len(values)} rows of normal traffic, a tree's sample is {sample}")
    # One job: trees are drawn in one order, whatever the machine.
    model = SklearnForest(n_estimators=trees, max_samples=sample, random_state=seed, n_jobs=1)
    model.fit(scaling.transform(values))
    return IsolationForest(scaling, forest_from_sklearn(model), psi=sample)


@dataclass(frozen=True, slots=True)
class ForestSize:
    """Size of a random forest."""

    trees: int
    leaves: int  # of a tree
    depth: int | None
    columns: int  # that each split chooses among
    smallest_leaf: int  # rows
    threads: int = 1  # that grow trees; their number changes nothing but the time


def grow_random_forest(
    scaling: Scaling, x: Matrix, target: NDArray[np.int64], weight: Vector, labels: tuple[str, ...], size: ForestSize,
    seed: int,
) -> RandomForest:  # fmt: skip
    """Random forest of these classes on rows that are already scaled.

    x: (n, d). target: (n,) index into labels; one that does not occur gets no probability. weight: (n,) positive.
    """
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(
        size.trees,
        max_leaf_nodes=size.leaves,
        max_depth=size.depth,
        max_features=min(size.columns, x.shape[1]),
        min_samples_leaf=size.smallest_leaf,
        random_state=seed,
        n_jobs=size.threads,  # each tree has a seed of its own
    )
    model.fit(x, target, weight)
    forest = forest_from_sklearn(model)
    value = np.zeros((len(forest.value), len(labels)))
    value[:, model.classes_] = forest.value
    return RandomForest(scaling, replace(forest, value=value), labels, "random_forest")
