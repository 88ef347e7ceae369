"""NSL-KDD as copies of it are published: with two classes instead of the attacks' names."""

import json
from pathlib import Path

import pytest

from sensor.cli.evaluate import evaluate
from sensor.cli.explore import explore
from tests.training.kdd_lines import records, written
from training.datasets.kdd import KddTable, read_kdd
from training.errors import DatasetError
from training.fit.kdd import prepared
from training.recipe import KddRecipe, read_recipe

for package in ("polars", "sklearn", "scipy", "matplotlib", "jinja2"):
    pytest.importorskip(package)

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "training" / "nsl-kdd-flow.yaml"


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    return written(tmp_path / "KDDTest+.txt", records(["normal", "anomaly"] * 40))


def table_of(path: Path) -> KddTable:
    return read_kdd(path, lambda _: None)


def test_normal_and_anomaly_are_read(two_classes: Path) -> None:
    table = table_of(two_classes)
    assert table.label.tolist() == ["normal", "anomaly"] * 40
    assert table.family.tolist() == ["BENIGN", "anomaly"] * 40


def test_they_are_explored(two_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explore(two_classes, tmp_path / "x.html", as_json=True)
    assert json.loads(capsys.readouterr().out)["families"] == {"BENIGN": 40, "anomaly": 40}


def test_they_are_judged_and_no_type_is_called_new(two_classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which attack an anomaly was is not known, so neither is whether the fit had it."""
    evaluate(Path("nsl-kdd-flow"), two_classes, as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert (content["n"], content["records"]["novel"]) == (80, None)


def test_a_fit_that_learns_families_refuses_them(two_classes: Path) -> None:
    recipe, _ = read_recipe(RECIPE)
    assert isinstance(recipe, KddRecipe)
    with pytest.raises(DatasetError, match="names no attacks, only anomaly"):
        prepared(recipe, table_of(two_classes), 1)


def test_an_unknown_attack_is_told_with_the_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"unknown attack 'mirai'.*normal, anomaly, back, land, neptune"):
        table_of(written(tmp_path / "own.txt", records(["normal", "mirai"])))
