"""Classic pcap records: lengths, times and byte orders as the format has them."""

import struct

import numpy as np
import pytest

from flows.pcap import MAX_PACKETS, PcapWalker
from tests.support.capture_bytes import Packet, packet, pcap_header, pcap_record, read

NANOSECOND, MODIFIED = 0xA1B23C4D, 0xA1B2CD34
LAST_MICROSECOND = ((2**32 - 1) * 10**6 + 999_999) * 1000


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_give_the_same_packets(order: str) -> None:
    packets = [packet(60, 1_700_000_000_123_456_000), packet(0, 0), packet(1514, LAST_MICROSECOND)]
    capture = pcap_header(order=order) + b"".join(pcap_record(item, order=order) for item in packets)
    assert read(capture) == (packets, None)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_nanosecond_magic_keeps_nanoseconds(order: str) -> None:
    item = packet(64, 1_700_000_000_123_456_789)
    capture = pcap_header(order=order, magic=NANOSECOND) + pcap_record(item, order=order, unit_ns=1)
    assert read(capture) == ([item], None)


def test_the_modified_format_has_eight_more_bytes_in_each_record_header() -> None:
    packets = [packet(60, 1000), packet(61, 2000)]
    records = b"".join(pcap_record(item, extra=b"\x02\0\0\0\x08\0\x04\0") for item in packets)
    assert read(pcap_header(magic=MODIFIED) + records) == (packets, None)


def test_the_link_type_is_the_low_half_word() -> None:
    capture = pcap_header(linktype=0x4400_0071) + pcap_record(packet(60))
    (seen,), _ = read(capture)
    assert seen.linktype == 0x71


def test_versions_before_2_3_hold_the_two_lengths_the_other_way_round() -> None:
    item = Packet(b"a" * 40, 0, 90)
    record = struct.pack("<IIII", 0, 0, 90, 40) + item.frame
    assert read(pcap_header(version=(2, 2)) + record) == ([item], None)


def test_in_version_2_3_the_smaller_length_is_the_captured_one() -> None:
    item = Packet(b"a" * 40, 0, 90)
    swapped = struct.pack("<IIII", 0, 0, 90, 40) + item.frame
    assert read(pcap_header(version=(2, 3)) + swapped + pcap_record(item)) == ([item, item], None)


def test_a_packet_longer_than_its_wire_length_and_the_snap_length_is_delivered() -> None:
    item = Packet(b"x" * 70_000, 5000, 60)
    assert read(pcap_header() + pcap_record(item)) == ([item], None)


def test_a_fraction_above_a_second_is_added_to_the_seconds() -> None:
    record = struct.pack("<IIII", 10, 2**32 - 1, 1, 1) + b"z"
    (seen,), _ = read(pcap_header() + record)
    assert seen.ts_ns == 10 * 10**9 + (2**32 - 1) * 1000


def test_the_largest_packet_is_read_and_a_larger_one_is_corrupt() -> None:
    first, largest = packet(100, 1000), packet(262_144, 2000)
    begin = pcap_header() + pcap_record(first) + pcap_record(largest)
    assert read(begin) == ([first, largest], None)
    packets, problem = read(begin + pcap_record(packet(262_145)))
    assert packets == [first, largest]
    assert problem == f"corrupt at byte {len(begin)}: a packet of 262145 bytes, expected at most 262144"


def test_a_record_that_is_cut_short_is_reported_behind_all_before_it() -> None:
    packets = [packet(60, 1000), packet(80, 2000)]
    whole = pcap_header() + b"".join(pcap_record(item) for item in packets)
    assert read(whole[:-1]) == (packets[:1], "truncated: the record at byte 100 has 95 of at least 96 bytes")
    assert read(whole[:103]) == (packets[:1], "truncated: the record at byte 100 has 3 of at least 16 bytes")


def test_a_block_holds_a_bounded_number_of_packets() -> None:
    records = np.frombuffer(bytes(16) * (MAX_PACKETS + 10), dtype=np.uint8).copy()
    walker = PcapWalker(pcap_header())
    walk = walker.walk(records, 0, len(records))
    assert len(walk.block) == MAX_PACKETS
    assert walk.wanted == 0
    walk = walker.walk(records, walk.position, len(records))
    assert (len(walk.block), walk.position, walk.wanted) == (10, len(records), 16)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (pcap_header()[:23], "a pcap header cut short after 23 of 24 bytes"),
        (pcap_header(version=(543, 0)), r"pcap version 543\.0 instead of 2\.4"),
        (b"GIF8" + bytes(20), "no pcap magic"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused_with_what_was_found(header: bytes, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        PcapWalker(header)
