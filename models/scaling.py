"""Scaling: raw flow columns to the numbers a detector was fitted on.

Signed log1p, then standardised by the training traffic, then clipped. It does not know what a column means: a position
in the feature contract is all it is told. Training and scoring call the same function, so they cannot drift apart.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.jit import as_taken, entry

Logs = NDArray[np.float64]  # (n, d), logarithms of picked columns
Matrix = NDArray[np.float32]  # (n, d), columns in the order the detector was fitted on

CLIP = 8.0  # in standard deviations: one absurd flow must not drown the rest of a host's state
MIN_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class Scaling:
    """How the columns of one detector are picked and standardised.

    Raises ValueError for other shapes, for a negative index, and for numbers that are not finite.
    """

    columns: tuple[str, ...]  # (d) names, in the detector's order
    index: NDArray[np.int64]  # (d,) int64, position of each in the feature contract
    center: NDArray[np.float64]  # (d,) float64, mean of the signed log1p on training traffic
    scale: NDArray[np.float64]  # (d,) float64, its standard deviation, positive

    def __post_init__(self) -> None:
        width = len(self.columns)
        for name in ("index", "center", "scale"):
            shape = getattr(self, name).shape
            if shape != (width,):
                raise ValueError(f"scaling {name} has shape {shape}, expected ({width},)")
        if width == 0 or self.index.min() < 0:
            raise ValueError("scaling index is empty or negative, expected positions in the feature contract")
        if len(set(self.columns)) != width:
            raise ValueError("scaling names a column twice, expected each once")
        if not (np.isfinite(self.center).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("scaling center and scale must be finite and scale positive")
        # Kernels are compiled for writable, contiguous arrays only: another layout would compile again at run time.
        object.__setattr__(self, "index", as_taken(self.index, np.int64))
        object.__setattr__(self, "center", as_taken(self.center, np.float64))
        object.__setattr__(self, "scale", as_taken(self.scale, np.float64))

    def transform(self, values: NDArray[np.float64]) -> Matrix:
        """Scaled columns of each row.

        values: (n, c) float64, all columns of the feature contract; whatever they are, what is returned is (n, d)
        float32 in [-8, 8], with 8 where a value is NaN. Raises ValueError when values is too narrow for the index.
        """
        return self.standardised(signed_logs(values, self.index))

    def standardised(self, logs: Logs) -> Matrix:
        """As transform, of rows whose logarithms are taken: signed_logs of them and of this index, (n, d) float64."""
        out = np.empty(logs.shape, dtype=np.float32)
        _standardise(logs, self.center, self.scale, out)
        return out


def signed_logs(values: NDArray[np.float64], index: NDArray[np.int64]) -> Logs:
    """Signed log1p of the columns at these positions, (n, d) float64. values: (n, c) finite float64.

    Scalings that pick the same columns differ in what they make of these alone. Raises ValueError when values is too
    narrow for the index.
    """
    if values.ndim != 2 or values.shape[1] <= index.max():
        raise ValueError(f"values have shape {values.shape}, expected (n, {index.max() + 1} or more)")
    out = np.empty((len(values), len(index)))
    _log(as_taken(values, np.float64), index, out)
    return out


def fit_scaling(values: NDArray[np.float64], columns: Mapping[str, int]) -> Scaling:
    """Scaling of some columns, fitted on training rows.

    values: (n, c) finite float64, all columns of the feature contract. columns: name of each column to use, in the
    detector's order, and its position in values. A column that never varies keeps its offset and is not stretched.
    Raises ValueError for no rows and for values that are not finite.
    """
    index = np.fromiter(columns.values(), dtype=np.int64, count=len(columns))
    picked = values[:, index]
    if not len(picked) or not np.isfinite(picked).all():
        raise ValueError(f"scaling needs finite rows, found {len(picked)} with {np.isnan(picked).sum()} NaN")
    logs = np.sign(picked) * np.log1p(np.abs(picked))
    spread = logs.std(axis=0)
    return Scaling(tuple(columns), index, logs.mean(axis=0), np.where(spread < MIN_SPREAD, 1.0, spread))


@entry
def _log(values: NDArray[np.float64], index: NDArray[np.int64], out: Logs) -> None:
    """Signed log1p of values (n, c) by index (d,) into out (n, d)."""
    for row in range(values.shape[0]):
        for column in range(index.shape[0]):
            value = values[row, np.uint64(index[column])]
            # log(1 + x) for log1p: several times faster, and 1e-16 apart where float32 resolves 1e-7.
            if value == 0.0:  # as nearly half of a flow's columns are
                out[row, column] = 0.0
            else:
                out[row, column] = math.log(1.0 + value) if value > 0.0 else -math.log(1.0 - value)


@entry
def _standardise(logs: Logs, center: NDArray[np.float64], scale: NDArray[np.float64], out: Matrix) -> None:
    """Scaled columns of logs (n, d) by center and scale (d,) into out (n, d)."""
    for row in range(logs.shape[0]):
        for column in range(center.shape[0]):
            # In this order NaN becomes CLIP: it is less than nothing.
            out[row, column] = max(min(CLIP, (logs[row, column] - center[column]) / scale[column]), -CLIP)
