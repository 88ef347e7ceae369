"""Scores of normal rows by fits that saw nothing like them.

Calibrated on rows drawn at random, a detector's thresholds hold for normal traffic that it has met, and other normal
traffic sets off many times the nominal rate of alarms. So normal rows are put into clusters, clusters into folds, and
each fold is scored by a fit without it: thresholds then allow for kinds of normal traffic that are new. Bates, Hastie,
Tibshirani, "Cross-validation: what does it estimate", 2021, on folds; the clusters are this product's own choice.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration, fit_calibration
from models.detector import Vector
from models.scaling import Matrix

Folds = NDArray[np.int64]  # (n,), -1 for rows that are not normal
Score = Callable[[Matrix], Vector]


def folds_of(x: Matrix, normal: NDArray[np.bool_], clusters: int, folds: int, seed: int) -> Folds:
    """The fold of each normal row. x: (n, d) scaled rows. Raises ValueError for fewer normal rows than clusters."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # the package has no types

    if int(normal.sum()) < clusters:
        raise ValueError(f"{int(normal.sum())} normal rows for {clusters} clusters")
    with threadpool_limits(limits=1):  # sums in one order, whatever the machine
        cluster = MiniBatchKMeans(clusters, random_state=seed, n_init=3).fit_predict(x[normal])
    fold = np.full(len(x), -1, dtype=np.int64)
    fold[normal] = np.random.default_rng([seed, 5]).permutation(clusters)[cluster] % folds
    return fold


def calibrated(
    x: Matrix, fold: Folds, fit: Callable[[NDArray[np.bool_]], Mapping[str, Score]]
) -> dict[str, Calibration]:
    """Calibration of each detector that fit() names.

    fit: takes (n,) which rows to fit on, gives detectors by name; called once for each fold that holds rows.
    """
    scores: dict[str, Vector] = {}
    for held_back in _held_back(fold):
        for name, score in fit(~held_back).items():
            own = scores.setdefault(name, np.full(len(x), np.nan))
            own[held_back] = score(x[held_back])
    return {name: fit_calibration(own[fold >= 0]) for name, own in scores.items()}


def scored_apart(
    x: Matrix, fold: Folds, fit: Callable[[NDArray[np.bool_]], Score], further: Matrix
) -> tuple[Vector, NDArray[np.float64]]:
    """Scores of normal rows by the fits without their fold, (n,), NaN of others; of further rows by each fit, (k, m).

    fit: takes (n,) which rows to fit on, gives one detector; called once for each of the k folds that hold rows.
    """
    own, told = np.full(len(x), np.nan), []
    for held_back in _held_back(fold):
        score = fit(~held_back)
        own[held_back] = score(x[held_back])
        told.append(score(further))
    return own, np.array(told)


def _held_back(fold: Folds) -> Iterator[NDArray[np.bool_]]:
    for k in np.unique(fold[fold >= 0]):
        yield fold == k
