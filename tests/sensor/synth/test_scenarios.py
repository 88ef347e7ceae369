"""All scenarios: reproducible, within their span, sound packets, and a truth that the meter agrees with."""

from collections import Counter, defaultdict
from functools import cache
from ipaddress import ip_address
from itertools import pairwise
from statistics import median

import numpy as np
import pytest

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_REASON,
    IP_VERSION,
    PROTOCOL,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    FlowBatch,
    address,
)
from flows.block import block_of
from flows.meter import Meter, concatenate
from flows.truth import FlowTruth
from sensor.synth.catalogue import ATTACKS, CATALOGUE, EVERYDAY
from sensor.synth.generate import MONDAY_MORNING_NS, SCENARIOS, Traffic, generate
from sensor.synth.packets import Flag, checksum
from sensor.synth.randomness import SECOND
from sensor.synth.scenarios.answers import backscatter
from sensor.synth.scenarios.beacons import held_channel, tcp_beacon, tls_beacon
from sensor.synth.scenarios.exfiltration import exfiltration
from sensor.synth.scenarios.floods import icmp_flood, udp_flood
from sensor.synth.scenarios.logins import guessing
from sensor.synth.scenarios.monitoring import health_checks, snmp_polling
from sensor.synth.scenarios.recurring import dashboard, retries
from sensor.synth.scenarios.reflection import REFLECTORS, reflection
from sensor.synth.scenarios.scenario import Scenario
from sensor.synth.scenarios.sweeps import slow_scan
from sensor.synth.scenarios.tunnels import dns_tunnel
from sensor.synth.site import Site

VARIANTS = (
    tls_beacon(victims=3, period_s=60.0, jitter=0.4, orders=0.3, hours=1.0),
    tcp_beacon(answered=0.4, hours=4.0),
    dns_tunnel(new_ports=True, direct=True, queries_per_second=20.0, minutes=1.0),
    *(reflection(service=service, reflectors=60, answers=9, unreachables=True) for service in REFLECTORS),
    udp_flood(ports=700, packets=2000),
    icmp_flood(answered=0.1, packets=1500),
    guessing(service="ftp", sources=300, sessions=300, workers=20),
    slow_scan(every_s=900.0, refused=0.0, repeats=3, hours=48.0),
    snmp_polling(new_ports=False, hosts=3, hours=1.0),
    backscatter(victims=40, minutes=5.0),
)
NEW = (*ATTACKS, *EVERYDAY, *VARIANTS)
OFFLOADED = 32 * 1024  # bytes: a packet that a network card joined

each_scenario = pytest.mark.parametrize("scenario", NEW, ids=lambda scenario: scenario.name)
Ends = tuple[int, str, int, str, int]


@cache
def whole(scenario: Scenario) -> Traffic:
    return generate([scenario], seed=3)


def is_sound(frame: bytes) -> bool:
    """Whether the checksums of an IPv4 frame close."""
    header, length = (frame[14] & 15) * 4, int.from_bytes(frame[16:18], "big")
    protocol, transport = frame[23], frame[14 + header : 14 + length]
    pseudo = frame[26:34] + bytes((0, protocol)) + len(transport).to_bytes(2, "big") if protocol in (6, 17) else b""
    return checksum(frame[14 : 14 + header]) == 0 == checksum(pseudo + transport)


def metered(traffic: Traffic) -> FlowBatch:
    meter = Meter(1 << 15)
    block = block_of([packet.frame for packet in traffic.packets], [packet.ts_ns for packet in traffic.packets])
    batch = concatenate([meter.feed(block), meter.drain()])
    ended = batch.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(batch.identity[ended], batch.values[ended])


def gaps(traffic: Traffic) -> list[float]:
    """Seconds between the starts of consecutive flows."""
    return [(later.start_ns - earlier.start_ns) / SECOND for earlier, later in pairwise(traffic.truth)]


def irregularity(values: list[float]) -> float:
    """Median absolute deviation as a share of the median."""
    middle = median(values)
    return median(abs(value - middle) for value in values) / middle


def ends_of(truth: FlowTruth) -> Ends:
    return truth.protocol, truth.initiator, truth.initiator_port, truth.target, truth.target_port


@each_scenario
def test_what_is_made_is_sound_and_in_its_place(scenario: Scenario) -> None:
    traffic = whole(scenario)
    end_ns = MONDAY_MORNING_NS + int(scenario.minutes * 60 * SECOND)
    assert all(MONDAY_MORNING_NS <= packet.ts_ns < end_ns for packet in traffic.packets)
    assert all(earlier.ts_ns <= later.ts_ns for earlier, later in pairwise(traffic.packets))
    assert all(packet.frame[12:14] == b"\x08\x00" and is_sound(packet.frame) for packet in traffic.packets)
    assert all(60 <= len(packet.frame) <= OFFLOADED for packet in traffic.packets)
    assert 0 < len(traffic.packets) < 13_000


@pytest.mark.parametrize("scenario", [*ATTACKS, *EVERYDAY], ids=lambda scenario: scenario.name)
def test_the_same_seed_gives_the_same_packets_and_another_seed_others(scenario: Scenario) -> None:
    again, other = (generate([scenario], seed, scenario.minutes / 4) for seed in (3, 4))
    assert again == generate([scenario], 3, scenario.minutes / 4)
    assert again.packets != other.packets


