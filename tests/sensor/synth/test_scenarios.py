"""All scenarios: reproducible, within their span, sound packets, and a truth that the meter agrees with."""

from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise

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
from sensor.synth.catalogue import ATTACKS, CATALOGUE, EVERYDAY
from sensor.synth.generate import MONDAY_MORNING_NS, SCENARIOS, Traffic, generate
from sensor.synth.packets import checksum
from sensor.synth.randomness import SECOND
from sensor.synth.scenarios.scenario import Scenario
from sensor.synth.truth import FlowTruth

NEW = (*ATTACKS, *EVERYDAY)
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


@each_scenario
def test_the_same_seed_gives_the_same_packets_and_another_seed_others(scenario: Scenario) -> None:
    again, other = (generate([scenario], seed, scenario.minutes / 2) for seed in (3, 4))
    assert again == generate([scenario], 3, scenario.minutes / 2)
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
