"""`flowvigil model`: which bundles there are, and what one of them is."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sensor.cli.build import bundle_path, shipped_bundles
from sensor.cli.warm_up import _compile_for
from sensor.settings.config import Config
from tests.support.command import flowvigil


def test_the_shipped_bundles_are_listed_the_default_one_first() -> None:
    lines = flowvigil("model", "list").stdout.decode().splitlines()
    assert [line[2:].split()[0] for line in lines] == ["BUNDLE", *shipped_bundles()]
    assert [line[0] for line in lines] == [" ", "*", " ", " ", " "]


def test_bundles_of_a_directory_are_listed_and_one_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("manifest.json", "weights.safetensors"):
        (mine / name).write_bytes((shipped_bundles()["cic2017"] / name).read_bytes())
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "manifest.json").write_text("{")
    result = flowvigil("model", "list", tmp_path, "--json")
    listed = {about["name"]: about for about in map(json.loads, result.stdout.splitlines())}
    assert result.code == 4
    assert listed[str(mine)]["labels"] == listed["cic2017"]["labels"]
    assert listed[str(torn)]["problem"].startswith(f"bundle {torn}: weights.safetensors")


def test_a_bundle_is_shown_as_what_it_is() -> None:
    about = json.loads(flowvigil("model", "show", "--json").stdout)
    assert about == json.loads(flowvigil("model", "show", shipped_bundles()["default"], "--json").stdout) | {
        "name": "default",
        "default": True,
    }
    manifest = json.loads((shipped_bundles()["default"] / "manifest.json").read_bytes())
    assert about["labels"] == {label["name"]: label["technique"] for label in manifest["labels"]}
    text = flowvigil("model", "show").stdout.decode()
    assert manifest["weights"]["sha256"] in text
    assert all(label["name"] in text for label in manifest["labels"])


def test_a_directory_without_a_bundle_is_told_to_have_none(tmp_path: Path) -> None:
    result = flowvigil("model", "list", tmp_path)
    assert result.code == 4
    assert f"! {tmp_path}: bundle {tmp_path}: manifest.json cannot be read" in result.stdout.decode()


@pytest.mark.parametrize(
    "about", [{"sources": 5, "made_by": 10**40}, {"sources": [{}, 1, {"name": ["x"]}, {"name": "y"}]}]
)
def test_whatever_stands_in_the_free_section_of_a_bundle_is_passed_over(about: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes((shipped_bundles()["cic2017"] / "weights.safetensors").read_bytes())
    manifest = json.loads((shipped_bundles()["cic2017"] / "manifest.json").read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"about": about}))
    shown = json.loads(flowvigil("model", "show", tmp_path, "--json").stdout)
    assert (shown["made_by"], shown["sources"]) == (None, ["y"] if isinstance(about["sources"], list) else [])
    assert flowvigil("model", "show", tmp_path).code == 0


def test_the_default_bundle_is_where_it_is_also_for_who_may_not_look_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the user that a sensor becomes, where the installation is root's alone: SIGHUP then says so."""
    default = shipped_bundles()["default"]
    monkeypatch.setattr(Path, "glob", lambda _self, _pattern: iter(()))
    assert bundle_path(None) == default


def test_kernels_are_compiled_for_the_shipped_bundles_whatever_else_has_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(config: Config) -> None:
        raise InterruptedError(str(config.detection.bundle))

    (tmp_path / "cic2017").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules[_compile_for.__module__], "load_model", stop)
    with pytest.raises(InterruptedError, match=str(shipped_bundles()["cic2017"])):
        _compile_for("cic2017", shipped_bundles()["cic2017"])
