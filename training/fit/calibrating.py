"""What scores of detectors mean: calibrations on normal traffic that no fit has seen that scored it.

Either a part of each network is held back, or fits are crossed: networks are dealt into groups, each of which is scored
by detectors that were fitted without it. A stranger's network is like the latter, and its scores are higher: held-back
traffic of networks that were fitted on is judged by who knows them. Vovk, "Cross-conformal predictors", 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.calibration import Calibration, fit_calibration
from models.classes import rarest_class, rarity, shares_of
from models.detector import Detector, ProbabilisticClassifier, Probabilities, Vector, attack_of
from models.fusion import Member
from models.votes import fisher
from training.datasets.table import FlowTable
from training.labels import BENIGN
from training.measure import chunked_steps


@dataclass(frozen=True, slots=True, eq=False)
class NormalScores:
    """What detectors say of reports of normal flows."""

    scores: tuple[Vector, ...]  # of each detector, (m,)
    probabilities: tuple[Probabilities, ...]  # of each detector that gives them, (m, k)
    counts: Vector | None  # (m,) what each report counts, all alike without


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """Detectors with what their scores mean."""

    members: tuple[Member, ...]
    vote: Calibration  # of all together
    classes: tuple[Calibration, ...] | None = None  # of each class of attacks, where it is calibrated by them


def normal_scores(detectors: Sequence[Detector], unseen: FlowTable, counts: Vector | None = None) -> NormalScores:
    """Scores of the normal flows of a table that the detectors were not fitted on.

    counts: (n,) of each flow, what it counts.

    Attacks among them are judged too: they are the company that normal flows of a taken-over host keep. Calibrated
    without it, a model that knows the attacks flags 17 % of the normal flows behind shared addresses at a nominal 1 %.
    """
    told = unseen.reports()
    normal = (unseen.family == BENIGN)[told.row]
    parts: list[tuple[list[Vector], list[Probabilities]]] = []
    for chosen, steps in chunked_steps(unseen, unseen.host, told, unseen.names):
        scores: list[Vector] = []
        probabilities: list[Probabilities] = []
        for detector in detectors:
            if isinstance(detector, ProbabilisticClassifier):
                probabilities.append(detector.probabilities(steps)[normal[chosen]])
                scores.append(attack_of(probabilities[-1])[0])
            else:
                scores.append(detector.score(steps)[normal[chosen]])
        parts.append((scores, probabilities))
    for detector in detectors:
        detector.forget()
    return NormalScores(
        tuple(np.concatenate(own) for own in zip(*(scores for scores, _ in parts), strict=True)),
        tuple(np.concatenate(own) for own in zip(*(probabilities for _, probabilities in parts), strict=True)),
        None if counts is None else counts[told.row[normal]],
    )


def together(parts: Sequence[NormalScores]) -> NormalScores:
    """Scores of several parts of the normal traffic by the same kinds of detectors, each of a fit of its own."""
    counts = [part.counts for part in parts if part.counts is not None]
    return NormalScores(
        tuple(np.concatenate(own) for own in zip(*(part.scores for part in parts), strict=True)),
        tuple(np.concatenate(own) for own in zip(*(part.probabilities for part in parts), strict=True)),
        np.concatenate(counts) if len(counts) == len(parts) else None,
    )


def calibrated(
    detectors: Sequence[Detector], weights: Sequence[float], normal: NormalScores, *, by_class: bool = False
) -> Lane:
    """Detectors with their calibrations, and what their vote means.

    normal: what these detectors say of normal traffic, or others of their kind. by_class: calibrate each class of
    attacks by itself, where all give probabilities of the same classes.
    """
    members = tuple(
        Member(detector, fit_calibration(own, normal.counts), weight)
        for detector, own, weight in zip(detectors, normal.scores, weights, strict=True)
    )
    if not by_class:
        p_values = [member.calibration.p_value(own) for member, own in zip(members, normal.scores, strict=True)]
        return Lane(members, fit_calibration(fisher(members, p_values), normal.counts))
    shares = shares_of(normal.probabilities, weights)
    classes = tuple(fit_calibration(shares[:, place], normal.counts) for place in range(1, shares.shape[1]))
    rarest, _ = rarest_class(shares, classes)
    return Lane(members, fit_calibration(rarity(rarest), normal.counts), classes)
