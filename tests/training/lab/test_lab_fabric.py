"""The switches: delay, rate, loss, TTL, who gets a frame, and what is captured."""

import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from training.lab.fabric import QUEUE_NS, Cable, Capture, Fabric, Lateness, Port, with_lower_ttl
from training.lab.packets import packets_of

MS = 1_000_000
MACS = {name: bytes((2, 0, 0, 0, 0, number)) for number, name in enumerate(("a", "b", "c", "router"))}
ROUTER_ADDRESS = socket.inet_aton("10.0.0.1")
ROUTER_ADDRESS6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1")


def cable(delay_ms: float = 0.0, loss: float = 0.0, rate_mbit: float = 1000.0) -> Cable:
    return Cable(int(delay_ms * MS), 0, loss, 8e3 / rate_mbit)


def ip_frame(source: str, target: str, sender: str = "10.0.0.2", ttl: int = 64) -> bytes:
    header = bytearray(
        struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 7, 0, ttl, 17, 0, socket.inet_aton(sender), b"\x0a\0\0\3")
    )
    header[10:12] = struct.pack("!H", checksum(bytes(header)))
    return MACS[target] + MACS[source] + b"\x08\x00" + bytes(header) + struct.pack("!HHHH", 4000, 53, 8, 0)


def checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def test_a_frame_arrives_after_its_own_length_and_the_delay() -> None:
    line = cable(delay_ms=5, rate_mbit=8)  # a byte each microsecond
    assert line.arrival_ns(976, 0, Random(1)) == 1 * MS + 5 * MS
    assert line.arrival_ns(976, 0, Random(1)) == 2 * MS + 5 * MS  # waits for the first one


def test_a_full_queue_drops_and_an_empty_one_takes_again() -> None:
    line = cable(rate_mbit=0.08)  # 100 ms for each thousand bytes
    taken = [line.arrival_ns(976, 0, Random(1)) for _ in range(5)]
    assert [when is not None for when in taken] == [True, True, True, False, False]
    assert line.arrival_ns(976, QUEUE_NS, Random(1)) is not None


def test_about_so_many_frames_are_lost() -> None:
    line, draw = cable(loss=0.1), Random(2)
    lost = sum(line.arrival_ns(100, number * MS, draw) is None for number in range(5000))
    assert 400 < lost < 600


def test_lateness_is_told_in_milliseconds() -> None:
    late = Lateness()
    for ns in (1 * MS, 11 * MS):
        late.add(ns)
    assert late.told() == {"mean_ms": 6.0, "most_ms": 11.0, "over_10_ms": 1}
    assert Lateness().told() == {"mean_ms": 0.0, "most_ms": 0.0, "over_10_ms": 0}


def test_no_frame_overtakes_another() -> None:
    line, draw = Cable(0, 50 * MS, 0.0, 8.0), Random(3)
    arrivals = [line.arrival_ns(100, number * MS, draw) for number in range(200)]
    assert arrivals == sorted(when for when in arrivals if when is not None)


@pytest.mark.parametrize("hops", [1, 11, 63])
def test_a_lower_ttl_has_a_right_checksum(hops: int) -> None:
    changed = with_lower_ttl(ip_frame("a", "b"), hops)
    assert changed is not None
    assert changed[22] == 64 - hops
    assert checksum(changed[14:34]) == 0


def ip6_frame(source: str, target: str, sender: str, to: str, kind: int = 128, limit: int = 64) -> bytes:
    """An ICMPv6 packet."""
    ends = socket.inet_pton(socket.AF_INET6, sender) + socket.inet_pton(socket.AF_INET6, to)
    header = struct.pack("!IHBB", 6 << 28, 8, 58, limit) + ends
    return MACS[target] + MACS[source] + b"\x86\xdd" + header + bytes((kind,)) + bytes(7)


def test_a_hop_limit_is_lowered_save_between_neighbours() -> None:
    away = ip6_frame("a", "b", "2001:db8::2", "2001:db8::3")
    lowered = with_lower_ttl(away, 9)
    assert lowered == away[:21] + bytes((55,)) + away[22:]
    assert with_lower_ttl(ip6_frame("a", "b", "2001:db8::2", "2001:db8::3", limit=9), 9) is None
    solicitation = ip6_frame("a", "b", "2001:db8::2", "ff02::1:ff00:3", kind=135, limit=255)
    advertisement = ip6_frame("a", "b", "2001:db8::2", "2001:db8::3", kind=136, limit=255)
    assert [with_lower_ttl(frame, 9) for frame in (solicitation, advertisement)] == [solicitation, advertisement]


def test_a_frame_whose_ttl_runs_out_is_gone() -> None:
    assert with_lower_ttl(ip_frame("a", "b", ttl=3), 3) is None


