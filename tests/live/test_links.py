"""A capture that stays up: interfaces that go down, change their names, vanish and return."""

import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl

import pytest

from flows.linktypes import ETHERNET
from sensor.progress.progress import InterfaceState
from sensor.sources.capture import LinkEvent
from sensor.sources.filters.bpf import BpfProgram
from sensor.sources.live.ring import RingCapture
from tests.support.capture_bytes import packets_of
from tests.support.namespaces import inside, ip

pytestmark = pytest.mark.live

TUNSETIFF, TUNSETLINK, IFF_TUN, IFF_NO_PI, ARPHRD_PPP = 0x400454CA, 0x400454CD, 0x0001, 0x1000, 512
MACS = bytes.fromhex("020000000002020000000001")
RESUMED_S = 2.0
SETTLED_S = 1.5  # after this long no further event belongs to a change


@dataclass
class Watching:
    """A ring that is read by a thread: the numbers of the frames it saw, and its events."""

    ring: RingCapture
    seen: list[tuple[int, int]] = field(default_factory=list)  # (interface, number in the frame)
    events: list[LinkEvent] = field(default_factory=list)
    blocks: int = 0

    def read(self) -> None:
        for block in self.ring:
            self.blocks += 1
            for number, packet in zip(self.ring.interface_of.tolist(), packets_of([block]), strict=True):
                if packet.frame[12:14] == b"\x88\xb5":
                    self.seen.append((number, int.from_bytes(packet.frame[14:18], "big")))
            self.events += self.ring.events()

    @property
    def actions(self) -> list[tuple[str | None, str]]:
        return [(event.interface, event.action) for event in self.events]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 5.0) -> float:
        """Seconds until the condition held."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < seconds, (self.actions, self.seen[-5:])
            time.sleep(0.005)
        return time.monotonic() - start


@contextmanager
def watching(namespace: str, interfaces: Sequence[str], **settings: bool) -> Iterator[Watching]:
    with inside(namespace):
        ring = RingCapture(interfaces, 1 << 18, 8, **settings)  # type: ignore[arg-type]
    with read_by_a_thread(ring) as watch:
        yield watch


@contextmanager
def read_by_a_thread(ring: RingCapture) -> Iterator[Watching]:
    watch = Watching(ring)
    reader = threading.Thread(target=watch.read)
    reader.start()
    try:
        yield watch
    finally:
        ring.stop()
        reader.join(10)
        assert not reader.is_alive()
        assert ring.statistics().waiting == 0
        ring.close()


def frame_of(number: int) -> bytes:
    return (MACS + b"\x88\xb5" + number.to_bytes(4, "big")).ljust(60, b"\xaa")


def send(namespace: str, interface: str, *numbers: int) -> None:
    with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        packets.bind((interface, 0))
        for number in numbers:
            packets.send(frame_of(number))


def resumed(watch: Watching, namespace: str, interface: str, number: int) -> float:
    """Seconds until a packet is seen, sent again and again from now on."""

    def arrived() -> bool:
        send(namespace, interface, number)
        return any(seen == number for _, seen in watch.seen)

    return watch.wait_for(arrived)


@pytest.mark.parametrize("pause", [0.05, 0.3])
def test_twenty_flaps_give_one_event_each_way_and_packets_after_each(namespaces: tuple[str, str], pause: float) -> None:
    left, right = namespaces
    with watching(right, ["fv1"]) as watch:
        for flap in range(20):
            ip("-n", right, "link", "set", "fv1", "down")
            time.sleep(pause)
            ip("-n", right, "link", "set", "fv1", "up")
            assert resumed(watch, left, "fv0", flap) < RESUMED_S
        time.sleep(SETTLED_S)
        assert watch.actions == [("fv1", "down"), ("fv1", "up")] * 20
        assert watch.ring.links == (InterfaceState("fv1", True),)


def test_an_interface_without_a_carrier_is_down(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with watching(right, ["fv1"]) as watch:
        ip("-n", left, "link", "set", "fv0", "down")
        watch.wait_for(lambda: watch.actions == [("fv1", "down")])
        assert watch.ring.links == (InterfaceState("fv1", False),)
        ip("-n", left, "link", "set", "fv0", "up")
        assert resumed(watch, left, "fv0", 1) < RESUMED_S
        time.sleep(SETTLED_S)
        assert watch.actions == [("fv1", "down"), ("fv1", "up")]


def test_a_renamed_interface_is_followed_under_its_new_name(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with watching(right, ["fv1"]) as watch:
        ip("-n", right, "link", "set", "fv1", "name", "lan0")
        assert resumed(watch, left, "fv0", 1) < RESUMED_S
        watch.wait_for(lambda: bool(watch.events))
        assert watch.actions == [("lan0", "renamed")]
        assert watch.events[0].message == "fv1: the interface is now called lan0"
        for action in ("down", "up"):
            ip("-n", right, "link", "set", "lan0", action)
        assert resumed(watch, left, "fv0", 2) < RESUMED_S
        time.sleep(SETTLED_S)
        assert watch.actions[1:] == [("lan0", "down"), ("lan0", "up")]
        assert watch.ring.links == (InterfaceState("lan0", True),)


@pytest.mark.parametrize("promiscuous", [False, True])
def test_an_interface_that_returns_under_its_name_is_captured_at_once(
    namespaces: tuple[str, str], promiscuous: bool
) -> None:
    left, right = namespaces
    with watching(right, ["fv1"], promiscuous=promiscuous) as watch:
        for turn in range(3):
            ip("-n", left, "link", "delete", "fv0")
            watch.wait_for(lambda turn=turn: watch.actions == turn * back + back[:1])  # type: ignore[misc]
            assert watch.ring.links == (InterfaceState("fv1", False),)
            ip("-n", left, "link", "add", "fv0", "type", "veth", "peer", "name", "fv1", "netns", right)
            ip("-n", left, "link", "set", "fv0", "up")
            ip("-n", right, "link", "set", "fv1", "up")
            took = resumed(watch, left, "fv0", turn)
            print(f"resumed after {took * 1000:.0f} ms")
            assert took < RESUMED_S
            time.sleep(SETTLED_S)
            assert watch.actions == (turn + 1) * back


back = [("fv1", "removed"), ("fv1", "recreated")]


def test_promiscuous_mode_is_on_request_and_returns_with_the_interface(namespaces: tuple[str, str]) -> None:
    left, right = namespaces

    def promiscuity() -> int:
        with inside(right), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
            index = socket.if_nametoindex("fv1")
            asking.send(struct.pack("=IHHIIBxHiII", 32, 18, 1, 1, 0, 0, 0, index, 0, 0))
            body = asking.recv(1 << 16)
        at = 32
        while at < len(body):
            length, kind = struct.unpack_from("=HH", body, at)
            if kind == 30:  # IFLA_PROMISCUITY
                return int.from_bytes(body[at + 4 : at + 8], "little")
            at += (length + 3) & ~3
        raise AssertionError("not told")

    with watching(right, ["fv1"]):
        assert promiscuity() == 0
    with watching(right, ["fv1"], promiscuous=True) as watch:
        assert promiscuity() == 1
        ip("-n", left, "link", "delete", "fv0")
        ip("-n", left, "link", "add", "fv0", "type", "veth", "peer", "name", "fv1", "netns", right)
        watch.wait_for(lambda: promiscuity() == 1, RESUMED_S)


def test_a_changed_mtu_loses_nothing(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with watching(right, ["fv1"]) as watch:
        for number, mtu in enumerate((1400, 9000, 1500) * 5):
            ip("-n", right, "link", "set", "fv1", "mtu", str(mtu))
            send(left, "fv0", number)
        watch.wait_for(lambda: len(watch.seen) == 15)
        time.sleep(0.2)
        assert watch.actions == []
        assert [number for _, number in watch.seen] == list(range(15))


def test_changes_are_told_while_packets_never_pause(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    ip("-n", left, "link", "add", "fv2", "type", "veth", "peer", "name", "fv3", "netns", right)
    for name, end in ((left, "fv2"), (right, "fv3")):
        ip("-n", name, "link", "set", end, "up")
    over = threading.Event()

    def flood() -> None:
        with inside(left), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
            packets.bind(("fv0", 0))
            while not over.is_set():
                packets.send(frame_of(7) + bytes(1400))

    with watching(right, ["fv1", "fv3"]) as watch:
        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            ip("-n", right, "link", "set", "fv3", "down")
            watch.wait_for(lambda: watch.actions == [("fv3", "down")], RESUMED_S)
            ip("-n", right, "link", "set", "fv3", "up")
            watch.wait_for(lambda: watch.actions == [("fv3", "down"), ("fv3", "up")], RESUMED_S)
        finally:
            over.set()
            flooding.join()


def test_several_interfaces_come_and_go_each_for_itself(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    ip("-n", left, "link", "add", "fv2", "type", "veth", "peer", "name", "fv3", "netns", right)
    for name, end in ((left, "fv2"), (right, "fv3")):
        ip("-n", name, "link", "set", end, "up")
    with watching(right, ["fv3", "fv1"]) as watch:
        send(left, "fv0", 1)
        send(left, "fv2", 2)
        watch.wait_for(lambda: len(watch.seen) == 2)
        assert sorted(watch.seen) == [(0, 2), (1, 1)]
        ip("-n", left, "link", "delete", "fv2")
        watch.wait_for(lambda: watch.actions == [("fv3", "removed")])
        send(left, "fv0", 3)
        watch.wait_for(lambda: (1, 3) in watch.seen)
        ip("-n", left, "link", "delete", "fv0")  # now there is none
        watch.wait_for(lambda: len(watch.events) == 2)
        time.sleep(0.3)
        for here, there in (("fv0", "fv1"), ("fv2", "fv3")):
            ip("-n", left, "link", "add", here, "type", "veth", "peer", "name", there, "netns", right)
            ip("-n", left, "link", "set", here, "up")
            ip("-n", right, "link", "set", there, "up")
        assert resumed(watch, left, "fv0", 4) < RESUMED_S
        assert resumed(watch, left, "fv2", 5) < RESUMED_S
        assert {seen for seen in watch.seen if seen[1] > 3} == {(1, 4), (0, 5)}
        time.sleep(SETTLED_S)
        assert watch.actions[2:] == [("fv1", "recreated"), ("fv3", "recreated")]


def test_an_interface_of_unknown_hardware_in_its_place_is_left_out(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        tun = open("/dev/net/tun", "rb+", buffering=0)  # noqa: SIM115  # it belongs to the namespace it is opened in
    with tun, watching(right, ["fv1"]) as watch:
        ip("-n", left, "link", "delete", "fv0")
        watch.wait_for(lambda: len(watch.events) == 1)
        ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"fvppp", IFF_TUN | IFF_NO_PI))
        ioctl(tun, TUNSETLINK, ARPHRD_PPP)
        ip("-n", right, "link", "set", "fvppp", "name", "fv1")
        ip("-n", right, "link", "set", "fv1", "up")
        watch.wait_for(lambda: len(watch.events) == 2)
        os.write(tun.fileno(), b"\x45" + bytes(40))
        time.sleep(SETTLED_S)
        assert watch.actions == [("fv1", "removed"), ("fv1", "left-out")]
        assert "hardware type 512" in watch.events[1].message
        assert watch.ring.links == (InterfaceState("fv1", False),)
        assert watch.ring.walked == 0


def test_an_interface_in_its_place_that_the_filter_was_not_compiled_for_is_left_out(
    namespaces: tuple[str, str],
) -> None:
    """A tunnel of raw IP where there was Ethernet: without a filter it would be captured."""
    left, right = namespaces
    every = BpfProgram("", ETHERNET, ((0x06, 0, 0, 0x40000),))
    with inside(right):
        tun = open("/dev/net/tun", "rb+", buffering=0)  # noqa: SIM115  # it belongs to the namespace it is opened in
        ring = RingCapture(["fv1"], 1 << 18, 8, programs={ETHERNET: every})
    with tun, read_by_a_thread(ring) as watch:
        ip("-n", left, "link", "delete", "fv0")
        watch.wait_for(lambda: len(watch.events) == 1)
        ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"fvtun", IFF_TUN | IFF_NO_PI))
        ip("-n", right, "link", "set", "fvtun", "name", "fv1")
        ip("-n", right, "link", "set", "fv1", "up")
        watch.wait_for(lambda: watch.actions == [("fv1", "removed"), ("fv1", "left-out")])
        assert watch.ring.links == (InterfaceState("fv1", False),)


def test_lost_news_are_made_up_for_by_a_listing(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 18, 8)
    ip("-n", right, "link", "add", "fvmany", "type", "veth", "peer", "name", "fvpeer")
    for _ in range(2):  # more news than the socket holds
        changes = [f"link set fvmany mtu {mtu}" for mtu in range(1000, 1400)]
        subprocess.run(["ip", "-n", right, "-batch", "-"], input="\n".join(changes).encode(), check=True, timeout=10)
    ip("-n", left, "link", "delete", "fv0")
    ip("-n", left, "link", "add", "fv0", "type", "veth", "peer", "name", "fv1", "netns", right)
    for name, end in ((left, "fv0"), (right, "fv1")):
        ip("-n", name, "link", "set", end, "up")
    watch = Watching(ring)
    reader = threading.Thread(target=watch.read)
    reader.start()
    try:
        assert resumed(watch, left, "fv0", 1) < RESUMED_S
        watch.wait_for(lambda: watch.actions == [("fv1", "removed"), ("fv1", "recreated")])
    finally:
        ring.stop()
        reader.join(10)
        ring.close()


def test_a_silent_ring_costs_next_to_nothing(namespaces: tuple[str, str]) -> None:
    _, right = namespaces
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 18, 8)
    blocks = iter(ring)
    next(blocks)
    start, spent = time.monotonic(), time.process_time()
    while time.monotonic() - start < 3:
        next(blocks)
        ring.statistics()
    share = (time.process_time() - spent) / (time.monotonic() - start)
    ring.close()
    print(f"{share:.2%} of a core")
    assert share < 0.01
