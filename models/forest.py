"""Forests: one kernel that finds leaves, an Isolation Forest and a random forest that read their leaves.

It does not know how trees are grown. Isolation score: Liu, Ting, Zhou, "Isolation Forest", 2008, eq. 1 and 2. Equal to
scikit-learn 1.x within 1e-9; like it, rows are compared as float32.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from kernels.jit import Word, aligned, as_taken, entry, inner
from models.detector import ANY_ATTACK, FlowSteps, Labels, Probabilities, Vector, attack_of
from models.manifest import Arrays
from models.scaling import Matrix, Scaling
from models.stored import Forms, SettingTypes, StoredParts

Nodes = NDArray[np.int32]  # (m,) one entry a node, trees one after the other
EULER_GAMMA = 0.5772156649015329
LEAF = -1
MAX_DEPTH = 256
MAX_TREES, MAX_NODES = 4096, 1 << 20
MAX_SPLITS = 1 << 21  # once laid out for the kernel, which holds a split for each word of leaves that it rules out of
LONGEST_PATH = 512.0  # MAX_DEPTH and c(2^31), more than any leaf of an Isolation Forest can hold
SUM_TOLERANCE = 1e-6  # of a leaf's probabilities, from 1
FOREST_FORMS: Forms = {
    "feature": (np.int32, 1),
    "threshold": (np.float64, 1),
    "left": (np.int32, 1),
    "right": (np.int32, 1),
    "value": (np.float64, 2),
    "roots": (np.int32, 1),
}
ROWS = 128  # rows looked at abreast: their columns stay in the first-level cache
LANES = np.uint64(16)  # rows that one instruction may take: as many more are looked at as fill the last
SPLITS = 4  # looked at in one pass
WORD = 32  # leaves told of in one word
ALL, ZERO, ONE_BIT = np.uint32(0xFFFFFFFF), np.uint32(0), np.uint32(1)
NONE, ONE, ROWS_U, SPLITS_U = np.uint64(0), np.uint64(1), np.uint64(ROWS), np.uint64(SPLITS)


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

    @property
    def leaf(self) -> NDArray[np.bool_]:
        """Which nodes are leaves, (m,): what other nodes hold says nothing."""
        is_leaf: NDArray[np.bool_] = self.left == LEAF
        return is_leaf

    def mean_value(self, x: Matrix) -> NDArray[np.float64]:
        """Mean over the trees of the leaf each row falls into, (n, k) float64.

        x: (n, width) float32. Raises ValueError for another width.
        """
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ValueError(f"rows have shape {x.shape}, expected (n, {self.width})")
        out = np.zeros((len(x), self.value.shape[1]))
        packed = self._packed
        scratch = aligned(((self.width + 2) * ROWS,))
        turned, bits, leaf = scratch[: -2 * ROWS], scratch[-2 * ROWS : -ROWS], scratch[-ROWS:]
        _find(
            as_taken(x, np.float32),
            packed.column,
            packed.threshold,
            packed.kept,
            packed.ends,
            packed.first_leaf,
            packed.words,
            packed.value,
            turned,
            bits.view(np.uint32),
            leaf.view(np.uint32),
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
        """forest: leaves hold depth + c(rows in the leaf), within 0..512. psi: rows each tree was grown on.

        Raises ValueError for others.
        """
        if forest.value.shape[1] != 1 or forest.width != len(scaling.columns):
            raise ValueError(
                f"isolation forest has {forest.value.shape[1]} values a leaf over {forest.width} columns, "
                f"expected 1 over {len(scaling.columns)}"
            )
        lengths = forest.value[forest.leaf]
        if lengths.min() < 0 or lengths.max() > LONGEST_PATH:
            raise ValueError(
                f"isolation forest has path lengths from {lengths.min():g} to {lengths.max():g}, "
                f"expected 0 to {LONGEST_PATH:g}"
            )
        if not 1 <= psi < 1 << 31:
            raise ValueError("isolation forest's psi is not within 1..2^31")
        self.name = name
        self.scaling = scaling
        self.forest = forest
        self.psi = psi

    def score(self, steps: FlowSteps) -> Vector:
        """2^(-mean path length / c(psi)) of each step, (n,) float64 in (0, 1]; higher is more anomalous."""
        return self.score_rows(steps.scaled(self.scaling))

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
        """forest: leaves hold a probability of each label, together 1. Raises ValueError for others."""
        if forest.value.shape[1] != len(labels) or len(labels) < 2 or forest.width != len(scaling.columns):
            raise ValueError(
                f"random forest has {forest.value.shape[1]} values a leaf over {forest.width} columns, "
                f"expected {len(labels)} (at least 2) over {len(scaling.columns)}"
            )
        shares = forest.value[forest.leaf]
        if shares.min() < 0 or np.abs(shares.sum(axis=1) - 1).max() > SUM_TOLERANCE:
            raise ValueError("random forest has a leaf whose probabilities are negative or not together 1")
        self.name = name
        self.scaling = scaling
        self.forest = forest
        self.labels = labels

    def score(self, steps: FlowSteps) -> Vector:
        """Probability that a step is not normal, (n,) float64 in [0, 1]."""
        return self.score_labels(steps)[0]

    def score_labels(self, steps: FlowSteps) -> tuple[Vector, Labels]:
        """As score, and the likeliest attack class of each step: (n,) int64, index into labels, never 0."""
        return attack_of(self.probabilities(steps))

    def probabilities(self, steps: FlowSteps) -> Probabilities:
        """Mean over the trees of what each leaf says of the labels, (n, k) float64."""
        return self.forest.mean_value(steps.scaled(self.scaling))

    def score_rows(self, x: Matrix) -> Vector:
        """As score, of rows that are already scaled, (n, d) float32."""
        return attack_of(self.forest.mean_value(x))[0]

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
    if nodes > MAX_NODES or roots.size > MAX_TREES:
        raise ValueError(
            f"forest has {nodes:,} nodes in {roots.size:,} trees, expected at most {MAX_NODES:,} in {MAX_TREES:,}"
        )
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
    """The layout the kernel reads: which leaves each split rules out. Lucchese et al., "QuickScorer", 2015.

    A row that goes right at a split cannot reach a leaf left of it: of the leaves, numbered from the left, the row
    falls into the first that no split rules out. Which are left is told 32 at a time, in words of bits, a tree's last
    word first; a word's splits, in any order, are filled up to a multiple of SPLITS by some that rule nothing out.
    """

    column: NDArray[np.uint32]  # (s,) uint32, where the column of a split begins among ROWS numbers of each
    threshold: NDArray[np.float32]  # (s,) float32; what is greater rules leaves out
    kept: NDArray[np.uint32]  # (s,) uint32, the leaves of the word that are left then
    ends: NDArray[np.uint64]  # (w + 1,) uint64, where the splits of each word begin, and their number
    first_leaf: NDArray[np.uint32]  # (w,) uint32, leaf of each word's lowest bit
    words: NDArray[np.uint64]  # (t + 1,) uint64, where the words of each tree begin, and their number
    value: NDArray[np.float64]  # (l, k) float64, of each leaf


def _pack(forest: Forest, depth: NDArray[np.int64]) -> _Packed:
    nodes = len(forest.feature)
    tree = np.searchsorted(forest.roots, np.arange(nodes), side="right") - 1
    leaves, first = _leaves(forest, depth)
    tree_leaves = leaves[forest.roots]
    tree_words = -(-tree_leaves // WORD)
    words_end = np.cumsum(tree_words)
    leaf_start = np.cumsum(tree_leaves) - tree_leaves
    # Splits, one for each word that it rules leaves out of.
    split = np.flatnonzero(forest.left != LEAF)
    low = first[forest.left[split]]
    high = low + leaves[forest.left[split]]
    times = (high - 1) // WORD - low // WORD + 1
    if times.sum() > MAX_SPLITS:
        raise ValueError(
            f"forest is too lopsided: {times.sum():,} splits once laid out, expected {MAX_SPLITS:,} at most"
        )
    row = np.repeat(np.arange(len(split)), times)
    word = low[row] // WORD + np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
    split, low, high = split[row], np.maximum(low[row] - WORD * word, 0), np.minimum(high[row] - WORD * word, WORD)
    place = words_end[tree[split]] - 1 - word
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place, minlength=words_end[-1])
    ends = np.concatenate(([0], np.cumsum(-(-counts // SPLITS) * SPLITS)))
    at = ends[place[order]] + np.arange(len(order)) - (np.cumsum(counts) - counts)[place[order]]
    column = np.zeros(ends[-1], dtype=np.uint32)
    column[at] = forest.feature[split[order]].astype(np.uint32) * np.uint32(ROWS)
    threshold = np.full(ends[-1], np.inf, dtype=np.float32)
    threshold[at] = _float32_below(forest.threshold[split[order]])
    kept = np.full(ends[-1], ALL, dtype=np.uint32)
    kept[at] = ~((1 << high[order]) - (1 << low[order])) & int(ALL)
    word_tree = np.repeat(np.arange(len(tree_words)), tree_words)
    number = words_end[word_tree] - 1 - np.arange(words_end[-1])
    leaf = np.flatnonzero(forest.left == LEAF)
    value = np.empty((len(leaf), forest.value.shape[1]))
    value[leaf_start[tree[leaf]] + first[leaf]] = forest.value[leaf]
    return _Packed(
        column,
        threshold,
        kept,
        ends.astype(np.uint64),
        (leaf_start[word_tree] + WORD * number).astype(np.uint32),
        np.concatenate(([0], words_end)).astype(np.uint64),
        value,
    )


def _leaves(forest: Forest, depth: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each node the number of leaves below it, and how many of its tree's leaves are left of them."""
    leaves = np.ones(len(depth), dtype=np.int64)
    first = np.zeros(len(depth), dtype=np.int64)
    inner = np.flatnonzero(forest.left != LEAF)
    levels = [inner[depth[inner] == level] for level in range(depth.max())]
    for nodes in reversed(levels):
        leaves[nodes] = leaves[forest.left[nodes]] + leaves[forest.right[nodes]]
    for nodes in levels:
        first[forest.left[nodes]] = first[nodes]
        first[forest.right[nodes]] = first[nodes] + leaves[forest.left[nodes]]
    return leaves, first


