from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.columns import INDEX, NAMES, usable_by_models
from models.baselines import Baselines, load_baselines, save_baselines
from models.boosting import BoostedTrees
from models.forest import RandomForest
from models.logistic import LogisticRegression
from models.rules import ColumnThreshold, PortTable
from tests.support.evaluations import hybrid
from training.datasets.table import FlowTable
from training.errors import DatasetError
from training.fit import baselines as fit
from training.fit import forests
from training.fit.baselines import fit_baselines

pytest.importorskip("sklearn")

COLUMNS = {name: INDEX[name] for name in ("flow_duration", "fwd_packets", "bwd_bytes", "syn_flag_count")}


def table(families: dict[str, int], seed: int = 0) -> FlowTable:
    """Flows whose syn_flag_count and, less surely, whose port and duration say whether they are an attack."""
    rng = np.random.default_rng(seed)
    family = rng.permutation(np.repeat(list(families), list(families.values())))
    n = len(family)
    attack = ~np.isin(family, ("BENIGN", ""))
    values = np.round(rng.exponential(50.0, (n, len(NAMES))))
    values[:, INDEX["syn_flag_count"]] = rng.poisson(np.where(attack, 9.0, 1.0))
    values[:, INDEX["flow_duration"]] *= np.where(attack, 1.0, 20.0)
    return FlowTable(
        values=values,
        host=np.zeros((n, 2), dtype=np.int64),
        start_ns=np.arange(n, dtype=np.int64),
        end_ns=np.arange(n, dtype=np.int64),
        label=family,
        family=family,
        day=np.full(n, "2017-07-03"),
        missing=(),
        repairs={},
        sha256="",
        dst_port=np.where(attack & (rng.random(n) < 0.5), 22, rng.choice([22, 80, 443], n)).astype(np.int64),
        path=Path("flows.csv"),
    )


@pytest.fixture(scope="module")
def train() -> FlowTable:
    return table({"BENIGN": 600, "DoS": 500, "PortScan": 150, "Botnet": 20, "": 30})


@pytest.fixture(scope="module")
def held_back() -> FlowTable:
    return table({"BENIGN": 400, "BruteForce": 100}, seed=1)


@pytest.fixture(scope="module")
def fitted(train: FlowTable, held_back: FlowTable) -> Baselines:
    return fit_baselines(train, held_back, COLUMNS, seed=3)


def test_every_baseline_tells_attacks_from_normal_traffic(fitted: Baselines, held_back: FlowTable):
    metrics = pytest.importorskip("sklearn.metrics")
    scores = fitted.scores(held_back.values, held_back.dst_port)
    assert list(scores) == ["logistic_regression", "random_forest", "gradient_boosting", "port_only", "one_column"]
    attack = held_back.family != "BENIGN"
    areas = {name: metrics.roc_auc_score(attack, score) for name, score in scores.items()}
    assert min(areas[name] for name in scores if name != "port_only") > 0.95
    assert 0.6 < areas["port_only"] < 0.8


def test_p_values_keep_their_rate_on_normal_traffic(fitted: Baselines):
    fresh = table({"BENIGN": 4000}, seed=2)
    p_values = fitted.p_values(fitted.scores(fresh.values, fresh.dst_port))
    for p in p_values.values():
        assert (p < 0.05).mean() < 0.09


