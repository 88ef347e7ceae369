"""Intervals of shares: how far a figure from so many flows can be trusted.

They take flows as independent draws. Flows of one attack are not, so a true interval is wider; where the whole attack
is one episode no interval made of its flows says how another episode would fare. Wilson 1927.
"""

from scipy.stats import binomtest

CONFIDENCE = 0.95
FEW = 30  # classes below this many flows are marked


def wilson(found: int, n: int) -> tuple[float, float] | None:
    """95 % interval of the share found of n by Wilson's score; None of nothing."""
    if n == 0:
        return None
    interval = binomtest(found, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)
