"""Alerts laid beside the episodes that were to be found, and flags on flows, in captures whose truth is known."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.batch import NEW_PACKETS, FlowBatch
from tests.support.evaluations import hybrid, quiet
from tests.support.networks import ScriptedSensor, made_networks, raised
from training.datasets.captures.index import read_index
from training.datasets.captures.metered import CaptureTable, read_captures
from training.evaluation.networks.judged import SILENCE_NS, JudgedCapture, covered_ns, judged_captures
from training.evaluation.networks.sensor import RaisedAlert
from training.labels import BENIGN
from training.measure import HYBRID

pytestmark = pytest.mark.takes(8)
Script = Callable[[FlowBatch], list[RaisedAlert]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CaptureTable:
    index = made_networks(tmp_path_factory.mktemp("networks"))
    return read_captures(read_index(index), ScriptedSensor().metered, quiet)


def number_of(table: CaptureTable, name: str) -> int:
    return [capture.name for capture in table.index.captures].index(name)


def judged(table: CaptureTable, name: str, script: Script = lambda _: []) -> JudgedCapture:
    normal = table.flows.take(table.flows.family == BENIGN)
    (own,) = judged_captures((hybrid(normal), None), table, [number_of(table, name)], ScriptedSensor(script), quiet)
    return own


def reports_of(table: CaptureTable, name: str, family: str) -> list[int]:
    """Rows among a capture's records that are of a family."""
    told = table.flows.reports().row[table.report_rows(number_of(table, name))]
    return np.flatnonzero(table.flows.family[told] == family).tolist()


def test_an_alert_belongs_to_the_episode_that_its_flows_are_of(table: CaptureTable) -> None:
    scans = reports_of(table, "north-attacked.pcap", "PortScan")
    guesses = reports_of(table, "north-attacked.pcap", "BruteForce")

    def script(records: FlowBatch) -> list[RaisedAlert]:
        return [raised(records, [*scans[:9], *guesses[:2]], after_s=30), raised(records, guesses, "T1046", 70)]

    own = judged(table, "north-attacked.pcap", script)
    scan, guessing = own.episodes
    assert (scan.episode.family, scan.found, scan.named) == ("PortScan", True, True)
    assert (guessing.episode.family, guessing.found, guessing.named) == ("BruteForce", True, False)
    assert own.false_alerts == ()
    assert [alert.severe and not alert.right for alert in own.alerts] == [False, True]


