"""Which size of Isolation Forest the novel lane of connection records gets, by what no fit has seen.

Each candidate is fitted without a fold of clusters of normal records, fold after fold; an attack it never learns. At
the score that so many normal records of unseen clusters reach as the lane may spend, its fits say how much they find
of each attack. An attack counts once, however many records it has. Of the candidates within one standard error of the
best, over the attacks, the smallest is chosen: Breiman, Friedman, Olshen, Stone, "Classification and Regression Trees",
1984, section 3.4.3. The choice is by the default rate, which a bundle is run at: a mean over rates would be decided by
the loosest, where most is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.detector import Vector
from training.arrays import Mask
from training.evaluation.figures import rate_name, rounded
from training.fit.crossfit import scored_apart
from training.fit.kdd import PreparedRecords, isolation_forest
from training.recipe import IsolationForestRecipe
from training.reporting import Report

DRAWINGS = 5  # of clusters, folds and trees; the shipped fit has one of them
LANE_SHARE = 0.5  # of a nominal rate, which is what training.fit.kdd gives to the novel lane

Found = NDArray[np.float64]  # (rates, drawings, attacks) share of an attack's records over the score of a rate


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A size, and what forests of it find."""

    size: IsolationForestRecipe
    nodes: int  # of the forest on all normal records
    found: Found


@dataclass(frozen=True, slots=True, eq=False)
class NovelChoice:
    """Candidates side by side; the first is the recipe's own."""

    rates: tuple[float, ...]  # actual shares of normal records of unseen clusters; the choice is by the first
    attacks: tuple[str, ...]
    normal: int  # records, each scored once a drawing
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> int:
        """Which candidate has been chosen."""
        return self.chosen_by(np.ones(len(self.attacks), dtype=np.bool_))

    @property
    def found_by_others(self) -> Vector:
        """Of each attack, what the candidate finds that all other attacks choose, (attacks,) at the first rate."""
        by_attack = self._by_attack
        places = np.arange(len(self.attacks))
        return np.array([by_attack[self.chosen_by(places != place), place] for place in places])

    def chosen_by(self, attacks: Mask) -> int:
        """The smallest candidate that is as good as the best by these attacks, (attacks,), one or more."""
        gaps = self._gaps(attacks)
        within = gaps.mean(axis=1) <= _errors(gaps)
        nodes = np.array([candidate.nodes for candidate in self.candidates])
        return int(np.argmin(np.where(within, nodes, nodes.max() + 1)))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        gaps = self._gaps(np.ones(len(self.attacks), dtype=np.bool_))
        rows = zip(self.candidates, gaps.mean(axis=1), _errors(gaps), strict=True)
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
                    "behind_best": {"mean": rounded(gap), "error": rounded(error)},
                }
                for candidate, gap, error in rows
            ],
            "recipe": 0,
            "chosen": self.chosen,
            "recall_of_unseen": rounded(float(self.found_by_others.mean())),
        }

    def _recall(self, candidate: Candidate) -> dict[str, Any]:
        """Of each rate the mean over attacks, and its standard deviation over the drawings."""
        means = dict(sorted(zip(self.rates, candidate.found.mean(axis=2), strict=True)))
        return {
            rate_name(rate): {"mean": rounded(float(own.mean())), "spread": rounded(float(own.std(ddof=1)))}
            for rate, own in means.items()
        }

    @property
    def _by_attack(self) -> NDArray[np.float64]:
        """(candidates, attacks) at the first rate, mean over the drawings."""
        return np.array([candidate.found[0].mean(axis=0) for candidate in self.candidates])

    def _gaps(self, attacks: Mask) -> NDArray[np.float64]:
        """How far each candidate is behind the best in each of these attacks, (candidates, attacks)."""
        by_attack = self._by_attack[:, attacks]
        gaps: NDArray[np.float64] = by_attack[np.argmax(by_attack.mean(axis=1))] - by_attack
        return gaps


def compared(known: PreparedRecords, report: Report) -> NovelChoice:
    """The recipe's Isolation Forest beside its candidates."""
    recipe = known.recipe
    sizes = tuple(dict.fromkeys((recipe.iforest, *recipe.iforest_candidates)))
    attacks = tuple(str(label) for label in np.unique(known.table.label[~known.normal]))
    rates = tuple(LANE_SHARE * rate for rate in recipe.rates)
    report(f"{len(sizes)} sizes of Isolation Forest, each {DRAWINGS * recipe.calibrate.folds} times without a fold")
    drawings = [known.redrawn(known.seed + drawing) for drawing in range(DRAWINGS)]
    candidates = []
    for size in sizes:
        found = np.array([_found(drawn, size, attacks, rates) for drawn in drawings])
        nodes = len(isolation_forest(known, known.all, size).forest.feature)
        candidates.append(Candidate(size, nodes, found.swapaxes(0, 1)))
    return NovelChoice(rates, attacks, int(known.normal.sum()), tuple(candidates))


def _found(
    drawn: PreparedRecords, size: IsolationForestRecipe, attacks: Sequence[str], rates: Sequence[float]
) -> NDArray[np.float64]:
    """(rates, attacks) of one drawing: share of an attack's records that a fit without a fold finds, over the fits."""
    normal, attacking = scored_apart(
        drawn.x, drawn.fold, lambda rows: isolation_forest(drawn, rows, size).score_rows, drawn.x[~drawn.normal]
    )
    ordered = np.sort(normal[drawn.normal])
    label = drawn.table.label[~drawn.normal]
    cuts = [ordered[len(ordered) - 1 - int(rate * len(ordered))] for rate in rates]
    over = [(attacking > cut).mean(axis=0) for cut in cuts]
    return np.array([[share[label == attack].mean() for attack in attacks] for share in over])


def _errors(gaps: NDArray[np.float64]) -> Vector:
    """Standard error of the mean gap of each candidate, (candidates,), 0 of a single attack."""
    attacks = gaps.shape[1]
    errors: Vector = gaps.std(axis=1, ddof=1) / np.sqrt(attacks) if attacks > 1 else np.zeros(len(gaps))
    return errors
