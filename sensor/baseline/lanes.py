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
from models.fusion import MAX_MEMBERS, Hybrid, Member
from models.normal import NormalProfile, inputs_of
from models.support import Group, Support
from sensor.baseline.judged import Mask
from sensor.judging.judge import Rows

# Forest over normal rows: the columns it may see and where each stands, rows (k, c) as detectors see them, trees,
# sample of each, seed.
FitForest = Callable[[Mapping[str, int], Rows, int, int, int], IsolationForest]
FEWEST_ROWS: Final = 1_000  # of a forest: fewer are no normal traffic yet
TIGHTER: Final = 10.0  # times smaller than the bundle's, from which on a site's cut takes its place
LOOSER: Final = 4.0  # than the bundle's, at most, a cut may become: its calibration holds on other networks, too
MOST_CUT: Final = 0.49  # of the novel lane: half of normal traffic is no evidence (sensor.episodes.evidence)
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


def fit_half_forest(hybrid: Hybrid, rows: Rows, fit: FitForest, seed: int) -> IsolationForest:
    """A forest over half of the normal rows, (k, c) in the order of the contract, to be calibrated by the other half.

    For rows that are exchangeable, as records without their time are: there split conformal calibration is exact,
    while the scores of a forest of all rows have a tail of their own.
    """
    columns, trees, sample = forest_settings(hybrid)
    return fit(columns, seen_by_detectors(hybrid, rows), trees, min(sample, len(rows)), seed)


def conformal_cut(p: Vector, rate: float, shipped: float, *, exact: bool = False) -> float:
    """The cut below which at most this share of exchangeable normal traffic falls.

    p: (n,) p-values of the learning period. shipped: the bundle's cut for that rate, which is kept, or made smaller as
    far as the period shows, where it holds too few flows to say. It is also kept where the site's own would be no
    smaller than a tenth of it, unless exact: so much do the networks differ that the bundle was calibrated on, and
    a smaller one finds less. Vovk, Gammerman, Shafer 2005, section 2.2.
    """
    rank = int(rate * (len(p) + 1))
    if rank >= SEEN_ENOUGH:
        found = float(np.partition(p, rank - 1)[rank - 1])
        if exact:
            return found
    elif len(p) >= SEEN_ENOUGH:  # by the smallest share that the period can speak of
        share = SEEN_ENOUGH / (len(p) + 1)
        found = shipped * min(float(np.partition(p, SEEN_ENOUGH - 1)[SEEN_ENOUGH - 1]) / share, 1.0)
    else:
        return shipped
    return found if found < shipped / TIGHTER else min(max(found, shipped), LOOSER * shipped)


def site_cuts(
    p_known: Vector, p_novel: Vector, rate: float, shipped: tuple[float, float], *, exact: bool = False
) -> tuple[float, float]:
    """Cuts of both lanes below which together at most this share of exchangeable normal traffic falls.

    p_known, p_novel: (n,) of the same records. shipped: the bundle's cuts. exact: as in conformal_cut, of the known
    lane. Each lane has the share of the rate that it had; then the novel one has as much more as is left.
    """
    given = shipped[0] + shipped[1]
    if not given:  # of a bundle that never flags
        return 0.0, 0.0
    known, novel = (own * rate / given for own in shipped)
    cut_known = conformal_cut(p_known, known, known, exact=exact) if known else 0.0
    if not novel:
        return cut_known, 0.0
    cut_novel = conformal_cut(p_novel, novel, novel, exact=True)
    left = p_novel[p_known >= cut_known]
    left.sort()
    rank = int(rate * len(p_known)) - (len(p_known) - len(left))  # what both may flag, less what the known lane does
    if rank < SEEN_ENOUGH or rank >= len(left):
        return cut_known, cut_novel
    return cut_known, min(max(float(left[rank]), novel / LOOSER), MOST_CUT)


def rising(thresholds: Mapping[float, tuple[float, float]]) -> dict[float, tuple[float, float]]:
    """The same cuts by rate, none smaller than one of a lower rate: what a lane flags there it flags here as well."""
    risen, least = {}, (0.0, 0.0)
    for rate, (known, novel) in sorted(thresholds.items()):
        least = max(known, least[0]), max(novel, least[1])
        risen[rate] = least
    return risen


def site_hybrid(
    hybrid: Hybrid,
    forest: IsolationForest,
    scores: Vector,
    p_known: Vector,
    rows: Rows,
    normal_flows: Mapping[Group, int] | None,
    *,
    exact: bool = False,
) -> Hybrid:
    """The bundle with a novel lane, cuts, normal values and support of the site.

    scores: (n,) of normal records that the forest has not seen. p_known: (n,) of the same. rows: (k, c) of some.
    normal_flows: of each support group in the learning period, None where rows fall into none.
    exact: as in site_cuts.
    """
    forest.name = _own_name(forest.name, hybrid)
    calibration = fit_calibration(scores)
    p_novel = calibration.p_value(scores)
    thresholds = {
        rate: site_cuts(p_known, p_novel, rate, cuts, exact=exact) for rate, cuts in hybrid.thresholds.items()
    }
    return replace(
        hybrid,
        novel=(Member(forest, calibration),),
        novel_vote=None,
        thresholds=rising(thresholds),
        normal=_profile(hybrid, rows),
        support=_support(hybrid, normal_flows),
    )


def enough(rows: int) -> bool:
    """Whether there are rows enough to fit a forest on and to say what its scores mean."""
    return rows >= max(FEWEST_ROWS, MIN_SCORES)


def _own_name(name: str, hybrid: Hybrid) -> str:
    """A name for the novel lane's detector that none of the known lane has, as a bundle may have any there."""
    names = {member.detector.name for member in hybrid.known}
    return next(own for own in (name, *(f"{name}{number}" for number in range(2, MAX_MEMBERS + 2))) if own not in names)


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
