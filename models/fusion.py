"""Fusion: two lanes of evidence with separate budgets, and one verdict a flow.

The known lane holds detectors that learnt attacks, the novel lane those that learnt normal traffic. A lane with several
detectors takes its smallest p-value times their number (Bonferroni, so the lane keeps its budget). It does not know how
a detector scores.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.detector import Classifier, Detector, Labels, Steps, Vector

BENIGN, UNCERTAIN, ATTACK = range(3)
VERDICTS: tuple[str, ...] = ("benign", "uncertain", "attack")
RATES: tuple[float, ...] = (0.001, 0.01, 0.05)
DEFAULT_RATE = 0.001


@dataclass(frozen=True, eq=False)
class Member:
    """A detector and what its scores mean."""

    detector: Detector
    calibration: Calibration


@dataclass(frozen=True, eq=False)
class NormalProfile:
    """Raw column values on normal traffic, for explanations.

    columns: (c) names, the whole feature contract in its order. p01, median, p99, p999: (c,) float64, quantiles at 1 %,
    50 %, 99 % and 99.9 %. Raises ValueError for other shapes, values that are not finite and quantiles out of order.
    """

    columns: tuple[str, ...]
    p01: Vector
    median: Vector
    p99: Vector
    p999: Vector

    def __post_init__(self) -> None:
        quantiles = (self.p01, self.median, self.p99, self.p999)
        if any(quantile.shape != (len(self.columns),) for quantile in quantiles):
            raise ValueError(f"normal profile quantiles do not have shape ({len(self.columns)},)")
        if not all(np.isfinite(quantile).all() for quantile in quantiles):
            raise ValueError("normal profile holds values that are not finite")
        if any((low > high).any() for low, high in pairwise(quantiles)):
            raise ValueError("normal profile quantiles are out of order")


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What the lanes say of each step, in the order of the steps.

    verdict: (n,) int8, BENIGN, UNCERTAIN or ATTACK. p_known, p_novel: (n,) float64 in (0, 1], 1 for a lane without
    detectors. scores: (n,) float64 of each detector by its name. label: (n,) int64, index into Hybrid.labels, the
    likeliest attack whatever the verdict; 0 where no detector names attacks.
    """

    verdict: NDArray[np.int8]
    p_known: Vector
    p_novel: Vector
    scores: dict[str, Vector]
    label: Labels

    def __len__(self) -> int:
        return len(self.verdict)


@dataclass(frozen=True, eq=False)
class Hybrid:
    """The whole model: both lanes, their cuts, and what an alert says of them.

    labels: names, labels[0] is normal traffic; every classifier in the known lane has these. techniques: MITRE ATT&CK
    id of each label or None. thresholds: by nominal false-positive rate, the p-values (known, novel) below which a lane
    speaks. contract: hash of the feature contract that normal.columns are. model_id: name of the model in alerts.
    sha256: of the weights file, "" for a model that was not loaded. about: how the model was made, as it was saved.
    Raises ValueError where these do not fit together.
    """

    known: tuple[Member, ...]
    novel: tuple[Member, ...]
    labels: tuple[str, ...]
    techniques: tuple[str | None, ...]
    thresholds: Mapping[float, tuple[float, float]]
    normal: NormalProfile
    contract: str
    model_id: str
    default_rate: float = DEFAULT_RATE
    about: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    def __post_init__(self) -> None:
        names = [member.detector.name for member in (*self.known, *self.novel)]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"detectors are {names}, expected at least one and different names")
        if not self.labels or len(set(self.labels)) != len(self.labels) or len(self.techniques) != len(self.labels):
            raise ValueError(f"found {len(self.labels)} labels and {len(self.techniques)} techniques, expected as many")
        for member in self.known:
            if isinstance(member.detector, Classifier) and member.detector.labels != self.labels:
                raise ValueError(f"{member.detector.name} has labels {member.detector.labels}, expected {self.labels}")
        for rate, cuts in self.thresholds.items():
            if not (0 < rate < 1 and len(cuts) == 2 and all(math.isfinite(cut) and 0 <= cut <= 1 for cut in cuts)):
                raise ValueError(f"threshold for rate {rate} is {cuts}, expected two p-values")
        if self.default_rate not in self.thresholds:
            raise ValueError(f"default rate {self.default_rate} has no threshold")

    def judge(self, steps: Steps, rate: float | None = None) -> Judgement:
        """Score the steps with every detector and give the verdicts; the hosts' states advance.

        rate: nominal false-positive rate, one of thresholds; the default rate when None. Half of it is spent in each
        lane. Raises ValueError for a rate without threshold.
        """
        rate = self.default_rate if rate is None else rate
        if rate not in self.thresholds:
            raise ValueError(f"no threshold for a rate of {rate}, there are {sorted(self.thresholds)}")
        known_cut, novel_cut = self.thresholds[rate]
        scores: dict[str, Vector] = {}
        p_known, label = _lane(self.known, steps, scores)
        p_novel, _ = _lane(self.novel, steps, scores)
        verdict = np.full(len(steps), BENIGN, dtype=np.int8)
        verdict[p_novel < novel_cut] = UNCERTAIN
        verdict[p_known < known_cut] = ATTACK
        return Judgement(verdict, p_known, p_novel, scores, label)

    def forget(self) -> None:
        """Drop the state of every host, as if nothing had been judged."""
        for member in (*self.known, *self.novel):
            member.detector.forget()


def _lane(members: tuple[Member, ...], steps: Steps, scores: dict[str, Vector]) -> tuple[Vector, Labels]:
    """The lane's p-values and its labels, those of the detector that is surest; scores gains each member's."""
    lowest = np.ones(len(steps))
    label = np.zeros(len(steps), dtype=np.int64)
    named = np.full(len(steps), np.inf)
    for member in members:
        detector = member.detector
        if isinstance(detector, Classifier):
            score, labels = detector.score_labels(steps)
            p = member.calibration.p_value(score)
            label = np.where(p < named, labels, label)
            named = np.minimum(named, p)
        else:
            score = detector.score(steps)
            p = member.calibration.p_value(score)
        scores[detector.name] = score
        lowest = np.minimum(lowest, p)
    return np.minimum(lowest * max(len(members), 1), 1.0), label
