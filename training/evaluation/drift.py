"""Drift: how far this table's normal traffic lies from that which the bundle knew, column by column.

The population stability index: (actual − expected) · ln(actual / expected), summed over bins of the expected. It looks
at one column at a time, so it sees no change in how columns go together. Custom has it that below 0.1 nothing moved
and above 0.25 much did (Siddiqi, "Credit Risk Scorecards", 2006).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.normal import NormalProfile
from training.arrays import Values
from training.datasets.rows import column_blocks
from training.evaluation.figures import rounded

SMALLEST = 1e-4  # share that stands for none at all
BINS = 10
LEVELS = (0.01, 0.5, 0.99, 0.999)  # of a NormalProfile
STABLE, SHIFTED = 0.1, 0.25


def psi(expected: Values, actual: Values) -> float:
    """Population stability index of two rows of shares over the same bins."""
    e, a = np.maximum(expected, SMALLEST), np.maximum(actual, SMALLEST)
    return float(((a - e) * np.log(a / e)).sum())


def drift_from_rows(columns: tuple[str, ...], index: NDArray[np.int64], known: Values, seen: Values) -> list[Any]:
    """PSI of each column between two sets of normal flows, the largest first; bins are deciles of the known.

    known, seen: (n, c) and (m, c), all columns of the feature contract; index: (d,) positions of the columns.
    """
    rows = []
    for chosen, expected in column_blocks(known, index):
        edges = [np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])) for column in expected.T]
        shares = [_shares(column, own) for column, own in zip(expected.T, edges, strict=True)]
        del expected  # before as much of the other table comes
        for some, actual in column_blocks(seen, index[chosen]):
            names = columns[chosen][some]
            for name, own, share, column in zip(names, edges[some], shares[some], actual.T, strict=True):
                rows.append((name, psi(share, _shares(column, own))))
    return _told(rows)


def drift_from_profile(profile: NormalProfile, index: NDArray[np.int64], seen: Values) -> list[Any]:
    """The same from stored quantiles, at 1, 50, 99 and 99.9 %: coarse, and blind to a column of mostly one value."""
    quantiles = np.stack([profile.p01, profile.median, profile.p99, profile.p999])
    rows = []
    for chosen, actual in column_blocks(seen, index):
        for at, column in zip(index[chosen], actual.T, strict=True):
            # Equal quantiles bound no bin: the highest of their levels holds for all.
            edges = np.unique(quantiles[:, at])
            reached = [max(level for level, q in zip(LEVELS, quantiles[:, at], strict=True) if q <= e) for e in edges]
            expected = np.diff([0.0, *reached, 1.0])
            rows.append((profile.columns[at], psi(expected, _shares(column, edges))))
    return _told(rows)


def _shares(values: Values, edges: Values) -> Values:
    """Share of the values in (-inf, e1], (e1, e2], …, (ek, inf)."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    result: Values = counts / max(len(values), 1)
    return result


def _told(rows: list[tuple[str, float]]) -> list[Any]:
    rows.sort(key=lambda row: (-row[1], row[0]))
    return [{"column": name, "psi": rounded(value)} for name, value in rows]
