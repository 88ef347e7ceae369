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

from flows.contract import FeatureContract
from models.bundle import BundleError, load_bundle, save_bundle
from models.fusion import Hybrid, Member
from tests.models.builders import CONTRACT, LABELS, make_logistic, make_steps, restate

ABOUT = {"recipe": "test", "metrics": [{"split": "time", "recall": 0.5}], "note": "naïve µ"}
Manifest = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


@pytest.fixture
def bundle(hybrid: Hybrid, tmp_path: Path) -> Path:
    save_bundle(tmp_path / "bundle", hybrid, ABOUT)
    return tmp_path / "bundle"


def refusal(path: Path, contract: FeatureContract = CONTRACT) -> str:
    """The line a bundle is refused with."""
    with pytest.raises(BundleError) as caught:
        load_bundle(path, contract)
    line = str(caught.value)
    assert line.isprintable()
    assert 20 < len(line) < 1000
    return line


def rewrite(path: Path, change: Callable[[Manifest], object]) -> None:
    file = path / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def reweigh(path: Path, change: Callable[[Arrays], object], *, forms: bool = True) -> None:
    """Change arrays as an attacker would, who makes sums and shapes in the manifest agree."""
    file = path / "weights.safetensors"
    arrays = safetensors.numpy.load(file.read_bytes())
    change(arrays)
    file.write_bytes(safetensors.numpy.save(arrays))
    rewrite(path, lambda manifest: _agree(manifest, file.read_bytes(), arrays if forms else {}))


def _agree(manifest: Manifest, weights: bytes, arrays: Arrays) -> None:
    manifest["weights"]["sha256"] = hashlib.sha256(weights).hexdigest()
    for detector in manifest["detectors"]:
        for name in detector["arrays"]:
            if name in arrays:
                array = arrays[name]
                detector["arrays"][name] = f"{array.dtype} [{', '.join(map(str, array.shape))}]"


def test_a_loaded_bundle_judges_as_the_saved_model(hybrid: Hybrid, bundle: Path):
    loaded = load_bundle(bundle, CONTRACT)
    steps = make_steps(300, 20)
    for rate in (None, 0.001, 0.01, 0.05):
        hybrid.forget()
        loaded.forget()
        ours, theirs = loaded.judge(steps, rate), hybrid.judge(steps, rate)
        assert ours.scores.keys() == theirs.scores.keys() == {"lstm", "rforest", "iforest"}
        for name in ("verdict", "p_known", "p_novel", "label"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name))
        assert all(np.array_equal(ours.scores[name], theirs.scores[name]) for name in ours.scores)


def test_a_loaded_bundle_says_what_it_is(hybrid: Hybrid, bundle: Path):
    loaded = load_bundle(str(bundle), CONTRACT)
    assert (loaded.labels, loaded.techniques) == (LABELS, (None, "T1046", "T1499"))
    assert (loaded.model_id, loaded.contract, loaded.about) == ("test-1", CONTRACT, ABOUT)
    assert loaded.feature_contract == hybrid.feature_contract
    assert loaded.sha256 == hashlib.sha256((bundle / "weights.safetensors").read_bytes()).hexdigest()
    assert loaded.thresholds == hybrid.thresholds
    assert loaded.normal.columns == hybrid.normal.columns
    for name in ("p01", "median", "p99", "p999"):
        assert np.array_equal(getattr(loaded.normal, name), getattr(hybrid.normal, name))


def test_the_same_model_saves_to_the_same_bytes(bundle: Path, tmp_path: Path):
    save_bundle(tmp_path / "again", load_bundle(bundle, CONTRACT), ABOUT)
    assert sorted(file.name for file in bundle.iterdir()) == ["manifest.json", "weights.safetensors"]
    for file in bundle.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_the_manifest_reads_by_lines(bundle: Path):
    text = (bundle / "manifest.json").read_text()
    assert max(map(len, text.splitlines())) <= 120
    assert '  "model_id": "test-1",\n' in text
    assert '    {"name": "PortScan", "technique": "T1046"},' in text
    assert "naïve µ" in text
    detector = json.loads(text)["detectors"][0]
    assert (detector["name"], detector["kind"], detector["lane"]) == ("lstm", "lstm", "known")
    assert detector["arrays"]["lstm.kernel"] == "float32 [8, 32]"
    assert detector["settings"] == {"units": 8, "reset_ns": 600_000_000_000, "dt_center": 0.7, "dt_scale": 1.3}


