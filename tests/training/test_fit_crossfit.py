"""Calibration across clusters of normal rows: who is scored by whom, and that it allows for new kinds of traffic."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.detector import Vector
from models.scaling import Matrix
from training.evaluation.scored import score_cut
from training.fit.crossfit import Folds, calibrated, folds_of, scored_apart

pytest.importorskip("sklearn")
CLUSTERS, FOLDS = 20, 5


def normal_kinds(rows: int = 1500, seed: int = 2) -> tuple[Matrix, NDArray[np.bool_], NDArray[np.int64]]:
    """Rows of CLUSTERS tight kinds, a tenth of them attacks; which are normal; of which kind each is."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, CLUSTERS, rows)
    centre = rng.normal(0, 4, (CLUSTERS, 6))
    x = (centre[kind] + rng.normal(0, 0.1, (rows, 6))).astype(np.float32)
    return x, rng.random(rows) > 0.1, kind


class Nearest:
    """Distance to the nearest row that was fitted on."""

    def __init__(self, known: Matrix) -> None:
        self.known = known

    def score(self, x: Matrix) -> Vector:
        squared = ((x[:, None, :].astype(np.float64) - self.known[None]) ** 2).sum(axis=2)
        return np.sqrt(squared.min(axis=1))


def test_rows_alike_are_in_one_fold_and_attacks_in_none() -> None:
    x, normal, kind = normal_kinds()
    fold = folds_of(x, normal, CLUSTERS, FOLDS, 7)
    assert set(fold[~normal]) == {-1}
    assert set(fold[normal]) == set(range(FOLDS))
    apart = [len(set(fold[normal & (kind == k)])) for k in range(CLUSTERS)]
    assert np.mean(np.array(apart) == 1) > 0.7


def test_the_folds_are_drawn_from_the_seed_alone() -> None:
    x, normal, _ = normal_kinds()
    first, again = (folds_of(x, normal, CLUSTERS, FOLDS, 7) for _ in range(2))
    assert (first == again).all()
    assert not np.array_equal(first, folds_of(x, normal, CLUSTERS, FOLDS, 8))


def test_fewer_normal_rows_than_clusters_are_refused() -> None:
    x, normal, _ = normal_kinds(30)
    with pytest.raises(ValueError, match="normal rows for 500 clusters"):
        folds_of(x, normal, 500, FOLDS, 7)


def test_each_normal_row_is_scored_once_by_a_fit_without_its_fold_and_with_every_attack() -> None:
    x, normal, _ = normal_kinds(400)
    fold: Folds = np.where(normal, np.arange(len(x)) % 3, -1)
    given: list[NDArray[np.bool_]] = []

    def fit(rows: NDArray[np.bool_]) -> dict[str, object]:
        given.append(rows)
        held_back = np.flatnonzero(~rows)

        def score(own: Matrix) -> Vector:
            assert (own == x[held_back]).all()
            return held_back / len(x)

        return {"place": score}

    meaning = calibrated(x, fold, fit)  # type: ignore[arg-type]
    assert sorted(np.concatenate([np.flatnonzero(~rows) for rows in given])) == np.flatnonzero(normal).tolist()
    for rows in given:
        assert rows[~normal].all()
        assert len(set(fold[~rows])) == 1
    assert meaning["place"].count == normal.sum()
    assert meaning["place"].p_value(np.array([np.flatnonzero(normal)[-1] / len(x)]))[0] < 0.01


def test_rows_are_scored_apart_by_the_fit_without_their_fold_and_further_ones_by_every_fit() -> None:
    x, normal, _ = normal_kinds(400)
    fold: Folds = np.where(normal, np.arange(len(x)) % 3, -1)

    def fit(rows: NDArray[np.bool_]) -> Callable[[Matrix], Vector]:
        held_back = float(np.unique(fold[~rows])[0])
        return lambda own: np.full(len(own), held_back)

    own, further = scored_apart(x, fold, fit, x[~normal])
    assert (own[normal] == fold[normal]).all()
    assert np.isnan(own[~normal]).all()
    assert (further == np.array([[0.0], [1.0], [2.0]])).all()
    assert further.shape == (3, int((~normal).sum()))


def test_it_asks_for_more_before_it_speaks_than_calibration_on_random_rows() -> None:
    x, normal, _ = normal_kinds()
    chance = np.where(normal, np.random.default_rng(3).integers(0, FOLDS, len(x)), -1)
    cuts = []
    for fold in (folds_of(x, normal, CLUSTERS, FOLDS, 7), chance):
        meaning = calibrated(x, fold, lambda rows: {"nearest": Nearest(x[rows & normal]).score})
        cut = score_cut(meaning["nearest"], 0.05)
        assert cut is not None
        cuts.append(cut)
    across, random = cuts
    assert across > 5 * random
    # Of rows of a kind that nobody has seen the one flags few, the other nearly all.
    unseen = Nearest(x[normal]).score(normal_kinds(seed=9)[0])
    assert (unseen > random).mean() > 0.9
    assert (unseen > across).mean() < 0.5
