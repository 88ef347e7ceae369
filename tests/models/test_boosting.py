import numpy as np
import pytest

from models.boosting import BoostedTrees, boosting_from_sklearn
from models.scaling import Scaling
from tests.models.builders import make_boosted_trees, make_scaling, random_trees


def rows(count: int, seed: int = 0) -> np.ndarray:
    # Rounded: many values are equal to thresholds between them or to each other.
    return np.random.default_rng(seed).normal(size=(count, 9)).round(1).astype(np.float32)


def plain(width: int) -> Scaling:
    return Scaling(tuple(f"c{i}" for i in range(width)), np.arange(width), np.zeros(width), np.ones(width))


@pytest.mark.parametrize(("trees", "leaves"), [(40, 31), (15, 2), (1, 8)])
def test_probabilities_equal_scikit_learn(trees: int, leaves: int):
    ensemble = pytest.importorskip("sklearn.ensemble")
    x = rows(900)
    attack = x[:, 0] * x[:, 1] + x[:, 2] > 0.3
    model = ensemble.HistGradientBoostingClassifier(max_iter=trees, max_leaf_nodes=leaves, early_stopping=False)
    model.fit(x, attack, np.where(attack, 3.0, 1.0))
    ours = BoostedTrees(plain(9), *boosting_from_sklearn(model))
    assert len(ours.forest.roots) == trees
    fresh = np.concatenate((rows(500, seed=7), 5 * rows(100, seed=8)))
    np.testing.assert_allclose(ours.score_rows(fresh), model.predict_proba(fresh)[:, 1], rtol=0, atol=1e-9)


def test_trees_of_a_single_leaf_are_trees():
    ensemble = pytest.importorskip("sklearn.ensemble")
    x = rows(60)
    attack = x[:, 0] > 0
    model = ensemble.HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=50).fit(x, attack)
    ours = BoostedTrees(plain(9), *boosting_from_sklearn(model))
    assert len(ours.forest.feature) == 3
    np.testing.assert_allclose(ours.score_rows(x), model.predict_proba(x)[:, 1], rtol=0, atol=1e-9)


def test_three_classes_and_columns_of_categories_are_refused():
    ensemble = pytest.importorskip("sklearn.ensemble")
    x = rows(300)
    classes = (x[:, 0] > 0).astype(int) + (x[:, 1] > 1)
    with pytest.raises(ValueError, match="3 trees an iteration"):
        boosting_from_sklearn(ensemble.HistGradientBoostingClassifier(max_iter=2).fit(x, classes))
    x[:, 0] = np.arange(300) % 5
    model = ensemble.HistGradientBoostingClassifier(max_iter=5, categorical_features=[0])
    with pytest.raises(ValueError, match="categories"):
        boosting_from_sklearn(model.fit(x, np.isin(x[:, 0], (1, 3))))


def test_the_baseline_moves_every_score():
    detector = make_boosted_trees()
    higher = BoostedTrees(detector.scaling, detector.forest, detector.baseline + 1.0)
    x = rows(50)[:, :7]
    assert (higher.score_rows(x) > detector.score_rows(x)).all()


def test_a_forest_of_another_width_or_meaning_is_refused():
    with pytest.raises(ValueError, match="expected 1 over 5"):
        BoostedTrees(plain(5), random_trees(2, 1, 0), 0.0)
    with pytest.raises(ValueError, match="3 values a leaf"):
        BoostedTrees(make_scaling(), random_trees(2, 3, 0), 0.0)
    for baseline in (np.nan, np.inf, 1e300):
        with pytest.raises(ValueError, match="baseline"):
            BoostedTrees(make_scaling(), random_trees(2, 1, 0), baseline)
