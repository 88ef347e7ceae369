"""The made traffic as a whole: reproducible, labelled without gaps, and the demo's capture up to date."""

import csv
import gzip
import io
import struct
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sensor.synth
from flows.truth import write_truth
from sensor.synth.__main__ import app
from sensor.synth.catalogue import CATALOGUE
from sensor.synth.generate import (
    DEMO_MINUTES,
    DEMO_SEED,
    DEMO_SNAPLEN,
    MONDAY_MORNING_NS,
    SCENARIOS,
    Traffic,
    generate,
)
from sensor.synth.pcap import pcap_bytes
from sensor.synth.randomness import SECOND, stream
from sensor.synth.scenarios.guessing import SSH_GUESSING, password_guessing
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN, port_scan
from sensor.synth.scenarios.scenario import Span
from sensor.synth.scenarios.slowhttp import slow_http
from sensor.synth.scenarios.synflood import syn_flood
from sensor.synth.scenarios.tunnels import dns_tunnel
from sensor.synth.site import Site

DEMO = Path(sensor.synth.__file__).parent / "demo.pcap.gz"
SPAN = Span(MONDAY_MORNING_NS, MONDAY_MORNING_NS + 600 * SECOND)
ATTACKERS = ("192.0.2.", "198.51.100.", "203.0.113.")

Key = tuple[int, frozenset[tuple[str, int]]]


@pytest.fixture(scope="module")
def demo() -> Traffic:
    return generate(SCENARIOS, seed=7, minutes=7.0)


def flow_keys(traffic: Traffic) -> Iterator[Key]:
    """Protocol and both ends of each IP packet."""
    for _, frame in traffic.packets:
        kind = frame[12:14]
        if kind == b"\x08\x00":
            protocol, source, target, transport = frame[23], frame[26:30], frame[30:34], frame[34:38]
        elif kind == b"\x86\xdd":
            protocol, source, target, transport = frame[20], frame[22:38], frame[38:54], frame[54:58]
        else:
            continue
        ports = struct.unpack("!HH", transport) if protocol in (6, 17) else (0, 0)
        ends = zip((source, target), ports, strict=True)
        yield protocol, frozenset((str(ip_address(ip)), port) for ip, port in ends)


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert pcap_bytes(generate(SCENARIOS, 5, 1.0).packets) == pcap_bytes(generate(SCENARIOS, 5, 1.0).packets)


def test_another_seed_gives_other_traffic() -> None:
    assert generate([NORMAL], 5, 1.0) != generate([NORMAL], 6, 1.0)


def test_the_committed_demo_is_what_the_generator_makes_now() -> None:
    # Decompressed: another zlib may pack the same capture otherwise.
    made = pcap_bytes(generate(SCENARIOS, DEMO_SEED, DEMO_MINUTES).packets, DEMO_SNAPLEN)
    assert gzip.decompress(DEMO.read_bytes()) == made


def test_the_committed_demo_is_at_most_a_megabyte() -> None:
    assert DEMO.stat().st_size <= 1_000_000


def test_the_truth_names_each_flow_of_the_capture_and_no_other(demo: Traffic) -> None:
    labelled = Counter(
        {
            (t.protocol, frozenset({(t.initiator, t.initiator_port), (t.target, t.target_port)})): t.packets
            for t in demo.truth
        }
    )
    assert len(labelled) == len(demo.truth)
    assert Counter(flow_keys(demo)) == labelled


def test_exactly_the_flows_of_attackers_are_labelled_attacks(demo: Traffic) -> None:
    assert all(truth.attack == truth.initiator.startswith(ATTACKERS) for truth in demo.truth)


def test_the_demo_holds_four_attacks_of_the_sizes_that_were_asked_for(demo: Traffic) -> None:
    assert Counter((truth.scenario, truth.technique) for truth in demo.truth if truth.attack) == {
        ("portscan", "T1046"): 1000,
        ("synflood", "T1499.001"): 4000,
        ("ssh", "T1110.001"): 120,
        ("slowhttp", "T1499.002"): 150,
    }


def test_the_first_minute_of_the_demo_is_quiet(demo: Traffic) -> None:
    first = min(truth.start_ns for truth in demo.truth if truth.attack)
    assert first - MONDAY_MORNING_NS > 60 * SECOND
    assert any(truth.start_ns - MONDAY_MORNING_NS < 5 * SECOND for truth in demo.truth)


def test_the_normal_scenario_holds_all_that_an_office_does(demo: Traffic) -> None:
    assert {truth.scenario for truth in demo.truth if not truth.attack} == {
        "browsing", "mail", "ssh session", "bulk transfer", "visitor", "ntp", "mdns", "neighbour", "ping", "refused",
    }  # fmt: skip
    assert any(packet.frame[12:14] == b"\x08\x06" for packet in demo.packets)
    assert any(":" in truth.target and truth.scenario == "browsing" for truth in demo.truth)