def test_an_alert_finds_every_episode_of_whose_flows_it_holds_half(table: CaptureTable) -> None:
    scans = reports_of(table, "north-attacked.pcap", "PortScan")
    advances = table.flows.reports().advances[table.report_rows(number_of(table, "north-attacked.pcap"))]
    guesses = [row for row in reports_of(table, "north-attacked.pcap", "BruteForce") if advances[row]]
    half = -(-len(guesses) // 2)
    assert len(scans) > len(guesses)
    for held, found in ((half, True), (half - 1, False)):
        together = [*scans, *guesses[:held]]
        own = judged(table, "north-attacked.pcap", lambda r, rows=together: [raised(r, rows, "T1110")])
        scan, guessing = own.episodes
        assert (scan.found, scan.named, scan.alerts) == (True, False, own.alerts)
        assert (guessing.found, guessing.named) == (found, found)
        assert own.false_alerts == ()


def test_seconds_run_from_the_first_packet_of_the_episode_to_its_first_alert(table: CaptureTable) -> None:
    scans = reports_of(table, "south-attacked.pcap", "PortScan")
    own = judged(table, "south-attacked.pcap", lambda r: [raised(r, scans, after_s=s) for s in (40.0, 20.0, 30.0)])
    (episode,) = own.episodes
    begun_ns = table.flows.start_ns[table.rows(number_of(table, "south-attacked.pcap"))].min()
    assert episode.seconds == pytest.approx(20.0 - (episode.episode.start_ns - begun_ns) / 1e9)


def test_an_alert_on_mostly_normal_flows_is_false(table: CaptureTable) -> None:
    scans = reports_of(table, "south-attacked.pcap", "PortScan")
    normal = reports_of(table, "south-attacked.pcap", BENIGN)
    own = judged(table, "south-attacked.pcap", lambda r: [raised(r, [*scans[:3], *normal[:4]]), raised(r, [])])
    assert len(own.false_alerts) == 2
    assert not own.episodes[0].found


def test_one_flow_of_most_packets_is_what_an_alert_is_about(table: CaptureTable) -> None:
    guesses = reports_of(table, "north-attacked.pcap", "BruteForce")
    normal = reports_of(table, "north-attacked.pcap", BENIGN)
    packets = table.records(number_of(table, "north-attacked.pcap")).identity[:, NEW_PACKETS]
    few = [row for row in normal if packets[row] <= 4][:4]
    assert packets[few].sum() < packets[guesses[0]]
    own = judged(table, "north-attacked.pcap", lambda r: [raised(r, [*few, guesses[0]], "T1110")])
    assert own.false_alerts == ()
    assert [episode.named for episode in own.episodes] == [False, True]


def test_a_flow_counts_once_for_its_alert_however_often_it_was_reported(table: CaptureTable) -> None:
    scans = reports_of(table, "south-attacked.pcap", "PortScan")
    normal = reports_of(table, "south-attacked.pcap", BENIGN)
    own = judged(table, "south-attacked.pcap", lambda r: [raised(r, [*scans[:3], *(normal[:1] * 9)])])
    assert own.false_alerts == ()


def test_every_alert_on_a_normal_capture_is_false(table: CaptureTable) -> None:
    own = judged(table, "west.pcap", lambda r: [raised(r, [0, 1], severity=80)])
    assert [alert.severe for alert in own.false_alerts] == [True]
    assert own.tells_false
    assert own.episodes == ()


def test_all_alerts_belong_to_a_capture_that_is_an_attack_as_a_whole(table: CaptureTable) -> None:
    own = judged(table, "scan.pcap", lambda r: [raised(r, [0], "T1595"), raised(r, [1], "T1071", 80)])
    (whole,) = own.episodes
    assert (whole.found, whole.named, len(whole.alerts)) == (True, True, 2)
    assert own.false_alerts == ()
    assert not own.tells_false


def test_an_episode_without_an_alert_is_missed(table: CaptureTable) -> None:
    (missed,) = judged(table, "scan.pcap").episodes
    assert (missed.found, missed.named, missed.seconds) == (False, False, None)


def test_flags_are_counted_by_family(table: CaptureTable) -> None:
    own = judged(table, "north-attacked.pcap")
    rows = table.rows(number_of(table, "north-attacked.pcap"))
    families, counts = np.unique(table.flows.family[rows], return_counts=True)
    assert own.flags.flows == dict(zip(families.tolist(), counts.tolist(), strict=True))
    for flagged in own.flags.flagged.values():
        assert flagged.keys() == own.flags.flows.keys()
        assert all(flagged[family] <= own.flags.flows[family] for family in flagged)
    assert {member for member, _ in own.flags.flagged} == {HYBRID, "lstm", "iforest"}


def test_what_is_said_of_a_capture_does_not_hang_on_the_others(table: CaptureTable) -> None:
    """Detectors that remember hosts meet the same addresses in all of these captures."""
    normal = table.flows.take(table.flows.family == BENIGN)
    model = hybrid(normal, counting=True), None
    together = judged_captures(model, table, range(len(table.index.captures)), ScriptedSensor(), quiet)
    for number, own in enumerate(together):
        (alone,) = judged_captures(model, table, [number], ScriptedSensor(), quiet)
        assert alone == own


def test_a_silence_is_no_time_in_view() -> None:
    second, hour = 1_000_000_000, 3_600_000_000_000
    start = np.array([hour, 0, 5 * second], dtype=np.int64)
    end = np.array([hour + 7 * second, 10 * second, 6 * second], dtype=np.int64)
    assert covered_ns(start, end) == 17 * second
    assert covered_ns(start[1:], end[1:]) == 10 * second
    near = np.array([0, second + SILENCE_NS], dtype=np.int64)
    assert covered_ns(near, near + second) == 2 * second + SILENCE_NS
    far = np.array([0, second + SILENCE_NS + 1], dtype=np.int64)
    assert covered_ns(far, far + second) == 2 * second
    assert covered_ns(start[:0], end[:0]) == 0


@pytest.mark.parametrize("name", ["west.pcap", "west-attacked.pcap"])
def test_host_days_are_those_of_hosts_that_begin_normal_flows(table: CaptureTable, name: str) -> None:
    number = number_of(table, name)
    rows = table.rows(number)
    normal = table.flows.host[rows][table.flows.family[rows] == BENIGN]
    hosts = {tuple(host) for host in normal.tolist()}
    everybody = {tuple(host) for host in table.flows.host[rows].tolist()}
    assert (hosts == everybody) == (name == "west.pcap")
    span_ns: Sequence[int] = [int(table.flows.start_ns[rows].min()), int(table.flows.end_ns[rows].max())]
    expected = len(hosts) * (span_ns[1] - span_ns[0]) / 86_400e9
    assert judged(table, name).host_days == pytest.approx(expected)


def test_episodes_of_one_family_can_be_told_alone(table: CaptureTable) -> None:
    own = judged(table, "north-attacked.pcap")
    assert [episode.episode.family for episode in own.of_families(["BruteForce"]).episodes] == ["BruteForce"]
    assert replace(own.of_families(["BruteForce"]), episodes=own.episodes) == own


def test_the_index_may_be_read_from_anywhere(tmp_path: Path) -> None:
    index = read_index(made_networks(tmp_path))
    assert all(capture.path.is_file() for capture in index.captures)
