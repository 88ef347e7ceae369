"""What is inside tunnels, when asked for: frames built by scapy, flows by the innermost IP header."""

import pytest
from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, GRE, GRE_PPTP, Dot1Q
from scapy.layers.l2 import Ether as AnyEther
from scapy.layers.ppp import PPP
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from flows.batch import DST_PORT, END_REASON, PROTOCOL, SNAPSHOT, SRC_PORT, VLAN, FlowBatch
from flows.block import block_of
from flows.meter import Meter, concatenate


def Ether(**fields):  # noqa: N802  stands for scapy's, which would look addresses up on the network
    return AnyEther(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **fields)


V4 = IP(src="192.0.2.1", dst="198.51.100.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
INNER4 = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=443, flags="S") / Raw(b"x" * 11)
INNER6 = IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=40000, dport=443, flags="S") / Raw(b"x" * 11)
TZSP = b"\x01\x00\x00\x01" + b"\x0a\x02\xc8\x00" + b"\x00" + b"\x01"  # signal strength, padding, the end
WLAN = b"\x08\x01" + bytes(22) + b"\xaa\xaa\x03\x00\x00\x00\x08\x00"
AVS = b"\x80\x21\x10\x01\x00\x00\x00\x40" + bytes(56)
EXTENDED_GTP = b"\x34\xff\x00\x48" + bytes(4) + b"\x00\x01\x00\x85" + b"\x01\x00\x09\x00"

LATER = "later fragment of a tunnel's packet"

TUNNELS = {
    "IP in IP": V4 / INNER4,
    "6in4": V4 / INNER6,
    "4in6": V6 / INNER4,
    "6in6": V6 / INNER6,
    "GRE": V4 / GRE() / INNER4,
    "GRE over IPv6": V6 / GRE() / INNER6,
    "GRE with checksum, key and sequence": V4 / GRE(chksum_present=1, key_present=1, seqnum_present=1) / INNER4,
    "GRE with Ethernet": V4 / GRE(proto=0x6558) / Ether() / INNER4,
    "GRE with MPLS": V4 / GRE(proto=0x8847) / MPLS(label=9, s=1) / INNER4,
    "PPTP": V4 / GRE_PPTP(seqnum_present=1, acknum_present=1) / PPP(proto=0x21) / INNER4,
    "ERSPAN I": V4 / GRE(proto=0x88BE) / Raw(bytes(Ether() / INNER4)),
    "ERSPAN II": V4 / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / Ether() / INNER4,
    "ERSPAN III": V4 / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III() / Ether() / INNER4,
    "VXLAN": V4 / UDP(sport=50000, dport=4789) / VXLAN(vni=7, flags=8) / Ether() / INNER4,
    "VXLAN of old Linux": V4 / UDP(sport=50000, dport=8472) / VXLAN(vni=7, flags=8) / Ether() / INNER6,
    "Geneve": V4 / UDP(sport=50000, dport=6081) / GENEVE(vni=7, proto=0x6558) / Ether() / INNER4,
    "Geneve with IP": V6 / UDP(sport=50000, dport=6081) / GENEVE(vni=7, proto=0x0800) / INNER4,
    "GTP-U": V4 / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=7, gtp_type=255) / INNER4,
    "GTP-U with a sequence number": V4 / UDP(dport=2152) / GTP_U_Header(teid=7, gtp_type=255, S=1) / INNER4,
    "TZSP": V4 / UDP(sport=50000, dport=37008) / Raw(b"\x01\x00\x00\x01\x01" + bytes(Ether() / INNER4)),
    "TZSP with tags": V4 / UDP(sport=50000, dport=37008) / Raw(TZSP + bytes(Ether() / INNER6)),
    "TZSP to send, IP": V6 / UDP(sport=50000, dport=37008) / Raw(b"\x01\x01\x00\x07\x01" + bytes(INNER4)),
    "TZSP with 802.11": V4 / UDP(dport=37008) / Raw(b"\x01\x00\x00\x12\x01" + WLAN + bytes(INNER4)),
    "TZSP with AVS": V4 / UDP(dport=37008) / Raw(b"\x01\x00\x00\x7f\x01" + AVS + WLAN + bytes(INNER4)),
    "TZSP with Prism": V4 / UDP(dport=37008) / Raw(b"\x01\x00\x00\x77\x01\x44" + bytes(143) + WLAN + bytes(INNER4)),
    "GTP-U with extensions": V4 / UDP(sport=2152, dport=9) / Raw(EXTENDED_GTP + bytes(INNER4)),
}


