"""The capture without a ring on real interfaces: libpcap does the same here as on the systems that it is for."""

import socket
import threading
import time
from collections.abc import Callable

import pytest

from sensor.cli.build import build_meter
from sensor.errors import CaptureError, ConfigError
from sensor.metering.live import LiveTurns
from sensor.settings.config import Config
from sensor.sources.capture import LinkEvent
from sensor.sources.live.portable import PortableCapture
from tests.support.capture_bytes import Packet, packets_of
from tests.support.namespaces import inside, ip

pytestmark = pytest.mark.live

MACS = bytes.fromhex("020000000002020000000001")
SENT = 2000


def frame_of(number: int, size: int = 60) -> bytes:
    """Frame of an EtherType for experiments, telling its number."""
    return (MACS + b"\x88\xb5" + number.to_bytes(4, "big")).ljust(size, b"\xaa")


def send(namespace: str, interface: str, frames: list[bytes]) -> None:
    with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        packets.bind((interface, 0))
        for frame in frames:
            packets.send(frame)


def captured(capture: PortableCapture, act: Callable[[], object], *, seconds: float = 10.0) -> list[Packet]:
    """Packets that come while another thread acts; then the capture is told to stop."""

    def act_and_stop() -> None:
        try:
            act()
        finally:
            capture.stop()

    actor = threading.Thread(target=act_and_stop)
    threading.Timer(seconds, capture.stop).start()
    actor.start()
    seen = packets_of(capture)
    actor.join()
    return seen


def test_each_packet_is_received_once_with_its_bytes_and_what_came_before_the_stop_is_delivered(
    namespaces: tuple[str, str],
) -> None:
    left, right = namespaces
    frames = [frame_of(number, 60 + number % 1400) for number in range(SENT)]
    with inside(right):
        capture = PortableCapture(["fv1"])
        before = time.time_ns()
        seen = captured(capture, lambda: send(left, "fv0", frames))
        capture.close()
    assert [packet.frame for packet in seen] == frames
    assert all(packet.wirelen == len(packet.frame) and packet.linktype == 1 for packet in seen)
    assert all(before - 10**9 < packet.ts_ns < time.time_ns() for packet in seen)
    assert capture.statistics().received == SENT
    assert capture.statistics().dropped == capture.statistics().waiting == 0


def test_each_turn_accounts_for_every_packet(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        capture = PortableCapture(["fv1"])
        turns = LiveTurns(capture, build_meter(Config()))
        sender = threading.Thread(target=send, args=(left, "fv0", [frame_of(n) for n in range(SENT)]))
        threading.Timer(1.0, turns.stop).start()
        sender.start()
        for turn in turns:
            counted, stats = turn.totals.capture, turn.totals.stats
            undecoded = sum(stats.undecoded.values())
            assert counted.received == stats.metered + undecoded + stats.shed + counted.dropped + counted.waiting
        sender.join()
    assert counted.received == SENT


def test_two_interfaces_are_told_apart(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        capture = PortableCapture(["fv1", "lo"])
        threading.Timer(1.0, capture.stop).start()
        send(left, "fv0", [frame_of(number) for number in range(5)])
        send(right, "lo", [frame_of(number) for number in range(7)])
        numbers: list[int] = []
        for block in capture:
            assert list(block.ts_ns) == sorted(block.ts_ns)
            numbers += capture.interface_of.tolist()
        capture.close()
    assert (numbers.count(0), numbers.count(1)) == (5, 7)


def test_silence_gives_an_empty_block_ten_times_a_second(namespaces: tuple[str, str]) -> None:
    with inside(namespaces[1]):
        capture = PortableCapture(["fv1"])
        threading.Timer(1.0, capture.stop).start()
        blocks = list(capture)
        capture.close()
    assert 8 <= len(blocks) <= 14
    assert not any(map(len, blocks))


def test_a_queue_that_is_full_counts_what_it_loses(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        capture = PortableCapture(["fv1"], queue_bytes=200_000)
        delivered = 0
        sender = threading.Thread(target=send, args=(left, "fv0", [frame_of(n) for n in range(3 * SENT)]))
        sender.start()
        threading.Timer(1.5, capture.stop).start()
        for block in capture:
            delivered += len(block)
            time.sleep(0.2 if len(block) else 0)  # a meter that is too slow
        sender.join()
        capture.close()
    counted = capture.statistics()
    assert counted.received == 3 * SENT
    assert counted.dropped > 0
    assert delivered == counted.received - counted.dropped


def test_a_filter_lets_through_what_it_names(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        capture = PortableCapture(["fv1"], expression="ether proto 0x88b5 and ether[17] < 10")
        seen = captured(capture, lambda: send(left, "fv0", [frame_of(number) for number in range(100)]))
        capture.close()
    assert [packet.frame for packet in seen] == [frame_of(number) for number in range(10)]
    assert capture.statistics().received == 10


def test_an_expression_that_is_no_filter_stops_with_the_reason(namespaces: tuple[str, str]) -> None:
    with inside(namespaces[1]), pytest.raises(ConfigError, match=r"tcp prot 80.*syntax error"):
        PortableCapture(["fv1"], expression="tcp prot 80")


def test_an_interface_that_is_removed_and_made_anew_is_read_again(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    told: list[LinkEvent] = []
    with inside(right):
        capture = PortableCapture(["fv1"])

        def act() -> None:
            ip("-n", left, "link", "delete", "fv0")
            until(lambda: not capture.links[0].up)
            ip("-n", left, "link", "add", "fv0", "type", "veth", "peer", "name", "fv1", "netns", right)
            ip("-n", left, "link", "set", "fv0", "up")
            ip("-n", right, "link", "set", "fv1", "up")
            until(lambda: capture.links[0].up)
            send(left, "fv0", [frame_of(number) for number in range(20)])
            told.extend(capture.events())

        seen = captured(capture, act)
        capture.close()
    assert [event.action for event in told] == ["down", "up"]
    ours = [packet.frame for packet in seen if packet.frame[12:14] == b"\x88\xb5"]  # the new ends speak IPv6 too
    assert ours == [frame_of(number) for number in range(20)]


def test_an_interface_that_goes_down_and_up_is_read_on(namespaces: tuple[str, str]) -> None:
    left, right = namespaces

    def act() -> None:
        ip("-n", right, "link", "set", "fv1", "down")
        time.sleep(0.3)
        ip("-n", right, "link", "set", "fv1", "up")
        time.sleep(0.2)
        send(left, "fv0", [frame_of(number) for number in range(20)])

    with inside(right):
        capture = PortableCapture(["fv1"])
        seen = captured(capture, act)
        capture.close()
    assert [packet.frame for packet in seen] == [frame_of(number) for number in range(20)]


def test_it_cannot_be_handed_to_a_worker(namespaces: tuple[str, str]) -> None:
    with inside(namespaces[1]):
        capture = PortableCapture(["fv1"])
        with pytest.raises(CaptureError, match="cannot be shared"):
            capture.leave_to_worker()
        capture.close()


def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
