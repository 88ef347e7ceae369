"""The lanes of a bundle fitted to a site: a forest of its own normal traffic, and cuts that its traffic keeps.

The novel lane is fitted anew, by the columns, trees and sample of the bundle's own Isolation Forest. What its scores
mean is cross-conformal: halves of the learning period are scored by a forest of the other half (Vovk, "Cross-conformal
predictors", 2015). The known lane keeps its detectors, which learnt attacks elsewhere; its cuts become split conformal
quantiles of the site's own p-values, so that of exchangeable traffic no larger share than the nominal rate is flagged.
Flows of one host are alike, so the promise holds for as many hosts and hours as were seen, not for as many flows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.calibration import MIN_SCORES, fit_calibration
from models.detector import FlowSteps, Vector
from models.forest import IsolationForest
from models.fusion import Hybrid, Member, NormalProfile, inputs_of
from models.support import Group, Support
from sensor.baseline.judged import Mask
from sensor.judging.judge import Rows

# Forest over normal rows: the columns it may see and where each stands, rows (k, c) as detectors see them, trees,
# sample of each, seed.
FitForest = Callable[[Mapping[str, int], Rows, int, int, int], IsolationForest]
FEWEST_ROWS: Final = 1_000  # of a forest: fewer are no normal traffic yet
LOOSER: Final = 4.0  # than the bundle's, at most, a cut may become: its calibration holds on other networks, too
SEEN_ENOUGH: Final = 10  # flags that a quantile rests on, at least: fewer are chance
QUANTILES: Final = (0.01, 0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True, eq=False)
class SiteForest:
    """A forest of the site's normal traffic, and two, each of one half of it."""

    whole: IsolationForest
    halves: tuple[IsolationForest, IsolationForest]  # the first is of the even parts of the period

    def score(self, steps: FlowSteps, odd: Mask) -> Vector:
        """Scores by the forest that has not seen a row's half, (n,). odd: (n,) whether a row is of an odd part."""
        even, other = self.halves
        return np.where(odd, even.score(steps), other.score(steps))


def forest_settings(hybrid: Hybrid) -> tuple[dict[str, int], int, int]:
    """Columns, trees and sample of a bundle's Isolation Forest; without one all columns, 100 trees of 256 rows."""
    for member in hybrid.novel:
        if isinstance(member.detector, IsolationForest):
            scaling = member.detector.scaling
            columns = dict(zip(scaling.columns, scaling.index.tolist(), strict=True))
            return columns, len(member.detector.forest.roots), member.detector.psi
    return inputs_of(hybrid.normal, hybrid.encoding), 100, 256


def seen_by_detectors(hybrid: Hybrid, rows: Rows) -> Rows:
    """Rows as detectors see them."""
    filled = rows if hybrid.masking is None else hybrid.filled(rows)
    return filled if hybrid.encoding is None else hybrid.encoding.encode(filled)


def fit_site_forest(hybrid: Hybrid, rows: Rows, odd: Mask, fit: FitForest, seed: int) -> SiteForest:
    """Forests over normal rows of a learning period, (k, c) in the order of the contract. odd: (k,) as in score."""
    columns, trees, sample = forest_settings(hybrid)
    seen = seen_by_detectors(hybrid, rows)
    of_half = [seen[~odd], seen[odd]]
    most = min(sample, *(len(half) for half in of_half))
    even, other = (fit(columns, half, trees, most, seed) for half in of_half)
    return SiteForest(fit(columns, seen, trees, min(sample, len(seen)), seed), (even, other))


def conformal_cut(p: Vector, rate: float, shipped: float) -> float:
    """The cut below which at most this share of exchangeable normal traffic falls.

    p: (n,) p-values of the learning period. shipped: the bundle's cut for that rate, which is kept, or made smaller as
    far as the period shows, where it holds too few flows to say. Vovk, Gammerman, Shafer 2005, section 2.2.
    """
    rank = int(rate * (len(p) + 1))
    if rank >= SEEN_ENOUGH:
        return min(float(np.partition(p, rank - 1)[rank - 1]), LOOSER * shipped)
    share = SEEN_ENOUGH / (len(p) + 1)  # the smallest that the period can speak of
    if share >= 1.0:
        return shipped
    seen = float(np.partition(p, SEEN_ENOUGH - 1)[SEEN_ENOUGH - 1])
    return min(shipped, shipped * seen / share)


def site_cuts(p_known: Vector, p_novel: Vector, rate: float, shipped: tuple[float, float]) -> tuple[float, float]:
    """Cuts of both lanes below which together at most this share of exchangeable normal traffic falls.

    p_known, p_novel: (n,) of the same records. shipped: the bundle's cuts. Each lane has the share of the rate that it
    had, and both as much more as they flag the same records.
    """
    given = shipped[0] + shipped[1]
    low, high = 1.0, 2.0
    cuts = _cuts(p_known, p_novel, shipped, rate / given)
    if rate * len(p_known) < SEEN_ENOUGH:
        return cuts
    for _ in range(12):
        middle = (low + high) / 2
        wider = _cuts(p_known, p_novel, shipped, middle * rate / given)
        if ((p_known < wider[0]) | (p_novel < wider[1])).mean() <= rate:
            low, cuts = middle, wider
        else:
            high = middle
    return cuts


def _cuts(p_known: Vector, p_novel: Vector, shipped: tuple[float, float], times: float) -> tuple[float, float]:
    """Of each lane the cut for so many times the share that it had."""
    known, novel = (
        conformal_cut(p, min(times * own, 0.5), own) if own else own
        for p, own in zip((p_known, p_novel), shipped, strict=True)
    )
    return known, novel


def site_hybrid(
    hybrid: Hybrid,
    forest: SiteForest,
    scores: Vector,
    p_known: Vector,
    rows: Rows,
    normal_flows: Mapping[Group, int] | None,
) -> Hybrid:
    """The bundle with a novel lane, cuts, normal values and support of the site.

    scores: (n,) of normal records by SiteForest.score. p_known: (n,) of the same. rows: (k, c) of some of them.
    normal_flows: of each support group in the learning period, None where rows fall into none.
    """
    calibration = fit_calibration(scores)
    p_novel = calibration.p_value(scores)
    thresholds = {rate: site_cuts(p_known, p_novel, rate, cuts) for rate, cuts in hybrid.thresholds.items()}
    return replace(
        hybrid,
        novel=(Member(forest.whole, calibration),),
        novel_vote=None,
        thresholds=thresholds,
        normal=_profile(hybrid, rows),
        support=_support(hybrid, normal_flows),
    )


def enough(rows: int) -> bool:
    """Whether there are rows enough to fit a forest on and to say what its scores mean."""
    return rows >= max(FEWEST_ROWS, MIN_SCORES)


def _profile(hybrid: Hybrid, rows: Rows) -> NormalProfile:
    used = hybrid.normal.used
    quantiles = np.quantile(rows, QUANTILES, axis=0)
    return NormalProfile(hybrid.normal.columns, *(np.where(used, quantile, np.nan) for quantile in quantiles))


def _support(hybrid: Hybrid, normal_flows: Mapping[Group, int] | None) -> Support | None:
    """Groups that the bundle or the site has met."""
    if hybrid.support is None or normal_flows is None or hybrid.support.normal_flows is None:
        return hybrid.support
    counts = dict(hybrid.support.normal_flows)
    for group, flows in normal_flows.items():
        counts[group] = counts.get(group, 0) + flows
    return Support(hybrid.support.columns, dict(sorted(counts.items())))
