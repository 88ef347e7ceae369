"""Encoding: features by their definitions, and manifests that describe none."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.bundle import BundleError, load_bundle, save_bundle
from models.calibration import fit_calibration
from models.encoding import OPERATIONS, Encoding, Feature
from models.forest import IsolationForest
from models.fusion import Hybrid, Member
from models.normal import NormalProfile
from models.scaling import Scaling
from tests.models.builders import CONTRACT, make_hybrid, make_steps, restate

WIDTH = 12
FEATURES = (
    Feature("first", "value", (0,)),
    Feature("third=2", "is", (2,), (2.0,)),
    Feature("seen", "frequency", (3,), (0.5, 0.25, 0.125)),
    Feature("together", "sum", (0, 1, 4)),
    Feature("middle", "mean", (4, 5)),
    Feature("part", "share", (0, 1)),
)
ENCODING = Encoding(WIDTH, FEATURES)
Manifest = dict[str, Any]
rows = arrays(np.float64, st.tuples(st.integers(0, 20), st.just(WIDTH)), elements=st.integers(-2, 4).map(float))


def plainly(feature: Feature, record: list[float]) -> float:
    """A feature as one would write it down."""
    own = [record[column] for column in feature.columns]
    match feature.operation:
        case "is":
            return 1.0 if own[0] == feature.parameters[0] else 0.0
        case "frequency":
            place = int(own[0])
            return feature.parameters[place] if 0 <= place < len(feature.parameters) else 0.0
        case "sum":
            return sum(own)
        case "mean":
            return sum(own) / len(own)
        case "share":
            return own[0] / sum(own) if sum(own) > 0 else 0.0
        case _:
            return own[0]


@given(rows)
def test_each_feature_is_what_its_operation_says(records: NDArray[np.float64]) -> None:
    found = ENCODING.encode(records)
    assert found.shape == (len(records), len(FEATURES))
    for row, record in zip(found, records.tolist(), strict=True):
        assert row.tolist() == pytest.approx([plainly(feature, record) for feature in FEATURES])


@given(rows, st.randoms())
def test_a_record_is_encoded_alike_in_any_company(records: NDArray[np.float64], chance: Any) -> None:
    order = list(range(len(records)))
    chance.shuffle(order)
    assert (ENCODING.encode(records[order]) == ENCODING.encode(records)[order]).all()


def test_every_operation_is_tested_here() -> None:
    assert {feature.operation for feature in FEATURES} == set(OPERATIONS)


def test_what_has_no_place_in_a_table_counts_as_never_seen() -> None:
    records = np.zeros((4, WIDTH))
    records[:, 3] = -1, 3, 1e18, 2
    assert ENCODING.encode(records)[:, 2].tolist() == [0, 0, 0, 0.125]


def test_a_share_of_nothing_is_nothing() -> None:
    assert ENCODING.encode(np.zeros((1, WIDTH)))[0, 5] == 0


@pytest.mark.parametrize("shape", [(3, WIDTH - 1), (3, WIDTH + 1), (WIDTH,)])
def test_records_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"expected \(n, {WIDTH}\)"):
        ENCODING.encode(np.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x", "power", (0,)), "'power', expected one of value, is"),
        (("x", "value", ()), "columns"),
        (("x", "value", (-1,)), "columns"),
        (("x", "value", (0, 1)), "columns"),
        (("x", "share", (0,)), "columns"),
        (("x", "sum", (0,)), "columns"),
        (("x", "is", (0,)), "parameters"),
        (("x", "value", (0,), (1.0,)), "parameters"),
        (("x", "is", (0,), (math.nan,)), "parameters"),
        (("x", "frequency", (0,), ()), "parameters"),
        (("x", "frequency", (0,), (0.5, math.inf)), "parameters"),
    ],
)
def test_a_feature_that_cannot_be_computed_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Feature(*arguments)


def test_names_and_columns_of_an_encoding_fit_together() -> None:
    with pytest.raises(ValueError, match="names one twice"):
        Encoding(WIDTH, (FEATURES[0], replace(FEATURES[1], name="first")))
    with pytest.raises(ValueError, match="no features"):
        Encoding(WIDTH, ())
    with pytest.raises(ValueError, match=r"columns \(0, 1, 4\) of 4"):
        Encoding(4, FEATURES[3:4])


# ---------------------------------------------------------------- in a bundle


def encoded_hybrid() -> Hybrid:
    """An Isolation Forest that sees features; of all columns of a record the profile knows what is normal."""
    whole = make_hybrid()
    member = next(m for m in whole.novel if isinstance(m.detector, IsolationForest))
    forest = member.detector
    assert isinstance(forest, IsolationForest)
    names = tuple(f"column_{i}" for i in range(WIDTH))
    features = tuple(Feature(f"f{i}", "sum", (i, i + 1)) for i in range(len(forest.scaling.columns)))
    encoding = Encoding(WIDTH, features)
    index = np.arange(len(features))
    seen = Scaling(encoding.names, index, forest.scaling.center, forest.scaling.scale)
    detector = IsolationForest(seen, forest.forest, forest.psi, forest.name)
    steps = make_steps(400, 5)
    scores = detector.score_rows(seen.transform(encoding.encode(steps.values)))
    flat = np.zeros(WIDTH)
    return replace(
        whole,
        known=(),
        novel=(Member(detector, fit_calibration(scores)),),
        normal=NormalProfile(names, flat, flat, flat, flat),
        encoding=encoding,
        known_vote=None,
        novel_vote=None,
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_bundle(tmp_path / "bundle", encoded_hybrid(), {})
    return tmp_path / "bundle"


def test_a_bundle_brings_its_encoding_back_and_judges_as_before(bundle: Path) -> None:
    model, loaded = encoded_hybrid(), load_bundle(bundle, CONTRACT)
    assert loaded.encoding == model.encoding
    steps = make_steps(300, 4, seed=5)
    before, after = model.judge(steps), loaded.judge(steps)
    for name, scores in before.scores.items():
        assert (scores == after.scores[name]).all()
    assert (before.p_novel == after.p_novel).all()


def test_a_bundle_without_encoding_has_none_in_its_manifest(tmp_path: Path) -> None:
    save_bundle(tmp_path, make_hybrid(), {})
    assert "encoding" not in json.loads((tmp_path / "manifest.json").read_text())
    assert load_bundle(tmp_path, CONTRACT).encoding is None


def test_an_encoding_of_other_columns_than_the_profile_is_refused() -> None:
    model = encoded_hybrid()
    with pytest.raises(ValueError, match=f"encoding is of 99 columns, expected {WIDTH}"):
        replace(model, encoding=Encoding(99, model.encoding.features if model.encoding else ()))


def set_first(key: str, value: object) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        manifest["encoding"][0][key] = value

    return change


def parameter(value: object) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        manifest["encoding"][0] |= {"operation": "is", "columns": [0], "parameters": [value]}

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_first("operation", "exec"), "'exec', expected one of value"),
        (set_first("operation", ["is"]), "operation"),
        (set_first("columns", [0, WIDTH]), f"expected 0..{WIDTH - 1}"),
        (set_first("columns", [0, -1]), f"expected 0..{WIDTH - 1}"),
        (set_first("columns", [0, 1.0]), f"expected 0..{WIDTH - 1}"),
        (set_first("columns", [True, 0]), f"expected 0..{WIDTH - 1}"),
        (set_first("columns", []), "columns"),
        (set_first("columns", [0] * 65), "columns"),
        (set_first("columns", "01"), "columns"),
        (set_first("name", "f1"), "names one twice"),
        (set_first("name", "\x1b[2J"), "not printable"),
        (set_first("name", ""), "empty"),
        (set_first("name", "another"), "column 'f0', which the bundle does not describe"),
        (parameter(float("nan")), "NaN"),
        (parameter(float("inf")), "Infinity"),
        (parameter(None), "parameters"),
        (parameter("1"), "parameters"),
        (parameter(10**400), "parameters"),
        (lambda manifest: manifest.update(encoding=[]), "encoding"),
        (lambda manifest: manifest.update(encoding={}), "encoding"),
        (lambda manifest: manifest["encoding"].append(7), "encoding"),
        (lambda manifest: manifest["encoding"][0].pop("columns"), "columns"),
        (lambda manifest: manifest["encoding"][0].update(more=1), "more"),
        (lambda manifest: manifest.pop("encoding"), "which the bundle does not describe"),
        (lambda manifest: (manifest["normal"].__delitem__(slice(5, None)), restate(manifest)), "expected 0..4"),
        (lambda manifest: manifest["normal"].clear(), "normal|columns"),
    ],
)
def test_a_hostile_encoding_is_refused_in_one_line(
    bundle: Path, change: Callable[[Manifest], None], words: str
) -> None:
    file = bundle / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=words) as error:
        load_bundle(bundle, CONTRACT)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000
