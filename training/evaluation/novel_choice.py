"""Whether the novel lane of connection records has the right size of Isolation Forest, by what no fit has seen.

The recipe's size stands beside others. Each is fitted without a fold of clusters of normal records, fold after fold; an
attack it never learns. The scores of unseen clusters calibrate it as those of a bundle do. Counted is what the hybrid
finds of each attack where the known lane has not learnt it either: what that lane finds anyway is no merit of this
one. An attack counts once, however many records it has, and so does a drawing of clusters. Another size is chosen where
it finds surely more at the default rate, which a bundle is run at, and surely less at none; the recipe's stands where
there is no such.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import fit_calibration
from models.detector import Vector
from training.arrays import Mask
from training.evaluation.figures import rate_name, rounded
from training.fit.crossfit import scored_apart
from training.fit.kdd import PreparedRecords, isolation_forest
from training.recipe_sections import IsolationForestRecipe
from training.reporting import Report

DRAWINGS = 10  # of clusters, folds and trees; a bundle's fit is one of them
# Trees and sample of the others, times the recipe's. A smaller forest of larger samples has as many nodes.
OTHERS = ((1.0, 0.5), (1.0, 2.0), (0.6, 2.0), (0.5, 4.0), (0.25, 8.0))
CERTAIN = 2.0  # standard errors of a mean difference, over attacks and over drawings
LANE_SHARE = 0.5  # of a nominal rate, which is what training.fit.kdd gives to each lane

Found = NDArray[np.float64]  # (rates, drawings, attacks) share of an attack's records that is found


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A size, and what is found with forests of it."""

    size: IsolationForestRecipe
    nodes: int  # of the forest on all normal records
    found: Found


