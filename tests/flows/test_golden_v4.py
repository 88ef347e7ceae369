"""The compatible meter against the output of ahlashkari/CICFlowMeter 98a5eba on three captures: every row, every cell.

Numbers are compared as numbers, to the last bit: both programs write doubles, so equal columns are equal floats.
"""

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from flows.batch import (
    ACTIVE_TIMEOUT,
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_DETECTED,
    END_REASON,
    FORCED_END,
    IP_VERSION,
    LACK_OF_RESOURCES,
    NEW_PACKETS,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    address,
)
from flows.columns import COLUMNS
from flows.meter import Meter, concatenate
from tests.support.captures import read_whole_pcap
from tests.support.packets import block, ip, tcp, udp

pytestmark = pytest.mark.takes(15)

CAPTURES = ["syn_first10k", "syn20k_long", "real_2015"]
NAMED = ("Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Protocol", "Timestamp")
CLIENT, SERVER = "10.0.0.1:40000", "10.0.0.2:80"


def compatible(source, capacity=4096):
    meter = Meter(capacity, compat="cicflowmeter-v4")
    return concatenate([meter.feed(source), meter.drain()]), meter.stats


def golden_rows(path):
    """Name of the flow and its cells, in the order of the file, and the header."""
    with gzip.open(path, "rt", newline="") as text:
        rows = list(csv.DictReader(text))
    numbers = [name for name in rows[0] if name not in (*NAMED, "Label")]
    return [(tuple(row[name] for name in NAMED), tuple(float(row[name]) for name in numbers)) for row in rows], numbers


