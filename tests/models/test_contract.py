"""A bundle runs on any rows that have the columns it uses, and refuses by name those that mean something else."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
from flows.columns import feature_contract
from flows.context.columns import context_contract
from flows.contract import FeatureContract
from flows.kdd.columns import kdd_contract
from models.bundle import BundleError, load_bundle, save_bundle
from models.detector import FlowSteps
from models.fusion import Hybrid, Judgement
from tests.models.builders import CONTRACT, FORMER, USED, WIDTH, contract_of, make_steps
from tests.models.test_encoding import encoded_hybrid

PRETRAINED = Path(models.__file__).parent / "pretrained"
QUANTILES = ("p01", "median", "p99", "p999")


def thrifty(hybrid: Hybrid) -> Hybrid:
    """The same model, which knows nothing of the columns that its detectors do not look at."""
    return replace(hybrid, normal=hybrid.normal.only(list(USED.values())))


@pytest.fixture(params=["rows as they are", "encoded"])
def model(request: pytest.FixtureRequest, hybrid: Hybrid) -> Hybrid:
    return thrifty(hybrid) if request.param == "rows as they are" else encoded_hybrid()


@pytest.fixture
def bundle(model: Hybrid, tmp_path: Path) -> Path:
    save_bundle(tmp_path / "bundle", model, {})
    return tmp_path / "bundle"


@pytest.fixture
def flows_bundle(hybrid: Hybrid, tmp_path: Path) -> Path:
    save_bundle(tmp_path / "thrifty", thrifty(hybrid), {})
    return tmp_path / "thrifty"


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = path / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def judged(model: Hybrid, steps: FlowSteps) -> Judgement:
    model.forget()
    return model.judge(steps)


def same(one: Judgement, other: Judgement) -> bool:
    scores = all(np.array_equal(one.scores[name], other.scores[name]) for name in one.scores)
    return scores and np.array_equal(one.p_known, other.p_known) and np.array_equal(one.p_novel, other.p_novel)


def refusal(path: Path, *contracts: FeatureContract) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(path, *contracts)
    return str(caught.value)


def test_a_column_added_anywhere_changes_no_score(model: Hybrid, bundle: Path) -> None:
    steps = make_steps(300, 20)
    for at in (0, 5, WIDTH):
        names = list(CONTRACT.columns)
        names.insert(at, "added")
        wider = replace(steps, values=np.insert(steps.values, at, np.nan if model.encoding is None else 9.0, axis=1))
        loaded = load_bundle(bundle, contract_of(names))
        assert same(judged(loaded, wider), judged(model, steps))
        assert loaded.feature_contract == model.feature_contract


def test_rows_in_another_order_get_the_same_scores(model: Hybrid, bundle: Path) -> None:
    steps = make_steps(300, 20)
    order = np.random.default_rng(4).permutation(WIDTH)
    loaded = load_bundle(bundle, contract_of([f"column_{i}" for i in order]))
    assert same(judged(loaded, replace(steps, values=steps.values[:, order])), judged(model, steps))
    assert loaded.normal.columns == tuple(f"column_{i}" for i in order)
    for name in QUANTILES:
        assert np.array_equal(getattr(loaded.normal, name), getattr(model.normal, name)[order], equal_nan=True)


def test_what_was_loaded_for_other_rows_is_saved_as_well_as_before(model: Hybrid, bundle: Path, tmp_path: Path) -> None:
    steps = make_steps(100, 5)
    order = np.random.default_rng(5).permutation(WIDTH)
    turned = contract_of([f"column_{i}" for i in order])
    save_bundle(tmp_path / "again", load_bundle(bundle, turned), {})
    assert same(judged(load_bundle(tmp_path / "again", CONTRACT), steps), judged(model, steps))


def test_a_used_column_of_another_meaning_is_refused_by_name(bundle: Path) -> None:
    line = refusal(bundle, contract_of(CONTRACT.columns, column_5="ffffffff"))
    assert "column 'column_5' has another unit or definition here (ffffffff)" in line
    assert f"({CONTRACT.columns['column_5']})" in line


def test_a_used_column_of_another_name_is_refused_by_name(bundle: Path) -> None:
    names = ["renamed" if name == "column_7" else name for name in CONTRACT.columns]
    assert "uses column 'column_7', which rows do not have" in refusal(bundle, contract_of(names))


def test_an_unused_column_may_mean_something_else_or_be_gone(hybrid: Hybrid, flows_bundle: Path) -> None:
    steps = make_steps(100, 5)
    changed = load_bundle(flows_bundle, contract_of(CONTRACT.columns, column_1="ffffffff"))
    assert same(judged(changed, steps), judged(hybrid, steps))
    without = load_bundle(flows_bundle, contract_of(name for name in CONTRACT.columns if name != "column_1"))
    narrower = replace(steps, values=np.delete(steps.values, 1, axis=1))
    assert same(judged(without, narrower), judged(hybrid, steps))


def test_normal_columns_in_another_order_than_the_contract_are_refused(bundle: Path) -> None:
    rewrite(bundle, lambda manifest: manifest["normal"].reverse())
    assert "columns that are not the" in refusal(bundle, CONTRACT)


def test_of_several_kinds_of_rows_the_narrowest_that_fits_is_chosen(flows_bundle: Path) -> None:
    other = contract_of(["a", "b"])
    wide = contract_of([*CONTRACT.columns, "more"])
    for contracts in ((other, wide, CONTRACT), (CONTRACT, wide, other)):
        assert load_bundle(flows_bundle, *contracts).contract == CONTRACT
    assert load_bundle(flows_bundle, other, wide).contract == wide


def test_a_model_that_looks_at_a_column_it_knows_nothing_of_is_not_saved(hybrid: Hybrid, tmp_path: Path) -> None:
    ignorant = thrifty(hybrid)
    ignorant.normal.median[5] = np.nan
    with pytest.raises(ValueError, match="not those at its index in the normal profile"):
        save_bundle(tmp_path / "b", ignorant, {})


def as_former(manifest: dict[str, Any]) -> None:
    """The same manifest as format 1 had it."""
    held = {entry["column"]: entry for entry in manifest["normal"]}
    nothing = dict.fromkeys(QUANTILES, 0.0)
    normal = [held.get(name, {"column": name, **nothing}) for name in CONTRACT.columns]
    manifest.update(format="flowvigil-bundle/1", feature_contract=FORMER, normal=normal)
    for feature in manifest.get("encoding", ()):
        names = [list(held)[column] for column in feature["columns"]]
        feature["columns"] = [list(CONTRACT.columns).index(name) for name in names]


def test_a_bundle_of_format_1_is_read_and_saved_as_format_2(model: Hybrid, bundle: Path, tmp_path: Path) -> None:
    rewrite(bundle, as_former)
    loaded = load_bundle(bundle, replace(contract_of(["other"]), former="another"), CONTRACT)
    steps = make_steps(100, 5)
    assert same(judged(loaded, steps), judged(model, steps))
    save_bundle(tmp_path / "again", loaded, {})
    manifest = json.loads((tmp_path / "again" / "manifest.json").read_text())
    assert manifest["format"] == "flowvigil-bundle/2"
    assert [entry["column"] for entry in manifest["normal"]] == [f"column_{i}" for i in model.seen]
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (bundle / "weights.safetensors").read_bytes()
    assert same(judged(load_bundle(tmp_path / "again", CONTRACT), steps), judged(model, steps))


def test_a_bundle_of_format_1_is_refused_once_any_column_has_changed(bundle: Path) -> None:
    rewrite(bundle, as_former)
    line = refusal(bundle, replace(CONTRACT, former="fedcba9876543210"))
    assert f"fitted on feature contract '{FORMER}', expected 'fedcba9876543210'" in line


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("default", context_contract()),
        ("cic2017", feature_contract()),
        ("nsl-kdd", kdd_contract(content=True)),
        ("nsl-kdd-flow", kdd_contract(content=False)),
    ],
)
def test_shipped_bundles_judge_wider_rows_in_another_order_alike(name: str, contract: FeatureContract) -> None:
    rng = np.random.default_rng(6)
    values = np.floor(np.exp(rng.normal(1.0, 1.0, (300, len(contract.columns)))))
    order = rng.permutation(len(contract.columns))
    columns = [*contract.columns]
    turned = {"added": "12345678"} | {columns[i]: contract.columns[columns[i]] for i in order}
    steps = make_steps(300, 20)
    one = load_bundle(PRETRAINED / name, contract)
    other = load_bundle(PRETRAINED / name, replace(contract, columns=turned, former=""))
    wider = np.insert(values[:, order], 0, 1.0, axis=1)
    assert same(judged(one, replace(steps, values=values)), judged(other, replace(steps, values=wider)))
    assert one.feature_contract == other.feature_contract
