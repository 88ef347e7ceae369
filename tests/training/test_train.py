"""The whole run of a recipe, small: needs tensorflow and the public sample."""

import gzip
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from flows.columns import feature_contract
from models.bundle import load_bundle
from tests.support.past_memory import past_memory, small_ones
from training import memory
from training.errors import DatasetError
from training.train import train

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "training" / "cic2017.yaml"
DATASET = "cic-ids-2017/improved-sample-mon-thu.csv.gz"
pytestmark = [pytest.mark.train, pytest.mark.takes(35)]


THINNED = 5  # of flows whose label stands often, each fifth is kept
RARE = 100  # flows


@pytest.fixture(scope="module")
def data(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the recipe's dataset, thinned: every label, and normal flows as they were."""
    directory = tmp_path_factory.mktemp("data")
    with gzip.open(shared_data / DATASET, "rt", encoding="utf-8", newline="") as whole:
        header, *rows = whole.readlines()
    label_at = header.rstrip("\r\n").split(",").index("Label")
    label_of = [row.split(",")[label_at] for row in rows]
    often = {label for label, count in Counter(label_of).items() if count >= RARE} - {"BENIGN"}
    kept = [row for at, row in enumerate(rows) if label_of[at] not in often or at % THINNED == 0]
    (directory / DATASET).parent.mkdir()
    with gzip.open(directory / DATASET, "wt", encoding="utf-8", newline="") as thinned:
        thinned.writelines([header, *kept])
    return directory


@pytest.fixture
def recipe(tmp_path: Path, data: Path) -> Path:
    """The shipped recipe with little to fit."""
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    digest = hashlib.sha256((data / DATASET).read_bytes()).hexdigest()
    small = {"epochs": "1", "units": "4", "rehomed_copies": "1", "trees": "5", "sample": "32", "seeds": "[]"}
    small["sha256"] = digest
    for number, line in enumerate(lines):
        key = line.strip().partition(":")[0]
        if key in small:
            lines[number] = line.partition(key)[0] + f"{key}: {small[key]}"
    path = tmp_path / "small.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_same_recipe_gives_the_same_bundle_in_memory_and_past_it(
    tmp_path: Path, recipe: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorflow")
    lines: list[str] = []
    figures = train(recipe, data, tmp_path / "first", lines.append)
    sizes = past_memory(monkeypatch)
    monkeypatch.setattr(memory, "LARGEST_BLOCK", 1 << 20)
    monkeypatch.setattr(memory, "LEAST_BLOCK", 1 << 16)
    with memory.bounded(memory.MOST_BYTES):
        train(recipe, data, tmp_path / "second", lambda _: None)
    assert len(small_ones(sizes)) > 9
    first, second = (load_bundle(tmp_path / name, feature_contract()) for name in ("first", "second"))
    assert first.sha256 == second.sha256
    assert (tmp_path / "first" / "manifest.json").read_bytes() == (tmp_path / "second" / "manifest.json").read_bytes()
    assert first.labels == ("BENIGN", "BruteForce", "DoS", "PortScan", "WebAttack", "Infiltration")
    assert first.techniques == (None, "T1110", "T1499", "T1046", "T1190", "T1203")
    assert first.support is not None
    assert sum(first.support.normal_flows.values()) == 6186  # those of all days, fitted on or held back
    assert any("epoch 1/1" in line and "s left" in line for line in lines)
    assert all(np.isfinite(figure.false_positive_rate) for figure in figures)


def test_another_file_than_the_recipes_is_refused(tmp_path: Path, recipe: Path, data: Path) -> None:
    pytest.importorskip("polars")
    text = recipe.read_text(encoding="utf-8")
    digest = text.partition("sha256: ")[2][:64]
    recipe.write_text(text.replace(digest, "f" * 64), encoding="utf-8")
    with pytest.raises(DatasetError, match=f"sha256 is {digest}, the recipe expects ffff"):
        train(recipe, data, tmp_path / "bundle", lambda _: None)
    assert not (tmp_path / "bundle").exists()


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path, recipe: Path) -> None:
    pytest.importorskip("polars")
    with pytest.raises(DatasetError, match="improved-sample-mon-thu"):
        train(recipe, tmp_path, tmp_path / "bundle", lambda _: None)
