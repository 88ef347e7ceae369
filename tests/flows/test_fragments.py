"""Fragments join the flow of their first one, from a table that forgets."""

from itertools import pairwise

import numpy as np
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.ipsec import AH
from scapy.layers.l2 import Ether as AnyEther
from scapy.packet import Raw

from flows.batch import DST_PORT, END_REASON, PROTOCOL, SNAPSHOT, SRC_PORT, FlowBatch
from flows.block import block_of
from flows.fragments import ENTRIES
from flows.meter import Meter, concatenate

SECOND_NS = 10**9
LOST = "later fragment without its first"


def Ether(**fields):  # noqa: N802  stands for scapy's, which would look addresses up on the network
    return AnyEther(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **fields)


def V4(identification=77, **fields):  # noqa: N802
    return IP(**{"src": "192.0.2.1", "dst": "198.51.100.2", "id": identification} | fields)


def V6():  # noqa: N802
    return IPv6(src="2001:db8::1", dst="2001:db8::2")


def metered(frames, times_s=None, capacity=4096):
    """Final records of frames, and what was not decoded."""
    times = [10**18 + round(at * SECOND_NS) for at in times_s or range(len(frames))]
    meter = Meter(capacity)
    batch = concatenate([meter.feed(block_of([bytes(frame) for frame in frames], times)), meter.drain()])
    final = batch.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(batch.identity[final], batch.values[final]), meter.stats.undecoded


def ports(batch):
    return batch.identity[:, [SRC_PORT, DST_PORT, PROTOCOL]].tolist()


def v4_fragments(layer4, size=800, **fields):
    return [Ether() / part for part in fragment(V4(**fields) / layer4, size)]


