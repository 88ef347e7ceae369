"""flowvigil evaluate: the agreed JSON, a whole page or none, and one line for what cannot be judged."""

import errno
import json
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from flows.columns import INDEX
from models.baselines import save_baselines
from models.bundle import save_bundle
from models.detector import Vector
from sensor.cli import extras
from sensor.cli.evaluate import EvaluationProtocol, evaluate
from sensor.errors import InputError, ModelError, OutputError, SensorError
from tests.support.command import flowvigil
from tests.support.evaluations import as_csv, forests, table
from training import memory
from training.datasets.collection import read_dataset
from training.datasets.table import FlowTable
from training.evaluation import scored
from training.fit.baselines import fit_baselines


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a bundle, its baselines, and files of flows."""
    for package in ("polars", "sklearn", "matplotlib", "jinja2"):
        pytest.importorskip(package)
    directory = tmp_path_factory.mktemp("evaluate")
    flows = table(scans=150, floods=120)
    hybrid = forests(flows)
    save_bundle(directory / "bundle", hybrid, {"warnings": ["made up"]})
    columns = {name: INDEX[name] for name in ("fwd_bytes", "bwd_bytes")}
    save_baselines(directory / "bundle", fit_baselines(flows, flows, columns, 1), hybrid)
    other = table(seed=8)
    as_csv(other, directory / "flows.csv")
    as_csv(other.take(other.family == "BENIGN"), directory / "normal.csv")
    as_csv(other.take(other.family != "BENIGN"), directory / "attacks.csv")
    return directory


@pytest.fixture(scope="module")
def content(made: Path) -> dict[str, Any]:
    result = flowvigil("evaluate", made / "bundle", made / "flows.csv", "--json", "-o", made / "page.html")
    assert result.code == 0, result.stderr
    return dict(json.loads(result.stdout))


def evaluated(made: Path, file: str, *arguments: object) -> None:
    """The command, as its line would call it, without a process of its own."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    settings: dict[str, Any] = {
        "protocol": EvaluationProtocol.TIME,
        "day": None,
        "rehome": None,
        "seed": 1,
        "as_json": False,
    }
    settings |= {"output": None, "data": None} | options
    evaluate(made / "bundle", made / file, **settings)


def test_the_json_has_the_agreed_keys_for_every_member(content: dict[str, Any]) -> None:
    assert (content["protocol"], content["n"]) == ("time", 1000)
    assert content["prevalence"] == pytest.approx(0.1)
    names = ["hybrid", "lstm", "iforest", "logistic_regression", "random_forest", "gradient_boosting"]
    assert list(content["members"])[:6] == names
    for block in (content["members"], content["rehomed"]["members"]):
        for member in block.values():
            assert list(member["rates"]) == ["0.01", "0.05"]
            assert member["rates"]["0.01"]["per_class"]["Portscan"]["n"] == 60


def test_the_page_is_whole_and_gives_the_line_that_makes_it_again(content: dict[str, Any], made: Path) -> None:
    page = (made / "page.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert page.count("<svg") > 20
    assert f"--protocol time --rehome {content['rehomed']['hosts']} --seed 1 -o {made / 'page.html'}" in page
    assert "Of the bundle: made up" in page
    assert not list(made.glob(".page*"))


def test_the_same_question_gives_the_same_bytes(
    content: dict[str, Any], made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = (made / "page.html").read_bytes()
    evaluated(made, "flows.csv", "as_json", True, "output", made / "page.html")
    assert json.loads(capsys.readouterr().out) == content
    assert (made / "page.html").read_bytes() == first


def test_without_json_the_figures_come_as_a_table_and_progress_goes_to_stderr(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(made, "flows.csv", "day", ["2017-07-04"], "rehome", 3)
    written = capsys.readouterr()
    lines = written.out.splitlines()
    assert "re-homed onto 3 hosts" in lines[0]
    assert sum("hybrid " in line for line in lines) >= 2
    assert any(line.startswith("judging") for line in written.err.splitlines())


def test_a_dataset_below_the_data_directory_is_found(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="single class"):
        evaluate(made / "bundle", Path("normal.csv"), data=made)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["normal.csv"], 6, "has a single class, BENIGN"),
        (["attacks.csv"], 6, "has no normal traffic"),
        (["absent.csv"], 6, "absent.csv"),
        (["flows.csv", "day", ["2018-01-01"]], 6, "has no flows of 2018-01-01; its days are 2017-07-03, 2017-07-04"),
        (["flows.csv", "output", Path("nowhere/page.html")], 7, "cannot be written"),
        (["flows.csv", "protocol", EvaluationProtocol.RANDOM], 4, "holds no recipe"),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    made: Path, arguments: list[Any], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if code == 4 and find_spec("tensorflow") is None:
        pytest.skip("needs the train extra")
    with pytest.raises(SensorError, match=words) as error:
        evaluated(made, *arguments)
    assert error.value.exit_code == code
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


def test_a_full_directory_for_temporary_files_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _first: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def column(flows: int, value: float) -> Vector:
        monkeypatch.setattr(os, "posix_fallocate", full)
        return first_column(flows, value)

    first_column = scored._full  # is made once the flows are read
    monkeypatch.setattr(scored, "_full", column)
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 0)
    with pytest.raises(OutputError, match=f"^{tempfile.gettempdir()}: rows cannot be kept there .*: no space left; TM"):
        evaluated(made, "flows.csv")


def test_what_a_bundle_says_of_itself_cannot_steer_the_terminal(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = read_dataset(made / "flows.csv", lambda _: None).sha256
    about = {"dataset": {"sha256": digest}, "days": {"fit": ["2017-07-03", "\x1b[2J"]}}
    save_bundle(tmp_path / "bundle", forests(table()), about)
    evaluated(tmp_path, str(made / "flows.csv"))
    written = capsys.readouterr()
    assert "2017-07-03, \\x1b[2J" in written.out
    assert "\x1b" not in written.out + written.err


def test_a_day_that_is_no_date_is_a_fault_of_usage(made: Path) -> None:
    with pytest.raises(typer.BadParameter, match="'yesterday' is not a date"):
        evaluated(made, "flows.csv", "day", ["yesterday"])


def test_a_missing_package_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "jinja2" else name)
    with pytest.raises(typer.BadParameter, match="evaluation needs jinja2: pip install 'flowvigil\\[train\\]'"):
        evaluated(made, "flows.csv")


def test_a_bundle_of_another_contract_is_a_fault_of_the_model(made: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for file in (made / "bundle").iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["feature_contract"]["fwd_bytes"] = "0" * 8
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="column 'fwd_bytes' has another unit or definition here"):
        evaluated(tmp_path, str(made / "flows.csv"))


def test_attacks_added_to_the_file_leave_the_false_alarms_as_they_were(
    content: dict[str, Any], made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flows = table(seed=8)
    attacks = np.flatnonzero(flows.family != "BENIGN")
    more: FlowTable = flows.take(np.sort(np.concatenate([np.arange(len(flows)), attacks])))
    as_csv(more, made / "more.csv")
    evaluated(made, "more.csv", "as_json", True)
    doubled = json.loads(capsys.readouterr().out)
    assert doubled["n"] == 1100
    for name, member in doubled["members"].items():
        for rate, row in member["rates"].items():
            before = content["members"][name]["rates"][rate]
            assert (row["fpr"], row["threshold"]) == (before["fpr"], before["threshold"])


def test_help_shows_how_it_is_asked(made: Path) -> None:
    del made
    text = flowvigil("evaluate", "--help").stdout.decode()
    assert "flowvigil evaluate mine thursday.csv.gz -o report.html" in text
    assert "inflated" in text
