"""Forests: one kernel that walks trees, an Isolation Forest and a random forest that read their leaves.

It does not know how trees are grown. Isolation score: Liu, Ting, Zhou, "Isolation Forest", 2008, eq. 1 and 2. Equal to
scikit-learn 1.x within 1e-9; like it, rows are compared as float32.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kernels.jit import Word, entry, inner
from models.detector import ANY_ATTACK, FlowSteps, Labels, Vector
from models.manifest import Arrays
from models.scaling import Matrix, Scaling
from models.stored import Forms, SettingTypes, StoredParts

Nodes = NDArray[np.int32]  # (m,) one entry a node, trees one after the other
EULER_GAMMA = 0.5772156649015329
LEAF = -1
MAX_DEPTH = 256
FOREST_FORMS: Forms = {
    "feature": (np.int32, 1),
    "threshold": (np.float64, 1),
    "left": (np.int32, 1),
    "right": (np.int32, 1),
    "value": (np.float64, 2),
    "roots": (np.int32, 1),
}
ROWS = 64  # rows walked abreast: their columns and one tree's nodes stay in the first-level cache


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees in flat arrays, nodes in any order in which children come after their parent.

    Raises ValueError when the arrays are not t trees over width columns.
    """

    feature: Nodes  # (m,) int32, the column that a node looks at
    threshold: NDArray[np.float64]  # (m,) float64; a row goes left when its column is <= threshold
    left: Nodes  # (m,) int32, index of a node in these arrays, -1 at a leaf
    right: Nodes  # (m,) int32, likewise
    value: NDArray[np.float64]  # (m, k) float64, what a leaf says
    roots: Nodes  # (t,) int32, first node of each tree, ascending from 0
    width: int  # number of columns
    _packed: "_Packed" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_shapes(self)
        depth = _check_trees(self)
        object.__setattr__(self, "_packed", _pack(self, depth))

    def mean_value(self, x: Matrix) -> NDArray[np.float64]:
        """Mean over the trees of the leaf each row falls into, (n, k) float64.

        x: (n, width) float32. Raises ValueError for another width.
        """
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ValueError(f"rows have shape {x.shape}, expected (n, {self.width})")
        out = np.zeros((len(x), self.value.shape[1]))
        packed = self._packed
        _walk(
            np.require(x, np.float32, ["C", "W"]).reshape(-1),
            self.width,
            packed.feature,
            packed.threshold,
            packed.child,
            packed.value,
            packed.roots,
            packed.levels,
            np.empty(ROWS, dtype=np.uint32),
            out,
        )
        return out

    def arrays(self) -> Arrays:
        """Its arrays by their names, those of FOREST_FORMS."""
        return {name: getattr(self, name) for name in FOREST_FORMS}

    @classmethod
    def restored(cls, parts: StoredParts) -> "Forest":
        """The trees of a stored detector. Raises ValueError where they are not as many as its setting says."""
        trees = len(parts.arrays["roots"])
        if parts.settings["trees"] != trees:
            raise ValueError(f"trees are not its {trees} roots")
        return cls(**parts.arrays, width=len(parts.scaling.columns))


class IsolationForest:
    """Isolation Forest: normal rows need many random splits to be alone, odd ones few."""

    FORMS: ClassVar[Forms] = FOREST_FORMS
    SETTINGS: ClassVar[SettingTypes] = {"trees": int, "psi": int}

    def __init__(self, scaling: Scaling, forest: Forest, psi: int, name: str = "iforest") -> None:
        """forest: leaves hold depth + c(rows in the leaf). psi: rows each tree was grown on."""
        if forest.value.shape[1] != 1 or forest.width != len(scaling.columns):
            raise ValueError(
                f"isolation forest has {forest.value.shape[1]} values a leaf over {forest.width} columns, "
                f"expected 1 over {len(scaling.columns)}"
            )
        if not 1 <= psi < 1 << 31:
            raise ValueError("isolation forest's psi is not within 1..2^31")
        self.name = name
        self.scaling = scaling
        self.forest = forest
        self.psi = psi

    def score(self, steps: FlowSteps) -> Vector:
        """2^(-mean path length / c(psi)) of each step, (n,) float64 in (0, 1]; higher is more anomalous."""
        return self.score_rows(self.scaling.transform(steps.values))

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
        if forest.value.shape[1] != len(labels) or len(labels) < 2 or forest.width != len(scaling.columns):
            raise ValueError(
                f"random forest has {forest.value.shape[1]} values a leaf over {forest.width} columns, "
                f"expected {len(labels)} (at least 2) over {len(scaling.columns)}"
            )
        self.name = name
        self.scaling = scaling
        self.forest = forest
        self.labels = labels

    def score(self, steps: FlowSteps) -> Vector:
        """Probability that a step is not normal, (n,) float64 in [0, 1]."""
        return self.score_labels(steps)[0]

    def score_labels(self, steps: FlowSteps) -> tuple[Vector, Labels]:
        """As score, and the likeliest attack class of each step: (n,) int64, index into labels, never 0."""
        probability = self.forest.mean_value(self.scaling.transform(steps.values))
        return _attack(probability), np.argmax(probability[:, 1:], axis=1).astype(np.int64) + 1

    def score_rows(self, x: Matrix) -> Vector:
        """As score, of rows that are already scaled, (n, d) float32."""
        return _attack(self.forest.mean_value(x))

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


