"""ROC and precision-recall curves with their intervals, as points that can be drawn.

The bands are those of a bootstrap over flows, seeded, within normal traffic and attacks apart (Efron 1979): they say
how much the figures owe to these flows, not to this network or this attack.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from models.detector import Vector
from training.arrays import Mask

RESAMPLES = 200
LEVELS = 4096
BAND = (0.025, 0.975)
FALSE_GRID = np.geomspace(1e-4, 1.0, 81)
RECALL_GRID = np.linspace(0.01, 1.0, 100)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A member's curves on fixed grids, each with the lower and upper end of its band."""

    recall: NDArray[np.float64]  # (3, len(FALSE_GRID)), the figure, low, high, at most so many false positives
    precision: NDArray[np.float64]  # (3, len(RECALL_GRID)), NaN where the recall is not reached
    auc: tuple[float, float]  # (low, high)
    pr_auc: tuple[float, float]  # (low, high)


def curve(score: Vector, attack: Mask, seed: int) -> Curve:
    """Curves of one member; both kinds of flow must be there."""
    normal_counts, attack_counts = _levels(score, attack)
    rng = np.random.default_rng([seed, len(score)])
    resampled = [
        np.vstack([counts, rng.multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)])
        for counts in (normal_counts, attack_counts)
    ]
    false = np.cumsum(resampled[0], axis=1) / normal_counts.sum()
    found = np.cumsum(resampled[1], axis=1) / attack_counts.sum()
    prevalence = attack_counts.sum() / len(score)
    flagged = false * (1 - prevalence) + found * prevalence
    precision = np.divide(found * prevalence, flagged, out=np.ones_like(found), where=flagged > 0)
    recalls = np.array([_at_most(f, r) for f, r in zip(false, found, strict=True)])
    precisions = np.array([_best_from(r, p) for r, p in zip(found, precision, strict=True)])
    areas = np.array([trapezoid(np.append(0, r), np.append(0, f)) for f, r in zip(false, found, strict=True)])
    averages = (np.diff(found, axis=1, prepend=0) * precision).sum(axis=1)
    return Curve(_banded(recalls), _banded(precisions), _band(areas), _band(averages))


def _levels(score: Vector, attack: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Normal and attack flows at each score, the highest first; of very many scores neighbours are put together."""
    levels, place = np.unique(score, return_inverse=True)
    if len(levels) > LEVELS:
        # A false-positive rate on a logarithmic axis needs every score near the top.
        edges = np.unique(
            np.concatenate(
                [
                    np.linspace(0, len(levels) - 1, LEVELS // 2).astype(np.int64),
                    len(levels) - np.arange(1, LEVELS // 2 + 1),
                ]
            )
        )
        place = np.searchsorted(edges, place, side="right") - 1
        size = len(edges)
    else:
        size = len(levels)
    normal_counts = np.bincount(place[~attack], minlength=size)[::-1]
    attack_counts = np.bincount(place[attack], minlength=size)[::-1]
    return normal_counts, attack_counts


def _at_most(false: Vector, found: Vector) -> Vector:
    """Highest recall at no more than each false-positive rate of the grid."""
    last = np.searchsorted(false, FALSE_GRID + 1e-12, side="right") - 1
    return np.where(last >= 0, found[np.maximum(last, 0)], 0.0)


def _best_from(found: Vector, precision: Vector) -> Vector:
    """Precision where each recall of the grid is first reached, NaN where it never is."""
    first = np.searchsorted(found, RECALL_GRID - 1e-12)
    return np.where(first < len(found), precision[np.minimum(first, len(found) - 1)], np.nan)


def _banded(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.nanquantile(rows[1:], BAND, axis=0)
    return np.stack([rows[0], low, high])


def _band(values: Vector) -> tuple[float, float]:
    low, high = np.quantile(values[1:], BAND)
    return float(low), float(high)
