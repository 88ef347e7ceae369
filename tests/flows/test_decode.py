"""Decoding against scapy, which builds the frames, and against frames cut at every length."""

import numpy as np
import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, GRE, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Dot3, Loopback
from scapy.layers.l2 import Ether as AnyEther
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Raw

from flows.batch import DST_PORT, IP_VERSION, PROTOCOL, SRC_PORT, VLAN, address
from flows.block import block_of
from flows.meter import Meter, concatenate


def Ether(**fields):  # noqa: N802  stands for scapy's, which would look addresses up on the network
    return AnyEther(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **fields)


V4 = IP(src="192.0.2.1", dst="198.51.100.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
SNAP = b"\xaa\xaa\x03\x00\x00\x00"
SEGMENT = TCP(sport=40000, dport=443, flags="S", window=1234) / Raw(b"x" * 11)


def wlan(control, flags, body=SNAP, address4=b"", qos=b"", padding=b""):
    """802.11 frame with LLC and SNAP before IPv4."""
    header = bytes([control, flags]) + bytes(20) + b"\x10\x00" + address4 + qos + padding
    return header + body


V4_BYTES, V6_BYTES = bytes(V4 / SEGMENT), bytes(V6 / SEGMENT)
LLC_V4, LLC_V6 = SNAP + b"\x08\x00" + V4_BYTES, SNAP + b"\x86\xdd" + V6_BYTES
AGGREGATED = bytes(12) + len(LLC_V4).to_bytes(2, "big") + LLC_V4
RADIOTAP = b"\x00\x00\x0a\x00\x02\x00\x00\x00\x00\x00"
TIMED_RADIOTAP = b"\x00\x00\x19\x00\x03\x00\x00\x80" + bytes(4 + 4 + 8) + b"\x20"  # two words, the header padded
PPP_V4 = b"\xff\x03\x00\x21" + V4_BYTES
LABELS = MPLS(label=3, s=0) / MPLS(label=9, s=1)
FRAMES = [
    (Ether(type=0x8847) / LABELS / V4 / SEGMENT, 1),
    (Ether(type=0x8848) / LABELS / V6 / SEGMENT, 1),
    (bytes(Ether(type=0x8847) / LABELS) + bytes(4) + bytes(Ether() / V4 / SEGMENT), 1),
    (bytes(Ether(type=0x8847) / LABELS) + bytes(Ether() / V4 / SEGMENT), 1),
    (Ether() / PPPoE(sessionid=1) / PPP(proto=0x21) / V4 / SEGMENT, 1),
    (Ether() / Dot1Q(vlan=7) / PPPoE(sessionid=1) / PPP(proto=0x57) / V6 / SEGMENT, 1),
    (Dot3() / Raw(LLC_V4), 1),
    (Dot3() / Raw(b"\x06\x06\x03" + V4_BYTES), 1),
    (Ether(type=0x8100) / Raw(b"\x00\x07\x00\x40" + LLC_V6), 1),
    (Ether(type=0x88E7) / Raw(bytes(4) + bytes(Ether() / V4 / SEGMENT)), 1),
    (Ether(type=0x8903) / Raw(bytes(2) + bytes(Ether() / V4 / SEGMENT)), 1),
    (Ether(type=0x8926) / Raw(bytes(4) + b"\x08\x00" + V4_BYTES), 1),
    *[(b"".join([bytes(Ether(type=0x88A8)), b"\0\7\x81\0" * tags, b"\0\7\x08\0", V4_BYTES]), 1) for tags in (0, 1, 4)],
    *[(PPP_V4, linktype) for linktype in (9, 50)],
    (b"\x21" + V4_BYTES, 9),
    (b"\x00\x21" + V4_BYTES, 9),
    (b"\xff\x03\x02\x81" + bytes(LABELS) + V4_BYTES, 9),
    (b"\x0f\x00\x08\x00" + V4_BYTES, 50),
    (b"\x0f\x00\x86\xdd" + V6_BYTES, 104),
    (b"\x11\x00" + bytes(4) + b"\x00\x21" + V4_BYTES, 51),
    (b"\x00\x03\x00\x21" + V4_BYTES, 166),
    (wlan(0x08, 0x01, LLC_V4), 105),
    (wlan(0x88, 0x02, LLC_V6, qos=bytes(2)), 105),
    (wlan(0x88, 0x03, LLC_V4, address4=bytes(6), qos=bytes(2)), 105),
    (wlan(0x88, 0x82, LLC_V4, qos=bytes(6)), 105),
    (wlan(0x88, 0x02, AGGREGATED, qos=b"\x80\x00"), 105),
    (RADIOTAP + wlan(0x08, 0x02, LLC_V4), 127),
    (TIMED_RADIOTAP + wlan(0x88, 0x02, LLC_V4, qos=bytes(2), padding=bytes(2)), 127),
    (b"\x44" + bytes(143) + wlan(0x08, 0x02, LLC_V4), 119),
    (b"\x80\x21\x10\x01\x00\x00\x00\x40" + bytes(56) + wlan(0x08, 0x02, LLC_V4), 119),
    (b"\x80\x21\x10\x01\x00\x00\x00\x40" + bytes(56) + wlan(0x08, 0x02, LLC_V4), 163),
    (b"\x00\x00\x08\x00\x69\x00\x00\x00" + wlan(0x08, 0x02, LLC_V4), 192),
    (CookedLinux(proto=4) / Raw(LLC_V4), 113),
    (bytes(13) + LLC_V4, 10),
    (bytes(14) + LLC_V4, 6),
    (bytes(8) + b"\x80" + bytes(5) + b"\x04\x00\x00\x00" + LLC_V4, 6),
    (LLC_V4, 100),
    (V4_BYTES, 106),
    (b"\x02\x00\x00\x05" + LLC_V4, 123),
    (b"\x18\x41\x03\xcc" + V4_BYTES, 107),
    (b"\x18\x41\x03\x00\x80\x00\x00\x00\x08\x00" + V4_BYTES, 107),
    (b"\x18\x41\x08\x00" + V4_BYTES, 107),
    (bytes(16) + V4_BYTES, 8),
    (b"\x02\x00\x00\x00\x08\x00\x01\x00" + bytes(4) + b"\x3c\x00\x09\x00" + V4_BYTES, 239),
    (bytes(4) + b"\xf0" + V4_BYTES, 129),
    (b"\x4d\x47\x43\x80\x00\x02\x01\x02" + bytes(Ether() / V4 / SEGMENT), 178),
    (Ether() / IP(src="192.0.2.1", dst="198.51.100.2") / AH(nh=6, payloadlen=4, icv=bytes(12)) / SEGMENT, 1),
    (Ether() / V6 / AH(nh=6, payloadlen=4, icv=bytes(12)) / SEGMENT, 1),
]


def one_flow(frame, linktype=1):
    """The only record of a capture of one frame, with what was not decoded."""
    meter = Meter(4)
    batch = concatenate([meter.feed(block_of([bytes(frame)], [10**18], linktype)), meter.drain()])
    return batch, meter.stats.undecoded


@pytest.mark.parametrize(
    ("frame", "linktype"),
    [
        (Ether() / V4 / SEGMENT, 1),
        (Ether() / Dot1Q(vlan=7) / V4 / SEGMENT, 1),
        (Ether() / Dot1AD(vlan=100) / Dot1Q(vlan=7) / V4 / SEGMENT, 1),
        (CookedLinux(proto=0x800) / V4 / SEGMENT, 113),
        (CookedLinuxV2(proto=0x800) / V4 / SEGMENT, 276),
        (V4 / SEGMENT, 101),
        (V4 / SEGMENT, 228),
        (Loopback(type=2) / V4 / SEGMENT, 0),
        (b"\x00\x00\x00\x02" + bytes(V4 / SEGMENT), 108),
        (Ether() / V6 / SEGMENT, 1),
        (CookedLinux(proto=0x86DD) / V6 / SEGMENT, 113),
        (V6 / SEGMENT, 229),
        (b"\x1e\x00\x00\x00" + bytes(V6 / SEGMENT), 0),
        (Ether() / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt() / SEGMENT, 1),
        (Ether() / V6 / IPv6ExtHdrFragment(offset=0, m=1) / SEGMENT, 1),
        (Ether() / IP(src="192.0.2.1", dst="198.51.100.2", options=b"\x01" * 8) / SEGMENT, 1),
        *FRAMES,
    ],
)
def test_tcp_is_found_behind_every_link_layer_and_extension(frame, linktype):
    batch, undecoded = one_flow(frame, linktype)
    assert undecoded == {}
    assert batch.identity[0, [SRC_PORT, DST_PORT, PROTOCOL]].tolist() == [40000, 443, 6]
    assert batch.column("fwd_bytes")[0] == 11
    assert batch.column("fwd_header_length")[0] == 20
    assert batch.column("fwd_init_win_bytes")[0] == 1234


def test_vlan_tags_keep_flows_of_equal_addresses_apart():
    frames = [bytes(Ether() / Dot1Q(vlan=tag) / V4 / SEGMENT) for tag in (7, 8)]
    frames.append(bytes(Ether() / Dot1AD(vlan=100) / Dot1Q(vlan=7) / V4 / SEGMENT))
    meter = Meter(8)
    batch = concatenate([meter.feed(block_of(frames, [10**18] * 3)), meter.drain()])
    assert sorted(set(batch.identity[:, VLAN].tolist())) == [7, 8, 100 << 12 | 7]


def test_ethernet_padding_is_not_payload():
    batch, _ = one_flow(bytes(Ether() / V4 / TCP(flags="A")).ljust(60, b"\x00"))
    assert batch.column("fwd_bytes")[0] == 0


def test_a_cut_capture_changes_no_length():
    whole = bytes(Ether() / V4 / UDP(sport=1, dport=2) / Raw(b"x" * 900))
    assert one_flow(whole[:60])[0].column("fwd_bytes")[0] == one_flow(whole)[0].column("fwd_bytes")[0] == 900


def test_protocols_without_ports_are_flows_by_number():
    for layer, protocol in [(ICMP(type=8, code=0), 1), (GRE() / IP(), 47)]:
        batch, undecoded = one_flow(Ether() / V4 / layer)
        assert undecoded == {}
        assert batch.identity[0, [SRC_PORT, DST_PORT, PROTOCOL]].tolist() == [0, 0, protocol]
    assert one_flow(Ether() / V4 / ICMP(type=3, code=1))[0].column("icmp_type")[0] == 3
    batch, _ = one_flow(Ether() / V6 / ICMPv6EchoRequest())
    assert batch.identity[0, [PROTOCOL, IP_VERSION]].tolist() == [58, 6]
    assert batch.column("icmp_type")[0] == 128


@pytest.mark.parametrize(
    ("frame", "linktype", "reason"),
    [
        (Ether() / ARP(hwsrc="02:00:00:00:00:01", psrc="192.0.2.1"), 1, "not IP"),
        (b"".join([bytes(Ether(type=0x8100)), b"\0\7\x81\0" * 16, b"\0\7\x08\0", bytes(V4 / SEGMENT)]), 1, "not IP"),
        (b"\x00\x00\x00\x07" + bytes(20), 0, "not IP"),
        (Ether(type=0x8863) / Raw(bytes(40)), 1, "not IP"),
        (Dot3() / Raw(b"\x42\x42\x03" + bytes(40)), 1, "not IP"),
        (wlan(0x80, 0x00, LLC_V4), 105, "not IP"),
        (wlan(0x48, 0x01), 105, "not IP"),
        (wlan(0x08, 0x41, LLC_V4), 105, "encrypted 802.11 frame"),
        (b"\xff\x03\xc0\x21" + bytes(40), 9, "not IP"),
        (Ether() / V4 / SEGMENT, 147, "unknown link type"),
        (b"", 1, "headers cut short"),
        (b"", 101, "headers cut short"),
        (bytes(Ether() / V4 / SEGMENT)[:40], 1, "headers cut short"),
        (Ether() / IP(src="192.0.2.1", dst="198.51.100.2", ihl=3) / SEGMENT, 1, "malformed IP header"),
        (Ether() / IP(len=19) / SEGMENT, 1, "malformed IP header"),
        (Ether(type=0x800) / Raw(b"\x70" + bytes(60)), 1, "malformed IP header"),
        (Ether() / V4 / TCP(dataofs=4), 1, "malformed layer-4 header"),
        (Ether() / V4 / TCP(dataofs=15), 1, "malformed layer-4 header"),
        (Ether() / IP(len=24, proto=17) / Raw(bytes(8)), 1, "malformed layer-4 header"),
        (Ether() / IP(len=21, proto=1) / Raw(bytes(40)), 1, "malformed layer-4 header"),
        (Ether() / IP(proto=51) / AH(nh=51, payloadlen=200, icv=bytes(12)) / Raw(bytes(40)), 1, "malformed IP header"),
        (Ether() / IP(frag=10) / Raw(bytes(64)), 1, "later fragment without its first"),
        (Ether() / V6 / IPv6ExtHdrFragment(offset=5) / Raw(bytes(64)), 1, "later fragment without its first"),
        (bytes(Ether() / IPv6(nh=60, plen=8)) + (b"\x3c\x00" + bytes(6)) * 12, 1, "malformed IP header"),
        (Ether() / IPv6(nh=60, plen=2400) / Raw((b"\x3c\x00" + bytes(6)) * 300), 1, "too many IPv6 extension headers"),
    ],
)
def test_what_is_not_decoded_is_counted_by_its_reason(frame, linktype, reason):
    batch, undecoded = one_flow(frame, linktype)
    assert len(batch) == 0
    assert undecoded == {reason: 1}


def test_a_frame_cut_anywhere_is_decoded_or_counted_and_never_read_beyond_its_end():
    frame = bytes(Ether() / Dot1Q() / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / SEGMENT)
    meter = Meter(4)
    meter.feed(block_of([frame[:cut] for cut in range(len(frame))], [10**18] * len(frame)))
    stats = meter.stats
    needed = 14 + 4 + 40 + 8 + 8 + 20
    assert stats.metered == len(frame) - needed
    assert stats.undecoded == {"headers cut short": needed}


@pytest.mark.parametrize(("frame", "linktype"), FRAMES)
def test_every_link_layer_cut_anywhere_is_decoded_or_counted(frame, linktype):
    frame = bytes(frame)
    meter = Meter(4)
    meter.feed(block_of([frame[:cut] for cut in range(len(frame))], [10**18] * len(frame), linktype))
    stats = meter.stats
    assert stats.metered == len(SEGMENT.load)
    assert sum(stats.undecoded.values()) == len(frame) - len(SEGMENT.load)


@pytest.mark.parametrize("packet", [V4, V6, V6 / IPv6ExtHdrHopByHop()])
def test_an_ip_header_without_a_length_takes_it_from_the_frame(packet):
    segment = TCP(sport=40000, dport=443, flags="PA") / Raw(bytes(40_000))
    packet = packet.copy()
    packet.setfieldval("len" if packet.version == 4 else "plen", 0)
    frame = bytes(Ether() / packet / segment)
    batch, undecoded = one_flow(frame)
    assert (batch.column("fwd_bytes")[0], undecoded) == (40_000, {})
    cut = block_of([frame[:200]], [10**18])
    cut.wirelen[0] = len(frame)
    meter = Meter(4)
    batch = concatenate([meter.feed(cut), meter.drain()])
    assert batch.column("fwd_bytes")[0] == 40_000
    cut.wirelen[0] = 1 << 40
    assert (len(meter.feed(cut)), meter.stats.undecoded) == (0, {"malformed IP header": 1})


def test_addresses_survive_their_two_words():
    batch, _ = one_flow(Ether() / IPv6(src="fe80::ffff:ffff:ffff:fffe", dst="ff02::fb") / UDP())
    assert address(*(int(word) for word in batch.identity[0, :2]), 6) == "fe80::ffff:ffff:ffff:fffe"
    assert address(*(int(word) for word in batch.identity[0, 2:4]), 6) == "ff02::fb"
    batch, _ = one_flow(Ether() / IP(src="255.255.255.254", dst="0.0.0.1") / UDP())
    assert address(*(int(word) for word in batch.identity[0, :2]), 4) == "255.255.255.254"


def test_random_bytes_never_break_decoding():
    random = np.random.default_rng(1)
    meter = Meter(256, decap=True)
    linktypes = (0, 1, 12, 101, 108, 113, 228, 229, 276, 999, *sorted({linktype for _, linktype in FRAMES} - {1, 113}))
    for linktype in linktypes:
        frames = [random.bytes(int(random.integers(0, 120))) for _ in range(400)]
        whole = bytes(Ether() / V6 / IPv6ExtHdrHopByHop() / SEGMENT)
        valid = [bytearray(whole) for _ in range(400)]
        for frame in valid:
            frame[int(random.integers(len(frame)))] = int(random.integers(256))
        batch = meter.feed(block_of(frames + [bytes(frame) for frame in valid], [10**18] * 800, linktype))
        assert np.isfinite(batch.values).all()
    stats = meter.stats
    assert stats.packets == stats.metered + sum(stats.undecoded.values()) == 800 * len(linktypes)
