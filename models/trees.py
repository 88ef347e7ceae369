"""Trees in flat arrays: their stored form, checked node by node, and the mean over the trees of the leaves of rows.

It does not know how trees are grown, nor what leaves say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import Arrays
from models.quickscorer import LEAF, Nodes, QuickScorer, pack
from models.scaling import Matrix
from models.stored import Forms, StoredParts

MAX_DEPTH = 256
MAX_TREES, MAX_NODES = 4096, 1 << 20
FOREST_FORMS: Forms = {
    "feature": (np.int32, 1),
    "threshold": (np.float64, 1),
    "left": (np.int32, 1),
    "right": (np.int32, 1),
    "value": (np.float64, 2),
    "roots": (np.int32, 1),
}


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
    _scorer: QuickScorer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_shapes(self)
        depth = _check_trees(self)
        object.__setattr__(self, "_scorer", pack(**self.arrays(), depth=depth))

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
        return self._scorer.mean_value(x)

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
