"""The queue of the capture without a ring, and what stops its start; on real interfaces it is in tests/live."""

import threading
import time

import pytest

from sensor.errors import CaptureError
from sensor.sources.live import portable
from sensor.sources.live.pcap_handle import PACKET_OVERHEAD, READ_AT_ONCE, PacketBatch
from sensor.sources.live.portable import BLOCK_PACKETS, SILENCE_S, PacketQueue, PortableCapture
from tests.support.waiting import LONG_S

FRAME = bytes(60)
ROOM = 1 << 20


def batch(count: int, first: int = 0) -> PacketBatch:
    """Packets that tell their number by their time."""
    return PacketBatch(0, [FRAME] * count, list(range(first, first + count)), [60] * count)


def times(batches: list[PacketBatch]) -> list[int]:
    return [ts_ns for one in batches for ts_ns in one.ts_ns]


def test_packets_leave_the_queue_in_their_order_and_at_most_a_block_at_once() -> None:
    queue = PacketQueue(64 << 20)
    for number in range(10):
        queue.put(batch(READ_AT_ONCE, number * READ_AT_ONCE))
    seen: list[int] = []
    while len(queue):
        taken = times(queue.get())
        assert 0 < len(taken) <= BLOCK_PACKETS
        seen += taken
    assert seen == list(range(10 * READ_AT_ONCE))
    assert queue.fill == 0
    assert queue.counts() == (10 * READ_AT_ONCE, 0)


def test_what_finds_no_room_is_counted_as_lost_and_there_is_room_again_afterwards() -> None:
    queue = PacketQueue(100 * (len(FRAME) + PACKET_OVERHEAD))
    queue.put(batch(60))
    queue.put(batch(60, 60))
    assert queue.counts() == (120, 60)
    assert queue.fill == pytest.approx(0.6)
    assert times(queue.get()) == list(range(60))
    queue.put(batch(60, 120))
    assert times(queue.get()) == list(range(120, 180))
    assert queue.counts() == (180, 60)


def test_silence_is_told_after_a_tenth_of_a_second() -> None:
    began = time.monotonic()
    assert PacketQueue(ROOM).get() == []
    assert SILENCE_S <= time.monotonic() - began < SILENCE_S + 2


def test_a_packet_that_comes_alone_does_not_wait_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "SILENCE_S", LONG_S)
    queue = PacketQueue(ROOM)
    threading.Timer(0.02, queue.put, [batch(1)]).start()
    began = time.monotonic()
    assert times(queue.get()) == [0]
    assert time.monotonic() - began < LONG_S / 2


def test_a_full_block_does_not_wait_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "SILENCE_S", LONG_S)
    monkeypatch.setattr(portable, "GATHER_S", LONG_S)
    queue = PacketQueue(ROOM)
    for number in range(BLOCK_PACKETS // READ_AT_ONCE):
        queue.put(batch(READ_AT_ONCE, number * READ_AT_ONCE))
    began = time.monotonic()
    assert len(times(queue.get())) == BLOCK_PACKETS
    assert time.monotonic() - began < LONG_S / 2


def test_an_interface_that_is_not_there_is_named() -> None:
    with pytest.raises(CaptureError, match="absent0: cannot capture"):
        PortableCapture(["absent0"])