def test_long_lists_fill_their_lines(hybrid: Hybrid, tmp_path: Path):
    about = {"rows": list(range(300)), "mixed": [["x" * 90], "y" * 90, 1, {"z": "w" * 200}]}
    save_bundle(tmp_path, hybrid, about)
    text = (tmp_path / "manifest.json").read_text()
    assert load_bundle(tmp_path, CONTRACT).about == about
    assert "      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11" in text


def test_saving_over_a_bundle_replaces_it(hybrid: Hybrid, bundle: Path):
    save_bundle(bundle, hybrid, {"second": True})
    assert load_bundle(bundle, CONTRACT).about == {"second": True}


def test_what_could_not_be_loaded_is_not_saved(hybrid: Hybrid, tmp_path: Path):
    with pytest.raises(ValueError, match="could not be loaded again"):
        save_bundle(tmp_path / "b", hybrid, {"x": "\ud800"})
    with pytest.raises(ValueError, match="could not be loaded again: model_id"):
        save_bundle(tmp_path / "b", replace(hybrid, model_id="a b"), {})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_bundle(tmp_path / "b", hybrid, {"x": float("nan")})
    assert not (tmp_path / "b").exists()


def test_another_feature_contract_is_refused_naming_both(bundle: Path):
    rewrite(bundle, lambda manifest: manifest["feature_contract"].update(column_3="fedcba98"))
    line = refusal(bundle)
    assert "'column_3'" in line
    assert CONTRACT.columns["column_3"] in line
    assert "fedcba98" in line


def test_missing_things_are_refused(bundle: Path, tmp_path: Path):
    assert "no such file" in refusal(tmp_path / "nowhere")
    (bundle / "weights.safetensors").rename(tmp_path / "w")
    assert "weights.safetensors cannot be read" in refusal(bundle)
    (bundle / "manifest.json").unlink()
    assert "manifest.json cannot be read" in refusal(bundle)


def test_a_file_in_place_of_the_directory_is_refused(bundle: Path):
    assert "not a directory" in refusal(bundle / "manifest.json")


def test_strange_paths_are_refused_in_one_line(tmp_path: Path):
    for name in ("new\nline", "escape\x1b[31m", "nul\0byte", "x" * 400):
        refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_links_pipes_directories_and_huge_files_are_refused(bundle: Path, tmp_path: Path, name: str):
    file = bundle / name
    file.rename(tmp_path / name)
    file.symlink_to(tmp_path / name)
    assert "cannot be read" in refusal(bundle)
    file.unlink()
    os.mkfifo(file)
    assert "not a regular file" in refusal(bundle)
    file.unlink()
    file.mkdir()
    assert "not a regular file" in refusal(bundle)
    file.rmdir()
    with file.open("wb") as stream:
        stream.truncate(600 << 20)
    assert "expected at most" in refusal(bundle)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe{}",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b'{"format": NaN}',
        b'{"a": 1, "a": 1}',
        b"[" * 200_000,
        b'{"a": ' * 5000 + b"1" + b"}" * 5000,
        b"1" * 10_000,
        b'{"format": "flowvigil-bundle/2", "x": "\\ud800"}',
        b'{"format": "flowvigil-bundle/2"}',
        b'{"format": "flowvigil-bundle/1"}',
        b'{"format": "flowvigil-bundle/3"}',
        b"{}",
    ],
)
def test_a_manifest_that_is_none_is_refused(bundle: Path, content: bytes):
    (bundle / "manifest.json").write_bytes(content)
    refusal(bundle)


def test_every_key_is_needed_and_no_other_is_known(bundle: Path):
    original = json.loads((bundle / "manifest.json").read_text())
    places: list[list[Any]] = [[], ["weights"], ["labels", 0], ["thresholds", 0], ["detectors", 0], ["normal", 0]]
    places += [["detectors", i, key] for i in range(3) for key in ("settings", "calibration", "arrays")]
    for place in places:
        for key in (*_at(original, place), "surplus"):
            manifest = json.loads(json.dumps(original))
            spot = _at(manifest, place)
            if key == "surplus":
                spot[key] = 1
            else:
                del spot[key]
            (bundle / "manifest.json").write_text(json.dumps(manifest))
            line = refusal(bundle)
            assert key in line or key in ("format", "feature_contract")


