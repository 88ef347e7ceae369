"""pcapng blocks: sections, interfaces, their clocks, the three kinds of packets."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.capture_bytes import (
    Packet,
    block,
    enhanced,
    interface,
    obsolete,
    option,
    packet,
    pcapng,
    read,
    section,
    simple,
)

TSRESOL, TSOFFSET = 9, 14
LATEST_NS = 2**62 - 1
NAME_RESOLUTION, STATISTICS, CUSTOM = 4, 5, 0xBAD


def clock(resolution: int, offset_s: int = 0) -> bytes:
    options = option(2, b"eth0") + option(TSRESOL, bytes([resolution])) + option(TSOFFSET, struct.pack("<q", offset_s))
    return options + option(0, b"")


def time_of(ticks: int, resolution: int, offset_s: int = 0) -> int:
    """Time that a packet of one interface with this clock gets."""
    (seen,), problem = read(section() + interface(options=clock(resolution, offset_s)) + enhanced(packet(1), ticks))
    assert problem is None
    return seen.ts_ns


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_give_the_same_packets(order: str) -> None:
    packets = [packet(60, 1_700_000_000_123_456_000), packet(0, 0), packet(61, 10**15)]
    assert read(pcapng(packets, order=order)) == (packets, None)


def test_enhanced_obsolete_and_simple_packets_are_all_read() -> None:
    packets = [packet(60, 5000), packet(61, 6000), packet(62, 6000)]
    capture = section() + interface() + enhanced(packets[0], 5) + obsolete(packets[1], 6) + simple(packets[2])
    assert read(capture) == (packets, None)


def test_a_simple_packet_is_cut_at_the_snap_length_and_takes_the_time_before_it() -> None:
    cut = Packet(b"s" * 38, 7000, 90)
    capture = section() + interface(snaplen=38) + enhanced(packet(1), 7) + simple(cut)
    packets, problem = read(capture)
    assert (packets[1], problem) == (cut, None)


def test_other_blocks_are_skipped() -> None:
    item = packet(60, 1000)
    others = [block(kind, b"\xff" * 37) for kind in (NAME_RESOLUTION, STATISTICS, CUSTOM, 0x80000001)]
    capture = section() + others[0] + interface() + b"".join(others) + enhanced(item, 1) + others[1]
    assert read(capture) == ([item], None)


def test_a_skipped_block_may_be_larger_than_the_buffer() -> None:
    item = packet(60, 1000)
    capture = section() + interface() + block(CUSTOM, bytes(3 << 20)) + enhanced(item, 1)
    assert read(capture) == ([item], None)


def test_each_interface_has_its_link_type_and_clock() -> None:
    packets = [packet(10, 3_000_000, 1), packet(11, 3, 101), packet(12, 3_000_000_000, 113)]
    capture = section() + interface(1, options=clock(3)) + interface(101, options=clock(9))
    capture += enhanced(packets[0], 3, 0) + enhanced(packets[1], 3, 1) + interface(113, options=clock(0))
    capture += enhanced(packets[2], 3, 2)
    assert read(capture) == (packets, None)


def test_a_section_of_the_other_byte_order_begins_with_no_interfaces() -> None:
    packets = [packet(60, 1000), packet(61, 2000, 101)]
    first = section() + interface() + enhanced(packets[0], 1)
    second = section(order=">", options=option(1, b"comment", order=">")) + interface(101, order=">")
    capture = first + second + enhanced(packets[1], 2, order=">")
    assert read(capture) == (packets, None)
    without = first + section(order=">")
    assert read(without + enhanced(packets[1], 2, order=">")) == (
        packets[:1],
        f"corrupt at byte {len(without)}: a packet of interface 0, which was not described",
    )


def test_an_interface_without_options_counts_microseconds() -> None:
    item = packet(60, 2**40 * 1000)
    assert read(section() + interface() + enhanced(item, 2**40)) == ([item], None)


@given(ticks=st.integers(0, 2**64 - 1), power=st.integers(0, 19), offset_s=st.integers(-(2**63), 2**63 - 1))
def test_decimal_clocks_equal_exact_arithmetic_within_the_range_of_times(ticks: int, power: int, offset_s: int) -> None:
    since = min(ticks * 10**9 // 10**power, LATEST_NS)
    offset_ns = max(-LATEST_NS, min(LATEST_NS, offset_s * 10**9))
    assert time_of(ticks, power, offset_s) == max(0, min(LATEST_NS, since + offset_ns))


@given(ticks=st.integers(0, 2**64 - 1), power=st.integers(0, 63))
def test_binary_clocks_equal_exact_arithmetic_within_the_range_of_times(ticks: int, power: int) -> None:
    exact = ticks * 10**9 >> power
    seen = time_of(ticks, 0x80 | power)
    assert seen == exact if exact < LATEST_NS // 10**9 * 10**9 else seen == LATEST_NS


def test_an_offset_moves_times_either_way_and_never_below_zero() -> None:
    assert time_of(5, 0, 1_700_000_000) == 1_700_000_005 * 10**9
    assert time_of(5, 0, -3) == 2 * 10**9
    assert time_of(5, 0, -6) == 0


@pytest.mark.parametrize(("resolution", "found"), [(20, "10^-20 s"), (0x80 | 64, "2^-64 s")])
def test_a_clock_finer_than_its_counter_is_corrupt(resolution: int, found: str) -> None:
    packets, problem = read(section() + interface(options=clock(resolution)))
    assert packets == []
    assert problem is not None
    assert found in problem


def damaged(capture: bytes, at: int, value: int) -> bytes:
    """Capture with one 32-bit word replaced."""
    return capture[:at] + struct.pack("<I", value) + capture[at + 4 :]


FIRST = packet(60, 1000)
BEGIN = section() + interface() + enhanced(FIRST, 1)


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        (damaged(enhanced(FIRST, 1), 4, 11), "a block length of 11, expected a multiple of 4 from 12 to 16777216"),
        (damaged(enhanced(FIRST, 1), 4, 93), "a block length of 93"),
        (damaged(enhanced(FIRST, 1), 4, 2**31), "a block length of 2147483648"),
        (damaged(enhanced(FIRST, 1), 88, 96), "a block whose two lengths differ, the second is 96"),
        (enhanced(FIRST, 1, 1), "a packet of interface 1, which was not described"),
        (damaged(enhanced(FIRST, 1), 20, 61), "a packet of 61 bytes in a block too short for it"),
        (enhanced(packet(262_145), 1), "a packet of 262145 bytes, expected at most 262144"),
        (simple(packet(262_145)), "a packet of 262145 bytes, expected at most 262144"),
        (block(6, bytes(16)), "a block length of 28"),
        (block(3, b""), "a block length of 12"),
        (block(1, b"\1\0\0\0"), "an interface description of 4 bytes, expected at least 8"),
        (interface(options=struct.pack("<HH", 2, 9)), "an interface option of 9 bytes in a block too short for it"),
        (damaged(section(), 8, 0), "a section header without byte order"),
        (damaged(section(), 4, 24), "a section header of 24 bytes"),
        (damaged(section(), 24, 32), "a section header whose two lengths differ, 28 and 32"),
        (section(version=(2, 0)), "pcapng version 2.0 instead of 1.0"),
    ],
)
def test_damage_is_reported_behind_all_before_it(rest: bytes, found: str) -> None:
    packets, problem = read(BEGIN + rest + enhanced(FIRST, 2))
    assert packets == [FIRST]
    assert problem is not None
    assert problem.startswith(f"corrupt at byte {len(BEGIN)}: {found}")


def test_a_simple_packet_before_any_interface_is_corrupt() -> None:
    _, problem = read(section() + simple(FIRST))
    assert problem == "corrupt at byte 28: a packet of interface 0, which was not described"


def test_the_largest_packet_with_long_options_is_read() -> None:
    largest = packet(262_144, 4000)
    comments = option(1, b"c" * 65_000) * 14
    assert read(BEGIN + enhanced(largest, 4, options=comments)) == ([FIRST, largest], None)


@pytest.mark.parametrize("cut", [1, 5, 30, 91])
def test_a_block_that_is_cut_short_is_reported_behind_all_before_it(cut: int) -> None:
    packets, problem = read((BEGIN + enhanced(FIRST, 2))[:-cut])
    assert packets == [FIRST]
    assert problem is not None
    assert problem.startswith(f"truncated: the record at byte {len(BEGIN)} has {92 - cut} of at least ")


def test_more_interfaces_than_a_section_may_have_are_corrupt() -> None:
    _, problem = read(section() + interface() * 65_537)
    assert problem is not None
    assert "more than 65536 interfaces" in problem


def test_sections_without_packets_are_corrupt_beyond_some_and_with_packets_they_are_not() -> None:
    _, problem = read(section() * 140_000)
    assert problem is not None
    assert "more than 131,072 sections and interfaces without packets" in problem
    _, problem = read(section() + interface(options=b"\x01\x00\x00\x00" * 300))
    assert problem is not None
    assert "more than 256 options" in problem