@dataclass(frozen=True, slots=True, eq=False)
class NovelChoice:
    """Candidates side by side; the first is the recipe's own."""

    rates: tuple[float, ...]  # nominal; the choice is by the first, which is the default
    attacks: tuple[str, ...]
    normal: int  # records, each scored once a drawing
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> int:
        """Which candidate is chosen by all attacks."""
        return self.chosen_by(self._all)

    @property
    def found_by_others(self) -> Vector:
        """Of each attack, what the candidate finds that all other attacks choose, (attacks,) at the first rate."""
        found, places = self._shares[:, 0].mean(axis=1), np.arange(len(self.attacks))
        return np.array([found[self.chosen_by(places != place), place] for place in places])

    def chosen_by(self, attacks: Mask) -> int:
        """The best of the candidates that are surely better than the recipe's by these attacks, (attacks,), or 0."""
        means, errors = self._gains(attacks)
        better = (means[:, 0] > CERTAIN * errors[:, 0]) & (means >= -CERTAIN * errors).all(axis=1)
        return int(np.argmax(np.where(better, means[:, 0], 0.0)))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = zip(self.candidates, *self._gains(self._all), strict=True)
        return {
            "chosen_at": rate_name(self.rates[0]),
            "normal": self.normal,
            "drawings": DRAWINGS,
            "attacks": list(self.attacks),
            "candidates": [
                {
                    "trees": candidate.size.trees,
                    "sample": candidate.size.sample,
                    "nodes": candidate.nodes,
                    "recall": self._recall(candidate),
                    "gain": self._by_rate("mean", gains, "error", errors),
                }
                for candidate, gains, errors in rows
            ],
            "recipe": 0,
            "chosen": self.chosen,
            "recall_of_unseen": rounded(float(self.found_by_others.mean())),
        }

    def _recall(self, candidate: Candidate) -> dict[str, Any]:
        """Of each rate the mean over attacks, and its standard deviation over the drawings."""
        means = candidate.found.mean(axis=2)
        return self._by_rate("mean", means.mean(axis=1), "spread", means.std(axis=1, ddof=1))

    def _by_rate(self, first: str, ones: Vector, second: str, others: Vector) -> dict[str, Any]:
        """Two figures of each rate, ascending."""
        rows = sorted(zip(self.rates, ones.tolist(), others.tolist(), strict=True))
        return {rate_name(rate): {first: rounded(one), second: rounded(other)} for rate, one, other in rows}

    @property
    def _all(self) -> Mask:
        return np.ones(len(self.attacks), dtype=np.bool_)

    @property
    def _shares(self) -> NDArray[np.float64]:
        """(candidates, rates, drawings, attacks)."""
        return np.array([candidate.found for candidate in self.candidates])

    def _gains(self, attacks: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How much more of these attacks each finds than the recipe's: mean and error, (candidates, rates)."""
        found = self._shares[:, :, :, attacks]
        gains = found - found[:1]
        errors = np.hypot(_error(gains.mean(axis=2)), _error(gains.mean(axis=3)))
        return gains.mean(axis=(2, 3)), errors


def compared(known: PreparedRecords, p_known: Vector, report: Report) -> NovelChoice:
    """The recipe's Isolation Forest beside others.

    p_known: (n,) of each attack's records by the known lane of a fit without that attack; no normal one is looked at.
    """
    recipe = known.recipe
    drawings = [known.redrawn(known.seed + drawing) for drawing in range(DRAWINGS)]
    sizes = _sizes(recipe.iforest, min(_fewest_fitted(drawn) for drawn in drawings))
    report(f"{len(sizes)} sizes of Isolation Forest, each {DRAWINGS * recipe.calibrate.folds} times without a fold")
    candidates = []
    for size in sizes:
        found = np.array([_found(drawn, size, p_known) for drawn in drawings])
        nodes = len(isolation_forest(known, known.all, size).forest.feature)
        candidates.append(Candidate(size, nodes, found.swapaxes(0, 1)))
    return NovelChoice(recipe.rates, _attacks(known), int(known.normal.sum()), tuple(candidates))


def _attacks(known: PreparedRecords) -> tuple[str, ...]:
    return tuple(str(label) for label in np.unique(known.table.label[~known.normal]))


def _sizes(own: IsolationForestRecipe, most: int) -> tuple[IsolationForestRecipe, ...]:
    """The recipe's own size, then others whose sample, of two or more, is no larger than most."""
    others = [(max(round(trees * own.trees), 1), round(sample * own.sample)) for trees, sample in OTHERS]
    fitting = [IsolationForestRecipe(trees=t, sample=s) for t, s in others if 2 <= s <= most]
    return tuple(dict.fromkeys((own, *fitting)))


def _fewest_fitted(drawn: PreparedRecords) -> int:
    """Normal records of the smallest fit without a fold."""
    folds = np.bincount(drawn.fold[drawn.normal])
    return int(folds.sum() - folds.max())


def _found(drawn: PreparedRecords, size: IsolationForestRecipe, p_known: Vector) -> NDArray[np.float64]:
    """(rates, attacks) of one drawing: share of an attack's records that either lane finds, over the fits."""
    attack = ~drawn.normal
    normal, attacking = scored_apart(
        drawn.x, drawn.fold, lambda rows: isolation_forest(drawn, rows, size).score_rows, drawn.x[attack]
    )
    meaning = fit_calibration(normal[drawn.normal])
    p_novel = meaning.p_value(attacking.ravel()).reshape(attacking.shape)
    p, label = np.minimum(p_novel, p_known[attack]), drawn.table.label[attack]
    found = [(p < LANE_SHARE * rate).mean(axis=0) for rate in drawn.recipe.rates]
    return np.array([[share[label == name].mean() for name in _attacks(drawn)] for share in found])


def _error(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard error of the mean over the last axis; infinite of a single one."""
    n = means.shape[-1]
    if n < 2:
        return np.full(means.shape[:-1], np.inf)
    error: NDArray[np.float64] = means.std(axis=-1, ddof=1) / np.sqrt(n)
    return error
