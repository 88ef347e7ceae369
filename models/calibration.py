"""Calibration: a detector's score becomes a p-value against normal traffic that it was not fitted on.

Where normal scores were seen, the share of them that is as high; beyond, a generalised Pareto tail over the 99th
percentile, in log-odds where scores are probabilities: there a bounded score has room above the highest normal one.
It does not know which detector gave the scores. Tail: Pickands 1975; probability-weighted moments: Hosking,
Wallis, "Parameter and Quantile Estimation for the Generalized Pareto Distribution", 1987, section 3.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.jit import Word, as_taken, entry, inner
from models.detector import Vector

TAIL_SHARE = 0.01
MIN_TAIL, MIN_SCORES = 30, 50  # fewer say nothing about a tail
KNOTS = 512
SHAPE_RANGE = (-0.5, 0.9)  # where probability-weighted moments are trustworthy
MAX_SCORE = 1e12  # so that no difference of two scores can overflow
MAX_KNOTS = 1 << 16
NEVER = 1e-15  # the smallest odds told apart from none
ENDPOINT_MARGIN = 1.1  # a bounded tail ends at least this much beyond the highest excess seen


@dataclass(frozen=True, eq=False)
class Calibration:
    """Survival of scores on normal traffic.

    Raises ValueError for other shapes and for numbers outside these ranges.
    """

    scores: Vector  # (q,) float64, strictly ascending
    survival: Vector  # (q,) float64, strictly descending in (0, 1], share of normal scores at least as high
    tail_start: float  # score over which the Pareto tail holds
    tail_share: float  # share of scores over it
    shape: float  # of the tail
    sigma: float  # of the tail
    log_odds: bool  # the tail is one of log(score / (1 - score)), and scores lie in [0, 1]
    count: int  # how many scores were fitted

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or not len(self.scores) or self.scores.shape != self.survival.shape:
            raise ValueError(f"calibration has scores {self.scores.shape} and survival {self.survival.shape}")
        if len(self.scores) > MAX_KNOTS:
            raise ValueError(f"calibration has {len(self.scores):,} scores, expected at most {MAX_KNOTS:,}")
        if not (np.abs(self.scores) <= MAX_SCORE).all() or not (np.diff(self.scores) > 0).all():  # false for NaN
            raise ValueError(f"calibration scores are not finite, within {MAX_SCORE:g} and strictly ascending")
        if not ((self.survival > 0) & (self.survival <= 1)).all() or not (np.diff(self.survival) < 0).all():
            raise ValueError("calibration survival does not strictly descend within (0, 1]")
        if not (abs(self.tail_start) <= MAX_SCORE and 0 < self.tail_share <= 1 and 0 < self.sigma <= MAX_SCORE):
            raise ValueError("calibration tail is not finite with a share in (0, 1] and a positive sigma")
        if not (-1 <= self.shape <= 1) or not (0 < self.count < 1 << 53):
            raise ValueError(f"calibration has shape {self.shape} and count {self.count}, expected -1..1 and positive")
        object.__setattr__(self, "scores", as_taken(self.scores, np.float64))
        object.__setattr__(self, "survival", as_taken(self.survival, np.float64))

    @property
    def floor(self) -> float:
        """Smallest p-value: so many scores cannot claim less."""
        return 1.0 / (100.0 * self.count)

    def p_value(self, scores: Vector) -> Vector:
        """Chance that normal traffic scores as high, (n,) float64 in (0, 1], never rising with the score.

        scores: (n,) finite float64.
        """
        out = np.empty(len(scores))
        _p_value(
            as_taken(scores, np.float64),
            self.scores,
            self.survival,
            self.tail_start,
            self.tail_share,
            self.shape,
            self.sigma,
            self.log_odds,
            self.floor,
            out,
        )
        return out


def fit_calibration(scores_normal: Vector, weight: Vector | None = None) -> Calibration:
    """Calibration from the scores of held-back normal traffic.

    scores_normal: (n,) float64. weight: (n,) positive, what each score counts, all alike without; together they count
    as many as Kish's effective sample size. Raises ValueError for fewer than 50 scores, or 50 by their weights, and for
    scores that are not finite.
    """
    ordered, weighed = _ascending(scores_normal, weight)
    # weight of this score and of all above it
    at_least = np.arange(len(ordered), 0.0, -1.0) if weighed is None else np.cumsum(weighed[::-1])[::-1]
    total = float(at_least[0]) if len(ordered) else 0.0
    count = int(total)
    if count < MIN_SCORES:
        raise ValueError(f"calibration needs at least {MIN_SCORES} scores, found {count}")
    if not np.isfinite(scores_normal).all():
        raise ValueError(f"calibration scores hold {int((~np.isfinite(scores_normal)).sum())} that are not finite")
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    survival = ((at_least[first] + 1.0) / (total + 1.0)).astype(np.float64)
    kept = _kept_knots(survival)
    tail_count = max(math.ceil(TAIL_SHARE * count), min(MIN_TAIL, count // 5))
    tail_start = float(ordered[np.flatnonzero(at_least > tail_count)[-1]])
    log_odds = bool(ordered[0] >= 0.0 and ordered[-1] <= 1.0)
    over = ordered > tail_start
    excess = np.array([_excess(score, tail_start, log_odds) for score in ordered[over]])
    weight_over = np.ones(len(excess)) if weighed is None else weighed[over]
    shape, sigma = _fit_tail(excess, weight_over, _excess(ordered[-1], ordered[0], log_odds))
    return Calibration(
        scores=ordered[first[kept]],
        survival=survival[kept],
        tail_start=tail_start,
        tail_share=(float(weight_over.sum()) + 1.0) / (total + 1.0),
        shape=shape,
        sigma=sigma,
        log_odds=log_odds,
        count=count,
    )


def _ascending(scores: Vector, weight: Vector | None) -> tuple[Vector, Vector | None]:
    """Scores in order, (n,) float64, and what each counts; None where all count alike."""
    if weight is None:
        ordered = np.array(scores, dtype=np.float64)
        ordered.sort(kind="stable")
        return ordered, None
    order = np.argsort(scores, kind="stable")
    return scores[order].astype(np.float64), _effective(weight)[order]


def _effective(weight: Vector) -> Vector:
    """The weights so that they add up to Kish's effective sample size, (sum of w)^2 / sum of w^2. Kish 1965."""
    scaled: Vector = weight * (weight.sum() / (weight**2).sum())
    return scaled


