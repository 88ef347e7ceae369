"""The latest packets in memory: a flow's packets are found again as long as they are there, and no others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    END_SHIFT_NS,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    FlowBatch,
)
from flows.block import Int64s, PacketBlock
from flows.decode import comes_first
from flows.meter import Meter, concatenate
from kernels.jit import entry
from sensor.packets.recording import flow_key
from sensor.packets.ring import HEADER_WORDS, WORD, PacketRing
from tests.fuzz.frames import structured
from tests.support.examples import examples
from tests.support.packets import EPOCH_NS, Packet, block, tcp, udp

pytestmark = pytest.mark.ux

MEMORY = 1 << 20
first_of_two = entry(comes_first)
FRAMES = list(structured())


def one_interface(packets: PacketBlock) -> Int64s:
    return np.zeros(len(packets), dtype=np.int64)


def ring_with(packets: list[Packet], memory: int = MEMORY) -> PacketRing:
    ring = PacketRing(memory)
    ring.add(taken := block(packets), one_interface(taken))
    return ring


def key_of(source: str, target: str, protocol: int = 6) -> Int64s:
    """Key of the flow between two ends, from a record of the meter."""
    make = tcp if protocol == 6 else udp
    meter = Meter(1024)
    meter.feed(block([make(source, target)]))
    return flow_key(meter.drain().identity[0].tolist())


def frames_at(ring: PacketRing, positions: Int64s) -> list[bytes]:
    found = ring.packets(positions).block
    return [found.buffer[at : at + length].tobytes() for at, length in zip(found.offset, found.caplen, strict=True)]


def all_of(ring: PacketRing, key: Int64s, most: int = 4096) -> list[bytes]:
    count, positions = ring.find(key, (0, 1 << 62), 0, -1, most)
    assert len(positions) == min(count, most)
    return frames_at(ring, positions)


def conversation(packets: int, size: int = 100) -> list[Packet]:
    """Packets of two flows in turn, both directions."""
    ends = [("10.0.0.1:1", "10.0.0.2:80"), ("10.0.0.2:80", "10.0.0.1:1"), ("10.0.0.3:1", "10.0.0.2:80")]
    return [tcp(*ends[n % 3], at=n / 10, payload=size + n % 7) for n in range(packets)]


def test_both_directions_of_a_flow_are_found_in_order_and_no_other_packet() -> None:
    packets = conversation(30)
    expected = [packet.frame for n, packet in enumerate(packets) if n % 3 < 2]
    assert all_of(ring_with(packets), key_of("10.0.0.1:1", "10.0.0.2:80")) == expected


def test_a_span_of_time_includes_its_ends() -> None:
    packets = conversation(30)
    times = EPOCH_NS + 300_000_000, EPOCH_NS + 900_000_000  # packets 3 and 9
    count, positions = (ring := ring_with(packets)).find(key_of("10.0.0.1:1", "10.0.0.2:80"), times, 0, -1, 100)
    assert count == 5
    assert frames_at(ring, positions) == [packets[n].frame for n in (3, 4, 6, 7, 9)]


def test_of_more_packets_than_wanted_the_oldest_are_given_and_all_are_counted() -> None:
    ring = ring_with(packets := conversation(30))
    count, positions = ring.find(key_of("10.0.0.1:1", "10.0.0.2:80"), (0, 1 << 62), 0, -1, 3)
    assert (count, frames_at(ring, positions)) == (20, [packets[n].frame for n in (0, 1, 3)])


def test_of_more_packets_than_wanted_the_newest_are_given_too() -> None:
    ring = ring_with(conversation(30))
    key, span = key_of("10.0.0.1:1", "10.0.0.2:80"), (0, 1 << 62)
    every = frames_at(ring, ring.find(key, span, 0, -1, 20)[1])
    for oldest, newest in (3, 2), (0, 4), (4, 0), (1, 18), (15, 5):
        count, positions = ring.find(key, span, 0, -1, oldest, newest)
        assert (count, frames_at(ring, positions)) == (20, every[:oldest] + every[20 - newest :])
    for oldest, newest in (19, 5), (0, 30), (30, 0), (20, 20):
        assert frames_at(ring, ring.find(key, span, 0, -1, oldest, newest)[1]) == every


def test_what_was_found_before_is_not_found_again() -> None:
    ring = ring_with(packets := conversation(9))
    key, seen = key_of("10.0.0.1:1", "10.0.0.2:80"), ring.head
    ring.add(more := block(conversation(15)[9:]), one_interface(more))
    until = packets[4].ts_ns
    count, positions = ring.find(key, (0, 1 << 62), seen, until, 100)
    assert frames_at(ring, positions) == [packet.frame for n, packet in enumerate(conversation(15)) if n % 3 < 2][4:]
    assert count == 6


@examples(60)
@given(st.lists(st.integers(0, 1400), min_size=1, max_size=120), st.integers(0, 2**32), st.integers(1500, 9000))
def test_the_oldest_packets_give_way_one_by_one_as_in_a_queue_of_bytes(
    sizes: list[int], seed: int, memory: int
) -> None:
    rng = np.random.default_rng(seed)
    ring = PacketRing(memory)
    queue: list[tuple[int, int, bytes]] = []  # position, words, frame
    capacity, head = memory // WORD, 0
    for number, size in enumerate(sizes):
        item = tcp("10.0.0.1:1", "10.0.0.2:80", at=number, payload=size)
        ring.add(taken := block([item]), one_interface(taken))
        words = HEADER_WORDS + (len(item.frame) + 7) // 8
        if words > capacity:
            continue
        begun = head if head % capacity + words <= capacity else head - head % capacity + capacity
        queue = [held for held in queue if held[0] + capacity >= begun + words] + [(begun, words, item.frame)]
        head = begun + words
        assert ring.head == head
        if rng.random() < 0.3:
            assert all_of(ring, key_of_first()) == [frame for _, _, frame in queue]
    assert all_of(ring, key_of_first()) == [frame for _, _, frame in queue]


_KEYS: list[Int64s] = []


def key_of_first() -> Int64s:
    if not _KEYS:
        _KEYS.append(key_of("10.0.0.1:1", "10.0.0.2:80"))
    return _KEYS[0]


def test_stamps_lengths_interfaces_and_link_types_come_back_as_they_were() -> None:
    packets = block(conversation(6))
    cut = PacketBlock(
        packets.buffer, packets.offset, packets.caplen - 40, packets.wirelen, packets.ts_ns, packets.linktype
    )
    ring = PacketRing(MEMORY)
    ring.add(cut, np.array([0, 1, 2, 3, 4, 5], dtype=np.int64), clock_step_ns=-7)
    count, positions = ring.find(key_of_first(), (0, 1 << 62), 0, -1, 10)
    found = ring.packets(positions)
    chosen = [0, 1, 3, 4]
    assert count == 4
    assert found.interface_of.tolist() == chosen
    assert found.block.caplen.tolist() == ring.lengths(positions).tolist() == cut.caplen[chosen].tolist()
    assert found.block.wirelen.tolist() == packets.wirelen[chosen].tolist()
    assert found.block.ts_ns.tolist() == (packets.ts_ns[chosen] - 7).tolist()
    assert found.block.linktype.tolist() == [1] * 4


def test_vlans_and_protocols_keep_flows_apart() -> None:
    ends = "10.0.0.1:1", "10.0.0.2:80"
    ring = ring_with([tcp(*ends), tcp(*ends, vlan=(5,)), udp(*ends)])
    assert all_of(ring, key_of(*ends)) == [tcp(*ends).frame]
    assert all_of(ring, key_of(*ends, protocol=17)) == [udp(*ends).frame]


def drawn_frames(rng: np.random.Generator, count: int) -> list[tuple[int, bytes]]:
    """Frames of every construction, some of them damaged, some of a few flows again and again."""
    frames = [FRAMES[n] for n in rng.integers(0, len(FRAMES), count)]
    for at in np.flatnonzero(rng.random(count) < 0.3):
        kind, frame = frames[at]
        damaged = bytearray(frame[: rng.integers(0, len(frame) + 1)])
        for place in rng.integers(0, max(1, len(damaged)), 2) if damaged else ():
            damaged[place] = rng.integers(0, 256)
        frames[at] = kind, bytes(damaged)
    return frames


def block_of_kinds(frames: list[tuple[int, bytes]], ts_ns: Int64s) -> PacketBlock:
    caplen = np.array([len(frame) for _, frame in frames], dtype=np.int64)
    offset = np.concatenate([[0], np.cumsum(caplen)[:-1]]).astype(np.int64)
    return PacketBlock(
        np.frombuffer(b"".join(frame for _, frame in frames) or b"?", dtype=np.uint8),
        offset, caplen, caplen + 4, ts_ns, np.array([kind for kind, _ in frames], dtype=np.int64),
    )  # fmt: skip


@examples(40)
@given(st.integers(0, 2**32), st.booleans(), st.booleans())
def test_of_every_flow_that_the_meter_tells_of_hostile_frames_its_packets_are_found(
    seed: int, decap: bool, shaky: bool
) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 400))
    ts_ns = EPOCH_NS + np.cumsum(rng.integers(1, 2_000_000_000, count))
    if shaky:  # stamps out of order, and ones that are far off: the meter's clock never goes back
        ts_ns += rng.integers(-3_000_000_000, 3_000_000_000, count) * (rng.random(count) < 0.3)
        ts_ns[rng.random(count) < 0.02] = rng.integers(0, 2**62)
    packets = block_of_kinds(drawn_frames(rng, count), ts_ns.astype(np.int64))
    meter, ring = Meter(1024, decap=decap), PacketRing(MEMORY, decap=decap)
    ring.add(packets, one_interface(packets))
    records = concatenate([meter.feed(packets), meter.drain()])
    assert len(records) or not meter.stats.metered
    assert ring.added == meter.stats.metered
    for identity, told in zip(records.identity.tolist(), told_packets(records), strict=True):
        span = identity[START_NS] + identity[START_SHIFT_NS], identity[END_NS] + identity[END_SHIFT_NS]
        found = ring.find(flow_key(identity), span, 0, -1, 4096)[0]
        # where times are equal a snapshot may have been taken between two packets
        assert found >= told if shaky else found == told, (identity, identity[END_REASON] == SNAPSHOT)


def told_packets(records: FlowBatch) -> list[int]:
    return (records.column("fwd_packets") + records.column("bwd_packets")).astype(int).tolist()


@pytest.mark.parametrize("memory", [1 << 20, 1 << 21])
def test_pauses_come_at_the_same_packets_however_they_are_cut_into_blocks(memory: int) -> None:
    whole = block(conversation(5000, 300))
    places = []
    for size in (1, 7, 640, 5000):
        ring, found = PacketRing(memory), []
        for begin in range(0, len(whole), size):
            part = sliced(whole, begin, begin + size)
            first = 0
            while first < len(part):
                first, paused = ring.add_until_pause(part, first)
                if paused:
                    found.append(begin + first)
        places.append(found)
    assert places[0] == places[1] == places[2] == places[3]
    assert len(places[0]) > 4


def sliced(packets: PacketBlock, first: int, last: int) -> PacketBlock:
    cut = slice(first, last)
    return PacketBlock(
        packets.buffer, packets.offset[cut], packets.caplen[cut], packets.wirelen[cut], packets.ts_ns[cut],
        packets.linktype[cut],
    )  # fmt: skip


@given(st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 4), st.integers(0, 65535), st.integers(0, 65535))
def test_a_flows_key_has_its_ends_in_the_meters_order(words: tuple[int, ...], port: int, other: int) -> None:
    identity = [0] * 17
    identity[SRC_HIGH], identity[SRC_LOW], identity[DST_HIGH], identity[DST_LOW] = words
    identity[SRC_PORT], identity[DST_PORT] = port, other
    source, target = (*words[:2], port), (*words[2:], other)
    first = source if first_of_two(*map(np.int64, (*source, *target))) else target
    key = flow_key(identity).tolist()
    assert (key[0], key[1], key[4] >> 16 & 0xFFFF) == first