@each_scenario
def test_the_meter_finds_each_flow_of_the_truth_with_its_originator_and_its_packets(scenario: Scenario) -> None:
    truth = {ends_of(flow): flow for flow in whole(scenario).truth}
    assert len(truth) == len(whole(scenario).truth)
    batch = metered(whole(scenario))
    packets: Counter[Ends] = Counter()
    starts: dict[Ends, list[int]] = defaultdict(list)
    for row, count in zip(batch.identity, total(batch), strict=True):
        version = int(row[IP_VERSION])
        source, target = (
            address(int(row[h]), int(row[w]), version) for h, w in ((SRC_HIGH, SRC_LOW), (DST_HIGH, DST_LOW))
        )
        ends = int(row[PROTOCOL]), source, int(row[SRC_PORT]), target, int(row[DST_PORT])
        if ends not in truth:  # a pause longer than the idle timeout, and the other side speaks first after it
            ends = (ends[0], *ends[3:], *ends[1:3])
        packets[ends] += int(count)
        starts[ends].append(int(row[START_NS]))
    assert packets == {ends: flow.packets for ends, flow in truth.items()}
    assert {ends: min(times) for ends, times in starts.items()} == {e: flow.start_ns for e, flow in truth.items()}


def total(batch: FlowBatch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Packets of each record, both ways."""
    return (batch.column("fwd_packets") + batch.column("bwd_packets")).astype(np.int64)


def test_attacks_are_labelled_with_techniques_and_everyday_traffic_is_benign() -> None:
    for scenario in ATTACKS:
        assert any(flow.attack for flow in whole(scenario).truth), scenario.name
    for scenario in EVERYDAY:
        assert not any(flow.attack for flow in whole(scenario).truth), scenario.name


def test_each_scenario_of_the_catalogue_has_a_name_of_its_own_and_the_demo_those_it_had() -> None:
    names = [scenario.name for scenario in CATALOGUE]
    assert len(set(names)) == len(names)
    assert [scenario.name for scenario in SCENARIOS] == ["normal", "portscan", "synflood", "ssh", "slowhttp"]


def test_a_span_too_short_for_most_of_them_cuts_them_off() -> None:
    lasting = [scenario for scenario in CATALOGUE if scenario.minutes >= 15]
    assert len(lasting) > 15
    for scenario in lasting:
        made = generate([scenario], seed=3, minutes=0.1)
        assert all(packet.ts_ns < MONDAY_MORNING_NS + 6 * SECOND for packet in made.packets)
        assert sum(flow.packets for flow in made.truth) == len(made.packets)


def test_all_of_them_side_by_side_share_no_flow() -> None:
    side_by_side = [scenario for scenario in CATALOGUE if scenario.minutes < 15]
    flows = Counter(ends_of(flow) for flow in generate(side_by_side, seed=3).truth)
    assert max(flows.values()) == 1


def test_the_gaps_of_a_beacon_keep_within_its_jitter_and_those_of_a_person_spread() -> None:
    beacon = gaps(generate([tls_beacon(period_s=60.0, jitter=0.2, hours=4.0)], seed=3))
    assert all(47.9 < gap < 72.1 for gap in beacon)
    assert irregularity(beacon) <= 0.16
    assert irregularity(gaps(generate([dashboard()], seed=3))) >= 0.34


def test_a_held_channel_is_one_flow_that_is_never_silent_for_two_minutes() -> None:
    traffic = generate([held_channel(hours=3.0)], seed=3)
    assert len(traffic.truth) == 1
    assert max(later.ts_ns - earlier.ts_ns for earlier, later in pairwise(traffic.packets)) < 120 * SECOND
    assert traffic.truth[0].end_ns - traffic.truth[0].start_ns > 2.9 * 3600 * SECOND


def test_the_victim_of_a_reflection_asks_nothing_and_says_at_most_that_its_port_is_closed() -> None:
    silent, refusing = (generate([reflection(reflectors=20, answers=9, unreachables=u)], 3) for u in (False, True))
    victim = Site().web.ipv4
    assert not any(packet.frame[26:30] == victim for packet in silent.packets)
    said = [packet.frame for packet in refusing.packets if packet.frame[26:30] == victim]
    assert len(said) == 20 * 6
    assert all(frame[23] == 1 and frame[34:36] == b"\x03\x03" for frame in said)
    assert {flow.technique for flow in refusing.truth if flow.initiator == str(ip_address(victim))} == {"benign"}


def test_a_syn_that_nobody_answers_is_sent_again_as_it_was_after_one_and_three_seconds() -> None:
    first, second, third = generate([retries(hours=0.02)], seed=3).packets[:3]
    assert first.frame[38:42] == second.frame[38:42] == third.frame[38:42]
    assert [round((each.ts_ns - first.ts_ns) / SECOND) for each in (second, third)] == [1, 3]


def test_a_health_check_is_a_syn_its_answer_and_a_reset() -> None:
    packets = generate([health_checks(services=1, hours=0.1)], seed=3).packets
    flags = [packet.frame[47] for packet in packets]
    assert flags == [Flag.SYN, Flag.SYN | Flag.ACK, Flag.RST | Flag.ACK] * (len(flags) // 3)


def test_an_upload_has_the_size_that_was_asked_for_in_few_packets() -> None:
    traffic = generate([exfiltration(megabytes=8, megabits_per_second=8.0)], seed=3)
    payload = sum(len(packet.frame) - 66 for packet in traffic.packets)
    assert 8 << 20 < payload < 9 << 20
    assert len(traffic.packets) < 500
    assert 8 * SECOND < traffic.truth[0].end_ns - traffic.truth[0].start_ns < 12 * SECOND