def v6_fragments(payload, cuts, protocol=17, identification=9, before=None):
    """Fragments of the bytes above IPv6, cut at multiples of eight."""
    bounds = [0, *cuts, len(payload)]
    packet = V6() / before if before else V6()
    return [
        Ether()
        / packet
        / IPv6ExtHdrFragment(nh=protocol, offset=start // 8, m=end < len(payload), id=identification)
        / Raw(payload[start:end])
        for start, end in pairwise(bounds)
    ]


def test_an_ipv4_datagram_in_three_fragments_is_one_flow_with_all_its_bytes():
    batch, undecoded = metered(v4_fragments(UDP(sport=5000, dport=53) / Raw(bytes(2000))), [0, 0.1, 0.2])
    assert (ports(batch), undecoded) == ([[5000, 53, 17]], {})
    assert batch.column("fwd_packets").tolist() == [3]
    assert batch.column("fwd_bytes").tolist() == [2000]
    assert batch.column("fwd_header_length").tolist() == [8]


def test_an_ipv6_datagram_in_fragments_is_one_flow_whatever_headers_stand_before_and_behind():
    datagram = bytes(V6() / UDP(sport=5000, dport=53) / Raw(bytes(2000)))[40:]
    optional = bytes(IPv6ExtHdrDestOpt(nh=17))
    for frames in (
        v6_fragments(datagram, [800, 1600]),
        v6_fragments(datagram, [800, 1600], before=IPv6ExtHdrHopByHop()),
        v6_fragments(optional + datagram, [800, 1600], protocol=60),
    ):
        batch, undecoded = metered(frames, [0, 0.1, 0.2])
        assert (ports(batch), undecoded) == ([[5000, 53, 17]], {})
        assert batch.column("fwd_bytes").tolist() == [2000]


def test_tcp_flags_count_once_and_later_fragments_leave_the_connection_open():
    frames = v4_fragments(TCP(sport=5000, dport=80, flags="FPA") / Raw(bytes(2000)))
    batch, _ = metered(frames, [0, 0.1, 0.2])
    assert batch.column("fin_flag_count").tolist() == [1]
    assert batch.column("fwd_bytes").tolist() == [2000]


@pytest.mark.parametrize("size", [8, 16, 24, 32])
@pytest.mark.parametrize("options", [[], [("MSS", 1460)], [("Timestamp", (1, 2)), ("MSS", 1460)]])
def test_a_tcp_header_in_fragments_is_read_as_one_that_is_whole(size, options):
    """As scanners send them (nmap -f). Whatever pads a frame is no part of it."""
    segment = TCP(sport=40000, dport=443, flags="SP", seq=7, ack=9, window=1024, options=options) / Raw(b"x" * 21)
    parts = [Raw(bytes(part).ljust(60, b"\xff")) for part in v4_fragments(segment, size)]
    whole, _ = metered([Ether() / V4() / segment])
    batch, undecoded = metered(parts)
    assert (ports(batch), undecoded) == ([[40000, 443, 6]], {})
    assert batch.column("fwd_packets").tolist() == [len(parts)]
    for name in ("fwd_bytes", "fwd_header_length", "syn_flag_count", "psh_flag_count", "fwd_init_win_bytes"):
        assert batch.column(name).tolist() == whole.column(name).tolist(), name


def test_a_first_fragment_too_short_for_ports_is_malformed():
    assert metered([Ether() / V4(flags="MF", proto=6) / Raw(bytes(7))])[1] == {"malformed layer-4 header": 1}


def test_fragments_of_a_protocol_without_ports_carry_no_payload_either():
    batch, _ = metered(v4_fragments(ICMP() / Raw(bytes(2000))), [0, 0.1, 0.2])
    assert ports(batch) == [[0, 0, 1]]
    assert batch.column("fwd_packets").tolist() == [3]
    assert batch.column("fwd_bytes").tolist() == [0]


def test_the_protocol_of_later_fragments_is_that_behind_the_authentication_header():
    inner = bytes(UDP(sport=5000, dport=53, len=1008) / Raw(bytes(1000)))
    whole = bytes(AH(nh=17, payloadlen=4, spi=1, seq=1, icv=bytes(12))) + inner
    frames = [
        Ether() / V4(proto=51, flags="MF") / Raw(whole[:512]),
        Ether() / V4(proto=51, frag=64) / Raw(whole[512:]),
    ]
    batch, undecoded = metered(frames, [0, 0.1])
    assert (ports(batch), undecoded) == ([[5000, 53, 17]], {})
    assert batch.column("fwd_bytes").tolist() == [1000]


@pytest.mark.parametrize("ends", [("10.0.0.9", "10.0.0.1"), ("10.0.0.1", "10.0.0.9"), ("10.0.0.5", "10.0.0.5")])
@pytest.mark.parametrize("port_pair", [(9, 5), (5, 9)])
def test_both_directions_keep_their_side(ends, port_pair):
    there = fragment(
        IP(src=ends[0], dst=ends[1], id=1) / UDP(sport=port_pair[0], dport=port_pair[1]) / Raw(bytes(999)), 504
    )
    back = fragment(
        IP(src=ends[1], dst=ends[0], id=2) / UDP(sport=port_pair[1], dport=port_pair[0]) / Raw(bytes(300)), 200
    )
    frames = [Ether() / part for part in [*there, *back]]
    batch, undecoded = metered(frames, [0.1 * i for i in range(len(frames))])
    assert undecoded == {}
    assert ports(batch) == [[*port_pair, 17]]
    assert batch.column("fwd_bytes").tolist() == [999]
    assert batch.column("bwd_bytes").tolist() == [300]


def test_a_later_fragment_without_its_first_is_counted_by_that_reason():
    first, second, third = v4_fragments(UDP(sport=5000, dport=53) / Raw(bytes(2000)))
    batch, undecoded = metered([second, first, third], [0, 0.1, 0.2])
    assert undecoded == {LOST: 1}
    assert batch.column("fwd_packets").tolist() == [2]
    assert metered([second])[1] == {LOST: 1}


@pytest.mark.parametrize("other", [{"identification": 78}, {"src": "192.0.2.3"}, {"dst": "192.0.2.3"}, {"proto": 6}])
def test_fragments_of_other_datagrams_do_not_join(other):
    first, *_ = v4_fragments(UDP(sport=5000, dport=53) / Raw(bytes(2000)))
    stranger = Ether() / V4(**{"proto": 17} | other, frag=100) / Raw(bytes(64))
    assert metered([first, stranger], [0, 0.1])[1] == {LOST: 1}


def test_a_first_fragment_is_forgotten_after_thirty_seconds_or_when_another_takes_its_number():
    first, second, _ = v4_fragments(UDP(sport=5000, dport=53) / Raw(bytes(2000)))
    assert metered([first, second], [0, 30])[1] == {}
    assert metered([first, second], [0, 30.001])[1] == {LOST: 1}
    again, following, _ = v4_fragments(UDP(sport=6000, dport=53) / Raw(bytes(2000)))
    batch, _ = metered([first, again, following], [0, 1, 2])
    assert sorted(zip(ports(batch), batch.column("fwd_packets").tolist(), strict=True)) == [
        ([5000, 53, 17], 1),
        ([6000, 53, 17], 2),
    ]


def test_the_table_forgets_the_oldest_first():
    def first(number):
        return Ether() / V4(number, flags="MF") / UDP(sport=number, dport=53, len=1000) / Raw(bytes(64))

    def later(number):
        return Ether() / V4(number, proto=17, frag=9) / Raw(bytes(64))

    firsts = [bytes(first(number)) for number in range(1, ENTRIES + 2)]
    frames = [*firsts, later(1), later(2), later(ENTRIES + 1)]
    batch, undecoded = metered(frames, [0.001 * i for i in range(len(frames))])
    assert undecoded == {LOST: 1}
    packets = dict(zip(batch.identity[:, SRC_PORT].tolist(), batch.column("fwd_packets").tolist(), strict=True))
    assert {port for port, count in packets.items() if count == 2} == {2, ENTRIES + 1}


def test_an_atomic_fragment_is_a_whole_packet():
    datagram = bytes(V6() / UDP(sport=5000, dport=53) / Raw(bytes(20)))[40:]
    stranger = Ether() / V6() / IPv6ExtHdrFragment(nh=17, offset=3, m=0, id=9) / Raw(bytes(8))
    assert metered([*v6_fragments(datagram, []), stranger], [0, 0.1])[1] == {LOST: 1}


def test_random_fragments_add_up():
    random = np.random.default_rng(3)
    frames = [
        bytes(
            Ether()
            / IP(src="192.0.2.1", dst="192.0.2.2", id=int(random.integers(3000)), proto=17, flags=1, frag=int(offset))
            / Raw(random.bytes(32))
        )
        for offset in random.integers(0, 2, 12_000)
    ]
    meter = Meter(64)
    batch = concatenate([meter.feed(block_of(frames, [10**18 + i * 10**7 for i in range(12_000)])), meter.drain()])
    stats = meter.stats
    assert stats.packets == stats.metered + sum(stats.undecoded.values()) == 12_000
    assert stats.undecoded[LOST] > 1000
    assert np.isfinite(batch.values).all()
