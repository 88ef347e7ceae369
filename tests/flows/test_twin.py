"""The kernels against their plain twin: the same records in the same order, for any sequence of packets."""

import struct
from dataclasses import dataclass
from ipaddress import ip_address
from math import isclose
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from flows.batch import END_REASON, IDENTITY_WIDTH, NEW_PACKETS, SNAPSHOT
from flows.block import block_of
from flows.columns import NAMES
from flows.meter import Meter, concatenate
from tests.support.examples import examples
from tests.support.packets import ip
from tests.support.twin import SECOND, Packet, Settings, Twin

EPOCH_NS = 1_700_000_000 * 10**9
ICMP, TCP, UDP, GRE, ICMPV6 = 1, 6, 17, 47, 58
FLAG_MIXES = [
    st.just(0x10),
    st.sampled_from([0x10, 0x10, 0x18, 0x11]),
    st.sampled_from([0x10, 0x10, 0x14, 0x02]),
    st.sampled_from([0x02, 0x12, 0x10, 0x10, 0x18, 0x11, 0x11, 0x01, 0x04, 0x14, 0x29, 0xFF, 0x00]),
]
LONE_STAMP = 10**18  # ns; a step that the next packet does not follow
UNDECODABLE = bytes(12) + b"\x08\x06" + bytes(28)  # ARP


@dataclass(frozen=True)
class Conversation:
    """Two endpoints, as (address, port), and how they talk."""

    protocol: int
    ends: tuple[tuple[str, int], tuple[str, int]]
    vlan: tuple[int, ...] = ()


A, B, A6, B6 = "10.0.0.1", "200.0.0.2", "2001:db8::1", "fe80::2"
CONVERSATIONS = [
    Conversation(TCP, ((A, 40000), (B, 80))),
    Conversation(TCP, ((A, 80), (B, 40000))),
    Conversation(TCP, ((A, 40000), (B, 80)), vlan=(7,)),
    Conversation(TCP, ((A, 40000), (B, 80)), vlan=(4095, 1, 3)),
    Conversation(TCP, ((A6, 65535), (B6, 1))),
    Conversation(TCP, ((B, 5), (B, 6))),
    Conversation(TCP, ((A, 5), (A, 5))),
    Conversation(UDP, ((A, 40000), (B, 80))),
    Conversation(UDP, ((B6, 53), (A6, 53))),
    Conversation(ICMP, ((A, 0), (B, 0))),
    Conversation(ICMPV6, ((A6, 0), (B6, 0))),
    Conversation(GRE, ((A, 0), (B, 0))),
]


def packet_of(talk, backward, flags, payload, header, window, icmp, numbers=(0, 0)):
    """A packet of a conversation and its Ethernet frame."""
    (source, source_port), (target, target_port) = reversed(talk.ends) if backward else talk.ends
    ports = (source_port, target_port)
    heads = {
        TCP: struct.pack("!HHIIBBHHH", *ports, *numbers, header << 2, flags, window, 0, 0).ljust(header, b"\0"),
        UDP: struct.pack("!HHHH", *ports, 8 + payload, 0),
    }
    head = heads.get(talk.protocol, bytes(icmp) + bytes(14))
    packet = Packet(
        ip_address(source).version,
        talk.protocol,
        (int(ip_address(source)), source_port),
        (int(ip_address(target)), target_port),
        payload=payload if talk.protocol in heads else 0,
        header=len(head) if talk.protocol in heads else 0,
        flags=flags if talk.protocol == TCP else 0,
        window=window if talk.protocol == TCP else None,
        sequence=numbers[0],
        acknowledged=numbers[1],
        icmp=icmp if talk.protocol in (ICMP, ICMPV6) else None,
        vlan=talk.vlan,
        message=len(head) + payload if talk.protocol in (ICMP, ICMPV6) else 0,
    )
    return packet, ip(source, target, talk.protocol, head + bytes(payload), vlan=talk.vlan).frame


def configurations():
    """Times in µs: mostly the usual ones, else from less than a tick of the wheel to more than its horizon."""
    short = st.sampled_from([1, 200_000, SECOND, 2 * SECOND])
    brief = st.sampled_from([10 * SECOND, 60 * SECOND])
    long = st.sampled_from([10 * SECOND, 60 * SECOND, 120 * SECOND, 600 * SECOND, 3000 * SECOND])
    capacity = st.sampled_from([1, 2, 3, 64, 64, 64])
    return st.one_of(
        st.builds(Settings, capacity, long, long, st.just(2 * SECOND), long, long),
        st.builds(Settings, capacity, brief, brief, st.just(100 * SECOND), st.just(SECOND), st.just(250_000)),
        st.builds(Settings, capacity, long | short, long | short, short | st.just(0), long | short, long),
    )


def steps(chosen):
    """From one packet to the next, ns: the edges of every rule, reordering, clocks that jump.

    Strategies to choose from: a calm scene, a busy one, a mad one, and one around a single edge for each edge.
    """
    small = [0, 0, 1, 999, 1000, 50_000, 10**7, 25 * 10**7, 3 * 10**8]
    edges = [SECOND, 5 * SECOND, chosen.idle_timeout, chosen.active_timeout, chosen.closed_linger]
    around = [[1000 * (edge + off) for off in (-1, 0, 1)] for edge in edges]
    any_edge = [step for three in around for step in three]
    odd = [-1, -(10**9), -70 * 10**9, -5000 * 10**9, 10**11, 90_000 * 10**9, LONE_STAMP]
    return [
        st.sampled_from(8 * small + around[0] + around[1]),
        st.sampled_from(4 * small + any_edge),
        st.sampled_from(2 * small + any_edge + odd),
        st.sampled_from([-100 * 10**9, 10**6, LONE_STAMP]),
        *(st.sampled_from([0, 0, 0, *three]) for three in around),
    ]