def test_every_value_of_another_type_is_refused(bundle: Path):
    original = json.loads((bundle / "manifest.json").read_text())
    for place in _leaves(original):
        if place[0] == "about":
            continue
        value = _at(original, place)
        numbers_do = isinstance(value, float | int) and not isinstance(value, bool)
        for wrong in (None, [], {}, "\x1b[2J", True, -1, 1e308, 10**400, 0.5):
            if type(wrong) is type(value) or (numbers_do and isinstance(wrong, int | float)):
                continue
            if wrong is None and place[-1] == "technique":
                continue
            manifest = json.loads(json.dumps(original))
            _at(manifest, place[:-1])[place[-1]] = wrong
            (bundle / "manifest.json").write_text(json.dumps(manifest))
            refusal(bundle)


def _at(value: Any, place: list[Any]) -> Any:
    for key in place:
        value = value[key]
    return value


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> list[list[Any]]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in _leaves(value[key], (*place, key))]
    if isinstance(value, list):
        return [leaf for i in range(min(2, len(value))) for leaf in _leaves(value[i], (*place, i))]
    return [list(place)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m["weights"].update(file="../../etc/passwd"), "weights file is '../../etc/passwd'"),
        (lambda m: m["weights"].update(sha256="0" * 64), "has sha256"),
        (lambda m: m.update(model_id="a b"), "model_id"),
        (lambda m: m["about"].update(note="\ud800"), "surrogates not allowed"),
        (lambda m: m.update(fusion="sum"), "fusion is 'sum'"),
        (lambda m: m.update(default_rate=0.5), "default rate"),
        (lambda m: m.update(labels=[]), "labels is empty"),
        (lambda m: m["labels"].pop(), "has shape"),
        (lambda m: m["labels"][1].update(technique="T1"), "ATT&CK"),
        (lambda m: m["labels"][1].update(name="\n"), "not printable"),
        (lambda m: m["thresholds"].append(m["thresholds"][0]), "twice"),
        (lambda m: m["thresholds"][0].update(known=2.0), "two p-values"),
        (lambda m: m["normal"][0].update(p01=1e9), "out of order"),
        (lambda m: m["normal"].append(m["normal"][0]), "twice"),
        (lambda m: m["normal"].pop(), "11 columns that are not the 12 of the feature contract"),
        (lambda m: m["normal"].reverse(), "not the 12 of the feature contract in their order"),
        (lambda m: m["feature_contract"].update(column_3=None), "column_3 is null"),
        (lambda m: m["normal"].pop() and restate(m), "does not describe"),
        (lambda m: m["detectors"].append(m["detectors"][0]), "different names"),
        (lambda m: m["detectors"].pop(), "nothing names"),
        (lambda m: m["detectors"][0].update(name="../x"), "detector name"),
        (lambda m: m["detectors"][0].update(kind="pickle"), "kind 'pickle'"),
        (lambda m: m["detectors"][0].update(kind="isolation_forest"), "arrays lacks"),
        (lambda m: m["detectors"][0].update(lane="fast"), "lane 'fast'"),
        (lambda m: m["detectors"][0]["columns"].append("column_1"), "has shape"),
        (lambda m: m["detectors"][0]["columns"].__setitem__(0, "column_2"), "twice"),
        (lambda m: m["detectors"][0]["columns"].__setitem__(0, []), "does not describe"),
        (lambda m: m["detectors"][0].update(columns=[]), "expected \\(0,\\)|empty"),
        (lambda m: m["detectors"][0]["settings"].update(reset_ns=-1), "reset_ns"),
        (lambda m: m["detectors"][0]["settings"].update(reset_ns=10**30), "reset_ns"),
        (lambda m: m["detectors"][0]["settings"].update(dt_scale=0), "dt_scale"),
        (lambda m: m["detectors"][0]["settings"].update(units=9), "units"),
        (lambda m: m["detectors"][2]["settings"].update(psi=0), "psi"),
        (lambda m: m["detectors"][2]["settings"].update(psi=10**400), "psi"),
        (lambda m: m["detectors"][2]["settings"].update(trees=21), "trees"),
        (lambda m: m["detectors"][0]["calibration"].update(count=0), "count"),
        (lambda m: m["detectors"][0]["calibration"].update(sigma=0), "sigma"),
        (lambda m: m["detectors"][0]["calibration"].update(shape=7), "shape 7"),
        (lambda m: m["detectors"][0]["calibration"].update(tail_share=0), "share"),
        (lambda m: m["detectors"][0]["arrays"].update({"lstm.bias": "float32 [9]"}), "lstm.bias is float32 .32."),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    bundle: Path, change: Callable[[Manifest], object], reason: str
):
    rewrite(bundle, change)
    assert re.search(reason, refusal(bundle))