def test_a_scenario_is_the_same_whatever_runs_beside_it(demo: Traffic) -> None:
    alone = generate([NORMAL], seed=7, minutes=7.0)
    assert alone.truth == tuple(truth for truth in demo.truth if not truth.attack)
    assert set(alone.packets) <= set(demo.packets)


def test_nothing_lies_outside_the_span_that_was_asked_for() -> None:
    traffic = generate(SCENARIOS, seed=1, minutes=0.5)
    end_ns = MONDAY_MORNING_NS + 30 * SECOND
    assert all(MONDAY_MORNING_NS <= packet.ts_ns < end_ns for packet in traffic.packets)
    assert all(truth.end_ns < end_ns for truth in traffic.truth)


def test_a_host_uses_each_port_once_before_it_uses_one_again() -> None:
    site = Site()
    for client in (site.clients[0], site.clients[8]):
        low, high = client.stack.ephemeral_ports
        count = high + 1 - low
        rng = stream(1, client.name)
        assert len({site.port(client, rng) for _ in range(count)}) == count
        assert low <= site.port(client, rng) <= high


def test_a_scan_asks_as_many_ports_as_it_was_told_and_finds_the_open_ones() -> None:
    exchanges = list(port_scan(Site(), stream(1, "scan"), SPAN, ports=50))
    assert len({exchange.truth.target_port for exchange in exchanges if exchange.truth}) == 50
    assert {e.truth.target_port for e in exchanges if e.truth and len(e.packets) == 3} == {22, 80, 443}
    assert all(int.from_bytes(exchange.packets[0].frame[16:18], "big") == 44 for exchange in exchanges)


def test_a_flood_is_answered_only_as_far_as_the_backlog_goes() -> None:
    exchanges = list(syn_flood(Site(), stream(1, "flood"), SPAN, syns=300, backlog=20))
    assert Counter(len(exchange.packets) for exchange in exchanges) == {7: 20, 1: 280}


def test_a_spoofed_flood_has_many_sources_and_an_open_one_a_single_one() -> None:
    def sources(*, spoofed: bool) -> set[str]:
        made = syn_flood(Site(), stream(1, "flood"), SPAN, syns=300, spoofed=spoofed)
        return {exchange.truth.initiator for exchange in made if exchange.truth}

    assert len(sources(spoofed=False)) == 1
    assert len(sources(spoofed=True)) > 100


def test_password_guessing_keeps_to_its_workers() -> None:
    made = list(password_guessing(Site(), stream(1, "ssh"), SPAN, sessions=20, workers=4))
    truths = [exchange.truth for exchange in made if exchange.truth]
    at_once = max(sum(o.start_ns <= t.start_ns <= o.end_ns for o in truths) for t in truths)
    assert (len(truths), at_once) == (20, 4)


def test_slow_connections_never_finish_their_request_and_stay_open() -> None:
    made = list(slow_http(Site(), stream(1, "slow"), SPAN, connections=10, seconds=60))
    for exchange in made:
        sent = b"".join(packet.frame[66:] for packet in exchange.packets if packet.frame[30:34] == Site().web.ipv4)
        assert b"GET /?" in sent
        assert b"\r\n\r\n" not in sent
        assert exchange.packets[-1].ts_ns - exchange.packets[0].ts_ns > 55 * SECOND


def test_the_truth_is_written_as_csv_with_a_header() -> None:
    out = io.StringIO()
    traffic = generate([PORTSCAN], 1, 1.0)
    write_truth(traffic.truth, out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert len(rows) == len(traffic.truth)
    assert {row["technique"] for row in rows} == {"T1046"}
    assert int(rows[0]["start_ns"]) == traffic.truth[0].start_ns


def test_the_command_writes_what_the_generator_makes(tmp_path: Path) -> None:
    out, truth = tmp_path / "x.pcap", tmp_path / "x.csv"
    asked = [str(out), "--scenario", "ssh", "--minutes", "1", "--seed", "3", "--truth", str(truth)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0
    assert out.read_bytes() == pcap_bytes(generate([SSH_GUESSING], 3, 1.0).packets, snaplen=96)
    assert len(truth.read_text().splitlines()) == 1 + len(generate([SSH_GUESSING], 3, 1.0).truth)


def test_the_command_lists_each_scenario_with_what_it_is() -> None:
    lines = CliRunner().invoke(app, ["--list"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["demo", *(scenario.name for scenario in CATALOGUE)]
    assert all(scenario.summary in line for scenario, line in zip(CATALOGUE, lines[1:], strict=True))


def test_the_command_takes_the_time_that_a_scenario_needs(tmp_path: Path) -> None:
    out = tmp_path / "x.pcap"
    assert CliRunner().invoke(app, [str(out), "--scenario", "dns-tunnel"]).exit_code == 0
    assert out.read_bytes() == pcap_bytes(generate([dns_tunnel()], DEMO_SEED, 10.0).packets, snaplen=96)


def test_the_command_refuses_a_scenario_that_it_does_not_know(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "x.pcap"), "--scenario", "quake"])
    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())
