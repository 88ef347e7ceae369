"""Fusion: two lanes of evidence with separate budgets, and one verdict a flow.

The known lane holds detectors that learnt attacks, the novel lane those that learnt normal traffic. Detectors of one
lane vote: their p-values are combined by Fisher's method with weights (Good, "On the Weighted Combination of
Significance Tests", 1955), and since they are not independent, what the sum means is calibrated on normal traffic as a
score is. Without such a calibration the smallest p-value counts, times their number (Bonferroni). It does not know how
a detector scores.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.detector import Classifier, Detector, Labels, Steps, Vector
from models.encoding import Encoding

BENIGN, UNCERTAIN, ATTACK = range(3)
VERDICTS: tuple[str, ...] = ("benign", "uncertain", "attack")
LANES, CASCADE = "lanes", "cascade"
FUSIONS: tuple[str, ...] = (LANES, CASCADE)
ANY_ATTACK = ("normal", "attack")  # labels of a classifier that says whether, not what: it has a vote and names nothing
RATES: tuple[float, ...] = (0.001, 0.01, 0.05)
DEFAULT_RATE = 0.001


@dataclass(frozen=True, eq=False)
class Member:
    """A detector, what its scores mean, and what its voice weighs in its lane: positive, or ValueError is raised.

    classifier: the detector where it names attacks, else None.
    """

    detector: Detector
    calibration: Calibration
    weight: float = 1.0
    classifier: Classifier | None = field(init=False)

    def __post_init__(self) -> None:
        names = isinstance(self.detector, Classifier)  # asked once: it is slow
        object.__setattr__(self, "classifier", self.detector if names else None)
        if not 0 < self.weight < math.inf:
            raise ValueError(f"{self.detector.name} has weight {self.weight}, expected a positive one")


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

    labels: names, labels[0] is normal traffic; every classifier in the known lane has these, or ANY_ATTACK.
    techniques: MITRE ATT&CK id of each label or None. thresholds: by nominal false-positive rate, the p-values (known,
    novel) below which a lane speaks. contract: hash of the feature contract that normal.columns are. model_id: name of
    the model in alerts. sha256: of the weights file, "" for a model that was not loaded. about: how the model was made,
    as it was saved. fusion: LANES, or CASCADE: the known lane is asked only about what the novel lane flags. It loses
    every attack that looks normal, and is here to be compared. known_vote, novel_vote: what fisher() of a lane's
    p-values means on normal traffic, None for a lane with one detector or without. encoding: what detectors see of a
    row of the contract, None where they see the row itself.
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
    fusion: str = LANES
    known_vote: Calibration | None = None
    novel_vote: Calibration | None = None
    encoding: Encoding | None = None

    def __post_init__(self) -> None:
        names = [member.detector.name for member in (*self.known, *self.novel)]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"detectors are {names}, expected at least one and different names")
        if not self.labels or len(set(self.labels)) != len(self.labels) or len(self.techniques) != len(self.labels):
            raise ValueError(f"found {len(self.labels)} labels and {len(self.techniques)} techniques, expected as many")
        for member in self.known:
            if member.classifier is not None and member.classifier.labels not in (self.labels, ANY_ATTACK):
                labels = member.classifier.labels
                raise ValueError(f"{member.detector.name} has labels {labels}, expected {self.labels}")
        for rate, cuts in self.thresholds.items():
            if not (0 < rate < 1 and len(cuts) == 2 and all(math.isfinite(cut) and 0 <= cut <= 1 for cut in cuts)):
                raise ValueError(f"threshold for rate {rate} is {cuts}, expected two p-values")
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion is {self.fusion!r}, expected one of {', '.join(FUSIONS)}")
        if self.default_rate not in self.thresholds:
            raise ValueError(f"default rate {self.default_rate} has no threshold")
        if self.encoding is not None and self.encoding.width != len(self.normal.columns):
            raise ValueError(f"encoding is of {self.encoding.width} columns, expected {len(self.normal.columns)}")

    def judge(self, steps: Steps, rate: float | None = None) -> Judgement:
        """Score the steps with every detector and give the verdicts; the hosts' states advance.

        rate: nominal false-positive rate, one of thresholds; the default rate when None. Half of it is spent in each
        lane. Raises ValueError for a rate without threshold.
        """
        rate = self.default_rate if rate is None else rate
        if rate not in self.thresholds:
            raise ValueError(f"no threshold for a rate of {rate}, there are {sorted(self.thresholds)}")
        known_cut, novel_cut = self.thresholds[rate]
        if self.encoding is not None:
            steps = replace(steps, values=self.encoding.encode(steps.values))
        scores: dict[str, Vector] = {}
        p_known, label = self._lane(self.known, self.known_vote, steps, scores)
        p_novel, _ = self._lane(self.novel, self.novel_vote, steps, scores)
        verdict = np.full(len(steps), BENIGN, dtype=np.int8)
        odd = p_novel < novel_cut
        verdict[odd] = UNCERTAIN
        verdict[(p_known < known_cut) & (odd if self.fusion == CASCADE else True)] = ATTACK
        return Judgement(verdict, p_known, p_novel, scores, label)

    def forget(self) -> None:
        """Drop the state of every host, as if nothing had been judged."""
        for member in (*self.known, *self.novel):
            member.detector.forget()

    def _lane(
        self, members: tuple[Member, ...], vote: Calibration | None, steps: Steps, scores: dict[str, Vector]
    ) -> tuple[Vector, Labels]:
        """The lane's p-values, and its labels, those of the detector that is surest; scores gains each member's."""
        p_values: list[Vector] = []
        label = np.zeros(len(steps), dtype=np.int64)
        named = np.full(len(steps), np.inf)
        for member in members:
            detector = member.detector
            if member.classifier is not None and member.classifier.labels == self.labels:
                score, labels = member.classifier.score_labels(steps)
                p = member.calibration.p_value(score)
                label = np.where(p < named, labels, label)
                named = np.minimum(named, p)
            else:
                score = detector.score(steps)
                p = member.calibration.p_value(score)
            scores[detector.name] = score
            p_values.append(p)
        return voted(members, p_values, vote, len(steps)), label


def voted(members: Sequence[Member], p_values: Sequence[Vector], vote: Calibration | None, rows: int) -> Vector:
    """One p-value of a lane, (rows,): 1 without detectors, as it is of one, of several as vote says."""
    if vote is not None:
        return vote.p_value(fisher(members, p_values))
    if not p_values:
        return np.ones(rows)
    smallest: Vector = np.min(p_values, axis=0)
    return np.minimum(smallest * len(p_values), 1.0)


def fisher(members: Sequence[Member], p_values: Sequence[Vector]) -> Vector:
    """Weighted sum of -log p, (n,), the larger the less normal. p_values: (n,) in (0, 1] of each member."""
    total = np.zeros(len(p_values[0]))
    for member, p in zip(members, p_values, strict=True):
        total -= member.weight * np.log(p)
    return total
