import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from models.baselines import Baseline, Baselines, load_baselines, row_scores, save_baselines
from models.boosting import BoostedTrees
from models.bundle import load_bundle, save_bundle
from models.calibration import fit_calibration
from models.forest import RandomForest
from models.fusion import Hybrid
from models.logistic import LogisticRegression
from models.manifest import BundleError
from models.rules import ColumnThreshold, PortTable
from models.signature import public_key
from tests.models.builders import (
    FORMER,
    USED,
    WIDTH,
    contract_of,
    make_boosted_trees,
    make_hybrid,
    make_lstm,
    make_scaling,
    random_trees,
    raw_values,
)
from tests.support.minisign import Signer

HYBRID = make_hybrid()
NAMES = ("logistic_regression", "random_forest", "gradient_boosting", "port_only", "one_column")
Manifest = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


def port_numbers(rows: int) -> NDArray[np.int64]:
    return np.random.default_rng(rows).choice([22, 53, 80, 443, 8080, -1], rows)


@pytest.fixture(scope="module")
def baselines() -> Baselines:
    scaling = make_scaling()
    boosted = make_boosted_trees()
    detectors = (
        LogisticRegression(scaling, np.linspace(-1.0, 1.0, len(USED)), 0.25),
        RandomForest(scaling, random_trees(5, 2, 6), ("normal", "attack"), "random_forest"),
        BoostedTrees(scaling, boosted.forest, boosted.baseline),
        PortTable(np.array([22, 53, 443], dtype=np.int32), np.array([0.9, 0.2, 0.1]), 0.3),
        ColumnThreshold(scaling, "column_7", True, -0.5),
    )
    x = scaling.transform(raw_values(400, 3))
    members = [
        Baseline(name, detector, fit_calibration(row_scores(detector, x, port_numbers(400))))
        for name, detector in zip(NAMES, detectors, strict=True)
    ]
    return Baselines(scaling, tuple(members))


@pytest.fixture
def directory(baselines: Baselines, tmp_path: Path) -> Path:
    save_baselines(tmp_path / "bundle", baselines, HYBRID)
    return tmp_path / "bundle"


def loaded(directory: Path) -> Baselines:
    found = load_baselines(directory, HYBRID)
    assert found is not None
    return found


def refusal(directory: Path, hybrid: Hybrid = HYBRID) -> str:
    """The line the baselines are refused with."""
    with pytest.raises(BundleError) as caught:
        load_baselines(directory, hybrid)
    line = str(caught.value)
    assert line.isprintable()
    assert 20 < len(line) < 1000
    return line


