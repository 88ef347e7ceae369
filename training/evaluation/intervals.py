"""Intervals of shares: how far a figure from so many flows can be trusted.

They take flows as independent draws. Flows of one attack are not, so a true interval is wider; where the whole attack
is one episode no interval made of its flows says how another episode would fare. Wilson 1927.
"""

import numpy as np
from scipy.stats import binomtest

from training.arrays import Values

CONFIDENCE = 0.95
DRAWS = 2000
FEW = 30  # classes below this many flows are marked


def wilson(found: int, n: int) -> tuple[float, float] | None:
    """95 % interval of the share found of n by Wilson's score; None of nothing."""
    if n == 0:
        return None
    interval = binomtest(found, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def exact(found: int, n: int) -> tuple[float, float] | None:
    """95 % interval of the share found of n, exact for independent draws (Clopper, Pearson 1934); None of nothing."""
    if n == 0:
        return None
    interval = binomtest(found, n).proportion_ci(CONFIDENCE, method="exact")
    return float(interval.low), float(interval.high)


def over_networks(parts: Values, wholes: Values, seed: int) -> tuple[float, float] | None:
    """95 % interval of a ratio of sums over networks, by drawing networks anew; None of fewer than two.

    parts, wholes: (k,) of each network. A network is drawn as a whole, as its flows are not independent; where no
    network has any part both ends are 0, which says nothing of a network that is not among them. Efron 1979.
    """
    if len(parts) < 2:
        return None
    drawn = np.random.default_rng([seed, 7]).integers(0, len(parts), (DRAWS, len(parts)))
    sums = wholes[drawn].sum(axis=1)
    ratios = parts[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(ratios, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)
