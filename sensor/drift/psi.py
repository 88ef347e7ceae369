"""Population stability index: how far one distribution over bins has moved from another.

Index: Siddiqi, "Credit Risk Scorecards", 2006, who calls 0.25 a change that asks for action. Without any change its
expectation is not 0: (1/n + 1/m) times it is about chi-squared with one degree less than bins (Yurdakul, "Statistical
Properties of Population Stability Index", 2018), so that what n rows show by chance is added to what is asked for. It
knows counts only.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]  # (b,) rows in each bin
Shares = NDArray[np.float64]  # (b,) of rows, the sum 1

CHANGED: Final = 0.25
CELL_SHARE: Final = 0.05  # of the reference, from which on a bin is not merged with others
CHANCE: Final = 1e-6  # that a comparison exceeds its bound where nothing changed
_DEVIATIONS: Final = 4.7534  # that a standard normal exceeds with this chance
_HALF: Final = 0.5  # added to each cell: an empty one is rare, not impossible


def psi(found: Shares, expected: Shares) -> float:
    """Index of two distributions over the same cells, all shares positive; 0 for equal ones."""
    return float(((found - expected) * np.log(found / expected)).sum())


def psi_of_counts(found: Counts, expected: Counts) -> float:
    """Index of two samples over the same cells; half a row is added to each cell."""
    return psi(_shares(found), _shares(expected))


def psi_bound(cells: int, rows: int, reference_rows: float = np.inf) -> float:
    """What the index exceeds by chance with probability CHANCE or less, on top of a change that asks for action.

    rows, reference_rows: of both samples; a reference that is known exactly has infinitely many.
    """
    if cells < 2 or not rows:
        return CHANGED
    return CHANGED + (1 / rows + 1 / reference_rows) * _chi_squared(cells - 1)


def _chi_squared(degrees: int) -> float:
    """The 1 - CHANCE quantile. Wilson, Hilferty, "The Distribution of Chi-Square", 1931."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + _DEVIATIONS * spread**0.5) ** 3)


def _shares(counts: Counts) -> Shares:
    raised = counts + _HALF
    return np.asarray(raised / raised.sum())


def cells_of(reference: Counts) -> NDArray[np.int64]:
    """First bins of the cells into which a reference falls, ascending from 0.

    A bin that holds CELL_SHARE of the reference is a cell by itself; bins between such are merged until they hold as
    much, so that a run of rare or empty bins is a cell too, which shows what comes up there.
    """
    least = CELL_SHARE * reference.sum()
    first, held = [0], 0
    for i, count in enumerate(reference.tolist()):
        if i and (count >= least or held >= least):
            first.append(i)
            held = 0
        held += count
    return np.array(first, dtype=np.int64)


def nearest_psi(found: Counts, references: Sequence[Counts]) -> tuple[float, float]:
    """(index, bound) against the reference that found is nearest to, by how far it exceeds the bound.

    found: (b,) and each of the references, at least one, over the same fine bins. Cells are those of all references
    together.
    """
    first = cells_of(np.sum(references, axis=0))
    cells = np.add.reduceat(found, first)
    rows = int(found.sum())
    measured = [
        (psi_of_counts(cells, np.add.reduceat(each, first)), psi_bound(len(first), rows, int(each.sum())))
        for each in references
    ]
    return min(measured, key=lambda each: each[0] - each[1])


QUANTILE_LEVELS: Final = (0.01, 0.5, 0.99, 0.999)
_LEVELS: Final = np.array(QUANTILE_LEVELS)
_EXPECTED: Final = np.diff(np.concatenate(([0.0], _LEVELS, [1.0])))


def psi_by_quantiles(below: NDArray[np.int64], up_to: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """Index of each column of a sample against quantiles of a reference, (c,).

    below, up_to: (c, 4) rows whose value is less than, and not more than, the reference's quantile at each of
    QUANTILE_LEVELS. Where values repeat, as in discrete columns, a quantile does not say how much of the reference lies
    at it: of all distributions that the counts allow, the one nearest to the reference is taken, so equal traffic shows
    no difference whatever its ties. rows: of the sample, at least one.
    """
    cumulated = np.clip(_LEVELS, below / rows, up_to / rows)
    ends = np.zeros((len(below), 1)), np.ones((len(below), 1))
    shares = np.diff(np.concatenate((ends[0], cumulated, ends[1]), axis=1), axis=1)
    # Half a row in all, spread as the reference is: an empty cell of it that is small says little.
    shares = (shares * rows + _HALF * _EXPECTED) / (rows + _HALF)
    return np.asarray(((shares - _EXPECTED) * np.log(shares / _EXPECTED)).sum(axis=1))
