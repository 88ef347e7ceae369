"""Flow construction and the promises of the meter: conservation, determinism, bounds, time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import (
    ACTIVE_TIMEOUT,
    END_DETECTED,
    END_REASON,
    FORCED_END,
    IDLE_TIMEOUT,
    LACK_OF_RESOURCES,
    NEW_PACKETS,
    REPORT,
    SNAPSHOT,
    SRC_LOW,
    SRC_PORT,
    START_NS,
)
from flows.columns import INDEX
from flows.meter import Meter, concatenate
from tests.support.examples import examples
from tests.support.packets import EPOCH_NS, Packet, block, metered, tcp, udp

CLIENT, SERVER = "10.0.0.1:40000", "10.0.0.2:80"


def handshake(at=0.0, client=CLIENT, server=SERVER):
    return [tcp(client, server, "S", at=at), tcp(server, client, "SA", at=at + 0.01), tcp(client, server, at=at + 0.02)]


def ends(batch):
    return batch.identity[batch.identity[:, END_REASON] != SNAPSHOT, END_REASON].tolist()


def test_a_reset_ends_the_flow_and_later_acks_stay_in_it():
    batch = metered([*handshake(), tcp(SERVER, CLIENT, "R", at=0.1), tcp(CLIENT, SERVER, at=0.2)])
    assert ends(batch) == [END_DETECTED]
    assert batch.column("fwd_packets")[0] + batch.column("bwd_packets")[0] == 5


def test_both_fins_and_the_ack_after_them_close_the_flow():
    closing = [tcp(CLIENT, SERVER, "FA", at=1.0), tcp(SERVER, CLIENT, "FA", at=1.1), tcp(CLIENT, SERVER, at=1.2)]
    later = [*handshake(at=9.0)]
    batch = metered([*handshake(), *closing, *later])
    assert batch.column("fin_flag_count").tolist()[0] == 2
    assert ends(batch) == [END_DETECTED, FORCED_END]


def test_one_fin_does_not_end_a_flow():
    batch = metered([*handshake(), tcp(CLIENT, SERVER, "FA", at=1.0), tcp(SERVER, CLIENT, payload=9, at=8.0)])
    assert ends(batch) == [FORCED_END]


def test_a_syn_on_closed_ports_begins_a_new_flow_at_once():
    batch = metered([*handshake(), tcp(SERVER, CLIENT, "R", at=0.1), *handshake(at=0.2)])
    assert ends(batch) == [END_DETECTED, FORCED_END]
    assert batch.column("syn_flag_count").tolist()[:2] == [2, 2]


def test_a_packet_after_the_linger_begins_a_new_flow():
    batch = metered([*handshake(), tcp(SERVER, CLIENT, "R", at=0.1), tcp(CLIENT, SERVER, at=2.2)])
    assert len(ends(batch)) == 2


def test_silence_ends_a_flow_and_the_next_packet_decides_the_direction():
    batch = metered([udp("10.0.0.1:5000", "10.0.0.2:53"), udp("10.0.0.2:53", "10.0.0.1:5000", at=120.5)])
    final = batch.identity[:, END_REASON] != SNAPSHOT
    assert batch.identity[final, END_REASON].tolist() == [IDLE_TIMEOUT, FORCED_END]
    assert batch.identity[final, SRC_PORT].tolist() == [5000, 53]


def test_the_active_timeout_cuts_a_long_flow_and_keeps_its_direction():
    packets = [udp("10.0.0.1:5000", "10.0.0.2:53", at=at) for at in range(0, 121, 40)]
    packets.append(udp("10.0.0.2:53", "10.0.0.1:5000", at=121))
    batch = metered(packets)
    final = batch.identity[:, END_REASON] != SNAPSHOT
    assert batch.identity[final, END_REASON].tolist() == [ACTIVE_TIMEOUT, FORCED_END]
    assert batch.identity[final, SRC_PORT].tolist() == [5000, 5000]
    assert batch.column("bwd_packets")[final].tolist() == [0, 1]
    assert batch.column("connection_duration")[final].tolist() == [120e6, 121e6]


def test_a_syn_ack_that_comes_first_is_the_responders():
    batch = metered([tcp(SERVER, CLIENT, "SA"), tcp(CLIENT, SERVER, at=0.1)])
    assert batch.identity[0, SRC_PORT] == 40000


def test_a_long_flow_is_reported_while_it_runs():
    packets = [udp("10.0.0.1:5000", "10.0.0.2:53", at=at) for at in np.arange(0, 100, 5.0)]
    batch = metered(packets)
    reports = batch.identity[:, REPORT].tolist()
    assert reports == list(range(len(reports)))
    assert batch.identity[:-1, END_REASON].tolist() == [SNAPSHOT] * (len(reports) - 1)
    # at 10 s, then each minute while there is something new, then the end
    assert batch.column("fwd_packets").tolist() == [3, 15, 20, 20]
    assert batch.identity[:, NEW_PACKETS].tolist() == [3, 12, 5, 0]


def test_both_ends_alike_is_one_forward_flow():
    batch = metered([udp("127.0.0.1:5", "127.0.0.1:5", at=at) for at in (0, 1, 2)])
    assert batch.column("fwd_packets")[-1] == 3


def test_a_full_table_gives_up_the_oldest_unanswered_flow_and_reports_it():
    packets = [*handshake(), *(tcp(f"10.0.1.{i}:1", SERVER, "S", at=1 + i) for i in range(1, 9))]
    meter = Meter(4)
    batch = meter.feed(block(packets))
    evicted = batch.identity[:, END_REASON] == LACK_OF_RESOURCES
    assert meter.stats.evicted == evicted.sum() == 5
    assert (batch.identity[evicted, SRC_LOW] & 0xFF).tolist() == [1, 2, 3, 4, 5]
    assert meter.stats.flows == 4


def test_a_table_full_of_answered_flows_gives_up_the_one_established_first():
    packets = [packet for i in range(1, 6) for packet in handshake(at=i, client=f"10.0.1.{i}:1")]
    batch = Meter(4).feed(block(packets))
    assert (batch.identity[:, SRC_LOW] & 0xFF).tolist() == [1]


def test_time_never_runs_backwards():
    batch = metered([udp("10.0.0.1:5", "10.0.0.2:6", at=at) for at in (5.0, 3.0, 4.0, 6.0)])
    assert batch.column("flow_duration")[-1] == 1e6
    assert batch.column("flow_iat_min")[-1] == 0


def test_one_stamp_in_the_far_future_changes_nothing():
    packets = [udp("10.0.0.1:5", "10.0.0.2:6", at=at) for at in (0.0, 1.0, 2.0)]
    packets.insert(2, Packet(packets[0].frame, EPOCH_NS + 80 * 365 * 86400 * 10**9))
    batch = metered(packets)
    assert batch.column("flow_duration")[-1] == 2e6
    assert batch.column("fwd_packets")[-1] == 4


def test_a_second_stamp_confirms_a_jump_forward_and_expiry_goes_on():
    packets = [udp("10.0.0.1:5", "10.0.0.2:6"), *(udp("10.0.0.3:5", "10.0.0.2:6", at=9e6 + i) for i in range(2))]
    meter = Meter(8)
    batch = meter.feed(block(packets))
    assert IDLE_TIMEOUT in batch.identity[:, END_REASON]
    assert meter.stats.clock_jumps == 1


def test_a_clock_set_back_for_good_is_followed():
    packets = [udp("10.0.0.1:5", "10.0.0.2:6", at=1000 + i * 0.01) for i in range(3)]
    packets += [udp("10.0.0.1:5", "10.0.0.2:6", at=i) for i in range(200)]
    meter = Meter(8)
    batch = concatenate([meter.feed(block(packets)), meter.drain()])
    assert meter.stats.clock_jumps == 1
    assert meter.stats.late == 32
    assert meter.stats.late_ns == 1000_020_000_000
    assert ACTIVE_TIMEOUT in batch.identity[:, END_REASON]


def test_advance_brings_what_silence_makes_due():
    meter = Meter(8)
    meter.feed(block(handshake()))
    assert len(meter.advance(EPOCH_NS + 9 * 10**9)) == 0
    assert meter.advance(EPOCH_NS + 11 * 10**9).identity[:, END_REASON].tolist() == [SNAPSHOT]
    assert meter.advance(EPOCH_NS + 121 * 10**9).identity[:, END_REASON].tolist() == [IDLE_TIMEOUT]
    assert len(meter.advance(EPOCH_NS + 121 * 10**9)) == 0
    assert len(meter.drain()) == 0


def test_what_is_not_metered_brings_what_is_due_as_well():
    """A link whose other traffic is no IP may never be silent."""
    meter = Meter(8)
    meter.feed(block([udp("10.0.0.1:5", "10.0.0.2:6")]))
    others = [Packet(bytes(12) + b"\x08\x06" + bytes(46), EPOCH_NS + at * 10**9) for at in range(1, 130)]
    assert ends(meter.feed(block(others[:15]))) == []
    assert meter.feed(block(others[15:])).identity[:, END_REASON].tolist() == [IDLE_TIMEOUT]


@pytest.mark.parametrize("wrong", [{"capacity": 0}, {"active_timeout_ns": 3001 * 10**9}, {"idle_timeout_ns": 0}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|positive"):
        Meter(**wrong)


HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "[2001:db8::1]", "[2001:db8::2]"]


@st.composite
def captures(draw):
    """Packets among few hosts and ports with any flags, sizes and steps of time, also backward."""
    clock, packets = 1000.0, []
    for _ in range(draw(st.integers(1, 120))):
        clock += draw(st.sampled_from([0, 1e-6, 0.3, 1.0, 1.000001, 5.1, 60, 119.9, 120.1, -0.5, -70, 90000]))
        source, target = draw(st.sampled_from([(a, b) for a in HOSTS for b in HOSTS if ("[" in a) == ("[" in b)]))
        ends = (f"{source}:{draw(st.integers(1, 2))}", f"{target}:{draw(st.integers(1, 2))}")
        payload = draw(st.sampled_from([0, 0, 1, 6, 1448]))
        if draw(st.booleans()):
            flags = draw(st.sampled_from(["S", "SA", "A", "A", "PA", "FA", "R", "RA", "FPU", "SFRPAUEC", ""]))
            packets.append(tcp(*ends, flags, at=max(0, clock), payload=payload))
        else:
            packets.append(udp(*ends, at=max(0, clock), payload=payload))
    return packets


@examples(150)
@given(captures(), st.integers(1, 40), st.sampled_from([2, 5, 64]))
def test_records_do_not_depend_on_blocks_and_no_packet_is_lost(packets, size, capacity):
    whole, pieces = Meter(capacity), Meter(capacity)
    expected = concatenate([whole.feed(block(packets)), whole.drain()])
    parts = [pieces.feed(block(packets[i : i + size])) for i in range(0, len(packets), size)]
    got = concatenate([*parts, pieces.drain()])
    assert np.array_equal(expected.identity, got.identity)
    assert np.array_equal(expected.values, got.values)
    assert got.identity[:, NEW_PACKETS].sum() == len(packets) == pieces.stats.metered
    final = got.identity[:, END_REASON] != SNAPSHOT
    assert (got.column("fwd_packets") + got.column("bwd_packets"))[final].sum() == len(packets)
    assert np.isfinite(got.values).all()
    windows_and_icmp = [got.column(n).min(initial=0) for n in ("fwd_init_win_bytes", "icmp_type", "bwd_last_win_bytes")]
    assert min(windows_and_icmp) >= -1
    assert got.values[:, : INDEX["fwd_init_win_bytes"]].min(initial=0) >= 0


@examples(60)
@given(captures())
def test_columns_obey_their_definitions(packets):
    batch = metered(packets)
    column = batch.column
    assert np.array_equal(column("average_packet_size"), column("packet_length_mean"))
    assert (column("packet_length_min") <= column("packet_length_mean")).all()
    assert (column("packet_length_mean") <= column("packet_length_max")).all()
    assert (column("flow_iat_max") <= column("flow_duration")).all()
    assert (column("fwd_iat_total") <= column("flow_duration")).all()
    assert (column("idle_max") <= column("flow_iat_max")).all()
    assert (column("fwd_act_data_packets") <= column("fwd_packets")).all()
    assert (column("fwd_rst_flags") + column("bwd_rst_flags") == column("rst_flag_count")).all()
    starts = batch.identity[:, START_NS]
    assert (column("connection_duration") >= column("flow_duration")).all()
    assert (starts > 0).all()
