"""The checks that each detector must pass."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import load_bundle, save_bundle
from models.calibration import fit_calibration
from models.codec import KINDS
from models.detector import Classifier, Detector, FlowSteps
from models.fusion import Member
from models.rules import PortTable
from tests.models.builders import (
    CONTRACT,
    LABELS,
    WIDTH,
    make_boosted_trees,
    make_column_threshold,
    make_hybrid,
    make_isolation_forest,
    make_logistic,
    make_lstm,
    make_random_forest,
    make_steps,
    part,
)

Make = Callable[[], Detector]
DETECTORS: tuple[Make, ...] = (
    make_lstm,
    make_isolation_forest,
    make_random_forest,
    make_logistic,
    make_boosted_trees,
    make_column_threshold,
)
each_detector = pytest.mark.parametrize("make", DETECTORS)


@each_detector
def test_scores_are_one_finite_float64_a_step(make: Make):
    scores = make().score(make_steps(500, 20))
    assert scores.shape == (500,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert len(np.unique(scores)) > 50


@each_detector
def test_no_steps_give_no_scores(make: Make):
    assert make().score(make_steps(0, 1)).shape == (0,)


@each_detector
@pytest.mark.parametrize("batch", [1, 3, 64, 97])
def test_any_batching_gives_the_same_bits(make: Make, batch: int):
    steps = make_steps(400, 25)
    whole = make().score(steps)
    detector = make()
    pieces = [detector.score(part(steps, slice(i, i + batch))) for i in range(0, 400, batch)]
    assert np.array_equal(np.concatenate(pieces), whole)


@each_detector
def test_other_hosts_do_not_change_a_score(make: Make):
    steps = make_steps(400, 5)
    whole = make().score(steps)
    for host in np.unique(steps.host, axis=0):
        rows = np.flatnonzero((steps.host == host).all(axis=1))
        assert np.array_equal(make().score(part(steps, rows)), whole[rows])


@each_detector
def test_flows_of_different_hosts_may_come_in_any_order(make: Make):
    steps = make_steps(300, 300)
    steps = FlowSteps(steps.values, np.stack([np.arange(300), np.arange(300)], axis=1), steps.time_ns, steps.advances)
    order = np.random.default_rng(0).permutation(300)
    assert np.array_equal(make().score(part(steps, order)), make().score(steps)[order])


@each_detector
def test_a_detector_that_forgot_scores_like_a_new_one(make: Make):
    steps = make_steps(300, 10)
    detector = make()
    cold = detector.score(steps)
    detector.forget()
    assert np.array_equal(detector.score(steps), cold)


@each_detector
def test_steps_that_do_not_advance_leave_no_trace(make: Make):
    steps = make_steps(300, 10)
    kept = np.flatnonzero(steps.advances)
    assert 0 < len(kept) < 300
    assert np.array_equal(make().score(steps)[kept], make().score(part(steps, kept)))


@each_detector
def test_extreme_values_keep_scores_finite(make: Make):
    steps = make_steps(60, 2)
    values = np.resize([0.0, 1e300, -1e300, 1.7e308, 5e-324], (60, WIDTH))
    times = np.resize([0, (1 << 63) - 1, -(1 << 63), 1], 60)
    scores = make().score(FlowSteps(values, steps.host, times, np.ones(60, dtype=bool)))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("make", [make_lstm, make_random_forest])
def test_classifiers_name_an_attack_for_every_step(make: Make):
    detector, again = make(), make()
    assert isinstance(detector, Classifier)
    assert detector.labels == LABELS
    steps = make_steps(200, 10)
    scores, labels = detector.score_labels(steps)
    assert np.array_equal(scores, again.score(steps))
    assert labels.dtype == np.int64
    assert set(labels) == {1, 2}


def test_an_isolation_forest_names_no_attack():
    assert not isinstance(make_isolation_forest(), Classifier)


@pytest.mark.parametrize("field", ["values", "host", "time_ns", "advances"])
def test_steps_of_different_lengths_are_refused(field: str):
    steps = make_steps(10, 2)
    with pytest.raises(ValueError, match="steps have shapes"):
        replace(steps, **{field: getattr(steps, field)[:9]})


@each_detector
def test_a_bundle_brings_it_back_as_it_was(make: Make, tmp_path: Path):
    steps, detector = make_steps(400, 20), make()
    scores = detector.score(steps)
    detector.forget()
    member = Member(detector, fit_calibration(scores), weight=2.5)
    hybrid = replace(make_hybrid(), known=(), novel=(member,))
    save_bundle(tmp_path, hybrid, {})
    (back,) = load_bundle(tmp_path, CONTRACT).novel
    assert type(back.detector) is type(detector)
    assert (back.detector.name, back.weight) == (detector.name, 2.5)
    assert np.array_equal(back.detector.score(steps), scores)
    assert np.array_equal(back.calibration.p_value(scores), member.calibration.p_value(scores))


def test_the_checks_know_every_kind_of_detector():
    assert {type(make()) for make in DETECTORS} == {of_kind for _, of_kind in KINDS} - {PortTable}
