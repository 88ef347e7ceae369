"""flowvigil train and evaluate with connection records: exit codes, names and progress."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from sensor.cli import extras
from sensor.cli.evaluate import EvaluationProtocol, evaluate
from sensor.cli.train import train
from sensor.errors import InputError, ModelError
from tests.support.command import flowvigil
from tests.support.kdd_tables import as_kdd_text, kdd_table, recipe_text
from training.datasets.packed import sha256_of

for package in ("polars", "sklearn", "matplotlib", "jinja2"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that the command fitted, its file, and another one."""
    directory = tmp_path_factory.mktemp("kdd")
    digest = sha256_of(as_kdd_text(kdd_table(), directory / "train.txt"))
    (directory / "small.yaml").write_text(recipe_text(digest), encoding="utf-8")
    as_kdd_text(kdd_table(seed=2), directory / "test.txt")
    train(directory / "small.yaml", directory / "bundle", directory)
    return directory


def evaluated(made: Path, **options: Any) -> None:
    settings: dict[str, Any] = {
        "protocol": EvaluationProtocol.TIME,
        "day": None,
        "rehome": None,
        "seed": 1,
        "as_json": True,
    }
    settings |= {"output": None, "data": None, "beside": None} | options
    evaluate(made / "bundle", settings.pop("dataset", made / "test.txt"), **settings)


def test_training_on_records_needs_no_tensorflow_and_says_how_to_measure_the_fit(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "tensorflow" else name)
    (tmp_path / "bundle").mkdir()
    monkeypatch.chdir(tmp_path / "bundle")
    train(made / "small.yaml", Path(), made)
    written = capsys.readouterr()
    lines = written.err.splitlines()
    assert written.out == ""
    assert sum(line.startswith("reading ") for line in lines) == 1
    assert "flowvigil evaluate" in lines[-2]
    assert "random split" not in written.err
    for file in ("manifest.json", "weights.safetensors", "baselines.json", "baselines.safetensors"):
        assert (tmp_path / "bundle" / file).read_bytes() == (made / "bundle" / file).read_bytes()


def test_training_on_flows_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Path(__file__).resolve().parents[3] / "configs" / "training" / "cic2017.yaml"
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "tensorflow" else name)
    with pytest.raises(typer.BadParameter, match="training needs tensorflow"):
        train(recipe, tmp_path / "bundle", tmp_path)


def test_refitting_records_needs_no_tensorflow(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = {name for name in sys.modules if name.split(".")[0] == "tensorflow"}
    evaluated(made, protocol=EvaluationProtocol.RANDOM)
    assert {name for name in sys.modules if name.split(".")[0] == "tensorflow"} == loaded
    assert json.loads(capsys.readouterr().out)["inflated"]


def test_the_separate_file_is_the_protocol_time_by_another_name(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(made, protocol=EvaluationProtocol.TIME)
    first = capsys.readouterr().out
    evaluated(made, protocol=EvaluationProtocol.FILE)
    assert capsys.readouterr().out == first
    assert json.loads(first)["protocol"] == "time"


def test_the_page_gives_a_line_without_hosts_that_makes_it_again(made: Path, tmp_path: Path) -> None:
    from html import unescape

    evaluated(made, output=tmp_path / "page.html", beside=made / "bundle", dataset=Path("test.txt"), data=made)
    page = unescape((tmp_path / "page.html").read_text(encoding="utf-8"))
    ending = f"--protocol time --seed 1 --beside {made / 'bundle'} --data {made} -o {tmp_path / 'page.html'}"
    assert f"flowvigil evaluate {made / 'bundle'} test.txt {ending}" in page


def test_another_bundle_that_does_not_load_is_told_before_anything_is_judged(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(shutil.copytree(made / "bundle", tmp_path / "broken"))
    (broken / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"weights\.safetensors has sha256"):
        evaluated(made, beside=broken)
    assert "judging" not in capsys.readouterr().err


@pytest.mark.parametrize("option", [{"rehome": 3}, {"day": ["2017-07-03"]}])
def test_options_for_flows_are_faults_of_usage(made: Path, option: dict[str, Any]) -> None:
    with pytest.raises(typer.BadParameter, match="which have no days and no hosts; expected no --day and no --rehome"):
        evaluated(made, **option)


def test_flows_for_a_bundle_of_records_are_a_fault_of_input(made: Path, tmp_path: Path) -> None:
    flows = tmp_path / "flows.csv"
    flows.write_text("Flow ID,Src IP,Label\na,10.0.0.1,BENIGN\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"flows\.csv.*\(small judges records of NSL-KDD or KDD'99\)") as error:
        evaluated(made, dataset=flows)
    assert error.value.exit_code == 6
    assert "\n" not in str(error.value)


@pytest.mark.real_start
def test_a_shipped_bundle_goes_by_its_name(made: Path) -> None:
    result = flowvigil("evaluate", "nsl-kdd-flow", made / "test.txt", "--data", made, "--json")
    assert result.code == 0, result.stderr
    content = json.loads(result.stdout)
    assert content["bundle"]["model_id"] == "nsl-kdd-flow"
    assert content["records"]["columns"] == 28