def poke(name: str, at: Any, to: float) -> Callable[[Arrays], object]:
    return lambda arrays: arrays[name].__setitem__(at, to)


def recast(name: str, dtype: type) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: arrays[name].astype(dtype)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (poke("iforest.left", 0, 0), "not after its parent"),
        (poke("iforest.left", 1, 1), "not after its parent"),
        (poke("iforest.right", 3, 1 << 30), "outside its tree"),
        (poke("iforest.left", 3, -7), "outside its tree"),
        (poke("iforest.feature", 3, 7), "feature is outside 0..6"),
        (poke("iforest.feature", 30, -1), "feature is outside 0..6"),
        (poke("iforest.roots", 1, 5), "child lies outside its tree"),
        (poke("iforest.value", 3, np.nan), "not finite"),
        (poke("rforest.threshold", 3, np.inf), "not finite"),
        (poke("lstm.kernel", (0, 0), np.nan), "kernel is not finite"),
        (poke("lstm.head_bias", 0, np.inf), "head_bias is not finite"),
        (poke("lstm.recurrent", (0, 0), 1e30), "beyond"),
        (poke("lstm.scale", 0, 0), "scale positive"),
        (poke("lstm.center", 0, np.nan), "finite"),
        (poke("lstm.scores", 0, np.nan), "ascending"),
        (poke("lstm.survival", 5, 0.0), "descend"),
        (recast("lstm.kernel", np.float64), "expected float32"),
        (recast("lstm.bias", np.float16), "expected float32"),
        (recast("iforest.left", np.int64), "expected int32"),
        (recast("iforest.value", np.uint8), "expected float64"),
        (lambda a: a.update({"lstm.kernel": a["lstm.kernel"][:-1].copy()}), "kernel has shape"),
        (lambda a: a.update({"lstm.bias": a["lstm.bias"][None].copy()}), "of 1 dimensions"),
        (lambda a: a.update({"lstm.bias": a["lstm.bias"][:0].copy()}), "not empty"),
        (lambda a: a.update({"iforest.value": a["rforest.value"]}), "expected float64"),
        (lambda a: a.pop("lstm.bias"), "lacks lstm.bias"),
        (lambda a: a.update(surplus=np.zeros(3)), "nothing names"),
    ],
)
def test_weights_that_are_no_model_are_refused_though_the_sums_agree(
    bundle: Path, change: Callable[[Arrays], object], reason: str
):
    reweigh(bundle, change)
    assert reason in refusal(bundle)


def test_a_table_of_ports_stands_in_no_lane(hybrid: Hybrid, tmp_path: Path):
    (iforest,) = hybrid.novel
    plain = make_logistic()
    save_bundle(tmp_path, replace(hybrid, novel=(Member(plain, iforest.calibration),)), ABOUT)
    arrays = {"ports": np.array([80], dtype=np.int32), "shares": np.array([0.5])}
    name = plain.name

    def swap(held: Arrays) -> None:
        del held[f"{name}.weights"]
        held.update({f"{name}.{role}": array for role, array in arrays.items()})

    def rename(manifest: Manifest) -> None:
        entry = manifest["detectors"][2]
        entry.update(kind="port_table", settings={"prior": 0.1})
        del entry["arrays"][f"{name}.weights"]
        entry["arrays"].update({f"{name}.ports": "int32 [1]", f"{name}.shares": "float64 [1]"})

    reweigh(tmp_path, swap)
    rewrite(tmp_path, rename)
    assert "of kind 'port_table', which looks at no columns and stands in no lane" in refusal(tmp_path)