def rewrite(directory: Path, change: Callable[[Manifest], object]) -> None:
    file = directory / "baselines.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def reweigh(directory: Path, change: Callable[[Arrays], object]) -> None:
    """Change arrays as an attacker would, who makes sums and shapes in the manifest agree."""
    file = directory / "baselines.safetensors"
    arrays = safetensors.numpy.load(file.read_bytes())
    change(arrays)
    file.write_bytes(safetensors.numpy.save(arrays))

    def agree(manifest: Manifest) -> None:
        manifest["weights"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        for holder in (manifest["scaling"], *manifest["baselines"]):
            for name in set(holder["arrays"]) & set(arrays):
                holder["arrays"][name] = f"{arrays[name].dtype} [{', '.join(map(str, arrays[name].shape))}]"

    rewrite(directory, agree)


def test_loaded_baselines_score_as_the_saved(baselines: Baselines, directory: Path):
    values, ports = raw_values(300, 5), port_numbers(300)
    ours, theirs = loaded(directory).scores(values, ports), baselines.scores(values, ports)
    assert tuple(ours) == tuple(theirs) == NAMES
    p_ours, p_theirs = loaded(directory).p_values(ours), baselines.p_values(theirs)
    for name in NAMES:
        assert np.array_equal(ours[name], theirs[name])
        assert np.array_equal(p_ours[name], p_theirs[name])
        assert ((p_ours[name] > 0) & (p_ours[name] <= 1)).all()
        assert ours[name].dtype == np.float64
        assert ((ours[name] >= 0) & (ours[name] <= 1)).all()


def test_blocks_of_rows_do_not_show(baselines: Baselines, monkeypatch: pytest.MonkeyPatch):
    values, ports = raw_values(300, 5), port_numbers(300)
    whole = baselines.scores(values, ports)
    monkeypatch.setattr("models.baselines.BLOCK", 7)
    pieces = baselines.scores(values, ports)
    assert all(np.array_equal(pieces[name], whole[name]) for name in NAMES)


def test_no_rows_give_no_scores(baselines: Baselines):
    scores = baselines.scores(np.empty((0, WIDTH)), np.empty(0, np.int64))
    assert [values.shape for values in scores.values()] == [(0,)] * 5


def test_with_keys_baselines_are_those_that_one_of_them_has_signed(directory: Path):
    signer = Signer.of(1)
    keys = (public_key(signer.public),)
    with pytest.raises(BundleError, match=r"baselines\.json\.minisig cannot be read"):
        load_baselines(directory, HYBRID, keys=keys)
    Signer.of(2).sign(directory, "baselines.json")
    with pytest.raises(BundleError, match=r"baselines\.json\.minisig is by key"):
        load_baselines(directory, HYBRID, keys=keys)
    signer.sign(directory, "baselines.json")
    assert load_baselines(directory, HYBRID, keys=keys) is not None
    manifest = directory / "baselines.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(BundleError, match="is no signature of this"):
        load_baselines(directory, HYBRID, keys=keys)
    assert load_baselines(directory, HYBRID) is not None


def test_a_bundle_without_baselines_has_none(tmp_path: Path):
    assert load_baselines(tmp_path, HYBRID) is None


def test_the_same_baselines_save_to_the_same_bytes(directory: Path, tmp_path: Path):
    save_baselines(tmp_path / "again", loaded(directory), HYBRID)
    assert sorted(file.name for file in directory.iterdir()) == ["baselines.json", "baselines.safetensors"]
    for file in directory.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_what_could_not_be_loaded_is_not_saved(baselines: Baselines, tmp_path: Path):
    first = replace(baselines.members[0], name="a b")
    with pytest.raises(ValueError, match="could not be loaded again: baseline name"):
        save_baselines(tmp_path / "b", replace(baselines, members=(first,)), HYBRID)
    assert not (tmp_path / "b").exists()


def test_a_contract_with_fewer_columns_is_refused(baselines: Baselines):
    with pytest.raises(ValueError, match="12 or more"):
        baselines.scores(raw_values(5, 0)[:, :11], port_numbers(5))


def test_members_of_one_name_or_another_scaling_are_refused(baselines: Baselines):
    first = baselines.members[0]
    with pytest.raises(ValueError, match="different names"):
        replace(baselines, members=(first, first))
    with pytest.raises(ValueError, match="at least one"):
        replace(baselines, members=())
    with pytest.raises(ValueError, match="scaling of its own"):
        replace(baselines, scaling=make_scaling())


def test_another_feature_contract_is_refused_naming_both(directory: Path):
    fitted = json.loads((directory / "baselines.json").read_text())["feature_contract"]
    rewrite(directory, lambda manifest: manifest.update(feature_contract="fedcba9876543210"))
    line = refusal(directory)
    assert fitted in line
    assert "fedcba9876543210" in line


def test_a_network_with_a_memory_is_no_baseline(baselines: Baselines, tmp_path: Path):
    lstm = make_lstm()
    lstm.scaling, lstm.head_kernel, lstm.head_bias = baselines.scaling, lstm.head_kernel[:, :2], lstm.head_bias[:2]
    members = (*baselines.members, Baseline("lstm", lstm, baselines.members[0].calibration))
    with pytest.raises(ValueError, match="lstm is of kind 'lstm', which does not score a row by itself"):
        save_baselines(tmp_path / "b", replace(baselines, members=members), HYBRID)


def test_rows_in_another_order_get_the_same_scores(directory: Path, tmp_path: Path):
    save_bundle(tmp_path / "hybrid", HYBRID, {})
    order = np.random.default_rng(2).permutation(WIDTH)
    turned = load_bundle(tmp_path / "hybrid", contract_of(f"column_{i}" for i in order))
    found = load_baselines(directory, turned)
    assert found is not None
    values, ports = raw_values(50, 3), port_numbers(50)
    for name, scores in loaded(directory).scores(values, ports).items():
        assert np.array_equal(found.scores(values[:, order], ports)[name], scores)


def test_baselines_of_format_1_are_read_beside_a_bundle_of_the_same_columns(directory: Path):
    scores = loaded(directory).scores(raw_values(50, 3), port_numbers(50))
    former = {"format": "flowvigil-baselines/1", "feature_contract": FORMER}
    rewrite(directory, lambda m: m.update(former) or m["scaling"].update(positions=list(USED.values())))
    for name, again in loaded(directory).scores(raw_values(50, 3), port_numbers(50)).items():
        assert np.array_equal(again, scores[name])
    rewrite(directory, lambda m: m.update(feature_contract="0" * 16))
    line = refusal(directory)
    assert FORMER in line
    assert "0" * 16 in line


@pytest.mark.parametrize("name", ["baselines.json", "baselines.safetensors"])
def test_a_file_that_is_missing_or_no_file_is_refused(directory: Path, tmp_path: Path, name: str):
    file = directory / name
    file.rename(tmp_path / name)
    assert "expected both" in refusal(directory)
    file.symlink_to(tmp_path / name)
    assert "cannot be read" in refusal(directory)
    file.unlink()
    os.mkfifo(file)
    assert "not a regular file" in refusal(directory)
    file.unlink()
    with file.open("wb") as stream:
        stream.truncate(100 << 20)
    assert "expected at most" in refusal(directory)


def test_every_key_is_needed_and_no_other_is_known(directory: Path):
    original = json.loads((directory / "baselines.json").read_text())
    places: list[list[Any]] = [[], ["weights"], ["scaling"], ["scaling", "arrays"]]
    places += [["baselines", i] for i in range(5)]
    places += [["baselines", i, key] for i in range(5) for key in ("settings", "calibration", "arrays")]
    for place in places:
        for key in (*_at(original, place), "surplus"):
            manifest = json.loads(json.dumps(original))
            spot = _at(manifest, place)
            if key == "surplus":
                spot[key] = 1
            else:
                del spot[key]
            (directory / "baselines.json").write_text(json.dumps(manifest))
            line = refusal(directory)
            assert key in line or key in ("format", "feature_contract")


def test_every_value_of_another_type_is_refused(directory: Path):
    original = json.loads((directory / "baselines.json").read_text())
    for place in _places(original):
        value = _at(original, place)
        number = type(value) in (int, float)
        for wrong in (None, [], {}, "\x1b[2J", True, 10**400):
            if type(wrong) is type(value) and not number:
                continue
            manifest = json.loads(json.dumps(original))
            _at(manifest, place[:-1])[place[-1]] = wrong
            (directory / "baselines.json").write_text(json.dumps(manifest))
            refusal(directory)


def _at(value: Any, place: list[Any]) -> Any:
    for key in place:
        value = value[key]
    return value


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[list[Any]]:
    """Where every value stands, those that hold others as well."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [inner for key in keys for inner in ([*place, key], *_places(value[key], (*place, key)))]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda m: m.update(format="flowvigil-bundle/2"),
            "format: found 'flowvigil-bundle/2', expected flowvigil-baselines/2",
        ),
        (lambda m: m["weights"].update(file="../../etc/passwd"), "weights file is '../../etc/passwd'"),
        (lambda m: m["weights"].update(sha256="0" * 64), "has sha256"),
        (lambda m: m.update(baselines=[]), "baselines is empty"),
        (lambda m: m["baselines"].append(m["baselines"][0]), "different names"),
        (lambda m: m["baselines"].pop(), "nothing names"),
        (lambda m: m["baselines"][0].update(name="../x"), "baseline name"),
        (lambda m: m["baselines"][0].update(kind="pickle"), "kind 'pickle'"),
        (lambda m: m["baselines"][0].update(kind="port_table"), "arrays lacks"),
        (lambda m: m["scaling"]["columns"].append("column_1"), "has shape"),
        (lambda m: m["scaling"]["columns"].__setitem__(0, "column_2"), "twice"),
        (lambda m: m["scaling"]["columns"].__setitem__(0, "\x1b[2J"), "does not describe"),
        (lambda m: m["scaling"]["columns"].__setitem__(0, 7), "does not describe"),
        (lambda m: m["scaling"]["columns"].pop(), "has shape"),
        (lambda m: m["scaling"].update(columns=[]), "empty|expected"),
        (lambda m: m["baselines"][0]["settings"].update(bias=1e20), "beyond"),
        (lambda m: m["baselines"][1]["settings"].update(trees=6), "trees"),
        (lambda m: m["baselines"][2]["settings"].update(trees=9), "trees"),
        (lambda m: m["baselines"][2]["settings"].update(baseline=-1e20), "baseline"),
        (lambda m: m["baselines"][3]["settings"].update(prior=1.01), "share"),
        (lambda m: m["baselines"][4]["settings"].update(column="column_1"), "does not have"),
        (lambda m: m["baselines"][4]["settings"].update(cut=-9), "cut"),
        (lambda m: m["baselines"][3]["calibration"].update(sigma=0), "sigma"),
        (
            lambda m: m["baselines"][3]["arrays"].update({"port_only.ports": "int32 [4]"}),
            "port_only.ports is int32 .3.",
        ),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    directory: Path, change: Callable[[Manifest], object], reason: str
):
    rewrite(directory, change)
    assert re.search(reason, refusal(directory))


def poke(name: str, at: Any, to: float) -> Callable[[Arrays], object]:
    return lambda arrays: arrays[name].__setitem__(at, to)


def recast(name: str, dtype: type) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: arrays[name].astype(dtype)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (poke("random_forest.left", 1, 1), "not after its parent"),
        (poke("random_forest.right", 3, 1 << 30), "outside its tree"),
        (poke("gradient_boosting.left", 0, 0), "not after its parent"),
        (poke("gradient_boosting.feature", 3, 7), "feature is outside 0..6"),
        (poke("gradient_boosting.value", 30, np.nan), "not finite"),
        (poke("gradient_boosting.threshold", 3, np.inf), "not finite"),
        (poke("logistic_regression.weights", 0, np.nan), "not finite"),
        (poke("port_only.ports", 0, -5), "ascend"),
        (poke("port_only.shares", 0, np.nan), "share"),
        (poke("scaling.scale", 0, 0), "scale positive"),
        (poke("scaling.center", 0, np.nan), "finite"),
        (poke("one_column.scores", 0, np.nan), "ascending"),
        (poke("one_column.survival", 5, 0.0), "descend"),
        (recast("logistic_regression.weights", np.float32), "expected float64"),
        (recast("port_only.ports", np.int64), "expected int32"),
        (recast("random_forest.left", np.int64), "expected int32"),
        (lambda a: a.update({"random_forest.value": a["gradient_boosting.value"]}), "forest value|values a leaf"),
        (lambda a: a.update({"gradient_boosting.value": a["gradient_boosting.value"][:, [0, 0]]}), "values a leaf"),
        (lambda a: a.update({"port_only.ports": a["port_only.ports"][:0].copy()}), "not empty"),
        (lambda a: a.update({"logistic_regression.weights": np.ones(6)}), "expected float64 .7,."),
        (lambda a: a.update({"surplus": np.ones(1)}), "nothing names"),
        (lambda a: a.pop("one_column.scores"), "lacks one_column.scores"),
    ],
)
def test_weights_that_do_not_fit_are_refused(directory: Path, change: Callable[[Arrays], object], reason: str):
    reweigh(directory, change)
    assert re.search(reason, refusal(directory))


def test_1000_flipped_bytes_never_raise_anything_else(directory: Path):
    rng = np.random.default_rng(11)
    files = [directory / "baselines.json", directory / "baselines.safetensors"]
    manifest, weights = (file.read_bytes() for file in files)
    old_sum = hashlib.sha256(weights).hexdigest()
    values, ports = raw_values(5, 5), port_numbers(5)
    accepted, refusals = 0, set()
    for turn in range(1000):
        in_manifest = turn % 2 == 0
        target = bytearray(manifest if in_manifest else weights)
        # Half of the flips in the weights hit their header, which is small.
        end = 3000 if not in_manifest and turn % 4 == 1 else len(target)
        for _ in range(1 + turn % 3):
            target[rng.integers(0, end)] ^= int(rng.integers(1, 256))
        found_sum = hashlib.sha256(target).hexdigest()
        contents = (
            (target, weights) if in_manifest else (manifest.replace(old_sum.encode(), found_sum.encode()), target)
        )
        for file, content in zip(files, contents, strict=True):
            with file.open("r+b") as stream:  # in place: truncating would wait for the disk
                stream.write(content)
        try:
            scores = loaded(directory).scores(values, ports)
            assert all(np.isfinite(score).all() for score in scores.values())
            accepted += 1
        except BundleError as error:
            refusals.add(str(error))
    assert len(refusals) > 100
    assert all(refusal.isprintable() for refusal in refusals)
    assert 0 < accepted < 950  # a changed weight or digit is still a model where the sums agree


def test_loading_imports_no_training_library(directory: Path):
    program = (
        "import sys; from models.baselines import load_baselines; from tests.models.builders import make_hybrid; "
        "load_baselines(sys.argv[1], make_hybrid()); "
        "print(sorted({'tensorflow', 'keras', 'sklearn', 'joblib', 'polars'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(directory)], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
