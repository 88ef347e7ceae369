"""What the columns of normal traffic hold, for explanations, and which of them detectors look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.detector import Vector
from models.encoding import Encoding
from models.manifest import MAX_NUMBER


@dataclass(frozen=True, eq=False)
class NormalProfile:
    """Raw column values on normal traffic, for explanations: of the columns that a model uses, NaN for any other.

    Raises ValueError for other shapes, values that are not finite in columns used, and quantiles out of order.
    """

    columns: tuple[str, ...]  # (c) names, those of the feature contract in its order
    p01: Vector  # (c,) quantile at 1 %
    median: Vector  # (c,) at 50 %
    p99: Vector  # (c,) at 99 %
    p999: Vector  # (c,) at 99.9 %

    def __post_init__(self) -> None:
        quantiles = (self.p01, self.median, self.p99, self.p999)
        if any(quantile.shape != (len(self.columns),) for quantile in quantiles):
            raise ValueError(f"normal profile quantiles do not have shape ({len(self.columns)},)")
        if any(((np.abs(quantile) <= MAX_NUMBER) != self.used).any() for quantile in quantiles):
            raise ValueError("normal profile holds values that are not finite")
        if any((low > high).any() for low, high in pairwise(quantiles)):
            raise ValueError("normal profile quantiles are out of order")

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which columns the model uses, (c,)."""
        return ~np.isnan(self.median)

    @property
    def typical(self) -> Vector:
        """A row in the middle of normal traffic, (c,): the medians, 0 in columns that the model does not use."""
        return np.where(self.used, self.median, 0.0)

    def only(self, positions: Sequence[int] | NDArray[np.int64]) -> "NormalProfile":
        """The same of a model that uses these columns alone."""
        unused = np.ones(len(self.columns), dtype=np.bool_)
        unused[positions] = False
        quantiles = (np.where(unused, np.nan, q) for q in (self.p01, self.median, self.p99, self.p999))
        return NormalProfile(self.columns, *quantiles)

    def among_used(self, groups: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
        """The same groups of positions without the columns that the model does not use."""
        used = self.used
        kept = (tuple(column for column in group if used[column]) for group in groups)
        return tuple(group for group in kept if group)


def inputs_of(normal: NormalProfile, encoding: Encoding | None) -> dict[str, int]:
    """What detectors may look at, and where it stands: features, or the columns used where there is no encoding."""
    if encoding is not None:
        return {name: i for i, name in enumerate(encoding.names)}
    return {normal.columns[i]: i for i in np.flatnonzero(normal.used).tolist()}
