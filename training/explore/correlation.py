"""Spearman's rank correlation between columns, ordered so that columns which move together stand together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from training.explore.table import Codes, LabelledTable

STRONG = 0.9


@dataclass(frozen=True, slots=True)
class Pair:
    """Two columns and their rank correlation."""

    first: str
    second: str
    rho: float


@dataclass(frozen=True, slots=True)
class Correlations:
    """How columns go together, each with each."""

    names: tuple[str, ...]  # k columns in the order of the clustering
    matrix: NDArray[np.float64]  # (k, k)
    pairs: tuple[Pair, ...]  # all of them, strongest first

    def between(self, first: str, second: str) -> float:
        """Correlation of two columns. Raises ValueError for one that is not among names."""
        return float(self.matrix[self.names.index(first), self.names.index(second)])

    def strong(self) -> int:
        """Pairs at or above STRONG in absolute value."""
        return sum(abs(pair.rho) >= STRONG for pair in self.pairs)


def correlations(table: LabelledTable, columns: tuple[int, ...], sample: Codes) -> Correlations:
    """Correlate the chosen columns over a sample; those that do not vary in it are left out."""
    drawn = table.cells(sample, columns)
    varies = np.ptp(drawn, axis=0) > 0 if len(drawn) else np.zeros(0, dtype=np.bool_)
    names = [table.columns[i].name for i, kept in zip(columns, varies, strict=True) if kept]
    if len(names) < 2:
        return Correlations(tuple(names), np.ones((len(names), len(names))), ())
    matrix = np.clip(np.corrcoef(rankdata(drawn[:, varies], axis=0), rowvar=False), -1.0, 1.0)
    order = _clustered(matrix)
    matrix = matrix[np.ix_(order, order)]
    ordered = tuple(names[i] for i in order)
    rows, others = np.triu_indices(len(ordered), k=1)
    strongest = np.argsort(-np.abs(matrix[rows, others]), kind="stable")
    pairs = [Pair(ordered[rows[i]], ordered[others[i]], float(matrix[rows[i], others[i]])) for i in strongest]
    return Correlations(ordered, matrix, tuple(pairs))


def _clustered(matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order of the leaves of an average-linkage tree over 1 − |ρ|."""
    distance = 1.0 - np.abs(matrix)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0.0)
    order: NDArray[np.int64] = leaves_list(linkage(squareform(distance, checks=False), method="average"))
    return order
