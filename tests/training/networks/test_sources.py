"""Sources of a recipe for several networks: what each gives, and one line with its place for whatever is wrong."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.batch import FlowBatch
from flows.columns import NAMES
from tests.support.evaluations import quiet
from tests.support.flow_files import rewritten, table_of_2017
from tests.support.recipes import made_sources, places_of
from training.datasets.captures.metered import ROW_NAMES
from training.datasets.captures.splitting import network_split
from training.datasets.sources import NetworkSources, read_sources
from training.errors import DatasetError, TrainingError
from training.labels import BENIGN

pytestmark = pytest.mark.takes(15)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("polars")
    return made_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def sources(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> NetworkSources:
    return read_sources(*places_of(recipe, tmp_path_factory.mktemp("work")), quiet)


def changed(recipe: Path, tmp_path: Path, old: str, new: str) -> Path:
    """The recipe with another text in one place, its sources where they were."""
    text = recipe.read_text(encoding="utf-8")
    assert text.count(old) == 1
    for path in recipe.parent.iterdir():
        if path != recipe:
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "small.yaml").write_text(text.replace(old, new), encoding="utf-8")
    return tmp_path / "small.yaml"


def fault(recipe: Path) -> TrainingError:
    """What is said of it, one line."""
    with pytest.raises(TrainingError) as error:
        read_sources(*places_of(recipe, recipe.parent / "work"), quiet)
    assert "\n" not in str(error.value)
    return error.value


def test_networks_are_sites_those_of_an_index_and_a_generator(sources: NetworkSources) -> None:
    names = {capture.name: capture.network for capture in sources.captures.index.captures}
    assert names["sites/day/router.pcap"] == names["sites/night/router.pcap"] == "hall"
    assert names["sites/yard/router.pcap"] == "yard"  # without a record
    assert names["others/north.pcap"] == "north"
    assert names["made/seed-5"] == "made"
    assert [name for name, _ in sources.tables] == ["sample"]


def test_a_table_has_no_context_and_captures_have_all(sources: NetworkSources) -> None:
    (_, flows) = sources.tables[0]
    assert flows.names == sources.captures.flows.names == ROW_NAMES
    assert np.isnan(flows.values[:, len(NAMES) :]).all()
    assert np.isfinite(flows.values[:, : len(NAMES)]).all()
    assert np.isfinite(sources.captures.flows.values).all()


def test_flows_of_a_sample_are_nobodys_neighbours(sources: NetworkSources) -> None:
    (_, flows) = sources.tables[0]
    assert len(np.unique(flows.host, axis=0)) == len(flows)
    assert (flows.host[:, 0] < 0).all()  # captures have numbers of their own
    assert (sources.captures.flows.host[:, 0] >= 0).all()


def test_all_of_it_is_split_network_by_network(sources: NetworkSources) -> None:
    split = sources.split()
    labelled = sum(int((flows.family != "").sum()) for flows in (sources.captures.flows, sources.tables[0][1]))
    assert len(split.train) + len(split.held_back) == labelled
    networks = set(split.train_network.tolist())
    assert networks == {"hall", "yard", "north", "south", "west", "elsewhere", "made", "sample"}
    for part, network in ((split.train, split.train_network), (split.held_back, split.held_back_network)):
        told = part.reports()
        assert told.values is not None
        assert set(told.row.tolist()) == set(range(len(part)))
        last = {int(row): values for row, values in zip(told.row, told.values, strict=True)}
        for row in (0, len(part) // 2, len(part) - 1):
            assert np.array_equal(last[row], part.values[row], equal_nan=True)
        assert (network[part.host[:, 0] < 0] == "sample").all()
    normal = (split.held_back.family == BENIGN) & (split.held_back_network == "sample")
    assert normal.sum() == round(0.25 * 900)


def test_a_family_that_is_left_out_is_in_no_table_either(sources: NetworkSources) -> None:
    captures = network_split(sources.captures.flows, sources.captures.network, sources.captures.flows.family == BENIGN)
    split = sources.with_tables(captures, ["PortScan"])
    for part in (split.train, split.held_back):
        assert set(part.family.tolist()) == {BENIGN, "DoS"}


def test_each_source_is_described_by_hash(sources: NetworkSources) -> None:
    of_name = {own["name"]: own for own in sources.described}
    assert of_name["sites"]["networks"] == ["hall", "yard"]
    assert of_name["sites"]["families"]["PortScan"] == 1000
    assert of_name["sites"]["families"]["BruteForce"] > 0
    assert of_name["sample"]["networks"] == ["sample"]
    assert of_name["sample"]["families"] == {"DoS": 40, "PortScan": 60}
    for own in of_name.values():
        assert own["normal"] + own["attack"] + own["without_label"] == own["flows"]
        assert len(own["sha256"]) == 64
    assert json.loads(json.dumps(sources.described)) == list(sources.described)


def test_a_digest_that_is_expected_is_checked(recipe: Path, tmp_path: Path, sources: NetworkSources) -> None:
    digest = next(own["sha256"] for own in sources.described if own["name"] == "made")
    right = changed(recipe, tmp_path, "name: made,", f"name: made, sha256: {digest},")
    assert read_sources(*places_of(right, tmp_path / "work"), quiet).sha256 == sources.sha256
    right.write_text(right.read_text().replace(digest, "f" * 64))
    error = fault(right)
    assert (error.line, error.column) == (6, 26)
    assert f"source made is {digest}, another than was meant" in str(error)


def test_what_an_index_says_of_a_capture_tells_sources_apart(
    recipe: Path, tmp_path: Path, sources: NetworkSources
) -> None:
    """Or a fit of an interrupted run would be taken over though its labels have changed."""
    other = changed(recipe, tmp_path, "path: others", "path: same")
    (tmp_path / "same").mkdir()
    for path in (recipe.parent / "others").iterdir():
        (tmp_path / "same" / path.name).write_bytes(path.read_bytes())
    index = tmp_path / "same" / "index.csv"
    assert read_sources(*places_of(other, tmp_path / "work"), quiet).sha256 == sources.sha256
    index.write_text(index.read_text(encoding="utf-8").replace("T1046 T1595", "T1110"), encoding="utf-8")
    assert read_sources(*places_of(other, tmp_path / "work"), quiet).sha256 != sources.sha256


def test_what_was_metered_is_taken_over(recipe: Path, tmp_path: Path, sources: NetworkSources) -> None:
    asked: list[Path] = []
    read, places = places_of(recipe, tmp_path)
    meter = places.tools.meter

    def counted(capture: Path) -> tuple[FlowBatch, Sequence[str]]:
        asked.append(capture)
        return meter(capture)

    places = replace(places, tools=replace(places.tools, meter=counted))
    first = read_sources(read, places, quiet)
    assert len(asked) == len(sources.captures.index.captures)
    victim = min((tmp_path / "metered").iterdir())
    victim.write_bytes(victim.read_bytes()[:1000])  # cut off: metered again
    again = read_sources(read, places, quiet)
    assert len(asked) == len(sources.captures.index.captures) + 1
    for table in (first, again):
        assert table.captures.flows.values.tobytes() == sources.captures.flows.values.tobytes()


@pytest.mark.parametrize(
    ("old", "new", "place", "problem"),
    [
        ("path: others", "path: elsewhere", (5, 39), "source others is not at "),
        ("kind: lab, citation", "kind: lab, path: none, citation", (4, 36), "--lab says what it lies below"),
        ("path: flows.csv", "path: lost.csv", (7, 39), "--data says what it lies below"),
        ("[normal, portscan]", "[normal, flying]", (6, 82), "the generator has no scenario 'flying'"),
    ],
)
def test_a_source_that_is_missing_is_one_line(
    recipe: Path, tmp_path: Path, old: str, new: str, place: tuple[int, int], problem: str
) -> None:
    error = fault(changed(recipe, tmp_path, old, new))
    assert problem in str(error)
    assert (error.line, error.column) == place


def test_networks_may_be_left_out_of_a_source(recipe: Path, tmp_path: Path, sources: NetworkSources) -> None:
    kept = changed(recipe, tmp_path, "kind: lab,", "kind: lab, leave_out: [hall],")
    read = read_sources(*places_of(kept, tmp_path / "work"), quiet)
    assert read.described[0]["networks"] == ["yard"]
    assert "hall" not in read.captures.index.networks
    assert read.sha256 != sources.sha256


@pytest.mark.parametrize(("names", "found"), [("attic", "no network 'attic'"), ("hall, yard", "no network beside")])
def test_networks_that_a_source_does_not_have_are_not_left_out(
    recipe: Path, tmp_path: Path, names: str, found: str
) -> None:
    error = fault(changed(recipe, tmp_path, "kind: lab,", f"kind: lab, leave_out: [{names}],"))
    assert f"source sites has {found}" in str(error)
    assert str(error).endswith("it has hall, yard")
    assert error.line == 4


def test_a_table_without_columns_that_are_used_is_one_line(recipe: Path, tmp_path: Path) -> None:
    path = changed(recipe, tmp_path, "path: flows.csv", "path: lean.csv")
    rewritten(tmp_path / "lean.csv", table_of_2017())
    error = fault(path)
    assert "source sample lacks columns: ack_flag_count, " in str(error)
    assert (error.line, error.column) == (7, 39)


def runs(tmp_path: Path, recipe: Path) -> Path:
    """A lab's directory that a test may spoil."""
    run = tmp_path / "runs" / "day"
    run.mkdir(parents=True)
    for name in ("router.pcap", "truth.csv"):
        (run / name).write_bytes((recipe.parent / "runs" / "day" / name).read_bytes())
    for name in ("others", "flows.csv"):
        (tmp_path / name).symlink_to(recipe.parent / name)
    (tmp_path / "small.yaml").write_bytes(recipe.read_bytes())
    return run


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ("[1, 2", "is no record of a run"),
        ("[" * 100_000, "is no record of a run"),
        ('{"scenario": 7}', "names the scenario 7; expected the name of the site"),
        ('{"scenario": "a\\u001b[31m"}', "names the scenario"),
        ("[]", "names the scenario None"),
    ],
)
def test_a_record_that_is_none_is_one_line(recipe: Path, tmp_path: Path, record: str, problem: str) -> None:
    run = runs(tmp_path, recipe)
    (run / "run.json").write_text(record)
    error = fault(tmp_path / "small.yaml")
    assert problem in str(error)
    assert str(error).isprintable()


def test_a_run_without_its_truth_is_one_line(recipe: Path, tmp_path: Path) -> None:
    (runs(tmp_path, recipe) / "truth.csv").unlink()
    assert "has no truth.csv; expected runs of the lab" in str(fault(tmp_path / "small.yaml"))


def test_a_directory_without_runs_is_one_line(recipe: Path, tmp_path: Path) -> None:
    run = runs(tmp_path, recipe)
    for path in run.iterdir():
        path.unlink()
    error = fault(tmp_path / "small.yaml")
    assert isinstance(error, DatasetError)
    assert "holds no run" in str(error)
