"""The fit on connection records: what is learnt from which rows, and that our kernels say what scikit-learn says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.kdd.columns import SYMBOLS, kdd_columns, kdd_contract
from models.baselines import load_baselines, save_baselines
from models.bundle import load_bundle, save_bundle
from models.detector import FlowSteps
from models.encoding import Encoding
from models.fusion import ATTACK, Hybrid
from tests.support.kdd_tables import AT, KINDS, kdd_table, small_recipe
from training.errors import DatasetError
from training.fit import kdd as room
from training.fit.kdd import fit_encoding, fit_kdd, fit_kdd_baselines, fit_novel, hybrid_of, prepared, records_of

pytest.importorskip("sklearn")


def quiet(_: str) -> None:
    """Progress for nobody."""


@pytest.fixture(scope="module")
def fitted() -> Hybrid:
    return fit_kdd(small_recipe(), kdd_table(), 7, quiet)


def steps(records: np.ndarray) -> FlowSteps:
    n = len(records)
    return FlowSteps(
        records, np.zeros((n, 2), dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    )


def test_it_names_the_families_that_are_large_enough_to_be_learnt(fitted: Hybrid) -> None:
    assert fitted.labels == ("BENIGN", "DoS", "Probe", "R2L")  # of U2R there are four
    assert fitted.techniques == (None, "T1499", "T1046", "T1190")
    other = kdd_table(seed=2)
    judged = fitted.judge(steps(other.records), 0.05)
    for attack, family in (("neptune", "DoS"), ("satan", "Probe"), ("guess_passwd", "R2L")):
        own = other.label == attack
        assert (judged.verdict[own] == ATTACK).mean() > 0.9
        assert {fitted.labels[k] for k in judged.label[own]} == {family}
    assert (judged.verdict[other.label == "normal"] == ATTACK).mean() < 0.05


def test_the_forests_say_what_scikit_learn_says(monkeypatch: pytest.MonkeyPatch) -> None:
    grown: list[Any] = []
    ours = room.forest_from_sklearn

    def kept(model: Any) -> Any:
        grown.append(model)
        return ours(model)

    monkeypatch.setattr(room, "forest_from_sklearn", kept)
    table = kdd_table()
    known = prepared(small_recipe(), table, 7)
    detector = room._forest(known, known.all)
    probability = grown[-1].predict_proba(known.x)
    assert np.abs(detector.score_rows(known.x) - (1 - probability[:, 0])).max() < 1e-9


def test_the_isolation_forest_says_what_scikit_learn_says() -> None:
    from sklearn.ensemble import IsolationForest

    known = prepared(small_recipe(), kdd_table(), 7)
    recipe = known.recipe.iforest
    theirs = IsolationForest(n_estimators=recipe.trees, max_samples=recipe.sample, random_state=7)
    theirs.fit(known.x[known.normal])
    ours = fit_novel(known).detector
    assert np.abs(ours.score_rows(known.x) + theirs.score_samples(known.x)).max() < 1e-9  # type: ignore[attr-defined]


def test_the_baselines_say_what_scikit_learn_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from training.fit import baselines as plain

    grown: list[Any] = []
    ours = plain.boosting_from_sklearn

    def kept(model: Any) -> Any:
        grown.append(model)
        return ours(model)

    monkeypatch.setattr(plain, "boosting_from_sklearn", kept)
    table = kdd_table()
    known = prepared(small_recipe(), table, 7)
    fitted = room._plain(known, known.all)
    boosted = fitted["gradient_boosting"].score_rows(known.x)
    assert np.abs(boosted - grown[-1].predict_proba(known.x)[:, 1]).max() < 1e-9
    assert list(fitted) == ["logistic_regression", "gradient_boosting", "one_column"]


@pytest.mark.parametrize("content", [True, False])
def test_the_same_recipe_and_seed_give_the_same_bytes(tmp_path: Path, content: bool) -> None:
    recipe, table = small_recipe(content=content), kdd_table()
    for name in ("one", "two"):
        hybrid = fit_kdd(recipe, table, 7, quiet)
        save_bundle(tmp_path / name, hybrid, {})
        save_baselines(tmp_path / name, fit_kdd_baselines(recipe, table, 7, quiet), hybrid)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["baselines.json", "baselines.safetensors", "manifest.json", "weights.safetensors"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_saved_bundle_judges_records_as_the_fit_did(tmp_path: Path, fitted: Hybrid) -> None:
    table = kdd_table(seed=3)
    save_bundle(tmp_path, fitted, {})
    save_baselines(tmp_path, fit_kdd_baselines(small_recipe(), kdd_table(), 7, quiet), fitted)
    loaded = load_bundle(tmp_path, kdd_contract(content=True))
    assert loaded.encoding == fitted.encoding
    before, after = (model.judge(steps(table.records)) for model in (fitted, loaded))
    for name, scores in before.scores.items():
        assert (after.scores[name] == scores).all()
    assert (after.verdict == before.verdict).all()
    baselines = load_baselines(tmp_path, loaded)
    assert baselines is not None
    assert loaded.encoding is not None
    scores = baselines.scores(loaded.encoding.encode(table.records), np.full(len(table), -1))
    assert list(scores) == ["logistic_regression", "gradient_boosting", "one_column"]


def test_leaving_an_attack_out_is_a_fit_on_the_table_without_it() -> None:
    recipe, table = small_recipe(), kdd_table()
    known = prepared(recipe, table, 7)
    left_out = hybrid_of(known.without("back"), fit_novel(known))
    never_there = fit_kdd(recipe, table.take(table.label != "back"), 7, quiet)
    one, other = (model.judge(steps(table.records)) for model in (left_out, never_there))
    for name in one.scores:
        assert (one.scores[name] == other.scores[name]).all()
    assert (one.p_known == other.p_known).all()
    assert (one.p_novel == other.p_novel).all()


def test_an_attack_that_is_all_there_was_of_its_family_takes_its_name_along() -> None:
    known = prepared(small_recipe(), kdd_table(), 7)
    assert known.without("satan").labels == ("BENIGN", "DoS", "R2L")


def test_attacks_teach_the_encoding_nothing() -> None:
    table = kdd_table(neptune=300)
    known = prepared(small_recipe(), table, 7)
    assert known.encoding == fit_encoding(table.records[table.label == "normal"], content=True)
    assert known.encoding != fit_encoding(table.records, content=True)


def encoded(encoding: Encoding, records: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(encoding.names, encoding.encode(records).T, strict=True))


def test_features_of_one_record_by_hand() -> None:
    normal = kdd_table().records[:200]
    record = np.zeros((1, 41))
    record[0, [AT["src_bytes"], AT["dst_bytes"], AT["serror_rate"], AT["srv_serror_rate"]]] = 30, 10, 1.0, 0.5
    record[0, AT["service"]] = normal[0, AT["service"]]
    record[0, AT["flag"]] = SYMBOLS["flag"].index("S0")
    found = encoded(fit_encoding(normal, content=True), record)
    assert found["total_bytes"] == [40]
    assert found["src_bytes_share"] == [0.75]
    assert found["serror_mean"] == [0.375]
    assert (found["flag=S0"], found["flag=SF"]) == ([1], [0])
    assert found["service_frequency"] == [(normal[:, AT["service"]] == normal[0, AT["service"]]).mean()]


def test_a_service_that_nobody_has_seen_has_a_frequency_of_nothing() -> None:
    normal = kdd_table().records[:200]
    record = np.zeros((2, 41))
    record[:, AT["service"]] = -1, SYMBOLS["service"].index("whois")
    assert encoded(fit_encoding(normal, content=True), record)["service_frequency"].tolist() == [0, 0]


def test_records_without_content_columns_keep_the_order_of_their_contract() -> None:
    table = kdd_table()
    names = [column.name for column in kdd_columns(content=False)]
    kept = records_of(table, content=False)
    assert kept.shape[1] == len(names) == 28
    assert all((kept[:, i] == table.records[:, AT[name]]).all() for i, name in enumerate(names))


def test_the_commonest_symbol_stands_for_what_is_normal(fitted: Hybrid) -> None:
    table = kdd_table()
    services, counts = np.unique(table.records[table.label == "normal", AT["service"]], return_counts=True)
    assert len(services) == KINDS
    normal = fitted.normal
    told = {float(level[AT["service"]]) for level in (normal.p01, normal.median, normal.p99, normal.p999)}
    assert told == {services[np.argmax(counts)]}


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"normal": 20}, "has 20 normal records, the recipe needs 128"),
        ({"neptune": 5, "back": 5, "satan": 5, "guess_passwd": 5}, "no attack family of 20 records or more"),
    ],
)
def test_too_little_to_learn_from_is_told(counts: dict[str, int], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        fit_kdd(small_recipe(), kdd_table(**counts), 7, quiet)


def test_normal_records_of_one_kind_are_one_line() -> None:
    table = kdd_table()
    normal = table.label == "normal"
    table.records[normal] = table.records[np.flatnonzero(normal)[0]]
    with pytest.raises(DatasetError, match=r"has 900 normal records of few kinds: without a fold of them \d+ are left"):
        fit_kdd(small_recipe(), table, 7, quiet)