@st.composite
def scenes(draw):
    """Settings, and what happens: packets of a few conversations, frames that are no IP, and time that passes."""
    chosen = draw(configurations())
    among = draw(st.sampled_from([1, 2, 5]))
    talks = draw(st.lists(st.sampled_from(CONVERSATIONS), min_size=among, max_size=among, unique=True))
    event = st.tuples(
        st.sampled_from(["packet"] * 18 + ["undecodable", "advance"]),
        draw(st.sampled_from(steps(chosen))),
        st.sampled_from(talks),
        draw(st.sampled_from([st.booleans(), st.booleans(), st.just(False)])),
        draw(st.sampled_from(FLAG_MIXES)),
        draw(st.sampled_from([st.sampled_from([0, 0, 1, 6, 536, 1448]), st.sampled_from([1, 1448])])),
        st.sampled_from([20, 20, 32, 60]),
        st.sampled_from([0, 8192, 65535]),
        st.sampled_from([(8, 0), (0, 0), (3, 13)]),
        st.sampled_from([(0, 0), (0, 0), (1, 2), (2, 1), (2**32 - 1, 0), (0, 2**32 - 1)]),
    )
    size = draw(st.sampled_from([1, 2, 5, 20, 60]))
    return chosen, draw(st.lists(event, min_size=size, max_size=size))


def meter_of(chosen):
    times = {name: 1000 * value for name, value in vars(chosen).items() if name != "capacity"}
    return Meter(chosen.capacity, **{f"{name}_ns": value for name, value in times.items()})


def play(chosen, events, block_size):
    """The same scene to both: (batch of the meter, its counts, the twin)."""
    meter, twin = meter_of(chosen), Twin(chosen)
    batches, frames, stamps, time_ns = [], [], [], EPOCH_NS

    def feed():
        batches.append(meter.feed(block_of(frames, stamps)))
        frames.clear()
        stamps.clear()

    for kind, step, *content in events:
        at = max(0, time_ns + step)
        time_ns = time_ns if step == LONE_STAMP else at
        if kind == "advance":
            feed()
            batches.append(meter.advance(time_ns))
            twin.advance(time_ns)
            continue
        packet, frame = packet_of(*content)
        if kind == "packet":
            twin.feed(packet, at)
        else:
            twin.skip(at)
        frames.append(frame if kind == "packet" else UNDECODABLE)
        stamps.append(at)
        if len(frames) == block_size:
            feed()
    feed()
    batches.append(meter.drain())
    twin.drain()
    return concatenate(batches), meter.stats, twin


def first_difference(got, records):
    """The first record in which meter and twin differ, as ours and theirs by name; None when all agree."""
    for identity, values, (expected_identity, expected) in zip(got.identity, got.values, records, strict=False):
        if identity.tolist() != [expected_identity[i] for i in range(IDENTITY_WIDTH)]:
            return identity.tolist(), expected_identity
        ours = dict(zip(NAMES, values.tolist(), strict=True))
        wrong = {name for name in NAMES if not isclose(ours[name], expected[name], rel_tol=1e-9, abs_tol=1e-9)}
        if wrong or set(expected) != set(NAMES):
            return {name: ours[name] for name in wrong}, {name: expected[name] for name in wrong}
    return None if len(got) == len(records) else (len(got), len(records))


@examples(500)
@given(scenes(), st.sampled_from([1, 7, 1000]), st.sampled_from([3, 8192]))
def test_kernels_and_twin_report_the_same_records(scene, block_size, output_records):
    with patch("flows.meter.OUTPUT_RECORDS", output_records):
        got, stats, twin = play(*scene, block_size)
    assert first_difference(got, twin.records) is None
    assert (stats.evicted, stats.late, stats.clock_jumps) == (twin.evicted, twin.clock.late, twin.clock.jumps)


def test_deviations_are_exact_where_sums_of_squares_outgrow_64_bits():
    times = Settings(8, *[3000 * SECOND] * 2, 0, *[3000 * SECOND] * 2)
    calm = (CONVERSATIONS[7], False, 0, 100, 20, 0, (0, 0))
    for gaps in ([0, 2900, 50, 0], [1, 1, 2998, 0, 0, 0, 0], [3000, 0, 0, 0], [600] * 5, [0, 0, 2900, 0, 0]):
        events = [("packet", gap * 10**9 + 7000, *calm) for gap in [0, *gaps]]
        got, _, twin = play(times, events, 1000)
        assert first_difference(got, twin.records) is None


@examples(100)
@given(scenes(), st.sampled_from([1, 1000]))
def test_every_packet_is_in_one_final_record_or_counted(scene, block_size):
    chosen, events = scene
    got, stats, _ = play(chosen, events, block_size)
    final = got.identity[:, END_REASON] != SNAPSHOT
    in_records = int((got.column("fwd_packets") + got.column("bwd_packets"))[final].sum())
    sent = sum(kind != "advance" for kind, *_ in events)
    assert in_records == int(got.identity[:, NEW_PACKETS].sum()) == stats.metered
    assert in_records + sum(stats.undecoded.values()) == stats.packets == sent
    assert stats.flows == stats.left_out == 0