def our_rows(batch, numbers):
    """The same of a batch; times as V4 writes them, in the zone of the machine that made the goldens: UTC."""
    positions = [next(i for i, column in enumerate(COLUMNS) if column.v4 == name) for name in numbers]
    rows = []
    for identity, values in zip(batch.identity, batch.values, strict=True):
        source = address(int(identity[SRC_HIGH]), int(identity[SRC_LOW]), int(identity[IP_VERSION]))
        target = address(int(identity[DST_HIGH]), int(identity[DST_LOW]), int(identity[IP_VERSION]))
        ports = (str(identity[SRC_PORT]), str(identity[DST_PORT]))
        protocol = str(identity[PROTOCOL])
        start = datetime.fromtimestamp(int(identity[START_NS]) // 10**9, UTC).strftime("%d/%m/%Y %I:%M:%S %p")
        name = "-".join((source, target, *ports, protocol))
        rows.append(((name, source, ports[0], target, ports[1], protocol, start), tuple(values[i] for i in positions)))
    return rows


@pytest.mark.parametrize("capture", CAPTURES)
def test_every_row_and_every_cell_equals_the_java_program(shared_data, capture):
    golden, numbers = golden_rows(shared_data / "meter-golden" / f"{capture}.java-v4.csv.gz")
    batch, stats = compatible(read_whole_pcap(shared_data / "meter-golden" / f"{capture}.pcap.gz"))
    ours = our_rows(batch, numbers)
    assert len(numbers) == 76
    assert sum(stats.undecoded.values()) == stats.evicted == 0
    assert sum(np.isfinite(cells).sum() for _, cells in golden) == 76 * len(golden) == 76 * len(ours)
    missing, added = Counter(golden) - Counter(ours), Counter(ours) - Counter(golden)
    assert (missing, added) == (Counter(), Counter())


@pytest.mark.parametrize("capture", CAPTURES)
def test_flows_that_end_before_the_capture_come_in_the_order_of_the_java_program(shared_data, capture):
    golden, numbers = golden_rows(shared_data / "meter-golden" / f"{capture}.java-v4.csv.gz")
    batch, _ = compatible(read_whole_pcap(shared_data / "meter-golden" / f"{capture}.pcap.gz"))
    ended = our_rows(batch, numbers)[: np.count_nonzero(batch.identity[:, END_REASON] != FORCED_END)]
    assert golden[: len(ended)] == ended


def ends(batch):
    return batch.identity[:, END_REASON].tolist()


def packets_of(batch):
    return batch.identity[:, NEW_PACKETS].tolist()


def test_the_first_backward_fin_ends_a_flow_and_the_last_ack_begins_another():
    closing = [tcp(CLIENT, SERVER, "FA", at=1.0), tcp(SERVER, CLIENT, "FA", at=1.1), tcp(CLIENT, SERVER, at=1.2)]
    batch, stats = compatible(block([tcp(CLIENT, SERVER, "S"), tcp(SERVER, CLIENT, "SA", at=0.5), *closing]))
    assert (ends(batch), packets_of(batch), stats.left_out) == ([END_DETECTED], [4], 1)


def test_a_second_forward_fin_is_left_out_and_a_reset_ends_at_once():
    packets = [tcp(CLIENT, SERVER, flags, at=at) for at, flags in enumerate(["S", "FA", "FA", "FRA", "A", "R", "A"])]
    batch, stats = compatible(block(packets))
    assert (ends(batch), packets_of(batch)) == ([END_DETECTED], [4])
    # two FINs, and the ACK after the end as a flow of one packet
    assert stats.left_out == 3


def test_a_backward_packet_that_restarts_a_flow_counts_as_forward():
    late = tcp(SERVER, CLIENT, "PA", at=120.000001, payload=700, window=9)
    batch, _ = compatible(
        block([tcp(CLIENT, SERVER), tcp(SERVER, CLIENT, at=120.0), late, tcp(CLIENT, SERVER, at=121)])
    )
    assert ends(batch) == [ACTIVE_TIMEOUT, FORCED_END]
    assert batch.identity[:, SRC_PORT].tolist() == [40000, 40000]
    assert batch.column("fwd_packets").tolist() == [1, 2]
    assert batch.column("fwd_packet_length_max").tolist() == [0, 700]
    assert batch.column("fwd_init_win_bytes").tolist() == [64240, 9]
    assert batch.column("fwd_psh_flags").tolist() == [0, 1]


def test_a_silence_never_ends_a_flow_and_time_may_run_backwards():
    batch, _ = compatible(block([udp(CLIENT, SERVER, at=at) for at in (100, 40, 219.9)]))
    assert ends(batch) == [FORCED_END]
    assert batch.column("flow_iat_min").tolist() == [-60e6]
    assert batch.column("flow_duration").tolist() == [119.9e6]


def test_rates_over_no_time_are_infinite_or_no_number():
    with_data, _ = compatible(block([udp(CLIENT, SERVER, payload=5)] * 2))
    without, _ = compatible(block([udp(CLIENT, SERVER)] * 2))
    assert np.isposinf(with_data.column("flow_bytes_per_s")).all()
    assert np.isposinf(with_data.column("flow_packets_per_s")).all()
    assert np.isnan(without.column("flow_bytes_per_s")).all()
    assert with_data.column("fwd_packets_per_s").tolist() == [0]
    assert np.isnan(without.values).sum() == 1


def test_other_protocols_are_one_flow_without_ports_and_vlan_tags_do_not_part_flows():
    packets = [ip("10.0.0.1", "10.0.0.2", number, bytes(40), vlan=tags) for number in (1, 47) for tags in ((), (7,))]
    batch, _ = compatible(block(packets))
    assert packets_of(batch) == [4]
    assert batch.column("protocol").tolist() == batch.column("fwd_header_length").tolist() == [0]


def test_ipv6_is_counted_and_not_metered():
    batch, stats = compatible(block([udp("[2001:db8::1]:5", "[2001:db8::2]:6")] * 3))
    assert (len(batch), stats.undecoded) == (0, {"not IPv4": 3})


def test_ports_do_not_tell_the_direction_between_two_sockets_of_one_host():
    batch, _ = compatible(block([udp("127.0.0.1:5", "127.0.0.1:6"), udp("127.0.0.1:6", "127.0.0.1:5")]))
    assert batch.column("fwd_packets").tolist() == [2]


def test_a_full_table_gives_up_unanswered_flows_and_loses_no_packet():
    answered = [udp(CLIENT, SERVER), udp(SERVER, CLIENT, at=0.1), udp(CLIENT, SERVER, at=0.2)]
    flood = [
        udp(f"10.0.{i >> 8}.{i & 255}:9", SERVER, at=1 + i * 0.01) for i in range(9, 999) for _ in range(1 + i % 2)
    ]
    batch, stats = compatible(block([*answered, *flood, udp(CLIENT, SERVER, at=50)]), capacity=8)
    assert stats.evicted == 991 - 8
    assert set(ends(batch)) == {LACK_OF_RESOURCES, FORCED_END}
    assert packets_of(batch)[-1] == 4
    assert sum(packets_of(batch)) + stats.left_out == stats.metered == stats.packets


def test_records_do_not_depend_on_blocks():
    packets = [udp(f"10.0.0.{i % 7}:9", SERVER, at=i * 9.5) for i in range(200)]
    whole, _ = compatible(block(packets), capacity=3)
    meter = Meter(3, compat="cicflowmeter-v4")
    pieces = concatenate([*(meter.feed(block(packets[i : i + 3])) for i in range(0, 200, 3)), meter.drain()])
    assert np.array_equal(whole.identity, pieces.identity)
    assert np.array_equal(whole.values, pieces.values)


def test_an_unknown_program_is_refused():
    with pytest.raises(ValueError, match="cicflowmeter-v4"):
        Meter(compat="cicflowmeter-v3")
