"""Who talks most: sums as a plain count has them, faded by time, in a bounded store; and the store is quick enough."""

import time
from collections import Counter

import numpy as np
import pytest

from flows.batch import IP_VERSION, NEW_PACKETS, PROTOCOL, REPORTED_NS, FlowBatch
from sensor.metering.talkers import FADE_S, HOSTS, SHOWN, LargestSums, TrafficCounts, amounts_of
from tests.support.episodes import Flow, S, judged
from tests.support.packets import metered, tcp, udp

NOW_NS = 1_700_000_000 * 10**9


def counted(records: FlowBatch, counts: TrafficCounts | None = None) -> TrafficCounts:
    counts = counts or TrafficCounts()
    counts.add(records, int(records.identity[:, REPORTED_NS].max()))
    return counts


def test_hosts_services_and_protocols_have_the_bytes_of_their_packets() -> None:
    records = metered([
        tcp("10.0.0.1:4000", "10.0.0.2:443", "S", at=0.0), tcp("10.0.0.2:443", "10.0.0.1:4000", "SA", at=0.1),
        tcp("10.0.0.1:4000", "10.0.0.2:443", at=0.2, payload=1000),
        udp("[2001:db8::1]:5000", "[2001:db8::2]:53", at=0.3, payload=52),
    ])  # fmt: skip
    traffic = counted(records).traffic()
    assert [(share.name, share.bytes, share.flows) for share in traffic.hosts] == [
        ("10.0.0.1", 1120, 1), ("10.0.0.2", 1120, 1), ("2001:db8::1", 100, 1), ("2001:db8::2", 100, 1),
    ]  # fmt: skip
    assert [(share.name, share.bytes) for share in traffic.services] == [("tcp/443", 1120), ("udp/53", 100)]
    assert [(share.name, share.bytes) for share in traffic.protocols] == [("tcp", 1120), ("udp", 100)]


def test_a_flow_that_is_reported_again_adds_what_is_new() -> None:
    again = judged([Flow(packets=10, sent=10_000, answered=0), Flow(packets=40, sent=40_000, answered=0, report=1)])[0]
    again.identity[:, NEW_PACKETS] = (10, 30)
    assert amounts_of(again).tolist() == [[10_200, 1], [30_600, 0]]
    (share,) = counted(again).traffic().services
    assert (share.bytes, share.flows) == (40_800, 1)


def test_in_a_watch_what_was_a_minute_ago_fades_also_while_nothing_comes() -> None:
    records = judged([Flow(packets=10, sent=9_800, answered=0, news=10)])[0]
    now_ns = int(records.identity[0, REPORTED_NS])
    counts = TrafficCounts(FADE_S)
    counts.add(records, now_ns)
    assert counts.traffic().protocols[0].bytes == 10_000
    counts.add(records.__class__(records.identity[:0], records.values[:0]), now_ns + 60 * S)
    faded = counts.traffic()
    assert faded.protocols[0].bytes == round(10_000 / np.e)
    assert faded.seconds == pytest.approx(60 * (1 - 1 / np.e))
    counts.add(records.__class__(records.identity[:0], records.values[:0]), now_ns + 3600 * S)
    assert counts.traffic().protocols == ()


def test_a_steady_rate_is_told_as_it_is() -> None:
    counts = TrafficCounts(FADE_S)
    for second in range(600):
        records = judged([Flow(at=float(second), packets=10, sent=9_800, answered=0, news=10, lasts=0.0)])[0]
        counts.add(records, int(records.identity[0, REPORTED_NS]))
    traffic = counts.traffic()
    assert traffic.hosts[0].bytes / traffic.seconds == pytest.approx(10_000, rel=0.02)


def test_beyond_the_bound_the_smallest_give_way_and_are_counted() -> None:
    random = np.random.default_rng(7)
    sums, plain = LargestSums(1, 256), Counter[int]()
    for _ in range(20):
        keys = random.integers(0, 5_000, (1_000, 1))
        keys[:100, 0] = 5_000 + np.arange(100) % 10  # ten that matter
        sizes = np.where(keys[:, 0] >= 5_000, 1_000.0, 1.0)
        sums.merge(keys, np.stack([sizes, np.ones(1_000)], axis=1), 1.0)
        for key, size in zip(keys[:, 0].tolist(), sizes.tolist(), strict=True):
            plain[key] += round(size)
    found = [(key[0], size) for key, size, _ in sums.largest(10)]
    assert sorted(found) == sorted((key, float(size)) for key, size in plain.most_common(10))
    assert len(sums.largest(10_000)) == 256
    assert sums.forgotten > 1_000


def test_it_stays_bounded_and_quick_however_many_hosts_are_made_up() -> None:
    random = np.random.default_rng(7)
    counts = TrafficCounts()
    records = judged([Flow()] * 8_192)[0]
    spent_s = 0.0
    for _ in range(8):
        records.identity[:, 1] = random.integers(0, 2**32, len(records))
        started_s = time.process_time()
        counts.add(records, NOW_NS)
        traffic = counts.traffic()
        spent_s += time.process_time() - started_s
    assert traffic.forgotten > 8 * 8_192 - HOSTS - 16
    assert len(traffic.hosts) <= SHOWN
    assert spent_s / (8 * 8_192) < 10e-6  # of a record; some 1 µs on a quiet core


def test_what_has_no_ports_is_no_service() -> None:
    records = judged([Flow(protocol=1)])[0]
    assert records.identity[0, IP_VERSION] == 4
    assert records.identity[0, PROTOCOL] == 1
    traffic = counted(records).traffic()
    assert (traffic.services, traffic.protocols[0].name) == ((), "icmp")
