from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.forest import IsolationForest, RandomForest, average_path_length
from models.scaling import Scaling
from models.sklearn_trees import forest_from_sklearn
from models.trees import Forest, joined_trees
from tests.models.builders import LABELS, make_isolation_forest, make_scaling, make_steps, random_trees


def rows(count: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    # Rounded: many values are equal to thresholds between them or to each other.
    return np.random.default_rng(seed).normal(size=(count, width)).round(1).astype(np.float32)


def plain(width: int) -> Scaling:
    return Scaling(tuple(f"c{i}" for i in range(width)), np.arange(width), np.zeros(width), np.ones(width))


def walked(forest: Forest, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Plain twin of the kernel."""
    total = np.zeros((len(x), forest.value.shape[1]))
    for i, row in enumerate(x):
        for root in forest.roots:
            node = root
            while forest.left[node] >= 0:
                goes_left = float(row[forest.feature[node]]) <= forest.threshold[node]
                node = forest.left[node] if goes_left else forest.right[node]
            total[i] += forest.value[node]
    return total / len(forest.roots)


@pytest.mark.parametrize("values", [1, 3])
def test_the_kernel_walks_as_its_plain_twin(values: int):
    forest = random_trees(7, values, seed=2)
    x = rows(130, forest.width)
    assert np.array_equal(forest.mean_value(x), walked(forest, x))


def grown(leaves: int, favour: float, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
    """A tree over four columns that grows a leaf at a time, with that likelihood at one of its right-most leaves."""
    left, right, feature, threshold = [-1], [-1], [0], [0.0]
    ends = [0]
    for _ in range(leaves - 1):
        node = ends.pop(-1 if rng.random() < favour else int(rng.integers(len(ends))))
        feature[node], threshold[node] = int(rng.integers(4)), round(float(rng.normal()), 1)
        left[node], right[node] = len(left), len(left) + 1
        for _ in range(2):
            left.append(-1), right.append(-1), feature.append(0), threshold.append(0.0)
        ends += [left[node], right[node]]
    return np.array(feature), np.array(threshold), np.array(left), np.array(right), rng.random((len(left), 2))


@pytest.mark.parametrize("leaves", [1, 2, 31, 32, 33, 64, 65, 97, 300])
def test_trees_of_any_shape_and_batches_of_any_size_are_walked_as_by_the_twin(leaves: int):
    rng = np.random.default_rng(leaves)
    trees = [grown(leaves, favour, rng) for favour in (0.0, 0.4, 0.6)] + [grown(3, 0.5, rng)]
    forest = joined_trees(trees, 4)
    x = rows(300, 4, seed=leaves)
    expected = walked(forest, x)
    assert np.array_equal(forest.mean_value(x), expected)
    for size in (1, 15, 16, 17, 63, 127, 129):
        assert np.array_equal(forest.mean_value(x[:size]), expected[:size])
        assert np.array_equal(forest.mean_value(x[-size:]), expected[-size:])


@pytest.mark.parametrize(
    ("samples", "features", "bootstrap"),
    [(256, 1.0, False), (64, 0.4, False), (100, 1.0, True), (1, 1.0, False), (2, 1.0, False)],
)
def test_isolation_scores_equal_scikit_learn(samples: int, features: float, bootstrap: bool):
    ensemble = pytest.importorskip("sklearn.ensemble")
    x = rows(600, 9)
    model = ensemble.IsolationForest(
        n_estimators=40, max_samples=samples, max_features=features, bootstrap=bootstrap, random_state=1
    ).fit(x)
    ours = IsolationForest(plain(9), forest_from_sklearn(model), model.max_samples_)
    fresh = np.concatenate((x, 3 * rows(400, 9, seed=5)))
    np.testing.assert_allclose(ours.score_rows(fresh), -model.score_samples(fresh), rtol=0, atol=1e-9)


def test_probabilities_equal_scikit_learn():
    ensemble = pytest.importorskip("sklearn.ensemble")
    x = rows(800, 9)
    classes = (x[:, 0] * x[:, 1] + x[:, 2] > 0.3).astype(int) + (x[:, 3] > 1)
    model = ensemble.RandomForestClassifier(n_estimators=30, class_weight="balanced", random_state=1).fit(x, classes)
    fresh = rows(500, 9, seed=7)
    ours = forest_from_sklearn(model).mean_value(fresh)
    np.testing.assert_allclose(ours, model.predict_proba(fresh), rtol=0, atol=1e-9)


def test_thresholds_keep_their_double_precision_meaning():
    threshold = np.array([0.1, 0.0, 0.0])  # float32(0.1) > 0.1, so that row goes right
    forest = Forest(
        feature=np.zeros(3, np.int32),
        threshold=threshold,
        left=np.array([1, -1, -1], np.int32),
        right=np.array([2, -1, -1], np.int32),
        value=np.array([[0.0], [1.0], [2.0]]),
        roots=np.zeros(1, np.int32),
        width=1,
    )
    below = np.nextafter(np.float32(0.1), np.float32(0))
    assert forest.mean_value(np.array([[0.1], [below]], np.float32)).ravel().tolist() == [2.0, 1.0]


def test_path_length_is_the_papers():
    assert [average_path_length(n) for n in (1, 2)] == [0.0, 1.0]
    assert average_path_length(256) == pytest.approx(10.244770920)


def test_a_deeper_mean_path_scores_lower():
    detector = make_isolation_forest()
    x = detector.scaling.transform(make_steps(100, 3).values)
    depth = detector.forest.mean_value(x)[:, 0]
    assert (np.diff(detector.score_rows(x)[np.argsort(depth)]) <= 0).all()


def broken(**changes: object) -> Forest:
    forest = random_trees(3, 1, seed=1)
    fields = {
        name: getattr(forest, name) for name in ("feature", "threshold", "left", "right", "value", "roots", "width")
    }
    return Forest(**(fields | changes))  # type: ignore[arg-type]


def changed(name: str, at: int, to: float) -> dict[str, object]:
    array = getattr(random_trees(3, 1, seed=1), name).copy()
    array[at] = to
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (changed("left", 1, 0), "child lies outside its tree or not after"),  # a cycle
        (changed("left", 1, 1), "child lies outside its tree or not after"),
        (changed("right", 0, 31), "child lies outside its tree"),  # the next tree's root
        (changed("right", 62, 93), "child lies outside its tree"),  # beyond the last node
        (changed("left", 3, -2), "child lies outside its tree"),
        (changed("left", 3, -1), "one child"),
        (changed("left", 0, 2), "more than once"),  # both children are one node
        (changed("feature", 40, 7), "outside 0..6"),
        (changed("feature", 40, -1), "outside 0..6"),
        (changed("threshold", 5, np.nan), "not finite"),
        (changed("value", 5, np.inf), "not finite"),
        (changed("value", 5, 1e300), "beyond"),
        (changed("roots", 1, 0), "ascend"),
        (changed("roots", 2, 93), "ascend"),
        (changed("roots", 0, 1), "starting at 0"),
        ({"left": np.zeros(93, np.int64)}, "int64"),
        ({"threshold": np.zeros(92)}, "expected float64"),
        ({"value": np.zeros(93)}, "expected float64"),
    ],
)
def test_arrays_that_are_no_forest_are_refused(changes: dict[str, object], reason: str):
    with pytest.raises(ValueError, match=reason):
        broken(**changes)


def test_a_chain_that_is_too_deep_is_refused():
    inner = 300
    left = np.concatenate((2 * np.arange(inner) + 1, np.full(1, -1)))
    nodes = 2 * inner + 1
    forest_left, forest_right = np.full(nodes, -1, np.int32), np.full(nodes, -1, np.int32)
    at = np.concatenate(([0], 2 * np.arange(1, inner)))
    forest_left[at], forest_right[at] = left[:-1], left[:-1] + 1
    with pytest.raises(ValueError, match="deeper than 256"):
        Forest(
            np.zeros(nodes, np.int32),
            np.zeros(nodes),
            forest_left,
            forest_right,
            np.zeros((nodes, 1)),
            np.zeros(1, np.int32),
            1,
        )


def test_detectors_refuse_a_forest_of_another_width_or_meaning():
    with pytest.raises(ValueError, match="expected 1 over 7"):
        IsolationForest(make_scaling(), random_trees(2, 3, 0), 256)
    with pytest.raises(ValueError, match="expected 1 over 5"):
        IsolationForest(plain(5), random_trees(2, 1, 0), 256)
    with pytest.raises(ValueError, match="expected 3"):
        RandomForest(make_scaling(), random_trees(2, 2, 0), LABELS)


def test_a_sure_attack_scores_one_and_not_a_rounding_error_more():
    forest = random_trees(30, len(LABELS), seed=3)
    sure = np.random.default_rng(4).random(forest.value.shape)
    sure[:, 0] = 0.0  # every leaf is certain that it is an attack, of one kind or another
    forest = replace(forest, value=sure / sure.sum(axis=1, keepdims=True))
    probability = forest.mean_value(rows(2000, forest.width))
    assert probability[:, 1:].sum(axis=1).max() > 1.0
    score = RandomForest(make_scaling(), forest, LABELS).score_rows(rows(2000, forest.width))
    assert score.max() == 1.0
    assert score.min() == pytest.approx(1.0)