@pytest.fixture
def switched(tmp_path: Path) -> Callable[[list[tuple[str, bytes]]], tuple[dict[str, list[bytes]], Path]]:
    """Send frames of hosts through a switch: what each host got, and the capture."""

    def send(frames: list[tuple[str, bytes]]) -> tuple[dict[str, list[bytes]], Path]:
        ends = {name: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for name in MACS}
        ports = []
        for name, (_, inner) in ends.items():
            inner.setblocking(False)
            own = frozenset([ROUTER_ADDRESS, ROUTER_ADDRESS6]) if name == "router" else None
            ports.append(Port(inner.fileno(), name, MACS[name], "lan", own, 0, cable(), cable()))
        read, write = os.pipe()
        path = tmp_path / "router.pcap"
        fabric = Fabric(ports, Random(1), 0)
        captures: list[Capture] = []

        def begin() -> dict[str, Capture]:
            captures.append(Capture(path))
            return {"router": captures[0]}

        thread = threading.Thread(target=fabric.run, args=(read, begin))
        thread.start()
        os.write(write, b"capture\n")
        while not captures:
            threading.Event().wait(0.01)
        for name, frame in frames:
            ends[name][0].send(frame)
        threading.Event().wait(0.3)
        os.close(write)
        thread.join(5)
        captures[0].close()
        got: dict[str, list[bytes]] = {name: [] for name in MACS}
        for name, (outer, inner) in ends.items():
            outer.setblocking(False)
            with outer, inner:
                while True:
                    try:
                        got[name].append(outer.recv(2048))
                    except BlockingIOError:
                        break
        os.close(read)
        return got, path

    return send


def test_what_is_translated_is_captured_with_its_own_addresses_alone(tmp_path: Path) -> None:
    public, news = socket.inet_aton("10.0.0.1"), "5.1.1.3"
    host = Port(-1, "a", MACS["a"], "outside", None, 0, cable(), cable(), hidden=public)
    outside = Port(-1, "router", MACS["router"], "outside", frozenset([public]), 0, cable(), cable(), hidden=public)
    inside = Port(-1, "router", MACS["router"], "guests", frozenset([socket.inet_aton(news)]), 0, cable(), cable())
    fabric = Fabric([], Random(1), 0, captures={"router": Capture(tmp_path / "router.pcap")})
    answer = ip_frame("a", "router", sender=news)
    to_public = answer[:30] + public + answer[34:]
    by_public = ip_frame("router", "a", sender="10.0.0.1")
    asked = MACS["router"] + MACS["a"] + b"\x08\x06" + bytes(14) + public + bytes(10)
    for port, frame in ((host, to_public), (outside, by_public), (inside, answer), (host, answer), (outside, asked)):
        fabric._capture(port, frame)
    fabric.captures["router"].close()
    found = list(packets_of(tmp_path / "router.pcap"))
    assert [(packet.kind, packet.ends and packet.ends.text(packet.ends.target)) for packet in found] == [
        (0x0800, "10.0.0.3"),
        (0x0800, "10.0.0.3"),
        (0x0806, None),
    ]


def test_a_frame_goes_to_the_one_it_is_for_and_a_broadcast_to_all_others(
    switched: Callable[[list[tuple[str, bytes]]], tuple[dict[str, list[bytes]], Path]],
) -> None:
    direct, broadcast = ip_frame("a", "b"), b"\xff" * 6 + ip_frame("a", "b")[6:]
    got, path = switched([("a", direct), ("a", broadcast)])
    assert got == {"a": [], "b": [direct, broadcast], "c": [broadcast], "router": [broadcast]}
    assert len(list(packets_of(path))) == 2


def test_what_the_router_hands_on_is_not_captured_again_but_its_own_is(
    switched: Callable[[list[tuple[str, bytes]]], tuple[dict[str, list[bytes]], Path]],
) -> None:
    handed_on, own = ip_frame("router", "a", sender="198.51.100.7"), ip_frame("router", "a", sender="10.0.0.1")
    got, path = switched([("router", handed_on), ("router", own)])
    assert got["a"] == [handed_on, own]
    assert [packet.ends is not None and packet.ends.initiator for packet in packets_of(path)] == [0x0A000001]


def test_of_ipv6_too_only_what_is_the_routers_own_is_captured_from_it(
    switched: Callable[[list[tuple[str, bytes]]], tuple[dict[str, list[bytes]], Path]],
) -> None:
    senders = ("2a00:1::7", "2001:db8::1", "fe80::1")
    _, path = switched([("router", ip6_frame("router", "a", sender, "2001:db8::2")) for sender in senders])
    found = [packet.ends.text(packet.ends.initiator) for packet in packets_of(path) if packet.ends is not None]
    assert found == ["2001:db8::1", "fe80::1"]
