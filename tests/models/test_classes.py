"""The known lane's vote by class: against plain arithmetic, in a model, and as a bundle keeps it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle import BundleError, load_bundle, save_bundle
from models.calibration import Calibration, fit_calibration
from models.classes import rarest_class, rarity, shares_of
from models.fusion import Hybrid, Member
from tests.models.builders import CONTRACT, make_logistic, make_lstm, make_random_forest, make_steps, part

LOW = fit_calibration(np.linspace(0.0, 0.1, 1001))  # of a class that normal traffic hardly looks like
HIGH = fit_calibration(np.linspace(0.0, 0.9, 1001))


def by_class(hybrid: Hybrid) -> Hybrid:
    """The model with a known lane of two classifiers, calibrated class by class on the steps of make_steps."""
    known = tuple(Member(own, LOW, weight) for own, weight in ((make_lstm(), 2.0), (make_random_forest(), 1.0)))
    made = replace(hybrid, known=known, known_vote=LOW, classes=(LOW, HIGH))
    made.forget()
    shares = made.class_shares(make_steps(400, 20), {})
    made.forget()
    classes = tuple(fit_calibration(shares[:, place]) for place in (1, 2))
    return replace(made, classes=classes, known_vote=fit_calibration(rarity(rarest_class(shares, classes)[0])))


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    st.permutations([LOW, HIGH, fit_calibration(np.linspace(0.0, 0.5, 60))]),
)
def test_the_class_is_the_one_that_normal_traffic_has_least_often(
    rows: list[tuple[float, ...]], calibrations: list[Calibration]
):
    shares = np.array([(0.0, *row) for row in rows])
    rarest, label = rarest_class(shares, calibrations)
    for row, p, own in zip(rows, rarest.tolist(), label.tolist(), strict=True):
        each = [float(c.p_value(np.array([share]))[0]) for c, share in zip(calibrations, row, strict=True)]
        assert p == min(each)
        assert row[own - 1] == max(share for share, one in zip(row, each, strict=True) if one == p)


def test_a_class_that_normal_traffic_looks_like_does_not_hide_another():
    rarest, label = rarest_class(np.array([[0.5, 0.2, 0.3], [0.5, 0.05, 0.85]]), (LOW, HIGH))
    assert label.tolist() == [1, 2]
    assert rarest[0] < 0.001
    assert rarest[1] == pytest.approx(0.05 / 0.9, rel=0.05)


def test_classifiers_count_by_their_weights():
    told = [np.array([[0.2, 0.8]]), np.array([[0.8, 0.2]])]
    there, back = (0.2**0.75 * 0.8**0.25), (0.8**0.75 * 0.2**0.25)
    assert shares_of(told, [3.0, 1.0]) == pytest.approx(np.array([[there, back]]) / (there + back))
    assert shares_of(told[:1], [0.3]) == pytest.approx(told[0])


def test_a_class_that_one_classifier_finds_unlikely_has_a_small_share():
    sure, unsure = np.array([[0.0, 1.0, 0.0]]), np.array([[0.98, 0.01, 0.01]])
    shares = shares_of([sure, unsure], [1.0, 1.0])[0]
    assert shares.sum() == pytest.approx(1.0)
    assert shares[1] == pytest.approx(shares[0], rel=0.02)  # an even vote of the mean would give it half
    assert (shares_of([sure], [1.0]) > 0).all()


def test_the_lane_speaks_as_often_as_its_vote_says_and_names_the_class(hybrid: Hybrid):
    model, steps = by_class(hybrid), make_steps(400, 20)
    judgement = model.judge(steps)
    model.forget()
    scores: dict[str, Any] = {}
    rarest, label = rarest_class(model.class_shares(steps, scores), model.classes or ())
    assert (judgement.label == label).all()
    assert model.known_vote is not None
    assert (judgement.p_known == model.known_vote.p_value(rarity(rarest))).all()
    for rate in (0.05, 0.2, 0.5):
        assert np.mean(judgement.p_known < rate) == pytest.approx(rate, abs=0.02)
    assert set(judgement.scores) == {*scores, "iforest"}
    assert all((judgement.scores[name] == own).all() for name, own in scores.items())


@pytest.mark.parametrize("batch", [1, 7])
def test_any_batching_gives_the_same_bits(hybrid: Hybrid, batch: int):
    model, steps = by_class(hybrid), make_steps(120, 9)
    whole = model.judge(steps)
    model.forget()
    parts = [model.judge(part(steps, slice(at, at + batch))) for at in range(0, len(steps), batch)]
    assert (np.concatenate([own.p_known for own in parts]) == whole.p_known).all()
    assert (np.concatenate([own.label for own in parts]) == whole.label).all()


def test_a_bundle_keeps_the_classes(hybrid: Hybrid, tmp_path: Path):
    model, steps = by_class(hybrid), make_steps(200, 9)
    save_bundle(tmp_path / "bundle", model, {})
    loaded = load_bundle(tmp_path / "bundle", CONTRACT)
    model.forget()
    assert (loaded.judge(steps).p_known == model.judge(steps).p_known).all()
    save_bundle(tmp_path / "again", loaded, {})
    for name in ("manifest.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "bundle" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda manifest: manifest["classes"].pop(), "class_2"),
        (lambda manifest: manifest["classes"].append(manifest["classes"][0]), "class_1.*class_3"),
        (lambda manifest: manifest["classes"].reverse(), "class_2.*class_1"),
        (lambda manifest: manifest.update(classes={}), "classes is"),
        (lambda manifest: manifest.update(classes=[]), "classes is empty"),
        (lambda manifest: manifest["classes"][0].update(calibration={}), "class_1"),
        (lambda manifest: manifest["classes"][0]["arrays"].clear(), "class_1"),
        (lambda manifest: manifest["votes"].pop("known"), "vote"),
        (lambda manifest: manifest["classes"][0]["calibration"].update(sigma=-1.0), "class_1: calibration tail"),
    ],
)
def test_classes_that_do_not_fit_are_refused_in_a_line(
    hybrid: Hybrid, tmp_path: Path, change: Callable[[dict[str, Any]], object], problem: str
):
    save_bundle(tmp_path / "bundle", by_class(hybrid), {})
    file = tmp_path / "bundle" / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=problem) as caught:
        load_bundle(tmp_path / "bundle", CONTRACT)
    assert str(caught.value).isprintable()


def test_classifiers_without_probabilities_of_the_classes_are_refused(hybrid: Hybrid):
    model = by_class(hybrid)
    with pytest.raises(ValueError, match="gives no probabilities"):
        replace(model, known=(Member(make_logistic(), LOW),))
    with pytest.raises(ValueError, match="calibrations of 1 classes, expected 2"):
        replace(model, classes=(LOW,))
    with pytest.raises(ValueError, match="what their vote means"):
        replace(model, known_vote=None)
