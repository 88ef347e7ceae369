"""A run's directory: what is written beside a capture, and that a capture and a truth that differ are found out."""

import json
import socket
import struct
from pathlib import Path

import pytest

from flows.truth import read_truth
from tests.training.lab.sites import scenario_of
from training.lab.agreement import disagreements
from training.lab.claims import Claim
from training.lab.fabric import Capture
from training.lab.orders import order_of, reaches_of
from training.lab.record import Activity, Episode, write_record
from training.lab.scenario import Scenario

S = 1_000_000_000
SERVER, DESK, MALLORY = "10.1.1.2", "10.1.1.3", "203.0.113.9"
SYN, SYN_ACK, RESET = 0x02, 0x12, 0x14

Sent = tuple[float, str, int, str, int, int]  # seconds, source, port, target, port, TCP flags

BROWSE: list[Sent] = [(1, DESK, 50000, SERVER, 80, SYN), (1.1, SERVER, 80, DESK, 50000, SYN_ACK)]
PROBE: list[Sent] = [(11, MALLORY, 40000, SERVER, 99, SYN), (11.1, SERVER, 99, MALLORY, 40000, RESET)]
FORGED: list[Sent] = [(61, "77.1.2.3", 1234, SERVER, 80, SYN)]
STRAY: list[Sent] = [(2, DESK, 50001, MALLORY, 6667, SYN)]


def frame(sent: Sent) -> bytes:
    _, source, source_port, target, target_port, flags = sent
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    tcp = struct.pack("!HHIIBBHHH", source_port, target_port, 1, 1, 0x50, flags, 1000, 0, 0)
    return bytes(12) + b"\x08\x00" + struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ends + tcp


def run_of(directory: Path, scenario: Scenario, sent: list[Sent]) -> None:
    """Write a run of the small scenario whose router saw these segments."""
    capture = Capture(directory / "router.pcap")
    for each in sorted(sent):
        capture.write(frame(each), int(each[0] * S))
    capture.close()
    reaches = reaches_of(scenario)
    episodes = []
    for attack in scenario.attacks:
        order = order_of(attack, scenario)
        start_ns, end_ns = int(order.at_s * S), int((order.at_s + order.for_s) * S)
        claims = [Claim(attack.name, "T1046", reach, start_ns, end_ns) for reach in reaches[attack.name]]
        episodes.append(Episode(attack, order, "T1046", start_ns, end_ns, [["nmap"]], [0], claims))
    write_record(directory, scenario, "digest", episodes, {"browse": Activity(1, 0, 0.1)}, {"packets": {}, "ports": {}})


@pytest.fixture
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return scenario_of(tmp_path_factory.mktemp("scenario"))


def test_a_whole_run_agrees_and_says_who_did_what_to_whom_and_when(tmp_path: Path, scenario: Scenario) -> None:
    run_of(tmp_path, scenario, [*BROWSE, *PROBE, *FORGED])
    assert disagreements(tmp_path) == []
    with (tmp_path / "truth.csv").open(encoding="utf-8", newline="") as lines:
        truths = read_truth(lines)
    assert [(truth.scenario, truth.technique, truth.packets) for truth in truths] == [
        ("desk/clerk/browse", "benign", 2),
        ("scan", "T1046", 2),
        ("flood", "T1046", 1),
    ]
    scan = json.loads((tmp_path / "episodes.json").read_text(encoding="utf-8"))[0]
    assert (scan["episode"], scan["tool"], scan["source"], scan["targets"]) == (
        "scan",
        "nmap-syn",
        "mallory",
        ["server"],
    )
    assert (scan["source_address"], scan["target_addresses"]) == (MALLORY, [SERVER])
    assert (scan["first_packet_ns"], scan["last_packet_ns"], scan["flows"]) == (11 * S, int(11.1 * S), 1)
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert record["flows"] == {
        "benign": {"flows": 1, "packets": 2},
        "attack": {"flows": 2, "packets": 3},
        "unaccounted": {"flows": 0, "packets": 0},
    }
    assert (record["scenario_sha256"], record["frames"]["all"]) == ("digest", 5)


def test_a_flow_that_nobody_accounts_for_is_named(tmp_path: Path, scenario: Scenario) -> None:
    run_of(tmp_path, scenario, [*BROWSE, *PROBE, *FORGED, *STRAY])
    assert disagreements(tmp_path) == [
        f"nobody accounts for 1 packets of protocol 6 from {DESK}:50001 to {MALLORY}:6667"
    ]


def test_an_episode_without_packets_is_named(tmp_path: Path, scenario: Scenario) -> None:
    run_of(tmp_path, scenario, [*BROWSE, *PROBE])
    assert disagreements(tmp_path) == ["episode flood has no packet in the capture"]


def test_a_capture_that_has_a_packet_less_or_another_one_is_found_out(tmp_path: Path, scenario: Scenario) -> None:
    run_of(tmp_path, scenario, [*BROWSE, *PROBE, *FORGED])
    capture = Capture(tmp_path / "router.pcap")
    for each in (*BROWSE, PROBE[0], *FORGED, *STRAY):
        capture.write(frame(each), int(each[0] * S))
    capture.close()
    found = "\n".join(disagreements(tmp_path))
    assert "1 packets of" in found
    assert "in the capture, 2 in the truth" in found
    assert "in the capture, 0 in the truth" in found
    assert "1 packets outside of the times of their flows" in found


def test_a_capture_that_is_cut_short_is_refused(tmp_path: Path, scenario: Scenario) -> None:
    run_of(tmp_path, scenario, [*BROWSE, *PROBE, *FORGED])
    path = tmp_path / "router.pcap"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="cut short"):
        disagreements(tmp_path)
