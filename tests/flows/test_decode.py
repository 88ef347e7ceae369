"""Decoding against scapy, which builds the frames, and against frames cut at every length."""

import numpy as np
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Loopback
from scapy.layers.l2 import Ether as AnyEther
from scapy.packet import Raw

from flows.batch import DST_PORT, IP_VERSION, PROTOCOL, SRC_PORT, VLAN, address
from flows.block import block_of
from flows.meter import Meter, concatenate


def Ether(**fields):  # noqa: N802  stands for scapy's, which would look addresses up on the network
    return AnyEther(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **fields)


V4 = IP(src="192.0.2.1", dst="198.51.100.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
SEGMENT = TCP(sport=40000, dport=443, flags="S", window=1234) / Raw(b"x" * 11)


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
        (Ether() / Dot1Q() / Dot1Q() / Dot1Q() / Dot1Q() / Dot1Q() / V4 / SEGMENT, 1, "not IP"),
        (b"\x00\x00\x00\x07" + bytes(20), 0, "not IP"),
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
        (Ether() / IP(frag=10) / Raw(bytes(64)), 1, "later fragment"),
        (Ether() / V6 / IPv6ExtHdrFragment(offset=5) / Raw(bytes(64)), 1, "later fragment"),
        (bytes(Ether() / IPv6(nh=60)) + (b"\x3c\x00" + bytes(6)) * 12, 1, "malformed IP header"),
        (Ether() / IPv6(nh=60, plen=96) / Raw((b"\x3c\x00" + bytes(6)) * 12), 1, "too many IPv6 extension headers"),
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


def test_addresses_survive_their_two_words():
    batch, _ = one_flow(Ether() / IPv6(src="fe80::ffff:ffff:ffff:fffe", dst="ff02::fb") / UDP())
    assert address(*(int(word) for word in batch.identity[0, :2]), 6) == "fe80::ffff:ffff:ffff:fffe"
    assert address(*(int(word) for word in batch.identity[0, 2:4]), 6) == "ff02::fb"
    batch, _ = one_flow(Ether() / IP(src="255.255.255.254", dst="0.0.0.1") / UDP())
    assert address(*(int(word) for word in batch.identity[0, :2]), 4) == "255.255.255.254"


def test_random_bytes_never_break_decoding():
    random = np.random.default_rng(1)
    meter = Meter(256)
    for linktype in (0, 1, 12, 101, 108, 113, 228, 229, 276, 999):
        frames = [random.bytes(int(random.integers(0, 120))) for _ in range(400)]
        whole = bytes(Ether() / V6 / IPv6ExtHdrHopByHop() / SEGMENT)
        valid = [bytearray(whole) for _ in range(400)]
        for frame in valid:
            frame[int(random.integers(len(frame)))] = int(random.integers(256))
        batch = meter.feed(block_of(frames + [bytes(frame) for frame in valid], [10**18] * 800, linktype))
        assert np.isfinite(batch.values).all()
    stats = meter.stats
    assert stats.packets == stats.metered + sum(stats.undecoded.values()) == 8000
