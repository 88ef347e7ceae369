"""Whether a fit was made again as it was, and how far it is from it."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import safetensors.numpy

from sensor.cli.build import bundle_path
from training.reproduction import compared, main


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path(None), tmp_path / "made"))


def test_the_same_files_are_the_same(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["reproduction", str(bundle_path(None)), str(made)])
    assert main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "same hash"


def test_what_differs_is_told_with_how_far(made: Path):
    weights = safetensors.numpy.load_file(made / "weights.safetensors")
    weights["lstm.bias"] = weights["lstm.bias"] + 0.25
    weights["another"] = weights["lstm.scores"]
    safetensors.numpy.save_file(weights, made / "weights.safetensors")
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["about"]["versions"]["numpy"] = "0.1"
    (made / "manifest.json").write_text(json.dumps(manifest))
    (made / "baselines.json").unlink()
    same, lines = compared(bundle_path(None), made)
    text = "\n".join(lines)
    assert not same
    assert "lstm.bias: 256 of 256 numbers differ, by 0.25 at most" in text
    assert "another: only in one of them" in text
    assert "about.versions.numpy: " in text
    assert f"baselines.json: only in {bundle_path(None)}" in text
    assert "baselines.safetensors: same hash" in text
    assert lines[-1] == "not the same"


def test_two_directories_without_a_bundle_are_no_same_bundle(tmp_path: Path):
    same, lines = compared(tmp_path / "one", tmp_path / "other")
    assert not same
    assert lines[-1] == "not the same"
