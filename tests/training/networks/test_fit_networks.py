"""Fits on several networks: the same bytes from the same flows, a context that may be missing, each network once."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.columns import NAMES, feature_contract
from flows.context.columns import CONTEXT_NAMES, context_contract
from models.baselines import load_baselines
from models.bundle import load_bundle, save_bundle
from models.detector import ANY_ATTACK, FlowSteps
from models.forest import RandomForest
from models.fusion import Hybrid
from tests.support.evaluations import quiet
from tests.support.networks import ScriptedSensor, raised
from tests.support.past_memory import past_memory, small_ones
from tests.support.recipes import made_sources, places_of
from training import memory
from training.datasets import rows
from training.datasets.captures.splitting import NetworkSplit
from training.datasets.sources import NetworkSources, read_sources
from training.errors import DatasetError, RecipeError
from training.evaluation.networks.recipes import RecipeQuestion, evaluate_recipe
from training.fit.networks import fit_networks, prepared
from training.kept_fits import KeptFits
from training.labels import BENIGN
from training.networks_recipe import NetworksRecipe
from training.train import train
from training.train_networks import MOST_BYTES, weights_bytes

pytestmark = [pytest.mark.train, pytest.mark.takes(60)]


@pytest.fixture(scope="module", autouse=True)
def needs_the_train_extra() -> None:
    for package in ("polars", "sklearn", "tensorflow"):
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def recipe(file: Path) -> NetworksRecipe:
    return places_of(file, file.parent)[0]


@pytest.fixture(scope="module")
def sources(file: Path, tmp_path_factory: pytest.TempPathFactory) -> NetworkSources:
    return read_sources(*places_of(file, tmp_path_factory.mktemp("work")), quiet)


@pytest.fixture(scope="module")
def split(sources: NetworkSources) -> NetworkSplit:
    return sources.split()


@pytest.fixture(scope="module")
def hybrid(recipe: NetworksRecipe, split: NetworkSplit) -> Hybrid:
    return fit_networks(recipe, split, quiet)


def trained(file: Path, output: Path, said: list[str]) -> dict[str, bytes]:
    _, places = places_of(file, output)
    assert train(file, file.parent, output, said.append, captures=places.tools) == ()
    return {path.name: path.read_bytes() for path in sorted(output.iterdir())}


def test_the_same_sources_give_the_same_bundle_also_past_memory(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    first = trained(file, tmp_path / "first", said)
    sizes = past_memory(monkeypatch)
    monkeypatch.setattr(memory, "LARGEST_BLOCK", memory.LEAST_BLOCK >> 4)
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 1000)
    with memory.bounded(memory.MOST_BYTES):
        assert first == trained(file, tmp_path / "second", [])
    assert len(small_ones(sizes)) > 9
    assert set(first) == {"manifest.json", "weights.safetensors", "baselines.json", "baselines.safetensors"}
    about = json.loads(first["manifest.json"])["about"]
    assert [own["name"] for own in about["sources"]] == ["sites", "others", "made", "sample"]
    assert about["recipe"] == file.read_text(encoding="utf-8")
    assert str(file.parent) not in first["manifest.json"].decode()
    assert any("epoch 1/1" in line for line in said)
    model = load_bundle(tmp_path / "first", feature_contract(), context_contract())
    assert load_baselines(tmp_path / "first", model) is not None
    assert weights_bytes(model) < MOST_BYTES


def test_it_names_families_as_the_recipe_calls_them(hybrid: Hybrid) -> None:
    assert hybrid.labels == (BENIGN, "BruteForce", "PortScan")
    assert hybrid.techniques == (None, "T1110", "T1046")
    assert [member.weight for member in hybrid.known] == [1.0, 2.0]


def test_it_is_for_rows_with_context_and_works_where_nobody_knows_it(hybrid: Hybrid, split: NetworkSplit) -> None:
    assert hybrid.contract == context_contract()
    assert not {"fwd_init_win_bytes", "pair_open_day"} & set(hybrid.used)
    assert set(hybrid.maskable) == set(CONTEXT_NAMES) - {"pair_open_day"}
    rows = split.train.values[split.train_network == "sample"]
    n = len(rows)
    steps = FlowSteps(rows, np.zeros((n, 2), dtype=np.int64), np.arange(n), np.ones(n, dtype=np.bool_), masked=True)
    judged = hybrid.judge(steps)
    hybrid.forget()
    assert all(np.isfinite(score).all() for score in judged.scores.values())


def test_a_kept_fit_is_the_same_model(hybrid: Hybrid, split: NetworkSplit, tmp_path: Path) -> None:
    made: list[int] = []
    said: list[str] = []

    def fit() -> Hybrid:
        made.append(1)
        return hybrid

    fits = KeptFits(tmp_path / "kept", "text", "dataset", said.append)
    fits.fitted("a fit", 1, fit)
    again = fits.fitted("a fit", 1, fit)
    fits.fitted("another", 2, fit)
    assert len(made) == 2
    assert said == ["a fit: taken over from an interrupted run"]
    save_bundle(tmp_path / "one", hybrid, {})
    save_bundle(tmp_path / "two", again, {})
    for name in ("manifest.json", "weights.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert len(split.train) > 0
    fits.forget()
    assert not (tmp_path / "kept").exists()


def test_thresholds_hold_on_what_was_held_back(hybrid: Hybrid, split: NetworkSplit) -> None:
    told = split.held_back.reports()
    assert told.values is not None
    steps = FlowSteps(
        told.values, split.held_back.host[told.row], split.held_back.start_ns[told.row], told.advances, masked=True
    )
    judged = hybrid.judge(steps, 0.05)
    hybrid.forget()
    normal = split.held_back.family[told.row] == BENIGN
    assert (judged.verdict[normal] != 0).mean() < 0.1
    attack = split.held_back.family[told.row] == "PortScan"
    assert (judged.verdict[attack] != 0).mean() > 0.5


def test_a_network_is_scored_by_fits_without_it_where_they_are_crossed(
    recipe: NetworksRecipe, sources: NetworkSources, tmp_path: Path
) -> None:
    crossing = recipe.model_copy(
        update={
            "calibrate": recipe.calibrate.model_copy(update={"folds": 2}),
            "vote": recipe.vote.model_copy(update={"lstm": 0.0, "by_class": True}),
        }
    )
    whole = sources.split(holds_back=False)
    assert (len(whole.held_back), len(whole.held_back_network)) == (0, 0)
    assert len(whole.train) == len(sources.split().train) + len(sources.split().held_back)
    said: list[str] = []
    model = fit_networks(crossing, whole, said.append)
    networks = sorted(set(whole.train_network.tolist()))
    told = [line for line in said if line.endswith("left out")]
    assert told == [f"calibration {k + 1} of 2: {', '.join(networks[k::2])} left out" for k in (0, 1)]
    assert model.classes is not None
    assert len(model.classes) == len(model.labels) - 1
    normal_reports = int((whole.train.family[whole.train.reports().row] == BENIGN).sum())
    assert model.novel[0].calibration.count <= normal_reports
    # Whatever a fit without its network says of the normal traffic, each class is called as rarely as its calibration.
    assert model.known_vote is not None
    save_bundle(tmp_path / "one", model, {})
    save_bundle(tmp_path / "two", fit_networks(crossing, whole, quiet), {})
    for name in ("manifest.json", "weights.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_normal_reports_count_by_their_weight(recipe: NetworksRecipe, sources: NetworkSources) -> None:
    whole = sources.split(holds_back=False)
    network = np.full(len(whole.train), "long")
    network[np.flatnonzero(whole.train.family == BENIGN)[:2]] = ["one", "other"]
    each_alike = recipe.calibrate.model_copy(update={"networks": 1.0, "least": 1, "folds": None})
    poor = recipe.model_copy(update={"calibrate": each_alike, "vote": recipe.vote.model_copy(update={"lstm": 0.0})})
    held_back = NetworkSplit(train=whole.train, held_back=whole.train, train_network=network, held_back_network=network)
    with pytest.raises(DatasetError, match=r"on, which count as \d+ by calibrate\.networks; expected 50 or more"):
        fit_networks(poor, held_back, quiet)


def test_fits_that_are_crossed_need_normal_traffic_of_two_networks(recipe: NetworksRecipe, split: NetworkSplit) -> None:
    crossing = recipe.model_copy(update={"calibrate": recipe.calibrate.model_copy(update={"folds": 2})})
    one = replace(split, train_network=np.full(len(split.train), "one"))
    with pytest.raises(DatasetError, match="has no normal flows of other networks; expected captures of more of them"):
        fit_networks(crossing, one, quiet)


def test_a_fit_without_context_takes_rows_of_records(recipe: NetworksRecipe, split: NetworkSplit) -> None:
    bare = recipe.model_copy(
        update={"context": False, "without": (), "vote": recipe.vote.model_copy(update={"lstm": 0.0})}
    )
    model = fit_networks(bare, split, quiet)
    assert model.contract == feature_contract()
    assert model.masking is None
    assert [member.detector.name for member in model.known] == ["random_forest"]
    assert model.known_vote is None
    assert model.normal.columns == NAMES


def test_a_forest_says_what_or_whether(recipe: NetworksRecipe, split: NetworkSplit, hybrid: Hybrid) -> None:
    forest = hybrid.known[1].detector
    assert isinstance(forest, RandomForest)
    assert forest.labels == hybrid.labels
    size = recipe.random_forest.model_copy(update={"names": False, "depth": 2, "trees": 3})
    other = recipe.model_copy(
        update={"random_forest": size, "vote": recipe.vote.model_copy(update={"lstm": 0.0}), "reports": "first"}
    )
    forest = fit_networks(other, split, quiet).known[0].detector
    assert isinstance(forest, RandomForest)
    assert forest.labels == ANY_ATTACK
    assert len(forest.forest.roots) == 3
    assert len(forest.forest.feature) <= 3 * 7


def test_what_is_fitted_on_counts_by_network(recipe: NetworksRecipe, split: NetworkSplit) -> None:
    known = prepared(recipe, split)
    normal = known.chosen & (known.target == 0)
    assert known.weight[normal].sum() / known.weight.sum() == pytest.approx(0.5)
    assert (known.weight[~known.chosen] == 0).all()
    assert known.chosen.sum() < len(known.chosen)
    assert known.masking is not None
    assert np.isfinite(known.masking.fill).all()


def test_too_little_normal_traffic_is_one_line(recipe: NetworksRecipe, split: NetworkSplit) -> None:
    few = np.flatnonzero(split.held_back.family == BENIGN)[:10]
    poor = NetworkSplit(
        train=split.train,
        held_back=split.held_back.take(few),
        train_network=split.train_network,
        held_back_network=split.held_back_network[few],
    )
    with pytest.raises(DatasetError, match=r"has \d\d reports of normal flows to calibrate on; expected 50 or more"):
        fit_networks(recipe, poor, quiet)


def test_a_bundle_that_is_too_large_is_refused_before_it_is_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.train_networks.MOST_BYTES", 1000)
    with pytest.raises(RecipeError, match=r"small\.yaml: weights of small are [\d,]+ bytes, expected 1,000 at most"):
        trained(file, tmp_path / "bundle", [])
    assert not (tmp_path / "bundle" / "manifest.json").exists()


def test_a_recipe_is_judged_by_fits_without_each_group_and_family(file: Path, tmp_path: Path) -> None:
    read, places = places_of(file, tmp_path / "page.html.unfinished")
    sensor = ScriptedSensor(lambda records: [raised(records, list(range(len(records))))])
    said: list[str] = []
    content = evaluate_recipe(RecipeQuestion(read, places, 1), sensor, said.append)
    captures = sum(own["captures"] for own in content["recipe"]["sources"])
    assert content["networks"]["captures"] == captures == 11
    assert {*content["families"]} == {"BruteForce", "PortScan"}
    assert len({id(model) for model in sensor.models}) == 2 + len(content["families"])
    assert any("in 2 groups" in note for note in content["notes"])
    assert any("4 trees instead of 8" in note for note in content["notes"])
    assert any("sample: fitted on without context" in note for note in content["notes"])
    assert not places.work.exists()
    assert any(line.startswith("leaving out ") for line in said)


def test_a_fold_that_was_interrupted_goes_on(file: Path, tmp_path: Path) -> None:
    read, places = places_of(file, tmp_path / "work")
    read = read.model_copy(update={"folds": read.folds.model_copy(update={"families": False})})

    class Stops(ScriptedSensor):
        """Interrupted at the first capture that it judges."""

        def alerts(self, *_: object) -> list:  # type: ignore[override,type-arg]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_recipe(RecipeQuestion(read, places, 1), Stops(), quiet)
    said: list[str] = []
    evaluate_recipe(RecipeQuestion(read, replace(places), 1), ScriptedSensor(), said.append)
    assert sum("taken over from an interrupted run" in line for line in said) == 1