def _float32_below(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Largest float32 <= threshold: x <= threshold gives the same answer for every float32 x."""
    with np.errstate(over="ignore"):
        rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)


@entry
def _find(
    x: NDArray[np.float32],
    column: NDArray[np.uint32],
    threshold: NDArray[np.float32],
    kept: NDArray[np.uint32],
    ends: NDArray[np.uint64],
    first_leaf: NDArray[np.uint32],
    words: NDArray[np.uint64],
    value: NDArray[np.float64],
    turned: NDArray[np.float32],
    bits: NDArray[np.uint32],
    leaf: NDArray[np.uint32],
    out: NDArray[np.float64],
) -> None:
    """Mean leaf value: x (n, width), packed splits (s,), words (w,) and trees (t,), value (l, k), out (n, k) zeros.

    turned: scratch for width columns of ROWS rows; bits, leaf: for ROWS rows.
    """
    # Unsigned counters spare a test for negative indices; the loops over lanes are vectorised.
    count, width, answers = np.uint64(x.shape[0]), np.uint64(x.shape[1]), np.uint64(value.shape[1])
    trees = np.uint64(words.shape[0] - 1)
    for start in range(NONE, count, ROWS_U):
        rows = min(ROWS_U, count - start)
        lanes = (rows + LANES - ONE) // LANES * LANES
        for row in range(rows):
            for number in range(width):
                turned[number * ROWS_U + row] = x[start + row, number]
        for tree in range(trees):
            for word in range(words[tree], words[tree + ONE]):
                for lane in range(lanes):
                    bits[lane] = ALL
                for split in range(ends[word], ends[word + ONE], SPLITS_U):
                    _rule_out(turned, column, threshold, kept, split, lanes, bits)
                lowest = first_leaf[word]
                for lane in range(lanes):
                    left = bits[lane]
                    leaf[lane] = lowest + _lowest(left) if left != ZERO else leaf[lane]
            for row in range(rows):
                at = np.uint64(leaf[row])
                for k in range(answers):
                    out[start + row, k] += value[at, k]
        for row in range(rows):
            for k in range(answers):
                out[start + row, k] /= trees


@inner
def _rule_out(
    turned: NDArray[np.float32],
    column: NDArray[np.uint32],
    threshold: NDArray[np.float32],
    kept: NDArray[np.uint32],
    split: Word,
    lanes: Word,
    bits: NDArray[np.uint32],
) -> None:
    """Of bits those that SPLITS splits from this one on keep, so that bits are loaded and stored once for all."""
    b, c, d = split + np.uint64(1), split + np.uint64(2), split + np.uint64(3)
    column_a, column_b, column_c, column_d = (
        np.uint64(column[split]), np.uint64(column[b]), np.uint64(column[c]), np.uint64(column[d])
    )  # fmt: skip
    threshold_a, threshold_b, threshold_c, threshold_d = threshold[split], threshold[b], threshold[c], threshold[d]
    kept_a, kept_b, kept_c, kept_d = kept[split], kept[b], kept[c], kept[d]
    for lane in range(lanes):
        left = bits[lane]
        left = left & kept_a if turned[column_a + lane] > threshold_a else left
        left = left & kept_b if turned[column_b + lane] > threshold_b else left
        left = left & kept_c if turned[column_c + lane] > threshold_c else left
        left = left & kept_d if turned[column_d + lane] > threshold_d else left
        bits[lane] = left


@inner
def _lowest(bits: Word) -> Word:
    """Number of the lowest bit that is set, of at least one."""
    # The exponent of that power of two: no library call, so it vectorises.
    power = np.float32(np.int32(bits & (~bits + ONE_BIT)))
    return (np.uint32(power.view(np.int32)) >> np.uint32(23) & np.uint32(255)) - np.uint32(127)


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
