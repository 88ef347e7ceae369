from dataclasses import replace

import numpy as np
import pytest

from models.calibration import Calibration, fit_calibration
from models.detector import FlowSteps, Labels, Vector
from models.fusion import ATTACK, BENIGN, UNCERTAIN, Hybrid, Member
from models.normal import NormalProfile
from tests.models.builders import LABELS, contract_of, make_steps, part

# Scores are evenly spread over 0..1, so a p-value is about 1 - score.
EVEN = fit_calibration(np.linspace(0.0, 1.0, 10_001))
PROFILE = NormalProfile(("a",), *(np.array([float(q)]) for q in range(4)))


class Told:
    """Detector that gives column `column` of the values as its score."""

    def __init__(self, name: str, column: int) -> None:
        self.name = name
        self.column = column

    def score(self, steps: FlowSteps) -> Vector:
        return steps.values[:, self.column].copy()

    def forget(self) -> None:
        pass


class Naming(Told):
    """Told that always names one attack."""

    def __init__(self, name: str, column: int, attack: int) -> None:
        super().__init__(name, column)
        self.attack = attack
        self.labels = LABELS

    def score_labels(self, steps: FlowSteps) -> tuple[Vector, Labels]:
        return self.score(steps), np.full(len(steps), self.attack, dtype=np.int64)


def lanes(known: list[Told], novel: list[Told], calibration: Calibration = EVEN) -> Hybrid:
    return Hybrid(
        known=tuple(Member(detector, calibration) for detector in known),
        novel=tuple(Member(detector, calibration) for detector in novel),
        labels=LABELS,
        techniques=(None, "T1046", "T1499"),
        thresholds={0.001: (0.0005, 0.0005), 0.05: (0.025, 0.025)},
        normal=PROFILE,
        contract=contract_of("a"),
        model_id="m",
    )


def told(*scores: tuple[float, ...]) -> FlowSteps:
    rows = len(scores)
    return FlowSteps(
        np.array(scores), np.zeros((rows, 2), np.int64), np.zeros(rows, np.int64), np.ones(rows, dtype=bool)
    )


def test_the_known_lane_attacks_and_the_novel_lane_alone_is_uncertain():
    hybrid = lanes([Naming("lstm", 0, 2)], [Told("iforest", 1)])
    judgement = hybrid.judge(told((0.5, 0.5), (0.99, 0.5), (0.5, 0.99), (0.99, 0.99)), rate=0.05)
    assert judgement.verdict.tolist() == [BENIGN, ATTACK, UNCERTAIN, ATTACK]
    assert judgement.verdict.dtype == np.int8
    assert judgement.label.tolist() == [2, 2, 2, 2]
    np.testing.assert_allclose(judgement.p_known, [0.5, 0.01, 0.5, 0.01], atol=1e-3)
    np.testing.assert_allclose(judgement.p_novel, [0.5, 0.5, 0.01, 0.01], atol=1e-3)
    assert {name: scores.tolist() for name, scores in judgement.scores.items()} == {
        "lstm": [0.5, 0.99, 0.5, 0.99],
        "iforest": [0.5, 0.5, 0.99, 0.99],
    }


def test_a_lower_rate_asks_for_more():
    hybrid = lanes([Naming("lstm", 0, 1)], [])
    steps = told((0.99,), (0.9999,))
    assert hybrid.judge(steps, 0.05).verdict.tolist() == [ATTACK, ATTACK]
    assert hybrid.judge(steps, 0.001).verdict.tolist() == [BENIGN, ATTACK]
    assert hybrid.judge(steps).verdict.tolist() == [BENIGN, ATTACK]


def test_several_detectors_of_a_lane_share_its_budget():
    hybrid = lanes([Naming("a", 0, 1), Naming("b", 1, 2)], [])
    judgement = hybrid.judge(told((0.9, 0.5), (0.5, 0.9), (0.1, 0.1)))
    np.testing.assert_allclose(judgement.p_known, [0.2, 0.2, 1.0], atol=1e-3)


def test_the_surest_classifier_names_the_attack():
    hybrid = lanes([Naming("a", 0, 1), Naming("b", 1, 2), Told("c", 2)], [])
    judgement = hybrid.judge(told((0.9, 0.5, 0.99), (0.5, 0.9, 0.99)))
    assert judgement.label.tolist() == [1, 2]


def test_a_lane_without_detectors_stays_silent():
    judgement = lanes([], [Told("iforest", 0)]).judge(told((0.5,), (1.0,)), 0.05)
    assert judgement.p_known.tolist() == [1.0, 1.0]
    assert judgement.verdict.tolist() == [BENIGN, UNCERTAIN]
    assert judgement.label.tolist() == [0, 0]


def test_a_rate_without_threshold_is_refused_before_a_detector_that_may_remember_is_asked():
    class Unasked(Told):
        def score(self, _steps: FlowSteps) -> Vector:
            raise AssertionError(self.name)

    with pytest.raises(ValueError, match=r"rate of 0.02, there are \[0.001, 0.05\]"):
        lanes([], [Unasked("iforest", 0)]).judge(told((0.5,)), 0.02)


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_any_batching_gives_the_same_bits(hybrid: Hybrid, batch: int):
    steps = make_steps(300, 20)
    whole = hybrid.judge(steps, 0.05)
    assert len(set(whole.verdict.tolist())) > 1
    hybrid.forget()
    pieces = [hybrid.judge(part(steps, slice(i, i + batch)), 0.05) for i in range(0, 300, batch)]
    for name in ("verdict", "p_known", "p_novel", "label"):
        assert np.array_equal(np.concatenate([getattr(piece, name) for piece in pieces]), getattr(whole, name))
    for name, scores in whole.scores.items():
        assert np.array_equal(np.concatenate([piece.scores[name] for piece in pieces]), scores)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"known": (), "novel": ()}, "at least one"),
        ({"techniques": (None,)}, "3 labels and 1 techniques"),
        ({"labels": ("BENIGN", "DoS", "DoS")}, "labels"),
        ({"labels": ("BENIGN", "DoS", "PortScan")}, "lstm has labels"),
        ({"thresholds": {0.001: (0.5, 1.5)}}, "expected two p-values"),
        ({"thresholds": {0.001: (0.5, float("nan"))}}, "expected two p-values"),
        ({"default_rate": 0.02}, "default rate"),
    ],
)
def test_parts_that_do_not_fit_are_refused(hybrid: Hybrid, changes: dict[str, object], reason: str):
    with pytest.raises(ValueError, match=reason):
        replace(hybrid, **changes)  # type: ignore[arg-type]


def test_two_detectors_of_one_name_are_refused():
    with pytest.raises(ValueError, match="different names"):
        lanes([Told("a", 0)], [Told("a", 1)])


def test_a_profile_out_of_order_is_refused():
    one, two = np.array([1.0]), np.array([2.0])
    with pytest.raises(ValueError, match="out of order"):
        NormalProfile(("a",), one, two, one, two)
