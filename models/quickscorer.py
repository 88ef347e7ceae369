"""QuickScorer: which leaf of each tree a row falls into, found from bits of leaves instead of by walking down.

It does not know what leaves say, nor how trees are grown. Rows are compared as float32.
Lucchese, Nardini, Orlando, Perego, Tonellotto, Venturini, "QuickScorer", 2015.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.jit import Word, aligned, as_taken, entry, inner

Nodes = NDArray[np.int32]  # (m,) one entry a node, trees one after the other
LEAF = -1  # instead of a child
MAX_SPLITS = 1 << 21  # once laid out for the kernel, which holds a split for each word of leaves that it rules out of
ROWS = 128  # rows looked at abreast: their columns stay in the first-level cache
LANES = np.uint64(16)  # rows that one instruction may take: as many more are looked at as fill the last
SPLITS = 4  # looked at in one pass
WORD = 32  # leaves told of in one word
ALL, ZERO, ONE_BIT = np.uint32(0xFFFFFFFF), np.uint32(0), np.uint32(1)
NONE, ONE, ROWS_U, SPLITS_U = np.uint64(0), np.uint64(1), np.uint64(ROWS), np.uint64(SPLITS)


@dataclass(frozen=True, slots=True, eq=False)
class QuickScorer:
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

    def mean_value(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean over the trees of the leaf each row falls into, (n, k) float64. x: (n, d) float32, all columns."""
        width = x.shape[1]
        out = np.zeros((len(x), self.value.shape[1]))
        scratch = aligned(((width + 2) * ROWS,))
        turned, bits, leaf = scratch[: -2 * ROWS], scratch[-2 * ROWS : -ROWS], scratch[-ROWS:]
        _find(
            as_taken(x, np.float32),
            self.column,
            self.threshold,
            self.kept,
            self.ends,
            self.first_leaf,
            self.words,
            self.value,
            turned,
            bits.view(np.uint32),
            leaf.view(np.uint32),
            out,
        )
        return out


def pack(
    feature: Nodes,
    threshold: NDArray[np.float64],
    left: Nodes,
    right: Nodes,
    value: NDArray[np.float64],
    roots: Nodes,
    depth: NDArray[np.int64],
) -> QuickScorer:
    """The layout of trees in flat arrays, which are those of models.trees. depth: (m,) of each node in its tree.

    Raises ValueError for trees that would need too many splits.
    """
    nodes = len(feature)
    tree = np.searchsorted(roots, np.arange(nodes), side="right") - 1
    leaves, first = _leaves(left, right, depth)
    tree_leaves = leaves[roots]
    tree_words = -(-tree_leaves // WORD)
    words_end = np.cumsum(tree_words)
    leaf_start = np.cumsum(tree_leaves) - tree_leaves
    # Splits, one for each word that it rules leaves out of.
    split = np.flatnonzero(left != LEAF)
    low = first[left[split]]
    high = low + leaves[left[split]]
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
    column[at] = feature[split[order]].astype(np.uint32) * np.uint32(ROWS)
    packed_threshold = np.full(ends[-1], np.inf, dtype=np.float32)
    packed_threshold[at] = _float32_below(threshold[split[order]])
    kept = np.full(ends[-1], ALL, dtype=np.uint32)
    kept[at] = ~((1 << high[order]) - (1 << low[order])) & int(ALL)
    word_tree = np.repeat(np.arange(len(tree_words)), tree_words)
    number = words_end[word_tree] - 1 - np.arange(words_end[-1])
    leaf = np.flatnonzero(left == LEAF)
    leaf_value = np.empty((len(leaf), value.shape[1]))
    leaf_value[leaf_start[tree[leaf]] + first[leaf]] = value[leaf]
    return QuickScorer(
        column,
        packed_threshold,
        kept,
        ends.astype(np.uint64),
        (leaf_start[word_tree] + WORD * number).astype(np.uint32),
        np.concatenate(([0], words_end)).astype(np.uint64),
        leaf_value,
    )


def _leaves(left: Nodes, right: Nodes, depth: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each node the number of leaves below it, and how many of its tree's leaves are left of them."""
    leaves = np.ones(len(depth), dtype=np.int64)
    first = np.zeros(len(depth), dtype=np.int64)
    inner = np.flatnonzero(left != LEAF)
    levels = [inner[depth[inner] == level] for level in range(depth.max())]
    for nodes in reversed(levels):
        leaves[nodes] = leaves[left[nodes]] + leaves[right[nodes]]
    for nodes in levels:
        first[left[nodes]] = first[nodes]
        first[right[nodes]] = first[nodes] + leaves[left[nodes]]
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