def flows_of(frames, *, decap, **settings):
    """Final records of frames, and what was not decoded."""
    meter = Meter(8, decap=decap, **settings)
    batch = concatenate(
        [meter.feed(block_of([bytes(frame) for frame in frames], [10**18] * len(frames))), meter.drain()]
    )
    final = batch.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(batch.identity[final], batch.values[final]), meter.stats.undecoded


def flow_of(packet, *, decap):
    return flows_of([packet], decap=decap)


def ports(batch):
    return batch.identity[:, [SRC_PORT, DST_PORT, PROTOCOL]].tolist()


@pytest.mark.parametrize("name", TUNNELS)
def test_the_flow_is_the_one_inside_when_asked_and_the_tunnel_otherwise(name):
    outside, _ = flow_of(Ether() / TUNNELS[name], decap=False)
    assert ports(outside) != [[40000, 443, 6]]
    inside, undecoded = flow_of(Ether() / TUNNELS[name], decap=True)
    assert (ports(inside), undecoded) == ([[40000, 443, 6]], {})
    assert inside.column("fwd_bytes").tolist() == [11]


@pytest.mark.parametrize("name", TUNNELS)
def test_a_tunnel_cut_anywhere_is_decoded_or_counted(name):
    frame = bytes(Ether() / TUNNELS[name])
    meter = Meter(64, decap=True)
    meter.feed(block_of([frame[:cut] for cut in range(len(frame))], [10**18] * len(frame)))
    stats = meter.stats
    assert stats.metered + sum(stats.undecoded.values()) == len(frame)
    assert set(stats.undecoded) <= {"headers cut short", "malformed layer-4 header"}
    assert stats.metered > 11


def test_tunnels_are_followed_four_deep_and_counted_beyond():
    four = V4 / GRE() / V4 / V4 / V6 / INNER4
    assert ports(flow_of(Ether() / four, decap=True)[0]) == [[40000, 443, 6]]
    batch, undecoded = flow_of(Ether() / V4 / four, decap=True)
    assert (len(batch), undecoded) == (0, {"tunnels nested too deep": 1})


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (V4 / GRE(proto=0x6558) / Ether() / ARP(hwsrc="02:00:00:00:00:01", psrc="192.0.2.1"), [0, 0, 47]),
        (V4 / GRE(proto=0x0800) / Raw(bytes(30)), [0, 0, 47]),
        (V4 / GRE(routing_present=1) / INNER4, [0, 0, 47]),
        (V4 / UDP(sport=50000, dport=4789) / VXLAN(flags=0) / Ether() / INNER4, [50000, 4789, 17]),
        (V4 / UDP(sport=50000, dport=4790) / VXLAN(flags=8) / Ether() / INNER4, [50000, 4790, 17]),
        *[
            (V4 / UDP(sport=50000, dport=37008) / Raw(header + bytes(Ether() / INNER4)), [50000, 37008, 17])
            for header in (
                b"\x02\x00\x00\x01\x01",  # another version
                b"\x01\x04\x00\x01\x01",  # keepalive
                b"\x01\x00\x00\x03\x01",  # SLIP
                b"\x01\x00\x00\x01" + b"\x00" * 40 + b"\x01",  # more tags than are walked
            )
        ],
        (V4 / UDP(sport=2152, dport=2152) / GTP_U_Header(gtp_type=1) / Raw(bytes(40)), [2152, 2152, 17]),
        (V4 / UDP(sport=2152, dport=2152) / Raw(b"\x45" + bytes(60)), [2152, 2152, 17]),
    ],
)
def test_what_carries_no_ip_stays_what_it_is_outside(packet, expected):
    batch, undecoded = flow_of(Ether() / packet, decap=True)
    assert (ports(batch), undecoded) == ([expected], {})


def test_an_error_message_that_quotes_a_packet_is_no_tunnel():
    batch, _ = flow_of(Ether() / V4 / ICMP(type=3, code=1) / INNER4, decap=True)
    assert ports(batch) == [[0, 0, 1]]