def _header(weights: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(weights[:8], "little")
    return json.loads(weights[8 : 8 + size]), weights[8 + size :]


@pytest.mark.parametrize(
    "claim",
    [
        {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 128]},
        {"dtype": "F32", "shape": [1 << 62, 4], "data_offsets": [0, 128]},
        {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 128]},
        {"dtype": "F32", "shape": [32], "data_offsets": [128, 0]},
        {"dtype": "F32", "shape": [32], "data_offsets": [0, 1 << 63]},
        {"dtype": "BF16", "shape": [64], "data_offsets": [0, 128]},
        {"dtype": "F8_E4M3", "shape": [128], "data_offsets": [0, 128]},
        {"dtype": "F4", "shape": [256], "data_offsets": [0, 128]},
        {"dtype": "object", "shape": [16], "data_offsets": [0, 128]},
    ],
)
def test_a_weights_file_with_a_lying_header_is_refused(bundle: Path, claim: dict[str, Any]):
    file = bundle / "weights.safetensors"
    header, body = _header(file.read_bytes())
    for entries in ({"lstm.bias": claim}, header | {"lstm.bias": claim}):
        text = json.dumps(entries).encode()
        weights = len(text).to_bytes(8, "little") + text + body
        file.write_bytes(weights)
        rewrite(bundle, lambda manifest, weights=weights: _agree(manifest, weights, {}))
        refusal(bundle)


def test_a_header_that_claims_to_be_huge_is_refused(bundle: Path):
    file = bundle / "weights.safetensors"
    for size in (0, 1 << 20, 1 << 40, (1 << 64) - 1):
        weights = size.to_bytes(8, "little") + file.read_bytes()[8:]
        file.write_bytes(weights)
        rewrite(bundle, lambda manifest, weights=weights: _agree(manifest, weights, {}))
        assert "not a safetensors file" in refusal(bundle)


def overwrite(file: Path, content: bytes) -> None:
    """In place: truncating a file thousands of times would wait for the disk."""
    with file.open("r+b") as stream:
        stream.write(content)


def test_2000_flipped_bytes_never_raise_anything_else(bundle: Path):
    rng = np.random.default_rng(11)
    manifest_file, weights_file = bundle / "manifest.json", bundle / "weights.safetensors"
    manifest, weights = manifest_file.read_bytes(), weights_file.read_bytes()
    text = manifest.decode()
    old_sum = hashlib.sha256(weights).hexdigest()
    loaded, refusals = 0, set()
    steps = make_steps(20, 3)
    for turn in range(2000):
        in_manifest = turn % 2 == 0
        target = bytearray(manifest if in_manifest else weights)
        # Half of the flips in the weights hit their header, which is small.
        end = 3000 if not in_manifest and turn % 4 == 1 else len(target)
        for _ in range(1 + turn % 3):
            target[rng.integers(0, end)] ^= int(rng.integers(1, 256))
        overwrite(manifest_file if in_manifest else weights_file, bytes(target))
        if not in_manifest and turn % 8 != 3:  # an attacker's sums agree
            overwrite(manifest_file, text.replace(old_sum, hashlib.sha256(target).hexdigest()).encode())
        try:
            judgement = load_bundle(bundle, CONTRACT).judge(steps)
            loaded += 1
            assert np.isfinite(judgement.p_known).all()
            assert np.isfinite(judgement.p_novel).all()
        except BundleError as error:
            refusals.add(str(error))
        overwrite(manifest_file, manifest)
        overwrite(weights_file, weights)
    assert len(refusals) > 100
    assert all(refusal.isprintable() for refusal in refusals)
    assert 0 < loaded < 1900  # a changed weight or digit is still a model where the sums agree


def test_a_changed_byte_anywhere_in_the_weights_is_refused(bundle: Path):
    file = bundle / "weights.safetensors"
    weights = file.read_bytes()
    for at in np.linspace(0, len(weights) - 1, 60).astype(int):
        file.write_bytes(weights[:at] + bytes([weights[at] ^ 1]) + weights[at + 1 :])
        assert "has sha256" in refusal(bundle)
    file.write_bytes(weights[:-1])
    assert "has sha256" in refusal(bundle)


def test_loading_imports_no_training_library(bundle: Path):
    program = (
        "import sys; from models.bundle import load_bundle; from tests.models.builders import CONTRACT; "
        "load_bundle(sys.argv[1], CONTRACT); "
        "print(sorted({'tensorflow', 'keras', 'sklearn', 'joblib', 'polars'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(bundle)], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
