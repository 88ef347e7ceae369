"""flowvigil evaluate --protocol networks: the alerts that read gives, the figures in each form, one line of fault."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from flows.batch import END_NS, IDENTITY_WIDTH, REPORTED_NS
from models.bundle import save_bundle
from models.detector import FlowSteps, Vector
from sensor.cli.build import load_model
from sensor.cli.evaluate import EvaluationProtocol, evaluate
from sensor.cli.replay import DefaultSensor
from sensor.errors import InputError, ModelError
from sensor.rehearsal.replay import told_at
from sensor.settings.config import effective_config
from tests.support.command import flowvigil
from tests.support.evaluations import FlowsOfHost, forests, hybrid, table
from tests.support.networks import NETWORKS, made_networks, write_index
from tests.support.past_memory import past_memory, small_ones

pytestmark = pytest.mark.takes(25)


@pytest.fixture(scope="module", autouse=True)
def needs_the_train_extra() -> None:
    for package in ("polars", "sklearn", "matplotlib", "jinja2"):
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with captures of several networks and their index."""
    directory = tmp_path_factory.mktemp("networks")
    made_networks(directory)
    return directory


@pytest.fixture(scope="module")
def content(made: Path) -> dict[str, Any]:
    result = flowvigil("evaluate", "cic2017", made, "--protocol", "networks", "--json", "-o", made / "page.html")
    assert result.code == 0, result.stderr
    return dict(json.loads(result.stdout))


def evaluated(made: Path, *arguments: object) -> None:
    """The command, as its line would call it, without a process of its own."""
    options: dict[str, Any] = {"protocol": EvaluationProtocol.NETWORKS, "day": None, "rehome": None, "seed": 1}
    options |= {"as_json": False, "output": None, "data": None}
    evaluate(Path("cic2017"), made, **(options | dict(zip(arguments[::2], arguments[1::2], strict=True))))


@pytest.mark.parametrize("name", ["north-attacked.pcap", "scan.pcap", "south.pcap"])
def test_alerts_are_those_of_read(made: Path, name: str) -> None:
    """Each with its last line, in the order in which they open, and with the flows it rests on."""
    said = [json.loads(line) for line in flowvigil("read", made / name, "--json").stdout.splitlines()]
    alerts = {line["event"]["id"]: line for line in said if line["event"]["dataset"] == "flowvigil.alert"}
    sensor = DefaultSensor()
    records, problems = sensor.metered(made / name)
    raised = sensor.alerts(load_model(effective_config().config), records)
    assert [(own.message, own.severity, own.verdict) for own in raised] == [
        (line["message"], line["event"]["severity"], line["flowvigil"]["verdict"]) for line in alerts.values()
    ]
    assert all(own.flows for own in raised)
    assert not problems
    assert bool(raised) == (name != "south.pcap")


def test_a_model_begins_without_state_and_is_left_without(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor, model = DefaultSensor(), hybrid(table(), counting=True)
    detector = model.known[0].detector
    assert isinstance(detector, FlowsOfHost)
    detector.seen[b"somebody"] = 5
    score, met = detector.score, []

    def watched(steps: FlowSteps) -> Vector:
        met.append(dict(detector.seen))
        return score(steps)

    monkeypatch.setattr(detector, "score", watched)
    sensor.alerts(model, sensor.metered(made / "south.pcap")[0])
    assert met[0] == {}
    assert detector.seen == {}


def test_a_sensor_tells_when_the_meter_has_reported() -> None:
    """Not when the packets came: a record with the newest packet so far is written a while after it."""
    identity = np.zeros((4, IDENTITY_WIDTH), dtype=np.int64)
    identity[:, END_NS] = (10, 30, 20, 40)
    identity[:, REPORTED_NS] = (12, 50, 51, 60)
    assert told_at(identity, np.array([10, 11, 30, 31, 40, 99])).tolist() == [12, 50, 50, 60, 60, 99]


def test_figures_are_those_of_the_truth(content: dict[str, Any]) -> None:
    assert content["protocol"] == "networks"
    assert content["dataset"]["networks"] == sorted([*NETWORKS, "elsewhere"])
    networks = content["networks"]
    assert networks["attacks"]["episodes"] == 5
    assert networks["by_group"]["attack/PortScan"]["named"] == 3
    assert networks["by_group"]["attack/scan"]["named"] == 1
    assert networks["normal"]["captures"] == 6
    assert 0 < networks["attacks"]["seconds"]["median"] < 60
    assert networks["flow_by_flow"]["hybrid"]["0.01"]["families"]["PortScan"]["n"] == 3000
    assert "gradient_boosting" in networks["flow_by_flow"]


def test_the_page_has_the_figures_first_and_the_line_that_makes_it_again(content: dict[str, Any], made: Path) -> None:
    page = (made / "page.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    headings = ["on other networks", "Network by network", "Flow by flow", "What to know", "How to get this page again"]
    assert sorted(headings, key=page.index) == headings
    assert f"--protocol networks --seed 1 -o {made / 'page.html'}" in page
    assert content["dataset"]["sha256"][:12] in page
    for network in NETWORKS:
        assert network in page


def test_the_same_question_gives_the_same_bytes_within_any_memory(
    content: dict[str, Any], made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (made / "page.html").read_bytes()
    with pytest.raises(typer.BadParameter, match="found 'a lot', expected a size"):
        evaluated(made, "memory", "a lot")
    sizes = past_memory(monkeypatch)
    evaluated(made, "as_json", True, "output", made / "page.html", "memory", "4G")
    assert len(small_ones(sizes)) > 9
    assert json.loads(capsys.readouterr().out) == content
    assert (made / "page.html").read_bytes() == first


def test_another_bundle_may_stand_beside(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_bundle(tmp_path / "other", forests(table()), {})
    write_index(made, [{"path": "scan.pcap", "kind": "attack", "network": "one", "expect": "T1046"}])
    try:
        evaluated(made, "beside", tmp_path / "other", "output", tmp_path / "page.html")
    finally:
        made_networks(made)
    written = capsys.readouterr()
    assert written.out.startswith("cic2017, protocol networks: 1,000 flows of 1 captures, 1 networks\n")
    assert "beside it made" in written.out
    assert "all: found 1 of 1 episodes, 100 % [2.5 %, 100 %]" in written.out
    assert "Beside another bundle" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert any(line.startswith("metering 1 captures") for line in written.err.splitlines())


def test_an_index_that_is_wrong_is_a_fault_of_input(tmp_path: Path) -> None:
    write_index(tmp_path, [{"path": "none.pcap", "kind": "benign", "network": "one"}])
    with pytest.raises(InputError, match=r'index\.csv:2, column "path": names none\.pcap, which is not there') as error:
        evaluated(tmp_path)
    assert error.value.exit_code == 6


@pytest.mark.parametrize(("option", "value"), [("day", ["2017-07-06"]), ("rehome", 3)])
def test_options_of_flow_tables_are_refused(made: Path, option: str, value: object) -> None:
    with pytest.raises(typer.BadParameter, match="captures have no --day, --rehome or --labels"):
        evaluated(made, option, value)


def test_a_bundle_of_records_is_refused(made: Path) -> None:
    with pytest.raises(ModelError):
        evaluate(Path("nsl-kdd-flow"), made, EvaluationProtocol.NETWORKS)