def test_a_fragmented_tunnel_packet_counts_once_and_a_fragment_inside_is_followed():
    datagram = IP(src="10.0.0.1", dst="10.0.0.2", id=5) / UDP(sport=5, dport=6) / Raw(bytes(1400))
    outer = [Ether() / part for part in fragment(V4 / GRE() / datagram, 800)]
    inner = [Ether() / V4 / GRE() / part for part in fragment(datagram, 800)]
    assert len(outer) == len(inner) == 2
    batch, undecoded = flows_of(outer, decap=True)
    assert (ports(batch), undecoded) == ([[5, 6, 17]], {LATER: 1})
    assert (batch.column("fwd_packets").tolist(), batch.column("fwd_bytes").tolist()) == ([1], [1400])
    batch, undecoded = flows_of([*outer, *inner], decap=True)
    assert (ports(batch), undecoded) == ([[5, 6, 17]], {LATER: 1})
    assert (batch.column("fwd_packets").tolist(), batch.column("fwd_bytes").tolist()) == ([3], [2800])


def test_both_the_tunnels_packet_and_the_one_inside_may_be_fragments():
    datagram = IP(src="10.0.0.1", dst="10.0.0.2", id=5) / UDP(sport=5, dport=6) / Raw(bytes(1400))
    frames = [
        Ether() / outer
        for number, part in enumerate(fragment(datagram, 1000))
        for outer in fragment(V4.__class__(src=V4.src, dst=V4.dst, id=70 + number) / GRE() / part, 304)
    ]
    batch, undecoded = flows_of(frames, decap=True)
    assert ports(batch) == [[5, 6, 17]]
    assert (batch.column("fwd_packets").tolist(), batch.column("fwd_bytes").tolist()) == ([2], [1400])
    assert undecoded == {LATER: len(frames) - 2}


def test_without_tags_in_the_key_a_fragmented_tunnel_packet_is_in_the_flow_of_the_whole_ones():
    datagram = IP(src="10.0.0.1", dst="10.0.0.2", id=5) / UDP(sport=5, dport=6) / Raw(bytes(1400))
    parts = fragment(V4 / UDP(sport=50000, dport=4789) / VXLAN(flags=8) / Ether() / Dot1Q(vlan=9) / datagram, 800)
    whole = V4 / UDP(sport=50000, dport=4789) / VXLAN(flags=8) / Ether() / Dot1Q(vlan=9) / datagram
    frames = [Ether() / Dot1Q(vlan=7) / packet for packet in (whole, *parts, whole)]
    batch, _ = flows_of(frames, decap=True, vlan_in_key=False)
    assert batch.identity[:, VLAN].tolist() == [0]
    assert batch.column("fwd_packets").tolist() == [3]


def test_a_later_fragment_of_a_tunnels_packet_without_its_first_is_told_as_any():
    datagram = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=5, dport=6) / Raw(bytes(1400))
    first, later = (Ether() / part for part in fragment(V4 / GRE() / datagram, 800))
    batch, undecoded = flows_of([later, first], decap=True)
    assert (ports(batch), undecoded) == ([[5, 6, 17]], {"later fragment without its first": 1})


def test_a_first_fragment_that_does_not_reach_inside_stays_outside_with_its_later_ones():
    datagram = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=5, dport=6) / Raw(bytes(100))
    frames = [Ether() / part for part in fragment(V4 / GRE() / datagram, 16)]
    batch, undecoded = flows_of(frames, decap=True)
    assert (ports(batch), undecoded) == ([[0, 0, 47]], {})


@pytest.mark.parametrize("name", TUNNELS)
def test_packets_of_tunnels_are_counted_where_they_are_not_looked_into(name):
    frames = [bytes(Ether() / TUNNELS[name]), bytes(Ether() / INNER4)]
    for decap, expected in ((False, 1), (True, 0)):
        meter = Meter(8, decap=decap)
        meter.feed(block_of(frames, [10**18] * 2))
        assert meter.stats.tunnelled == expected


def test_what_only_looks_like_a_tunnel_by_its_port_is_not_counted_as_one():
    meter = Meter(8)
    likely = V4 / UDP(sport=4789, dport=53) / Raw(bytes(60)), V4 / UDP(sport=5, dport=4789) / Raw(bytes(60))
    meter.feed(block_of([bytes(Ether() / packet) for packet in likely], [10**18] * 2))
    assert meter.stats.tunnelled == 0


def test_vlan_tags_of_the_inner_frame_count_and_else_those_outside():
    tagged = Ether() / Dot1Q(vlan=7) / V4 / UDP(dport=4789) / VXLAN(flags=8) / Ether()
    assert flow_of(tagged / INNER4, decap=True)[0].identity[0, VLAN] == 7
    assert flow_of(tagged / Dot1Q(vlan=9) / INNER4, decap=True)[0].identity[0, VLAN] == 9
