"""Captures through the meter into one table: the truth flow by flow, true reports, hosts of one capture alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from flows.batch import DST_LOW, IDENTITY_WIDTH, IP_VERSION, PROTOCOL, REPORT, SRC_LOW, START_NS
from flows.columns import INDEX, NAMES
from flows.context.context import Context
from flows.matching import matched
from flows.truth import FlowTruth
from sensor.cli.replay import DefaultSensor
from sensor.settings.config import Config
from sensor.synth.scenarios.beacons import held_channel
from sensor.synth.scenarios.normal import NORMAL
from tests.support.evaluations import quiet
from tests.support.networks import NETWORKS, made_networks, write_capture, write_index
from training.datasets.captures.index import read_index
from training.datasets.captures.metered import CONTEXT_HOSTS, ROW_NAMES, CaptureTable, flow_numbers, read_captures
from training.datasets.captures.truth import truth_of
from training.errors import DatasetError
from training.lab.attacks import ATTACKS
from training.labels import BENIGN, TECHNIQUE_FAMILIES, TECHNIQUES, right_names, technique_family
from training.measure import steps_of
from training.sequences import sequences

pytestmark = pytest.mark.takes(8)
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def table(index: Path) -> CaptureTable:
    return read_captures(read_index(index), DefaultSensor().metered, quiet)


def number_of(table: CaptureTable, name: str) -> int:
    return [capture.name for capture in table.index.captures].index(name)


def test_the_truth_matches_flow_by_flow(table: CaptureTable, index: Path) -> None:
    """Every flow of a made capture is known, and the attack has as many flows as its truth."""
    for network in NETWORKS:
        own = table.rows(number_of(table, f"{network}-attacked.pcap"))
        truths = truth_of(index.parent / f"{network}.csv")
        assert (table.flows.family[own] != "").all()
        attacks = [truth for truth in truths if truth.technique == "T1046"]
        assert (table.flows.family[own] == "PortScan").sum() == len(attacks) == 1000
        assert set(table.flows.label[own]) == {"BENIGN" if t.technique == "benign" else t.technique for t in truths}


def test_episodes_of_a_truth_are_its_scenarios(table: CaptureTable, index: Path) -> None:
    north = number_of(table, "north-attacked.pcap")
    own = [episode for episode in table.episodes if episode.capture == north]
    assert [(episode.name, episode.family) for episode in own] == [
        ("portscan", "PortScan"),
        ("ssh", "BruteForce"),
    ]
    starts = {t.scenario: t.start_ns for t in reversed(truth_of(index.parent / "north.csv")) if t.attack}
    assert [episode.start_ns for episode in own] == [starts[episode.name] for episode in own]
    for place, episode in enumerate(table.episodes):
        assert (table.episode == place).sum() == (episode.flows if episode.group != "scan" else 0)


def test_a_capture_labelled_as_a_whole_has_one_episode_and_no_labelled_flow(table: CaptureTable) -> None:
    number = number_of(table, "scan.pcap")
    rows = table.rows(number)
    (whole,) = [episode for episode in table.episodes if episode.capture == number]
    assert (whole.group, whole.family, whole.right) == ("scan", "PortScan", {"T1046", "T1595"})
    assert whole.start_ns == table.flows.start_ns[rows].min()
    assert set(table.flows.family[rows]) == {""}
    assert (table.episode[rows] == -1).all()


def test_normal_captures_are_normal(table: CaptureTable) -> None:
    for network in NETWORKS:
        rows = table.rows(number_of(table, f"{network}.pcap"))
        assert set(table.flows.family[rows]) == {BENIGN}


def test_no_host_is_in_two_captures(table: CaptureTable) -> None:
    """The made networks have the same addresses, and yet no sequence runs from one into another."""
    told = sequences(table.flows.host, table.flows.start_ns, table.flows.reports())
    starts = np.flatnonzero(told.first)
    for first, end in zip(starts, [*starts[1:], len(told)], strict=True):
        assert len(set(table.capture[told.row[first:end]].tolist())) == 1


def test_reports_are_the_meters_own(tmp_path: Path) -> None:
    """A connection that is held open is reported while it runs, each time with what it had by then."""
    write_capture(tmp_path / "held.pcap", [NORMAL, held_channel(hours=0.1)], 5, 6.0)
    path = write_index(tmp_path, [{"path": "held.pcap", "kind": "benign", "network": "one"}])
    table = read_captures(read_index(path), DefaultSensor().metered, quiet)
    told, records = table.flows.reports(), table.records(0)
    assert told is table.flows.reported
    steps = steps_of(table.flows, table.flows.host, told)
    assert np.array_equal(steps.values, records.values)
    counts = np.bincount(told.row)
    longest = int(counts.argmax())
    packets = steps.values[told.row == longest, INDEX["fwd_packets"]]
    assert counts.max() > 2
    assert (np.diff(packets) > 0).all()
    assert table.flows.values[longest, INDEX["fwd_packets"]] == packets[-1]
    assert told.advances.sum() == len(table)


def test_taking_flows_takes_their_reports_along(table: CaptureTable) -> None:
    """In whatever order: the reports stay in theirs, and each shows the flow it is of."""
    rows = np.arange(len(table))[::-3]
    part = table.flows.take(rows)
    told, whole = part.reports(), table.flows.reports()
    kept = np.isin(whole.row, rows)
    assert np.array_equal(rows[told.row], whole.row[kept])
    assert told.values is not None
    assert whole.values is not None
    assert np.array_equal(told.values, whole.values[kept])
    last = {int(row): values for row, values in zip(told.row, told.values, strict=True)}
    assert all(np.array_equal(last[row], part.values[row]) for row in range(len(part)))


def test_a_flow_that_is_taken_twice_is_refused(table: CaptureTable) -> None:
    with pytest.raises(ValueError, match="found a flow chosen twice"):
        table.flows.take(np.array([1, 1]))


def test_columns_by_name_are_nothing_where_the_dataset_cannot_have_them(table: CaptureTable) -> None:
    flows = replace(table.flows, missing=("bwd_bytes",))
    chosen = flows.take(np.array([4, 2])).columns(("fwd_bytes", "bwd_bytes", "src_flows_10m", "peers_day"))
    assert np.array_equal(chosen[:, 0], table.flows.values[[4, 2], INDEX["fwd_bytes"]])
    assert np.isnan(chosen[:, [1, 3]]).all()
    assert np.array_equal(chosen[:, 2], table.flows.values[[4, 2], ROW_NAMES.index("src_flows_10m")])
    assert np.isnan(replace(flows, names=NAMES).columns(("src_flows_10m",))).all()


def test_rows_have_the_context_that_a_sensor_gives_them_anew_for_each_capture(table: CaptureTable) -> None:
    """As a bundle that uses it is judged on, whatever the capacity."""
    told = table.flows.reports()
    assert told.values is not None
    for number in range(len(table.index.captures)):
        records = table.records(number)
        assert records.values.shape[1] == len(NAMES)
        rows = Context(CONTEXT_HOSTS, 5).columns(records)
        assert told.values[table.report_rows(number)].tobytes() == rows.tobytes()


def test_as_many_hosts_are_remembered_as_by_a_sensor() -> None:
    assert Config().episodes.capacity_hosts == CONTEXT_HOSTS


def test_a_truth_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    write_capture(tmp_path / "a.pcap", [NORMAL], 3, 0.2)
    row = {"path": "a.pcap", "kind": "labelled", "network": "one", "truth": "a.csv"}
    path = write_index(tmp_path, [row])
    header = "start_ns,end_ns,protocol,initiator,initiator_port,target,target_port,packets,scenario,technique\n"
    for text, problem in (
        ("nothing\n", "is no truth of a capture: found columns"),
        (header + "1,2,6\n", "is no truth of a capture"),
        (header + '1,2,6,"' + ("x" * 60_000 + "\n") * 3, "is no truth of a capture: field larger than field limit"),
        (header + "x,2,6,10.0.0.1,1,10.0.0.2,2,1,s,benign\n", "is no truth of a capture: invalid literal"),
        (header + "1,2,6,10.0.0.1,1,10.0.0.2,2,1,s,T9999\n", 'a.csv:2, column "technique": has the unknown technique'),
    ):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(DatasetError, match=problem) as error:
            read_captures(read_index(path), DefaultSensor().metered, quiet)
        assert "\n" not in str(error.value)


def test_what_is_no_capture_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(b"no packets in here at all")
    path = write_index(tmp_path, [{"path": "a.pcap", "kind": "benign", "network": "one"}])
    with pytest.raises(DatasetError, match=r"a\.pcap: is no capture that can be read: ") as error:
        read_captures(read_index(path), DefaultSensor().metered, quiet)
    assert "\n" not in str(error.value)


def test_a_capture_that_ends_in_a_packet_is_read_up_to_there_and_told(tmp_path: Path) -> None:
    whole = write_capture(tmp_path / "a.pcap", [NORMAL], 3, 0.5).read_bytes()
    (tmp_path / "a.pcap").write_bytes(whole[: len(whole) * 2 // 3])
    path = write_index(tmp_path, [{"path": "a.pcap", "kind": "benign", "network": "one"}])
    said: list[str] = []
    table = read_captures(read_index(path), DefaultSensor().metered, said.append)
    assert len(table) > 0
    assert len(table.problems) == 1
    assert table.problems[0] in said


def identity_of(*flows: tuple[int, int, int]) -> NDArray[np.int64]:
    """Reports of flows between the same hosts: start in seconds, number of the report, last octet of the source."""
    words = np.zeros((len(flows), IDENTITY_WIDTH), dtype=np.int64)
    for row, (start_s, report, octet) in enumerate(flows):
        words[row, [SRC_LOW, DST_LOW]] = (10 << 24) + octet, (10 << 24) + 99
        words[row, [PROTOCOL, IP_VERSION]] = 1, 4
        words[row, START_NS] = start_s * SECOND
        words[row, START_NS + 1] = (start_s + 5) * SECOND
        words[row, REPORT] = report
    return words


def test_reports_of_a_flow_are_told_from_those_of_another() -> None:
    reports = identity_of((1, 0, 1), (1, 0, 2), (1, 1, 1), (7, 0, 1), (1, 1, 2), (1, 2, 1), (1, 0, 1))
    assert flow_numbers(reports).tolist() == [0, 1, 0, 2, 1, 0, 3]
    assert flow_numbers(reports[:0]).tolist() == []


def truth(start_s: int, end_s: int, initiator: str, target: str, technique: str = "benign") -> FlowTruth:
    return FlowTruth(start_s * SECOND, end_s * SECOND, 1, initiator, 0, target, 0, 1, "s", technique)


@pytest.mark.parametrize("turned", [False, True])
def test_a_flow_is_the_truth_that_it_shares_most_time_with(turned: bool) -> None:
    ends = ("10.0.0.1", "10.0.0.99")
    ends = ends[::-1] if turned else ends
    truths = [truth(0, 2, *ends), truth(2, 9, *ends), truth(2, 9, "10.0.0.3", "10.0.0.99"), truth(60, 61, *ends)]
    assert matched(identity_of((1, 0, 1), (60, 0, 1), (30, 0, 1), (1, 0, 7)), truths).tolist() == [1, 3, -1, -1]
    assert matched(identity_of((1, 0, 1)), [truth(0, 5, *ends), truth(5, 9, *ends)]).tolist() == [0]


def test_every_technique_has_a_family_of_the_vocabulary() -> None:
    assert set(TECHNIQUE_FAMILIES.values()) <= set(TECHNIQUES)
    assert technique_family("T1110.001") == "BruteForce"
    assert technique_family("T1498.002") == "Reflection"
    with pytest.raises(KeyError):
        technique_family("T9999")


def test_names_that_look_alike_on_the_wire_are_right_for_each_other() -> None:
    assert right_names("T1110.001") == {"T1110"}
    assert right_names("T1571") >= {"T1571", "T1071", "T1095"}
    assert "T1110" not in right_names("T1571")


def test_shared_captures_are_read_as_their_index_says(shared_data: Path) -> None:
    directory = shared_data / "foreign"
    if not (directory / "index.csv").is_file():
        pytest.skip(f"captures of foreign networks are not at {directory}")
    index = read_index(directory)
    assert len(index.networks) > 10
    smallest: Sequence[int] = sorted(range(len(index.captures)), key=lambda at: index.captures[at].path.stat().st_size)
    few = replace(index, captures=tuple(index.captures[at] for at in smallest[:20]))
    table = read_captures(few, DefaultSensor().metered, quiet)
    assert table.capture.max() < 20


def test_a_flows_first_report_is_what_was_known_of_it_first(tmp_path: Path) -> None:
    write_capture(tmp_path / "held.pcap", [NORMAL, held_channel(hours=0.1)], 5, 6.0)
    path = write_index(tmp_path, [{"path": "held.pcap", "kind": "benign", "network": "one"}])
    flows = read_captures(read_index(path), DefaultSensor().metered, quiet).flows
    told = flows.reports()
    assert told.values is not None
    first = flows.first_values()
    assert np.array_equal(first[told.row[told.advances]], told.values[told.advances])
    assert (first[:, INDEX["fwd_packets"]] < flows.values[:, INDEX["fwd_packets"]]).any()
    assert replace(flows, reported=None).first_values() is flows.values


def test_every_attack_of_the_lab_has_a_family() -> None:
    for tool in ATTACKS.values():
        assert technique_family(tool.technique) in TECHNIQUES
