"""The ring on a real interface: two network namespaces joined by a veth pair, and loopback in one of them."""

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

import pytest

from sensor.errors import CaptureError
from sensor.sinks.pcapng import create_capture
from sensor.sources.files import open_capture
from sensor.sources.ring import Ring
from tests.support.capture_bytes import Packet, packets_of
from tests.support.namespaces import inside, ip

pytestmark = pytest.mark.live

TUNSETIFF, TUNSETLINK, IFF_TUN, IFF_NO_PI, ARPHRD_PPP = 0x400454CA, 0x400454CD, 0x0001, 0x1000, 512
MACS = bytes.fromhex("020000000002020000000001")
SENT = 2000


def frame_of(number: int, size: int = 60) -> bytes:
    """Frame of an EtherType for experiments, telling its number."""
    return (MACS + b"\x88\xb5" + number.to_bytes(4, "big")).ljust(size, b"\xaa")


def capture(ring: Ring, act: Callable[[], object], *, until: int, seconds: float = 5.0) -> list[Packet]:
    """Packets that a ring sees while another thread acts, up to a number of them or the end of the capture."""
    seen: list[Packet] = []
    actor = threading.Thread(target=act)
    deadline = time.monotonic() + seconds
    actor.start()
    for block in ring:
        seen += packets_of([block])
        if len(seen) >= until or time.monotonic() > deadline:
            ring.stop()
    actor.join()
    assert time.monotonic() < deadline
    return seen


def send(namespace: str, interface: str, frames: list[bytes]) -> None:
    with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        packets.bind((interface, 0))
        for frame in frames:
            packets.send(frame)


