"""What the meter reports early or leaves out when asked to, and that it counts all that it sheds."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import (
    END_DETECTED,
    END_REASON,
    IDLE_TIMEOUT,
    LACK_OF_RESOURCES,
    NEW_PACKETS,
    REPORT,
    REPORTED_NS,
    SNAPSHOT,
    SRC_PORT,
)
from flows.meter import Meter, concatenate
from tests.support.packets import EPOCH_NS, block, metered, tcp, udp

SECOND = 10**9
A, B = "10.0.0.1:40000", "10.0.0.2:80"


def connection(at=0.0):
    """Opened, used and closed by both sides within a tenth of a second."""
    steps = [(A, B, "S"), (B, A, "SA"), (A, B, "A"), (A, B, "PA"), (A, B, "FA"), (B, A, "FA"), (A, B, "A")]
    return [tcp(*step, at=at + 0.01 * number) for number, step in enumerate(steps)]


def datagrams(ports, at=0.0):
    return block([udp(f"10.0.0.1:{port}", "10.0.0.2:53", at=at) for port in ports])


def told(batch):
    return [(int(row[END_REASON]), int(row[REPORT]), int(row[NEW_PACKETS])) for row in batch.identity]


def test_a_closed_flow_is_reported_within_a_tick_and_ends_after_the_linger():
    meter = Meter(64)
    meter.feed(block(connection()))
    early = meter.advance(EPOCH_NS + SECOND)
    assert told(early) == [(SNAPSHOT, 0, 7)]
    assert early.identity[0, REPORTED_NS] - EPOCH_NS <= 0.06 * SECOND + 250_000_000
    assert told(meter.advance(EPOCH_NS + 3 * SECOND)) == [(END_DETECTED, 1, 0)]


def test_a_reset_is_reported_within_a_tick():
    meter = Meter(64)
    meter.feed(block([tcp(A, B, "S"), tcp(B, A, "RA", at=0.001)]))
    assert told(meter.advance(EPOCH_NS + SECOND)) == [(SNAPSHOT, 0, 2)]


def test_stragglers_are_told_at_the_end():
    straggler = tcp(A, B, "A", at=1.0)
    meter = Meter(64, news_only=True)
    batch = concatenate([meter.feed(block([*connection(), straggler])), meter.drain()])
    assert told(batch) == [(SNAPSHOT, 0, 7), (END_DETECTED, 1, 1)]


def test_with_news_only_a_final_report_without_news_is_left_out():
    meter = Meter(64, news_only=True)
    batch = concatenate([meter.feed(block([*connection(), udp("10.0.0.9:5", "10.0.0.2:53", at=1.0)])), meter.drain()])
    assert told(batch) == [(SNAPSHOT, 0, 7), (SNAPSHOT, 0, 1)]
    assert meter.stats.flows == 0
    assert meter.stats.metered == 8


def test_news_only_leaves_out_nothing_else():
    packets = [packet for number in range(40) for packet in connection(at=3.1 * number)]
    every = metered(packets)
    news = metered(packets, news_only=True)
    wanted = every.identity[:, NEW_PACKETS] > 0
    assert np.array_equal(every.identity[wanted], news.identity)
    assert np.array_equal(every.values[wanted], news.values)


def test_moments_of_reports_never_go_back_and_lie_within_the_flow_and_the_clock():
    packets = [packet for number in range(40) for packet in connection(at=3.1 * number)]
    batch = metered(packets)
    moments = batch.identity[:, REPORTED_NS].tolist()
    assert all(earlier <= later for earlier, later in pairwise(moments))
    assert moments[0] > EPOCH_NS


def test_a_shorter_idle_timeout_holds_for_flows_in_the_table_and_goes_back():
    meter = Meter(64)
    meter.feed(datagrams([1000]))
    meter.adapt(idle_timeout_ns=15 * SECOND)
    ended = meter.advance(EPOCH_NS + 80 * SECOND)
    assert told(ended)[-1] == (IDLE_TIMEOUT, 1, 0)
    meter.adapt()
    meter.feed(datagrams([1001], at=100.0))
    assert IDLE_TIMEOUT not in meter.advance(EPOCH_NS + 190 * SECOND).identity[:, END_REASON]
    assert meter.stats.flows == 1


def test_a_configured_timeout_that_is_shorter_already_stays():
    meter = Meter(64, idle_timeout_ns=5 * SECOND)
    meter.adapt(idle_timeout_ns=15 * SECOND)
    meter.feed(datagrams([1000]))
    meter.feed(datagrams([1000], at=6.0))
    assert meter.stats.flows == 1
    assert told(meter.advance(EPOCH_NS + 7 * SECOND)) == []


def test_a_smaller_table_is_reached_by_evicting_two_for_each_new_flow_and_given_back():
    meter = Meter(100)
    meter.feed(datagrams(range(1000, 1100)))
    meter.adapt(capacity_share=0.2)
    evicted = meter.feed(datagrams(range(2000, 2090)))
    assert meter.stats.flows == 20
    assert meter.stats.evicted == 170 == len(evicted)
    assert set(evicted.identity[:, END_REASON]) == {LACK_OF_RESOURCES}
    meter.adapt()
    meter.feed(datagrams(range(3000, 3080)))
    assert (meter.stats.flows, meter.stats.evicted) == (100, 170)


@pytest.mark.parametrize("keep", [2, 8, 64])
def test_a_sample_keeps_whole_flows_about_as_many_as_asked_and_counts_the_rest(keep):
    meter = Meter(65536)
    meter.adapt(keep_one_in=keep)
    ports = range(1, 32001)
    meter.feed(datagrams(ports))
    first = meter.stats
    meter.feed(block([udp("10.0.0.2:53", f"10.0.0.1:{port}", at=1.0) for port in ports]))  # the answers
    stats = meter.stats
    assert 0.8 < first.flows * keep / 32000 < 1.25
    assert stats.flows == first.flows
    assert (stats.metered, stats.shed) == (2 * first.metered, 2 * first.shed)
    assert stats.packets == stats.metered + stats.shed == 64000


def test_a_larger_number_keeps_some_of_what_a_smaller_one_keeps():
    meter = Meter(65536)
    kept = []
    for number, keep in enumerate([1, 2, 4, 8, 16, 32, 64]):
        meter.adapt(keep_one_in=keep)
        meter.feed(datagrams(range(1, 10001), at=1000.0 * number))
        kept.append(set(meter.drain().identity[:, SRC_PORT].tolist()))
    assert all(more < fewer for fewer, more in pairwise(kept))


def test_sampling_depends_on_the_run_so_that_nobody_can_choose_to_be_left_out():
    def sample():
        meter = Meter(4096)
        meter.adapt(keep_one_in=2)
        return set(concatenate([meter.feed(datagrams(range(1, 1001))), meter.drain()]).identity[:, SRC_PORT].tolist())

    assert sample() != sample()


@pytest.mark.parametrize("wrong", [{"keep_one_in": 3}, {"keep_one_in": 128}, {"keep_one_in": 0}, {"capacity_share": 0}])
def test_other_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Meter(64).adapt(**wrong)


adaptations = st.fixed_dictionaries(
    {
        "idle_timeout_ns": st.sampled_from([None, SECOND, 15 * SECOND]),
        "capacity_share": st.sampled_from([0.1, 0.5, 1.0]),
        "keep_one_in": st.sampled_from([1, 2, 64]),
    }
)
turns = st.lists(st.tuples(adaptations, st.integers(1, 60), st.floats(0, 30)), min_size=1, max_size=12)


@given(turns, st.booleans())
def test_whatever_is_asked_for_every_packet_is_counted_once(turns, news_only):
    meter = Meter(32, news_only=news_only)
    at, batches, sent = 0.0, [], 0
    for wanted, ports, pause in turns:
        meter.adapt(**wanted)
        packets = [udp(f"10.0.0.1:{1000 + port % 50}", "10.0.0.2:53", at=at) for port in range(ports)]
        batches.append(meter.feed(block(packets)))
        sent += ports
        at += pause
    batches.append(meter.drain())
    stats = meter.stats
    assert stats.packets == sent == stats.metered + stats.shed + sum(stats.undecoded.values())
    batch = concatenate(batches)
    assert int(batch.identity[:, NEW_PACKETS].sum()) == stats.metered
    assert stats.flows == 0
