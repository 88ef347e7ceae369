"""The made packets against the RFCs' own words: lengths, checksums, padding, and the capture file around them."""

import gzip
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.synth.generate import SCENARIOS, Traffic, generate
from sensor.synth.packets import Flag, address, checksum, ethernet, internet, tcp, udp
from sensor.synth.pcap import gzipped, pcap_bytes, write_pcap
from sensor.synth.truth import Packet

FAMILIES = (
    (address("10.0.0.1"), address("192.0.2.9")),
    (address("2001:db8::1"), address("2001:db8::2")),
)


def plain_checksum(octets: bytes) -> int:
    """RFC 1071 word by word."""
    total = 0
    for high, low in zip(octets[::2], octets[1::2] + b"\0" * (len(octets) % 2), strict=True):
        total += high << 8 | low
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def transport_is_sound(frame: bytes) -> bool:
    """Whether the transport checksum of an IP frame closes, computed from the bytes alone."""
    if frame[12:14] == b"\x08\x00":
        length = int.from_bytes(frame[16:18], "big")
        packet = frame[14 : 14 + length]
        protocol, addresses, segment = packet[9], packet[12:20], packet[20:]
        if protocol == 1:
            return plain_checksum(segment) == 0
    else:
        packet = frame[14 : 54 + int.from_bytes(frame[18:20], "big")]
        protocol, addresses, segment = packet[6], packet[8:40], packet[40:]
    return plain_checksum(addresses + struct.pack("!HH", protocol, len(segment)) + segment) == 0


@pytest.fixture(scope="module")
def morning() -> Traffic:
    return generate(SCENARIOS, seed=3, minutes=1.0)


@given(st.binary(min_size=1, max_size=200).filter(any))
def test_the_checksum_equals_the_word_by_word_sum(octets: bytes) -> None:
    assert checksum(octets) == plain_checksum(octets)


@given(st.sampled_from(FAMILIES), st.binary(max_size=99))
def test_a_udp_datagram_says_its_length(ends: tuple[bytes, bytes], payload: bytes) -> None:
    segment = udp(ends, (5353, 53), payload)
    assert int.from_bytes(segment[4:6], "big") == len(segment) == 8 + len(payload)


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_udp_checksum_that_comes_out_as_zero_is_sent_as_all_ones(ends: tuple[bytes, bytes]) -> None:
    missing = udp(ends, (5353, 53), b"\0\0")[6:8]
    assert udp(ends, (5353, 53), missing)[6:8] == b"\xff\xff"


@given(st.sampled_from(FAMILIES), st.binary(max_size=99), st.integers(0, 2**40))
def test_a_tcp_packet_has_right_lengths_and_checksums(ends: tuple[bytes, bytes], payload: bytes, seq: int) -> None:
    segment = tcp(ends, (1, 2), seq, 0, Flag.SYN, window=1024, options=b"\x02\x04\x05\xb4", payload=payload)
    packet = internet(*ends, 6, segment, ttl=64, ident=70000)
    kind = 0x0800 if len(ends[0]) == 4 else 0x86DD
    assert segment[12] >> 4 == 6
    assert transport_is_sound(ethernet(bytes(6), bytes(6), kind, packet))
    if kind == 0x0800:
        assert int.from_bytes(packet[2:4], "big") == len(packet)
        assert plain_checksum(packet[:20]) == 0
    else:
        assert int.from_bytes(packet[4:6], "big") == len(packet) - 40


def test_a_short_frame_is_padded_to_sixty_bytes() -> None:
    assert ethernet(bytes(6), bytes(6), 0x0806, b"x" * 28) == bytes(12) + b"\x08\x06" + b"x" * 28 + bytes(18)


def test_each_packet_of_all_scenarios_has_right_checksums(morning: Traffic) -> None:
    frames = [packet.frame for packet in morning.packets if packet.frame[12:14] in (b"\x08\x00", b"\x86\xdd")]
    assert len(frames) > 5000
    assert all(transport_is_sound(frame) for frame in frames)
    assert all(plain_checksum(frame[14:34]) == 0 for frame in frames if frame[12] == 8)


def test_no_frame_is_longer_than_ethernet_allows(morning: Traffic) -> None:
    assert {60, 1514} <= {len(packet.frame) for packet in morning.packets}
    assert all(60 <= len(packet.frame) <= 1514 for packet in morning.packets)


def test_packets_come_in_the_order_of_time(morning: Traffic) -> None:
    assert all(earlier.ts_ns <= later.ts_ns for earlier, later in pairwise(morning.packets))


def test_a_capture_keeps_the_wire_length_of_what_it_cuts() -> None:
    capture = pcap_bytes([Packet(5_000_001_999, bytes(200))], snaplen=96)
    assert struct.unpack("<IHHiIII", capture[:24]) == (0xA1B2C3D4, 2, 4, 0, 0, 96, 1)
    assert struct.unpack("<IIII", capture[24:40]) == (5, 1, 96, 200)
    assert len(capture) == 40 + 96


def test_a_nanosecond_capture_says_so_and_keeps_them() -> None:
    capture = pcap_bytes([Packet(5_000_001_999, bytes(60))], nanoseconds=True)
    assert struct.unpack("<I", capture[:4]) == (0xA1B23C4D,)
    assert struct.unpack("<II", capture[24:32]) == (5, 1999)


def test_a_compressed_capture_holds_no_time_and_no_name(tmp_path: Path) -> None:
    write_pcap(tmp_path / "a.pcap.gz", b"same")
    assert (tmp_path / "a.pcap.gz").read_bytes() == gzipped(b"same")
    assert gzipped(b"same")[3:8] == bytes(5)
    assert gzip.decompress(gzipped(b"same")) == b"same"