def _kept_knots(survival: Vector) -> NDArray[np.int64]:
    """Positions of at most KNOTS knots, dense where survival is small: half evenly, half by its logarithm."""
    even = np.linspace(survival[0], survival[-1], KNOTS // 2)
    by_logarithm = np.geomspace(survival[0], survival[-1], KNOTS // 2)
    levels = np.concatenate((even, by_logarithm))
    found = np.searchsorted(-survival, -levels)
    return np.unique(np.concatenate(([0, len(survival) - 1], np.minimum(found, len(survival) - 1))))


def _fit_tail(excess: Vector, weight: Vector, spread: float) -> tuple[float, float]:
    """(shape, sigma) of the Pareto tail; excess ascending and positive, each with its weight. spread: of all scores."""
    if len(excess) < 2 or excess[-1] <= 0.0:
        return 0.0, max(spread * 1e-2, 1e-9)
    share = weight / weight.mean()
    mean = float((share * excess).mean())
    rank = (np.cumsum(share) - 0.35 * share) / len(excess)
    weighted = float((share * (excess * (1.0 - rank))).mean())
    spare = mean - 2.0 * weighted
    shape = SHAPE_RANGE[1] if spare <= 0 else 2.0 - mean / spare
    shape = min(max(shape, SHAPE_RANGE[0]), SHAPE_RANGE[1])
    sigma = mean * (1.0 - shape)
    return shape, max(sigma, -shape * float(excess[-1]) * ENDPOINT_MARGIN)


@entry
def _p_value(
    values: Vector,
    scores: Vector,
    survival: Vector,
    tail_start: float,
    tail_share: float,
    shape: float,
    sigma: float,
    log_odds: bool,
    floor: float,
    out: Vector,
) -> None:
    """p-values of values (n,) by scores and survival (q,) into out (n,)."""
    for row in range(values.shape[0]):
        value = values[row]
        p = _seen(value, scores, survival)
        if value > tail_start:
            p = max(p, tail_share * _tail(_excess(value, tail_start, log_odds) / sigma, shape))
        out[row] = max(p, floor)


@inner
def _seen(value: Word, scores: Vector, survival: Vector) -> Word:
    """Survival interpolated between knots; 0 above the highest."""
    last = scores.shape[0] - 1
    if value > scores[last]:
        return 0.0
    if value <= scores[0]:
        return survival[0]
    low, high = 0, last  # scores[low] < value <= scores[high]
    while high - low > 1:
        middle = (low + high) // 2
        if scores[middle] < value:
            low = middle
        else:
            high = middle
    share = (value - scores[low]) / (scores[high] - scores[low])
    return survival[low] + share * (survival[high] - survival[low])


@entry
def _excess(value: Word, start: Word, log_odds: bool) -> Word:
    """How far value lies over start."""
    return _log_odds(value) - _log_odds(start) if log_odds else value - start


@inner
def _log_odds(value: Word) -> Word:
    """log(value / (1 - value)), finite also at 0 and 1."""
    return math.log(max(value, NEVER)) - math.log(max(1.0 - value, NEVER))


@inner
def _tail(excess: Word, shape: Word) -> Word:
    """Survival of the Pareto tail; excess in sigmas."""
    if abs(shape) < 1e-9:
        return math.exp(-excess)
    base = 1.0 + shape * excess
    return math.exp(-math.log(base) / shape) if base > 0.0 else 0.0
