"""Grows forests with scikit-learn and hands them over as this product's own flat trees.

It knows rows of scaled columns, not what they mean. Liu, Ting, Zhou 2008 (Isolation Forest); Breiman 2001.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.detector import Vector
from models.forest import IsolationForest, RandomForest
from models.scaling import Matrix, Scaling
from models.sklearn_trees import forest_from_sklearn, forest_from_trees
from training.datasets.rows import blocks, empty


def fit_isolation_forest(
    scaling: Scaling, values: NDArray[np.float64], trees: int, sample: int, seed: int
) -> IsolationForest:
    """Forest of so many trees over normal traffic; each tree sees sample rows.

    values: (n, c) float64 in the order of the feature contract. The trees are those of scikit-learn's IsolationForest
    with this seed, which wants all rows scaled in memory: here each tree is given the rows that are drawn for it, and
    of the others nothing is read. Raises ValueError when n is below sample.
    """
    from sklearn.tree import ExtraTreeRegressor
    from sklearn.utils.random import sample_without_replacement

    if len(values) < sample:
        raise ValueError(f"{len(values)} rows of normal traffic, a tree's sample is {sample}")
    width, depth = len(scaling.columns), math.ceil(math.log2(max(sample, 2)))
    # As scikit-learn draws: numbers that the trees are to tell, and for each tree a seed, its columns and its rows.
    target = _uniform(len(values), seed)
    grown = []
    for own in np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=trees):
        tree = ExtraTreeRegressor(
            max_features=1,
            splitter="random",
            max_depth=depth,
            random_state=np.random.RandomState(own).randint(np.iinfo(np.int32).max),
        )
        state = np.random.RandomState(own)
        sample_without_replacement(width, width, random_state=state)
        rows = np.sort(sample_without_replacement(len(values), sample, random_state=state))
        grown.append(tree.fit(scaling.transform(values[rows]), target[rows]))
    return IsolationForest(scaling, forest_from_trees(grown, width, isolation=True), psi=sample)


def _uniform(rows: int, seed: int) -> Vector:
    """Numbers drawn from 0 to 1, (rows,)."""
    rng, drawn = np.random.RandomState(seed), empty((rows,), np.float64)
    for some in blocks(rows):
        drawn[some] = rng.uniform(size=some.stop - some.start)
    return drawn


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
