"""Fusion: two lanes of evidence with separate budgets, and one verdict a flow.

The known lane holds detectors that learnt attacks, the novel lane those that learnt normal traffic. Detectors of one
lane vote: their p-values are combined by Fisher's method with weights (models.votes), and since they are not
independent, what the sum means is calibrated on normal traffic as a score is. Without such a calibration the smallest
p-value counts, times their number (Bonferroni). A known lane of classifiers that give probabilities may be calibrated
class by class instead (models.classes). A step of a group that was never met in normal traffic (models.support) gets no
verdict. It does not know how a detector scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.classes import rarest_class, rarity, shares_of
from models.contract import Contract, contract_hash
from models.detector import (
    ANY_ATTACK,
    Classifier,
    ColumnDetector,
    Detector,
    FlowSteps,
    Labels,
    ProbabilisticClassifier,
    Probabilities,
    RememberingDetector,
    Vector,
    attack_of,
)
from models.encoding import Encoding
from models.masking import Masking
from models.normal import NormalProfile, inputs_of
from models.site import SiteProfile
from models.support import Support
from models.votes import voted

BENIGN, UNCERTAIN, ATTACK = range(3)
VERDICTS: tuple[str, ...] = ("benign", "uncertain", "attack")
LANES, CASCADE = "lanes", "cascade"
FUSIONS: tuple[str, ...] = (LANES, CASCADE)
RATES: tuple[float, ...] = (0.001, 0.01, 0.05)
DEFAULT_RATE = 0.001
MAX_MEMBERS, MAX_LABELS, MAX_RATES = 32, 256, 64
WEIGHTS = (1e-6, 1e6)  # of a voice, least and most


@dataclass(frozen=True, eq=False)
class Member:
    """A detector, what its scores mean, and what its voice weighs in its lane.

    Raises ValueError for a weight outside of 1e-6 to 1e6.
    """

    detector: Detector
    calibration: Calibration
    weight: float = 1.0
    classifier: Classifier | None = field(init=False)  # the detector where it names attacks, else None

    def __post_init__(self) -> None:
        names = isinstance(self.detector, Classifier)  # asked once: it is slow
        object.__setattr__(self, "classifier", self.detector if names else None)
        if not WEIGHTS[0] <= self.weight <= WEIGHTS[1]:
            expected = f"a positive one, {WEIGHTS[0]:g} to {WEIGHTS[1]:g}"
            raise ValueError(f"{self.detector.name} has weight {self.weight}, expected {expected}")


def check_cuts(where: str, thresholds: Mapping[float, tuple[float, float]]) -> None:
    """Raise ValueError for what are no cuts (known, novel) by rate: in range, and none falling."""
    if not 0 < len(thresholds) <= MAX_RATES:
        raise ValueError(f"{where} are of {len(thresholds)} rates, expected 1 to {MAX_RATES}")
    before, least = (0.0, 0.0), 0.0
    for rate, cuts in sorted(thresholds.items()):
        if not (0 < rate < 1 and len(cuts) == 2 and all(0 <= cut <= 1 for cut in cuts)):
            raise ValueError(f"{where} of rate {rate:g} are {cuts}, expected two p-values")
        if any(cut < lower for cut, lower in zip(cuts, before, strict=True)):
            raise ValueError(f"{where} fall from {before} at rate {least:g} to {cuts} at rate {rate:g}")
        before, least = cuts, rate


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Steps as detectors see them, and what there is to know of them before the known lane is asked."""

    steps: FlowSteps
    judged: NDArray[np.bool_]  # (n,) as of Judgement
    p_novel: Vector  # (n,) float64 in (0, 1], 1 without detectors in the novel lane
    scores: dict[str, Vector]  # (n,) float64 of each detector of the novel lane by its name


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What the lanes say of each step, in the order of the steps."""

    verdict: NDArray[np.int8]  # (n,) int8, BENIGN, UNCERTAIN or ATTACK
    p_known: Vector  # (n,) float64 in (0, 1], 1 without detectors in the lane
    p_novel: Vector  # (n,) float64 in (0, 1], likewise
    scores: dict[str, Vector]  # (n,) float64 of each detector by its name
    # (n,) int64, index into Hybrid.labels, the likeliest attack whatever the verdict; 0 where no detector names attacks
    label: Labels
    judged: NDArray[np.bool_]  # (n,) False: nothing like it was met in normal traffic; then benign, and both p are 1

    def __len__(self) -> int:
        return len(self.verdict)


@dataclass(frozen=True, eq=False)
class Hybrid:
    """The whole model: both lanes, their cuts, and what an alert says of them.

    Raises ValueError where its parts do not fit together.
    """

    known: tuple[Member, ...]
    novel: tuple[Member, ...]
    # labels[0] is normal traffic; every classifier in the known lane has these, or ANY_ATTACK.
    labels: tuple[str, ...]
    techniques: tuple[str | None, ...]  # MITRE ATT&CK id of each label
    # By nominal false-positive rate, the p-values (known, novel) below which a lane speaks.
    thresholds: Mapping[float, tuple[float, float]]
    normal: NormalProfile
    contract: Contract  # of the rows that are judged
    model_id: str  # name of the model in alerts
    default_rate: float = DEFAULT_RATE
    about: Mapping[str, Any] = field(default_factory=dict)  # how the model was made, as it was saved
    sha256: str = ""  # of the weights file, "" for a model that was not loaded
    # Of the manifest, which names the weights by theirs: two bundles with the same one are the same; "" likewise.
    manifest_sha256: str = ""
    # LANES, or CASCADE: the known lane is asked only about what the novel lane flags. It loses every attack that looks
    # normal, and is here to be compared.
    fusion: str = LANES
    # What fisher() of a lane's p-values means on normal traffic, None for a lane with one detector or without. With
    # classes, what the rarity of the rarest class means.
    known_vote: Calibration | None = None
    novel_vote: Calibration | None = None
    # Of each label but the first, what the share means that the known lane's classifiers give it; None where their
    # votes count without regard to the class.
    classes: tuple[Calibration, ...] | None = None
    encoding: Encoding | None = None  # what detectors see of a row, None where they see the row itself
    support: Support | None = None  # which rows get a verdict, None: every one
    masking: Masking | None = None  # what stands for columns of which rows know nothing, None: they know all
    site: SiteProfile | None = None  # what it knows of the network that it was fitted to, None: it is of no one's

    def __post_init__(self) -> None:
        names = [member.detector.name for member in (*self.known, *self.novel)]
        if not 0 < len(names) <= MAX_MEMBERS or len(set(names)) != len(names):
            raise ValueError(f"detectors are {names}, expected at least one, {MAX_MEMBERS} at most and different names")
        labels = len(self.labels)
        if not 0 < labels <= MAX_LABELS or len(set(self.labels)) != labels or len(self.techniques) != labels:
            raise ValueError(
                f"found {labels} labels and {len(self.techniques)} techniques, expected as many, different and "
                f"{MAX_LABELS} at most"
            )
        self._check_known_lane()
        for lane, members, vote in (("known", self.known, self.known_vote), ("novel", self.novel, self.novel_vote)):
            if vote is not None and not members:
                raise ValueError(f"votes say what the {lane} lane means, which has no detector")
        check_cuts("thresholds", self.thresholds)
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion is {self.fusion!r}, expected one of {', '.join(FUSIONS)}")
        if self.default_rate not in self.thresholds:
            raise ValueError(f"default rate {self.default_rate} has no threshold")
        if self.normal.columns != tuple(self.contract.columns):
            raise ValueError(f"the normal profile's columns are not those of {self.contract.rows}")
        if self.encoding is not None and self.encoding.width != len(self.normal.columns):
            raise ValueError(f"encoding is of {self.encoding.width} columns, expected {len(self.normal.columns)}")
        if self.support is not None and tuple(self.support.columns) != self.normal.columns:
            raise ValueError(f"the support's columns are not those of {self.contract.rows}")
        if self.masking is not None:
            self.masking.check(inputs_of(self.normal, None))

    def _check_known_lane(self) -> None:
        for member in self.known:
            if member.classifier is not None and member.classifier.labels not in (self.labels, ANY_ATTACK):
                labels = member.classifier.labels
                raise ValueError(f"{member.detector.name} has labels {labels}, expected {self.labels}")
        if self.classes is None:
            return
        if len(self.classes) != len(self.labels) - 1 or self.known_vote is None or not self.known:
            found = f"calibrations of {len(self.classes)} classes"
            raise ValueError(f"found {found}, expected {len(self.labels) - 1} and what their vote means")
        for member in self.known:
            detector = member.detector
            if not isinstance(detector, ProbabilisticClassifier) or detector.labels != self.labels:
                raise ValueError(f"{detector.name} gives no probabilities of the classes that are calibrated")

    @property
    def used(self) -> dict[str, str]:
        """Columns of the rows that the model uses, and the digest of what each means."""
        return {name: self.contract.columns[name] for i, name in enumerate(self.normal.columns) if self.normal.used[i]}

    @property
    def seen(self) -> NDArray[np.int64]:
        """Positions of the columns that any detector sees, itself or in a feature, ascending."""
        seen: set[int] = set()
        for member in (*self.known, *self.novel):
            if isinstance(member.detector, ColumnDetector):
                seen.update(member.detector.scaling.index.tolist())
        if self.encoding is not None:
            seen = {column for feature in seen for column in self.encoding.features[feature].columns}
        return np.array(sorted(seen), dtype=np.int64)

    @property
    def feature_contract(self) -> str:
        """Hash of the columns that the model uses and of what they mean: 16 hexadecimal digits."""
        return contract_hash(self.used)

    @property
    def inputs(self) -> dict[str, int]:
        """What a detector may look at, and where it stands."""
        return inputs_of(self.normal, self.encoding)

    @property
    def maskable(self) -> tuple[str, ...]:
        """Columns that a row may be without: NaN stands in it, and the model knows what stands for that."""
        return () if self.masking is None else self.masking.columns

    def filled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows with what stands for their masked columns, as detectors see them; (n, c) as FlowSteps.values.

        Raises ValueError where the model has nothing to stand for them.
        """
        if self.masking is None:
            raise ValueError(f"{self.model_id} has no values that stand for masked columns")
        return self.masking.filled(values)

    def judge(self, steps: FlowSteps, rate: float | None = None) -> Judgement:
        """Score the steps with every detector and give the verdicts; the hosts' states advance.

        rate: nominal false-positive rate, one of thresholds; the default rate when None. Half of it is spent in each
        lane. Raises ValueError for a rate without threshold, and for masked rows where the model has no masking.
        """
        self._cuts(rate)  # before the novel lane's states advance
        return self.judge_prepared(self.prepared(steps), rate)

    def prepared(self, steps: FlowSteps) -> Prepared:
        """Score the steps with the novel lane alone, whose next steps another thread may score; raises as judge."""
        values = self.filled(steps.values) if steps.masked else steps.values
        judged = np.ones(len(steps), dtype=np.bool_) if self.support is None else self.support.judges(values)
        if self.encoding is not None:
            values = self.encoding.encode(values)
        # Of its own, so that what the detectors share of it goes when they are done.
        steps = FlowSteps(values, steps.host, steps.time_ns, steps.advances)
        scores: dict[str, Vector] = {}
        p_novel, _ = self._lane(self.novel, self.novel_vote, steps, scores)
        return Prepared(steps, judged, p_novel, scores)

    def judge_prepared(self, prepared: Prepared, rate: float | None = None) -> Judgement:
        """As judge, of steps that were prepared, in their order."""
        steps, judged, p_novel = prepared.steps, prepared.judged, prepared.p_novel
        scores: dict[str, Vector] = {}
        if self.classes is None:
            p_known, label = self._lane(self.known, self.known_vote, steps, scores)
        else:
            p_known, label = self._classes(self.classes, steps, scores)
        if not judged.all():
            p_known, p_novel = np.where(judged, p_known, 1.0), np.where(judged, p_novel, 1.0)
        verdict = self.verdicts(p_known, p_novel, rate)
        return Judgement(verdict, p_known, p_novel, {**scores, **prepared.scores}, label, judged)

    def verdicts(self, p_known: Vector, p_novel: Vector, rate: float | None = None) -> NDArray[np.int8]:
        """BENIGN, UNCERTAIN or ATTACK by what the lanes say, (n,) int8; rate and errors as of judge."""
        known_cut, novel_cut = self._cuts(rate)
        verdict = np.full(len(p_known), BENIGN, dtype=np.int8)
        odd = p_novel < novel_cut
        verdict[odd] = UNCERTAIN
        verdict[(p_known < known_cut) & (odd if self.fusion == CASCADE else True)] = ATTACK
        return verdict

    def _cuts(self, rate: float | None) -> tuple[float, float]:
        """The p-values (known, novel) below which a lane speaks. Raises ValueError for a rate without threshold."""
        rate = self.default_rate if rate is None else rate
        if rate not in self.thresholds:
            raise ValueError(f"no threshold for a rate of {rate}, there are {sorted(self.thresholds)}")
        return self.thresholds[rate]

    @property
    def evicted(self) -> int:
        """Hosts whose state gave way to that of others, of all members together."""
        return sum(detector.evicted for detector in self._remembering)

    def remember(self, hosts: int) -> None:
        """Drop the state of every host, and have room for that of so many from now on."""
        for detector in self._remembering:
            detector.remember(hosts)

    @cached_property  # what a detector can do is asked once: it is slow
    def _remembering(self) -> list[RememberingDetector]:
        detectors = [member.detector for member in (*self.known, *self.novel)]
        return [detector for detector in detectors if isinstance(detector, RememberingDetector)]

    def twin(self) -> "Hybrid":
        """The same model, which knows no host and may judge in another thread while this one does."""
        return replace(self, known=_twins(self.known), novel=_twins(self.novel))

    def forget(self) -> None:
        """Drop the state of every host, as if nothing had been judged."""
        for member in (*self.known, *self.novel):
            member.detector.forget()

    def class_shares(self, steps: FlowSteps, scores: dict[str, Vector]) -> Probabilities:
        """What the known lane's classifiers say of each label together, (n, k); scores gains each member's.

        steps: as detectors see them, neither masked nor to be encoded. The hosts' states advance.
        """
        told = [classifier.probabilities(steps) for classifier in self._classifiers]
        for classifier, probabilities in zip(self._classifiers, told, strict=True):
            scores[classifier.name] = attack_of(probabilities)[0]
        return shares_of(told, [member.weight for member in self.known])

    @cached_property
    def _classifiers(self) -> list[ProbabilisticClassifier]:
        """Detectors of the known lane of a model with classes, which is checked when it is made."""
        detectors = [member.detector for member in self.known]
        return [detector for detector in detectors if isinstance(detector, ProbabilisticClassifier)]

    def _classes(
        self, classes: tuple[Calibration, ...], steps: FlowSteps, scores: dict[str, Vector]
    ) -> tuple[Vector, Labels]:
        """The known lane's p-values, and the labels of the classes that it speaks for."""
        rarest, label = rarest_class(self.class_shares(steps, scores), classes)
        assert self.known_vote is not None  # noqa: S101  # checked when it was made
        return self.known_vote.p_value(rarity(rarest)), label

    def _lane(
        self, members: tuple[Member, ...], vote: Calibration | None, steps: FlowSteps, scores: dict[str, Vector]
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


def _twins(members: tuple[Member, ...]) -> tuple[Member, ...]:
    return tuple(
        replace(member, detector=member.detector.twin()) if isinstance(member.detector, RememberingDetector) else member
        for member in members
    )
