"""Classes: what the known lane says of each kind of attack, measured by how often normal traffic looks like that kind.

What its classifiers say of a class together is its share: a logarithmic opinion pool (Genest, Zidek, "Combining
Probability Distributions", 1986), in which a class that one of them finds unlikely has a small share whatever the
others say. How high a share must be to mean anything differs by class, as normal traffic looks like some kinds of
attacks and not like others: each class has its own calibration, so that one which normal traffic of some network
resembles does not hide the others. The lane speaks for the class whose share is the rarest in normal traffic. It does
not know how a detector scores.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.detector import Labels, Probabilities, Vector

LEAST = 0.01  # no probability counts as less: a forest gives none at all to what its leaves have not seen


def shares_of(probabilities: Sequence[Probabilities], weights: Sequence[float]) -> Probabilities:
    """Weighted geometric mean of what classifiers say of each label, (n, k), each row with the sum 1."""
    total = np.zeros_like(probabilities[0])
    for probability, weight in zip(probabilities, weights, strict=True):
        total += weight / sum(weights) * np.log(np.maximum(probability, LEAST))
    shares: Probabilities = np.exp(total)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def rarest_class(shares: Probabilities, calibrations: Sequence[Calibration]) -> tuple[Vector, Labels]:
    """Chance that normal traffic has so high a share of the class that is rarest by it, and the label of that class.

    shares: (n, k) of each label, the first that of normal traffic. calibrations: of the k - 1 others, in their order.
    Returns (n,) p-values, not yet of the choice among k - 1, and (n,) labels, never 0; of equal ones the larger share.
    """
    rarest = np.full(len(shares), np.inf)
    largest = np.zeros(len(shares))
    label = np.ones(len(shares), dtype=np.int64)
    for place, calibration in enumerate(calibrations, start=1):
        share = shares[:, place]
        p = calibration.p_value(share)
        ahead: NDArray[np.bool_] = (p < rarest) | ((p == rarest) & (share > largest))
        rarest[ahead], largest[ahead], label[ahead] = p[ahead], share[ahead], place
    return rarest, label


def rarity(p: Vector) -> Vector:
    """What the vote of the lane is calibrated on: the larger, the rarer the rarest class. p: (n,) of rarest_class."""
    rare: Vector = -np.log(p)
    return rare
