"""A made TCP conversation says what it was told to say, in order, and ends as it was told to end."""

import struct
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.synth.conversation import Close, Conversation
from sensor.synth.packets import Flag, address
from sensor.synth.site import Host, NetworkPath
from sensor.synth.stacks import FREEBSD, LINUX, MACOS, MS, WINDOWS, Stack
from sensor.synth.truth import Exchange, Packet, Purpose
from tests.support.examples import examples

START = 1_772_442_000 * 1_000_000_000
PATH = NetworkPath(near_ns=MS // 5, far_ns=10 * MS, jitter_ns=MS // 20, bits_per_second=100_000_000)


class Segment(NamedTuple):
    ts_ns: int
    forward: bool
    seq: int
    ack: int
    flags: int
    window: int
    options: bytes
    payload: bytes


def host(last: int, stack: Stack = LINUX) -> Host:
    v6 = address(f"2001:db8::{last:x}")
    return Host(f"host{last}", bytes((2, 0, 0, 0, 0, last)), address(f"10.0.0.{last}"), stack, v6)


def talk(initiator: Stack = LINUX, target: Stack = LINUX, ipv6: bool = False, path: NetworkPath = PATH) -> Conversation:
    return Conversation((host(1, initiator), 40000), (host(2, target), 443), path, Random(1), ipv6)


def segments(exchange: Exchange) -> list[Segment]:
    return [parse(packet) for packet in exchange.packets]


def parse(packet: Packet) -> Segment:
    frame = packet.frame
    if frame[12:14] == b"\x08\x00":
        transport = frame[34 : 14 + int.from_bytes(frame[16:18], "big")]
    else:
        transport = frame[54 : 54 + int.from_bytes(frame[18:20], "big")]
    source, _, seq, ack, offset_flags, window = struct.unpack("!HHIIHH", transport[:16])
    end = (offset_flags >> 12) * 4
    return Segment(
        packet.ts_ns, source == 40000, seq, ack, offset_flags & 0x3F, window, transport[20:end], transport[end:]
    )


turns = st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=3), st.integers(1, 20000)), max_size=8)


@examples(60)
@given(
    turns,
    st.tuples(st.sampled_from((LINUX, WINDOWS, MACOS)), st.sampled_from((LINUX, FREEBSD)), st.booleans()),
    st.sampled_from(Close),
    st.integers(0, 200),
)
def test_each_side_sends_exactly_what_it_was_asked_to(
    script: list[tuple[bool, bytes, int]], ends: tuple[Stack, Stack, bool], how: Close, pause_ms: int
) -> None:
    conversation = talk(*ends)
    conversation.open(START)
    asked = {True: b"", False: b""}
    for forward, pattern, repeats in script:
        (conversation.initiator_sends if forward else conversation.target_sends)(pattern * repeats, pause_ms * MS)
        asked[forward] += pattern * repeats
    conversation.close(how, pause_ms * MS)
    seen = segments(conversation.exchange(Purpose("test")))
    for forward in (True, False):
        assert b"".join(segment.payload for segment in seen if segment.forward == forward) == asked[forward]
    check_sequence(seen)


def check_sequence(seen: list[Segment]) -> None:
    """Sequence numbers leave no gap and no overlap, and nothing is acknowledged before the sensor saw it."""
    expected: dict[bool, int] = {}
    for segment in seen:
        forward = segment.forward
        if segment.flags & Flag.SYN:
            expected[forward] = segment.seq
        assert segment.seq == expected[forward]
        if segment.flags & Flag.ACK:
            assert (expected[not forward] - segment.ack) % 2**32 < 2**31
        occupied = len(segment.payload) + bool(segment.flags & (Flag.SYN | Flag.FIN))
        expected[forward] = (segment.seq + occupied) % 2**32
    if not any(segment.flags & Flag.RST for segment in seen):
        assert seen[-1].ack == expected[not seen[-1].forward]


