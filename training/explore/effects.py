"""Two groups compared: whether they differ, and by how much.

Amounts: Mann and Whitney's U (1947) with Cliff's delta (1993), sizes by Romano et al. (2006). Categories: Pearson's
chi-squared with Cramér's V (1946) corrected for its bias (Bergsma 2013), sizes by Cohen (1988) for a table of two rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, false_discovery_control, mannwhitneyu

from training.arrays import Values
from training.explore.table import Codes

Alternative = Literal["two-sided", "greater", "less"]

DELTA_SIZES = ((0.474, "large"), (0.33, "medium"), (0.147, "small"))
V_SIZES = ((0.5, "large"), (0.3, "medium"), (0.1, "small"))
NEGLIGIBLE = "negligible"
EXPECTED_AT_LEAST = 5.0


@dataclass(frozen=True, slots=True)
class Difference:
    """How much two groups differ, and how likely that is by chance."""

    effect: float  # delta in [−1, 1], positive where the first group is larger, or V in [0, 1]
    size: str  # a word for it
    p: float
    doubtful: bool = False  # the approximation behind p does not hold (chi-squared with too few rows in most cells)


def amounts_differ(first: Values, second: Values, alternative: Alternative = "two-sided") -> list[Difference]:
    """Compare (m, c) with (n, c) values, column by column; "greater": the first are. Without rows: nothing is known."""
    if not len(first) or not len(second) or not first.shape[1]:
        return [Difference(0.0, NEGLIGIBLE, 1.0)] * first.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):  # a column of one value has no variance
        found = mannwhitneyu(first, second, alternative=alternative, method="asymptotic", axis=0)
    deltas = 2.0 * found.statistic / (len(first) * len(second)) - 1.0
    pairs = zip(deltas.tolist(), found.pvalue.tolist(), strict=True)
    return [Difference(delta, size_of(delta, DELTA_SIZES), p) for delta, p in pairs]


def categories_differ(first: Codes, second: Codes) -> Difference:
    """Compare how often (m,) and (n,) codes fall on each category."""
    names, codes = np.unique(np.concatenate((first, second)), return_inverse=True)
    if len(names) < 2 or not len(first) or not len(second):
        return Difference(0.0, NEGLIGIBLE, 1.0)
    counts = np.stack([np.bincount(part, minlength=len(names)) for part in (codes[: len(first)], codes[len(first) :])])
    found = chi2_contingency(counts, correction=False)
    v = _unbiased_v(float(found.statistic), int(counts.sum()), len(names))
    rare = float((found.expected_freq < EXPECTED_AT_LEAST).mean())
    return Difference(v, size_of(v, V_SIZES), float(found.pvalue), doubtful=rare > 0.2)  # Cochran 1954


def _unbiased_v(chi2: float, rows: int, categories: int) -> float:
    """Cramér's V of two groups; uncorrected, many rare categories look like an effect. Bergsma 2013."""
    phi2 = max(0.0, chi2 / rows - (categories - 1) / (rows - 1))
    two, k = (m - (m - 1) ** 2 / (rows - 1) for m in (2, categories))
    return min(1.0, float(np.sqrt(phi2 / (min(two, k) - 1)))) if min(two, k) > 1 else 0.0


def corrected(ps: Sequence[float]) -> NDArray[np.float64]:
    """p-values of tests made together, by Benjamini and Hochberg (1995)."""
    return np.asarray(false_discovery_control(ps) if len(ps) else ps, dtype=np.float64)


def size_of(effect: float, sizes: tuple[tuple[float, str], ...]) -> str:
    """A word for an effect's size."""
    return next((word for least, word in sizes if abs(effect) >= least), NEGLIGIBLE)


def smallest_significant(m: int, n: int) -> float:
    """Cliff's delta from which on a two-sided p is below 0.01, for groups of m and n rows without ties."""
    return 2.576 * float(np.sqrt((m + n + 1) / (3.0 * m * n)))
