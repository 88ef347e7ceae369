"""Fits the Isolation Forest on normal traffic and hands it over as this product's own flat trees.

It knows rows of scaled columns, not what they mean. Liu, Ting, Zhou 2008.
"""

import numpy as np
from numpy.typing import NDArray

from models.forest import IsolationForest, forest_from_sklearn
from models.scaling import Scaling


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