def _attack(probability: NDArray[np.float64]) -> Vector:
    # Not 1 - p(normal), which would round small probabilities away. The sum may round to a little over 1.
    score = np.zeros(len(probability))
    for k in range(1, probability.shape[1]):
        score += probability[:, k]
    return np.minimum(score, 1.0)


def average_path_length(rows: float) -> float:
    """c(rows): mean path length of an unsuccessful search in a binary search tree of that many rows."""
    if rows <= 1:
        return 0.0
    if rows <= 2:
        return 1.0
    return 2.0 * (math.log(rows - 1.0) + EULER_GAMMA) - 2.0 * (rows - 1.0) / rows


def forest_from_sklearn(model: Any) -> Forest:
    """Trees of a fitted scikit-learn IsolationForest or RandomForestClassifier.

    Only the model's attributes are read. Leaves hold depth + c(rows) for the former (k = 1), class probabilities for
    the latter. Raises ValueError for trees with more than one output.
    """
    isolation = hasattr(model, "offset_")
    picks = getattr(model, "estimators_features_", None)
    parts = []
    for number, estimator in enumerate(model.estimators_):
        tree = estimator.tree_
        if tree.n_outputs != 1:
            raise ValueError(f"tree {number} has {tree.n_outputs} outputs, expected 1")
        leaf = tree.children_left < 0
        feature = np.where(leaf, 0, tree.feature)
        if picks is not None:
            feature = np.where(leaf, 0, picks[number][feature])
        value = _path_lengths(tree) if isolation else _probabilities(tree)
        parts.append((feature, np.where(leaf, 0.0, tree.threshold), tree.children_left, tree.children_right, value))
    return joined_trees(parts, int(model.n_features_in_))


def joined_trees(parts: Sequence[tuple[NDArray[Any], ...]], width: int) -> Forest:
    """Forest of trees given one by one over width columns.

    parts: (feature, threshold, left, right, value) of each tree as in Forest, but left and right index the tree's own
    nodes and are negative at a leaf.
    """
    feature, threshold, _, _, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    sizes = np.array([len(part[0]) for part in parts])
    roots = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    left, right = (
        np.concatenate([np.where(part[k] < 0, LEAF, part[k] + root) for part, root in zip(parts, roots, strict=True)])
        for k in (2, 3)
    )
    return Forest(
        feature.astype(np.int32),
        threshold.astype(np.float64),
        left.astype(np.int32),
        right.astype(np.int32),
        value.astype(np.float64),
        roots.astype(np.int32),
        width,
    )


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


def _check_shapes(forest: Forest) -> None:
    nodes = len(forest.feature)
    for name, dtype in (("feature", np.int32), ("left", np.int32), ("right", np.int32), ("threshold", np.float64)):
        array = getattr(forest, name)
        if array.shape != (nodes,) or array.dtype != dtype:
            raise ValueError(f"forest {name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} ({nodes},)")
    value, roots = forest.value, forest.roots
    if value.ndim != 2 or len(value) != nodes or value.shape[1] == 0 or value.dtype != np.float64:
        raise ValueError(f"forest value is {value.dtype} {value.shape}, expected float64 ({nodes}, k)")
    if roots.ndim != 1 or roots.dtype != np.int32 or not len(roots) or roots[0] != 0:
        raise ValueError(f"forest roots are {roots.dtype} {roots.shape}, expected int32 (t,) starting at 0")
    if (np.diff(roots) <= 0).any() or roots[-1] >= nodes:
        raise ValueError(f"forest roots do not ascend within {nodes} nodes")
    if not (np.isfinite(forest.threshold).all() and np.isfinite(value).all()):
        raise ValueError("forest threshold or value is not finite")
    if (np.abs(value) > 1e9).any():
        raise ValueError("forest value is beyond 1e9")


