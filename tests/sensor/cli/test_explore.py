"""flowvigil explore, as it is typed."""

import json
import sys
from pathlib import Path

import pytest
import typer

from flows.columns import COLUMNS
from sensor.cli.explore import explore
from sensor.errors import InputError, OutputError
from tests.support.command import flowvigil
from tests.training.kdd_lines import record, records, written

for package in ("polars", "scipy", "matplotlib", "jinja2"):
    pytest.importorskip(package)

NAMES = [
    "id",
    "Src IP",
    "Timestamp",
    *(column.v4 for column in COLUMNS if column.use != "never" and column.v4),
    "Label",
]


def dataset(tmp_path: Path, labels: tuple[str, ...] = ("BENIGN", "FTP-Patator"), name: str = "flows.csv") -> Path:
    rows = []
    for i in range(60):
        cells = dict.fromkeys(NAMES, "0") | {"id": str(i), "Src IP": f"10.0.0.{i}", "Protocol": "6"}
        cells |= {"Timestamp": f"2017-07-04 12:{i:02}:00.250000", "Flow Duration": str(1000 * i + 1)}
        cells |= {"Label": labels[i % len(labels)], "Total Fwd Packet": str(i % 7 + 1)}
        rows.append(",".join(cells[name] for name in NAMES))
    path = tmp_path / name
    path.write_text("\n".join([",".join(NAMES), *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.real_start
def test_a_page_is_written_and_its_findings_printed(tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    result = flowvigil("explore", dataset(tmp_path), "-o", page, "--json")
    assert result.code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["families"] == {"BENIGN": 30, "BruteForce": 30}
    assert document["findings"][0] in page.read_text(encoding="utf-8")
    assert result.stderr[-1].startswith(f"page written to {page}")


@pytest.mark.parametrize("given", ["flows.csv", "", "*.csv"])
def test_a_page_takes_the_place_of_no_input(given: str, tmp_path: Path) -> None:
    flows = dataset(tmp_path)
    before = flows.read_bytes()
    with pytest.raises(OutputError, match="found one of the inputs, expected another name for the page"):
        explore(tmp_path / given, flows)
    assert flows.read_bytes() == before


def test_without_json_stdout_stays_empty_and_the_same_data_gives_the_same_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flows, page = dataset(tmp_path, ("BENIGN",)), tmp_path / "x.html"
    explore(flows, page)
    first = page.read_bytes()
    explore(flows, page)
    assert page.read_bytes() == first
    assert capsys.readouterr().out == ""


def test_a_bad_dataset_is_exit_6_with_its_place_and_no_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"flows\.csv:3.*unknown label") as error:
        explore(dataset(tmp_path, ("BENIGN", "Unheard")), tmp_path / "x.html")
    assert error.value.exit_code == 6
    assert not (tmp_path / "x.html").exists()


def test_records_of_kdd_are_told_by_their_content(tmp_path: Path) -> None:
    lines = records(["normal", "neptune", "guess_passwd"] * 20)
    page = tmp_path / "x.html"
    result = flowvigil("explore", written(tmp_path / "named-like.csv", lines), "-o", page, "--json")
    assert result.code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["families"] == {"BENIGN": 20, "DoS": 20, "R2L": 20}
    assert "Failed logins and guessing" in page.read_text(encoding="utf-8")


def test_a_bad_record_of_kdd_is_exit_6_with_its_place_and_no_page(tmp_path: Path) -> None:
    path = written(tmp_path / "kdd.txt", [record(), record("ransomware")])
    with pytest.raises(InputError, match=r"kdd\.txt:2, column \"attack\": unknown attack 'ransomware'") as error:
        explore(path, tmp_path / "x.html")
    assert error.value.exit_code == 6
    assert not (tmp_path / "x.html").exists()


def test_a_table_of_neither_kind_is_exit_6(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is neither a table of flows nor one of KDD records"):
        explore(written(tmp_path / "people.csv", ["name,age", "Ada,36"]), tmp_path / "x.html")


def test_a_dataset_that_is_not_there_is_exit_6(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv"):
        explore(tmp_path / "absent.csv", tmp_path / "x.html")


def test_a_dataset_of_nothing_but_attempts_is_exit_6(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no flows"):
        explore(dataset(tmp_path, ("DoS Hulk - Attempted",)), tmp_path / "x.html")


@pytest.mark.parametrize(("output", "problem"), [("", "is a directory"), ("no/x.html", "no such file or directory")])
def test_a_place_that_takes_no_page_is_exit_7_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, problem: str
) -> None:
    with pytest.raises(OutputError, match=problem) as error:
        explore(dataset(tmp_path), tmp_path / output)
    assert error.value.exit_code == 7
    assert capsys.readouterr().err == ""


def test_packages_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package's name for the module is the command in it.
    monkeypatch.setattr(sys.modules["sensor.cli.explore"], "NEEDS", ("polars", "absent_package"))
    with pytest.raises(typer.BadParameter, match=r"exploring needs absent_package: pip install 'flowvigil\[train\]'"):
        explore(dataset(tmp_path), tmp_path / "x.html")


def test_the_page_has_to_be_named(tmp_path: Path) -> None:
    result = flowvigil("explore", dataset(tmp_path))
    assert result.code == 2
    assert "-o" in result.stderr[-1]


def test_a_hostile_file_name_is_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explore(dataset(tmp_path, ("BENIGN",), name="a\x1b[31m\u202e<b>.csv"), tmp_path / "x.html", as_json=True)
    told = capsys.readouterr()
    assert not {"\x1b", "\u202e"} & set(told.out + told.err)
    assert "a\\x1b[31m\\u202e&lt;b&gt;.csv" in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_the_help_gives_examples() -> None:
    result = flowvigil("explore", "--help")
    assert result.code == 0
    assert b"flowvigil explore cic-ids-2017/ -o cic-ids-2017.html" in result.stdout