def assert_scores_equal_scikit_learns(
    train: FlowTable, fresh: FlowTable, columns: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> Baselines:
    linear_model = pytest.importorskip("sklearn.linear_model")
    models: list[Any] = []
    for room, name in ((forests, "forest_from_sklearn"), (fit, "boosting_from_sklearn")):
        convert = getattr(room, name)
        monkeypatch.setattr(room, name, lambda model, convert=convert: (models.append(model), convert(model))[1])
    fitted = fit_baselines(train, fresh, columns, seed=3)
    x = fitted.scaling.transform(fresh.values)
    names = ("random_forest", "gradient_boosting")
    expected = {name: model.predict_proba(x)[:, 1] for name, model in zip(names, models, strict=True)}
    drawn = train.take(fit._drawn(train, seed=3))
    rows = fitted.scaling.transform(drawn.values).astype(np.float64)
    logistic = linear_model.LogisticRegression(max_iter=2000)
    with fit._one_thread():  # sums in another order end the fit 1e-6 away
        logistic.fit(rows, drawn.family != "BENIGN", fit._weights(drawn))
    expected["logistic_regression"] = logistic.predict_proba(x.astype(np.float64))[:, 1]
    scores = fitted.scores(fresh.values, fresh.dst_port)
    for name, probability in expected.items():
        np.testing.assert_allclose(scores[name], probability, rtol=0, atol=1e-9)
    return fitted


def test_scores_equal_scikit_learns(train: FlowTable, held_back: FlowTable, monkeypatch: pytest.MonkeyPatch):
    assert_scores_equal_scikit_learns(train, held_back, COLUMNS, monkeypatch)


def test_scores_of_real_flows_equal_scikit_learns(shared_data: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("polars")
    from training.datasets.collection import read_dataset

    flows = read_dataset(shared_data / "cic-ids-2017" / "improved-sample-mon-thu.csv.gz", lambda _: None)
    columns = {name: INDEX[name] for name in usable_by_models(fingerprints=True)}
    thursday = flows.day == "2017-07-06"
    some, unseen = flows.take(np.flatnonzero(~thursday)[::4]), flows.take(np.flatnonzero(thursday)[::4])
    assert_scores_equal_scikit_learns(some, unseen, columns, monkeypatch)


def test_500_kb_hold_the_baselines_even_of_traffic_that_fills_every_tree(tmp_path: Path):
    noise = table({"BENIGN": 2000, "DoS": 2000})
    rng = np.random.default_rng(5)
    noise = replace(noise, family=rng.permutation(noise.family), dst_port=rng.integers(0, 65536, len(noise)))
    fitted = fit_baselines(noise, noise, {name: INDEX[name] for name in usable_by_models(fingerprints=True)}, seed=3)
    forest = fitted.members[1].detector
    assert isinstance(forest, RandomForest)
    assert len(forest.forest.feature) == fit.FOREST_TREES * (2 * fit.FOREST_LEAVES - 1)
    save_baselines(tmp_path, fitted, hybrid(noise))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 500_000


def test_the_same_seed_gives_the_same_bytes(fitted: Baselines, train: FlowTable, held_back: FlowTable, tmp_path: Path):
    whole = hybrid(train)
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        plain = fitted if name == "first" else fit_baselines(train, held_back, COLUMNS, seed)
        save_baselines(tmp_path / name, plain, whole)
    for file in ("baselines.json", "baselines.safetensors"):
        first = (tmp_path / "first" / file).read_bytes()
        assert (tmp_path / "again" / file).read_bytes() == first
        assert (tmp_path / "other" / file).read_bytes() != first
    assert load_baselines(tmp_path / "first", whole) is not None


def test_rows_of_small_families_and_unlabelled_ones_change_nothing(
    fitted: Baselines, train: FlowTable, held_back: FlowTable
):
    kept = train.take(~np.isin(train.family, ("Botnet", "")))
    without = fit_baselines(kept, held_back, COLUMNS, seed=3)
    ours, theirs = (some.scores(held_back.values, held_back.dst_port) for some in (fitted, without))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_normal_traffic_weighs_as_all_attacks_and_families_alike(train: FlowTable):
    drawn = train.take(np.isin(train.family, ("BENIGN", "DoS", "PortScan")))
    weight = fit._weights(drawn)
    total = {name: weight[drawn.family == name].sum() for name in ("BENIGN", "DoS", "PortScan")}
    assert weight.mean() == pytest.approx(1.0)
    assert total["DoS"] == pytest.approx(total["PortScan"])
    assert total["BENIGN"] == pytest.approx(total["DoS"] + total["PortScan"])


def test_large_families_are_thinned_and_nothing_else(train: FlowTable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fit, "LARGEST_FAMILY", 200)
    rows = fit._drawn(train, seed=3)
    assert (np.diff(rows) > 0).all()
    families, counts = np.unique(train.family[rows], return_counts=True)
    assert dict(zip(families.tolist(), counts.tolist(), strict=True)) == {"BENIGN": 200, "DoS": 200, "PortScan": 150}


def test_the_one_column_is_the_telling_one_with_a_cut_between_its_values(fitted: Baselines):
    detector = fitted.members[-1].detector
    assert isinstance(detector, ColumnThreshold)
    assert (detector.column, detector.rises) == ("syn_flag_count", True)
    scaling = fitted.scaling
    raw = np.expm1(detector.cut * scaling.scale[3] + scaling.center[3])
    assert 3 < raw < 6


def test_a_column_that_attacks_lower_is_found_too(train: FlowTable, held_back: FlowTable):
    columns = {"fwd_packets": INDEX["fwd_packets"], "flow_duration": INDEX["flow_duration"]}
    detector = fit_baselines(train, held_back, columns, seed=3).members[-1].detector
    assert isinstance(detector, ColumnThreshold)
    assert (detector.column, detector.rises) == ("flow_duration", False)


def test_port_shares_are_smoothed_towards_the_prior(fitted: Baselines, train: FlowTable):
    detector = fitted.members[3].detector
    assert isinstance(detector, PortTable)
    assert detector.ports.tolist() == [22, 80, 443]
    drawn = train.take(np.isin(train.family, ("BENIGN", "DoS", "PortScan")))
    weight, attack, here = fit._weights(drawn), drawn.family != "BENIGN", drawn.dst_port == 22
    expected = (weight[attack & here].sum() + 2 * detector.prior) / (weight[here].sum() + 2)
    assert detector.shares[0] == pytest.approx(expected)
    assert detector.score_ports(np.array([1]))[0] == pytest.approx(weight[attack].sum() / weight.sum())


def test_without_any_known_port_there_is_no_baseline_of_ports(train: FlowTable, held_back: FlowTable):
    portless = replace(train, dst_port=np.full(len(train), -1, dtype=np.int64))
    names = [member.name for member in fit_baselines(portless, held_back, COLUMNS, seed=3).members]
    assert names == ["logistic_regression", "random_forest", "gradient_boosting", "one_column"]


@pytest.mark.parametrize(
    "families", [{"BENIGN": 500}, {"DoS": 500}, {"BENIGN": 500, "Botnet": 99}, {"BENIGN": 500, "": 500}]
)
def test_a_single_class_is_refused_with_what_was_found(families: dict[str, int], held_back: FlowTable):
    with pytest.raises(DatasetError, match=r"flows\.csv: baselines need normal traffic .* found .*\d"):
        fit_baselines(table(families), held_back, COLUMNS, seed=3)


def test_too_little_normal_traffic_to_calibrate_on_is_refused(train: FlowTable):
    with pytest.raises(DatasetError, match="49 normal flows"):
        fit_baselines(train, table({"BENIGN": 49, "DoS": 100}), COLUMNS, seed=3)


def test_detectors_are_of_the_kinds_their_names_say(fitted: Baselines):
    kinds = [type(member.detector) for member in fitted.members]
    assert kinds == [LogisticRegression, RandomForest, BoostedTrees, PortTable, ColumnThreshold]
    assert all(getattr(member.detector, "name", member.name) == member.name for member in fitted.members)