def _check_trees(forest: Forest) -> NDArray[np.int64]:
    """Depth of each node; raises ValueError where the nodes are not trees."""
    nodes = len(forest.feature)
    inner = forest.left != LEAF
    if ((forest.right != LEAF) != inner).any():
        raise ValueError("forest node has one child, expected two or none")
    parents = np.flatnonzero(inner)
    ends = np.append(forest.roots[1:], nodes)[np.searchsorted(forest.roots, parents, side="right") - 1]
    for name in ("left", "right"):
        child = getattr(forest, name)[parents]
        # A child after its parent makes a cycle impossible.
        if ((child <= parents) | (child >= ends)).any():
            raise ValueError(f"forest {name} child lies outside its tree or not after its parent")
    children = np.concatenate((forest.left[parents], forest.right[parents]))
    times_reached = np.bincount(children, minlength=nodes)
    times_reached[forest.roots] += 1
    if (times_reached != 1).any():
        raise ValueError("forest node is reached more than once or never")
    if (forest.feature < 0).any() or (forest.feature >= forest.width).any():
        raise ValueError(f"forest feature is outside 0..{forest.width - 1}")
    return _depths(forest)


def _depths(forest: Forest) -> NDArray[np.int64]:
    depth = np.zeros(len(forest.feature), dtype=np.int64)
    level = forest.roots
    for below in range(1, MAX_DEPTH + 1):
        level = level[forest.left[level] != LEAF]
        if not len(level):
            return depth
        level = np.concatenate((forest.left[level], forest.right[level]))
        depth[level] = below
    raise ValueError(f"forest is deeper than {MAX_DEPTH}")


@dataclass(frozen=True, slots=True, eq=False)
class _Packed:
    """The layout the kernel walks: siblings adjacent, a leaf its own child, so that a step is one addition."""

    feature: NDArray[np.uint32]  # (m,) uint32, which spares a test for negative indices
    threshold: NDArray[np.float32]  # (m,) float32, infinite at a leaf
    child: NDArray[np.uint32]  # (m,) uint32, the left one; the right one is the next
    value: NDArray[np.float64]  # (m, k) float64
    roots: NDArray[np.uint32]  # (t,) uint32, first node of each tree
    levels: NDArray[np.int64]  # (t,) int64, its depth


def _pack(forest: Forest, depth: NDArray[np.int64]) -> _Packed:
    nodes = len(forest.feature)
    tree = np.searchsorted(forest.roots, np.arange(nodes), side="right") - 1
    inner = np.flatnonzero(forest.left != LEAF)
    pair = np.zeros(nodes, dtype=np.int64)  # siblings sort together, left first, by their parent's number
    pair[forest.left[inner]] = 2 * inner
    pair[forest.right[inner]] = 2 * inner + 1
    order = np.lexsort((pair, depth, tree))
    place = np.empty(nodes, dtype=np.int64)
    place[order] = np.arange(nodes)
    leaf = forest.left[order] == LEAF
    child = np.where(leaf, np.arange(nodes), place[forest.left[order]]).astype(np.uint32)
    threshold = np.where(leaf, np.inf, forest.threshold[order])
    levels = np.zeros(len(forest.roots), dtype=np.int64)
    np.maximum.at(levels, tree, depth)
    return _Packed(
        forest.feature[order].astype(np.uint32),
        _float32_below(threshold),
        child,
        np.ascontiguousarray(forest.value[order]),
        forest.roots.astype(np.uint32),
        levels,
    )


def _float32_below(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Largest float32 <= threshold: x <= threshold gives the same answer for every float32 x."""
    with np.errstate(over="ignore"):
        rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)


@entry
def _walk(
    x: NDArray[np.float32],
    width: int,
    feature: NDArray[np.uint32],
    threshold: NDArray[np.float32],
    child: NDArray[np.uint32],
    value: NDArray[np.float64],
    roots: NDArray[np.uint32],
    levels: NDArray[np.int64],
    node: NDArray[np.uint32],
    out: NDArray[np.float64],
) -> None:
    """Mean leaf value: x (n · width,), packed nodes (m,), value (m, k), roots and levels (t,), out (n, k) zeros.

    node: scratch for ROWS rows.
    """
    step = np.uint64(width)
    trees = roots.shape[0]
    for start in range(0, out.shape[0], ROWS):
        rows = min(ROWS, out.shape[0] - start)
        for tree in range(trees):
            node[:] = roots[tree]
            for _ in range(levels[tree]):
                row_start = np.uint64(start) * step
                for row in range(rows):
                    at = node[row]
                    node[row] = child[at] + np.uint32(x[row_start + np.uint64(feature[at])] > threshold[at])
                    row_start += step
            for row in range(rows):
                for k in range(value.shape[1]):
                    out[start + row, k] += value[node[row], k]
        for row in range(rows):
            for k in range(value.shape[1]):
                out[start + row, k] /= trees


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