def test_each_packet_of_a_cable_is_received_once_with_its_bytes(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    frames = [frame_of(number, 60 + number % 1400) for number in range(SENT)]
    with inside(right):
        ring = Ring("fv1", 1 << 20, 32)
    before = time.time_ns()
    seen = capture(ring, lambda: send(left, "fv0", frames), until=SENT)
    ring.close()
    assert [packet.frame for packet in seen] == frames
    assert all(packet.wirelen == len(packet.frame) and packet.linktype == 1 for packet in seen)
    assert all(before - 10**9 < packet.ts_ns < time.time_ns() for packet in seen)
    assert ring.statistics().received == SENT
    assert ring.statistics().dropped == 0
    assert ring.problem is None


def test_a_vlan_tag_is_where_it_was_on_the_wire(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    tagged = MACS + bytes.fromhex("8100a064") + b"\x88\xb5" + bytes(46)
    provider = MACS + bytes.fromhex("88a80010") + bytes.fromhex("81000020") + b"\x88\xb5" + bytes(46)
    frames = [frame_of(1), tagged, provider, frame_of(2)]
    with inside(right):
        ring = Ring("fv1", 1 << 20, 32)
    seen = capture(ring, lambda: send(left, "fv0", frames), until=len(frames))
    ring.close()
    assert [packet.frame for packet in seen] == frames
    assert [packet.wirelen for packet in seen] == [len(frame) for frame in frames]


def test_what_was_written_reads_back_as_it_was_seen(namespaces: tuple[str, str], tmp_path: Path) -> None:
    left, right = namespaces
    frames = [frame_of(number, 60 + 7 * number % 900) for number in range(300)]
    frames[7] = MACS + bytes.fromhex("81000007") + b"\x88\xb5" + bytes(100)
    with inside(right):
        ring = Ring("fv1", 1 << 20, 32)
    writer = create_capture(tmp_path / "seen.pcapng")
    interface = writer.add_interface(ring.name, ring.linktype)
    seen: list[Packet] = []
    threading.Thread(target=send, args=(left, "fv0", frames)).start()
    for block in ring:
        writer.write(block, interface)
        seen += packets_of([block])
        if len(seen) == len(frames):
            ring.stop()
    ring.close()
    writer.close()
    read = open_capture(tmp_path / "seen.pcapng")
    assert packets_of(read) == seen
    assert [packet.frame for packet in seen] == frames
    assert read.problem is None


def test_loopback_shows_each_packet_once(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    with inside(left):
        ring = Ring("lo", 1 << 20, 32)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.bind(("127.0.0.1", 0))
        sender.connect(receiver.getsockname())
        payloads = [f"datagram {number}".encode() for number in range(50)]
        seen = capture(ring, lambda: [sender.send(payload) for payload in payloads], until=50)
    ring.close()
    assert [packet.frame[42:] for packet in seen] == payloads
    assert ring.statistics().received == 50


def test_silence_gives_empty_blocks_and_stop_ends_it(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    with inside(left):
        ring = Ring("fv0", 1 << 20, 32)
    start = time.monotonic()
    blocks = iter(ring)
    assert [len(next(blocks)) for _ in range(3)] == [0, 0, 0]
    assert time.monotonic() - start < 1
    ring.stop()
    assert sum(len(block) for block in blocks) == 0
    assert time.monotonic() - start < 2
    ring.close()


def test_stop_still_delivers_what_the_ring_holds(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = Ring("fv1", 1 << 20, 32)
    send(left, "fv0", [frame_of(number) for number in range(100)])
    ring.stop()
    assert sum(len(block) for block in ring) == 100
    ring.close()


def test_an_interface_that_goes_down_ends_the_capture_with_its_packets(namespaces: tuple[str, str]) -> None:
    left, right = namespaces

    def send_and_pull() -> None:
        send(left, "fv0", [frame_of(number) for number in range(10)])
        ip("-n", right, "link", "set", "fv1", "down")

    with inside(right):
        ring = Ring("fv1", 1 << 20, 32)
    seen = capture(ring, send_and_pull, until=1 << 30)
    ring.close()
    assert len(seen) == 10
    assert ring.problem == "fv1: capture ended: the interface went down"


def test_an_interface_that_is_removed_ends_the_capture(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = Ring("fv1", 1 << 20, 32)
    seen = capture(ring, lambda: ip("-n", left, "link", "delete", "fv0"), until=1 << 30)
    ring.close()
    assert seen == []
    assert ring.problem == "fv1: capture ended: the interface went down"


def test_an_interface_that_is_down_is_refused(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    ip("-n", left, "link", "set", "fv0", "down")
    with inside(left), pytest.raises(CaptureError, match=r"^fv0: the interface is down.*ip link set fv0 up"):
        Ring("fv0", 1 << 20, 32)


def test_a_tunnel_device_gives_raw_ip(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    ip("-n", left, "tuntap", "add", "dev", "fvtun", "mode", "tun")
    ip("-n", left, "link", "set", "fvtun", "up")
    with inside(left):
        ring = Ring("fvtun", 1 << 20, 32)
    assert ring.linktype == 101
    ring.close()


def test_hardware_of_another_type_is_refused_by_number(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    with inside(left), open("/dev/net/tun", "rb+", buffering=0) as tun:
        ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"fvppp", IFF_TUN | IFF_NO_PI))
        ioctl(tun, TUNSETLINK, ARPHRD_PPP)
        ip("-n", left, "link", "set", "fvppp", "up")
        with pytest.raises(CaptureError, match=r"^fvppp: an interface of hardware type 512, expected Ethernet"):
            Ring("fvppp", 1 << 20, 32)


def test_capture_without_permission_says_what_would_give_it() -> None:
    unprivileged = ["setpriv", "--bounding-set", "-net_raw"] if os.geteuid() == 0 else []
    program = (
        "from sensor.sources.ring import Ring\n"
        "try: Ring('lo', 1 << 20, 4)\n"
        "except Exception as error: print(repr(error))"
    )
    try:
        run = subprocess.run(
            [*unprivileged, sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"setpriv does not work here: {error}")
    assert "CaptureError" in run.stdout
    assert "CAP_NET_RAW" in run.stdout
    assert "sudo" in run.stdout
    assert "setcap" in run.stdout
