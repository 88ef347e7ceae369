"""An attack under other addresses: the meter sees the same flows of other hosts, with other tags, at another time."""

import numpy as np
import pytest

from flows.batch import DST_LOW, END_NS, SRC_LOW, START_NS, VLAN, FlowBatch, address_words
from flows.meter import Meter, concatenate
from sensor.rehearsal.episode import AttackEpisode, made
from sensor.rehearsal.readdressing import moved, readdressed, tagging
from sensor.synth.packets import address, ethernet, icmp_unreachable, internet, udp
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.scenarios.sweeps import udp_sweep
from tests.support.packets import tcp

SCANNER, WEB = "203.0.113.45", "10.20.0.10"
HOUR_NS = 3_600_000_000_000
PACKED = {address("10.0.0.1"): address("192.168.7.1"), address("10.0.0.2"): address("192.168.7.2")}


def number(text: str) -> int:
    return address_words(text)[1]


def metered(episode: AttackEpisode) -> FlowBatch:
    meter = Meter(8192)
    return concatenate([meter.feed(episode.block()), meter.drain()])


def test_the_meter_sees_the_same_flows_of_other_hosts_at_another_time() -> None:
    scan = made(PORTSCAN)
    other = moved(scan, {number(SCANNER): number("192.0.2.9"), number(WEB): number("172.16.0.5")}, 77, HOUR_NS)
    before, after = metered(scan), metered(other)
    assert np.array_equal(before.values, after.values)
    assert set(after.identity[:, SRC_LOW]) == {number("192.0.2.9")}
    assert set(after.identity[:, DST_LOW]) == {number("172.16.0.5")}
    assert set(after.identity[:, VLAN]) == {77}
    for word in (START_NS, END_NS):
        assert np.array_equal(after.identity[:, word], before.identity[:, word] + HOUR_NS)
    assert other.sides == (("192.0.2.9",), ("172.16.0.5",))
    assert (other.start_ns, other.end_ns) == (scan.start_ns + HOUR_NS, scan.end_ns + HOUR_NS)


def test_the_packet_that_an_icmp_error_is_about_is_of_other_hosts_too() -> None:
    one, two = address("10.0.0.1"), address("10.0.0.2")
    asked = internet(one, two, 17, udp((one, two), (4000, 161), b"x" * 20), ttl=64, ident=1)
    error = internet(two, one, 1, icmp_unreachable(3, asked), ttl=64, ident=2)
    frame = readdressed(ethernet(b"\2" * 6, b"\4" * 6, 0x0800, error), PACKED, b"")
    assert frame is not None
    for old, new in PACKED.items():
        assert (frame.count(old), frame.count(new)) == (0, 2)


def test_tags_are_replaced_by_those_of_the_site() -> None:
    plain, tagged = (tcp("10.0.0.1:40000", "10.0.0.2:80", "S", vlan=vlan).frame for vlan in ((), (5, 6)))
    expected = readdressed(plain, PACKED, b"")
    assert expected is not None
    assert readdressed(tagged, PACKED, b"") == expected
    assert readdressed(tagged, PACKED, tagging(9)) == expected[:12] + bytes.fromhex("81000009") + expected[12:]
    assert tagging(7 << 12 | 9) == bytes.fromhex("88a8000781000009")
    assert tagging(0) == b""


@pytest.mark.parametrize(
    "frame",
    [
        tcp("[2001:db8::1]:1", "[2001:db8::2]:2").frame,
        bytes(12) + b"\x08\x06" + bytes(46),
        tcp("10.0.0.1:1", "10.0.0.2:2").frame[:30],
        b"",
    ],
    ids=["IPv6", "ARP", "cut", "nothing"],
)
def test_what_is_no_ipv4_is_left_out(frame: bytes) -> None:
    assert readdressed(frame, PACKED, b"") is None


def test_an_attack_without_ipv4_is_refused() -> None:
    scan = made(udp_sweep(hosts=3))
    ipv6 = [tcp("[2001:db8::1]:1", "[2001:db8::2]:2").frame] * 3
    packets = tuple(packet._replace(frame=frame) for packet, frame in zip(scan.packets, ipv6, strict=False))
    with pytest.raises(ValueError, match="udp-sweep has no IPv4"):
        moved(AttackEpisode("udp-sweep", "T1046", "lab", packets, scan.flows), {}, 0, 0)