def test_packets_of_one_direction_never_share_a_microsecond() -> None:
    conversation = talk()
    conversation.open(START)
    conversation.target_sends(b"x" * 400_000)
    seen = [s.ts_ns // 1000 for s in segments(conversation.exchange(Purpose("test"))) if not s.forward]
    assert all(earlier < later for earlier, later in pairwise(seen))


def test_no_sender_exceeds_the_window_it_was_offered() -> None:
    conversation = talk(target=WINDOWS, path=replace(PATH, far_ns=150 * MS))
    conversation.open(START)
    conversation.initiator_sends(b"x" * 2_000_000)
    window, acknowledged = 65535, 0
    for segment in segments(conversation.exchange(Purpose("test"))):
        if segment.forward:
            assert (segment.seq + len(segment.payload) - acknowledged) % 2**32 <= window or not segment.payload
        else:
            acknowledged = segment.ack
            window = segment.window << (0 if segment.flags & Flag.SYN else 8)


def test_a_long_write_is_cut_at_the_segment_size_and_pushed_at_its_end() -> None:
    conversation = talk()
    conversation.open(START)
    conversation.initiator_sends(b"x" * 3000)
    data = [s for s in segments(conversation.exchange(Purpose("test"))) if s.payload]
    assert [len(s.payload) for s in data] == [1448, 1448, 104]  # 1460 less twelve bytes of timestamps
    assert [bool(s.flags & Flag.PSH) for s in data] == [False, False, True]


@pytest.mark.parametrize(
    ("stack", "window", "kinds"),
    [
        (LINUX, 64240, [2, 4, 8, 1, 3]),
        (WINDOWS, 64240, [2, 1, 3, 1, 1, 4]),
        (MACOS, 65535, [2, 1, 3, 1, 1, 8, 4, 0, 0]),
    ],
)
def test_a_syn_looks_like_its_system(stack: Stack, window: int, kinds: list[int]) -> None:
    conversation = talk(initiator=stack)
    conversation.open(START)
    syn = segments(conversation.exchange(Purpose("test")))[0]
    assert (syn.flags, syn.window) == (Flag.SYN, window)
    assert option_kinds(syn.options) == kinds


def option_kinds(octets: bytes) -> list[int]:
    kinds, at = [], 0
    while at < len(octets):
        kinds.append(octets[at])
        at += octets[at + 1] if octets[at] > 1 else 1
    return kinds


def test_timestamps_are_used_only_when_both_sides_offer_them() -> None:
    conversation = talk(initiator=WINDOWS)
    conversation.open(START)
    conversation.target_sends(b"x" * 5000)
    assert all(8 not in option_kinds(s.options) for s in segments(conversation.exchange(Purpose("test"))))


def test_a_lone_segment_is_acknowledged_after_the_delay_of_its_receiver() -> None:
    conversation = talk(target=FREEBSD)
    conversation.open(START)
    conversation.initiator_sends(b"x", 50 * MS)
    *_, data, ack = segments(conversation.exchange(Purpose("test")))
    assert data.payload == b"x"
    assert (ack.forward, ack.flags, ack.payload) == (False, Flag.ACK, b"")
    assert 120 * MS < ack.ts_ns - data.ts_ns < 125 * MS  # 100 ms and twice the outer leg


def test_a_delay_that_runs_out_between_two_writes_sends_its_acknowledgement() -> None:
    conversation = talk()
    conversation.open(START)
    conversation.initiator_sends(b"one", 50 * MS)
    conversation.initiator_sends(b"two", 500 * MS)
    seen = segments(conversation.exchange(Purpose("test")))[3:]
    assert [s.payload for s in seen] == [b"one", b"", b"two", b""]


def test_nothing_is_acknowledged_on_a_connection_that_was_reset() -> None:
    conversation = talk()
    conversation.open(START)
    conversation.initiator_sends(b"x", 50 * MS)
    conversation.close(Close.INITIATOR_RST, 5 * MS)
    assert segments(conversation.exchange(Purpose("test")))[-1].flags & Flag.RST


def test_an_answer_carries_the_acknowledgement() -> None:
    conversation = talk()
    conversation.open(START)
    conversation.initiator_sends(b"ask", 50 * MS)
    conversation.target_sends(b"answer", 5 * MS)
    assert [s.payload for s in segments(conversation.exchange(Purpose("test")))[3:]] == [b"ask", b"answer", b""]


@pytest.mark.parametrize(
    ("how", "forward", "flag"),
    [
        (Close.INITIATOR_FIN, True, Flag.FIN),
        (Close.TARGET_FIN, False, Flag.FIN),
        (Close.INITIATOR_RST, True, Flag.RST),
        (Close.TARGET_RST, False, Flag.RST),
    ],
)
def test_a_close_is_begun_by_the_side_that_was_asked(how: Close, forward: bool, flag: Flag) -> None:
    conversation = talk()
    conversation.open(START)
    conversation.initiator_sends(b"x")
    conversation.close(how, 300 * MS)
    ends = [s for s in segments(conversation.exchange(Purpose("test"))) if s.flags & (Flag.FIN | Flag.RST)]
    assert (ends[0].forward, ends[0].flags) == (forward, flag | Flag.ACK)
    assert len(ends) == (2 if flag is Flag.FIN else 1)


def test_a_closed_port_answers_with_a_reset() -> None:
    conversation = talk()
    conversation.refuse(START)
    syn, reset = segments(conversation.exchange(Purpose("test")))
    assert reset.flags == Flag.RST | Flag.ACK
    assert (reset.seq, reset.ack, reset.window) == (0, (syn.seq + 1) % 2**32, 0)


def test_a_host_without_ipv6_cannot_speak_it() -> None:
    old = Host("old", bytes(6), address("10.0.0.3"), LINUX)
    with pytest.raises(ValueError, match="old has no IPv6 address"):
        Conversation((old, 1), (host(2), 2), PATH, Random(1), ipv6=True)
