"""The bundle cic2017 is what its manifest says it is."""

import hashlib
from pathlib import Path

import pytest

from flows.columns import INDEX, NAMES, feature_contract, usable_by_models
from models.bundle import load_bundle
from models.fusion import Hybrid
from models.support import counted_groups
from tests.support.labelled_flows import read_cic
from training.labels import BENIGN
from training.measure import FITTED, measured

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLE = REPOSITORY / "models" / "pretrained" / "cic2017"
FORBIDDEN = ("port", "addr", "ip", "time", "id")


@pytest.fixture(scope="module")
def shipped() -> Hybrid:
    return load_bundle(BUNDLE, feature_contract())


def test_it_is_small_and_its_weights_are_the_named_ones(shipped: Hybrid) -> None:
    assert sum(file.stat().st_size for file in BUNDLE.iterdir()) < 2_000_000
    assert hashlib.sha256((BUNDLE / "weights.safetensors").read_bytes()).hexdigest() == shipped.sha256


def test_it_holds_the_recipe_that_made_it(shipped: Hybrid) -> None:
    recipe = (REPOSITORY / "configs" / "training" / "cic2017.yaml").read_text(encoding="utf-8")
    assert shipped.about["recipe"] == recipe


def test_it_says_what_it_was_fitted_on_and_how_well_it_does(shipped: Hybrid) -> None:
    about = shipped.about
    assert about["dataset"]["sha256"] in about["recipe"]
    assert sum(sum(labels.values()) for labels in about["dataset"]["rows"].values()) == 39_449
    assert {figure["hosts"] for figure in about["metrics"]["this_model"]} >= {"as is", "re-homed onto 24"}
    assert {row["fingerprints"] for row in about["metrics"]["over_seeds"]} == {True, False}
    assert about["warnings"]


def test_its_detectors_see_allowed_columns_only(shipped: Hybrid) -> None:
    for member in (*shipped.known, *shipped.novel):
        columns = member.detector.scaling.columns  # type: ignore[attr-defined] # both detectors have one
        assert columns == usable_by_models(fingerprints=True)
        assert not {part for name in columns for part in name.split("_")} & set(FORBIDDEN)
        assert [INDEX[name] for name in columns] == member.detector.scaling.index.tolist()  # type: ignore[attr-defined]


def test_it_judges_what_its_normal_traffic_held(shipped: Hybrid, shared_data: Path) -> None:
    pytest.importorskip("polars")
    table = read_cic(shared_data / "cic-ids-2017" / "improved-sample-mon-thu.csv.gz")
    assert shipped.support is not None
    normal = table.values[table.family == BENIGN]
    assert shipped.support.normal_flows == counted_groups(normal, NAMES)
    assert shipped.support.judges(normal).all()


def test_its_figures_are_those_of_the_sensors_own_kernels(shipped: Hybrid, shared_data: Path) -> None:
    pytest.importorskip("polars")
    table = read_cic(shared_data / "cic-ids-2017" / "improved-sample-mon-thu.csv.gz")
    day = table.take(table.day == shipped.about["days"]["calibrated"])
    said = shipped.about["metrics"]["this_model"]
    rates = tuple(dict.fromkeys(figure["rate"] for figure in said))
    found = measured(shipped, day, 24, rates, True, shipped.about["seed"], FITTED)
    for figure, stated in zip((figure.as_dict() for figure in found), said, strict=True):
        assert figure["recall"] == pytest.approx(stated["recall"], abs=0.002)
        assert figure["false_positive_rate"] == pytest.approx(stated["false_positive_rate"], abs=0.0015)
