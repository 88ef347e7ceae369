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
from sensor.packets.pcapng import create_capture
from sensor.sources.captures.files import open_capture
from sensor.sources.filters.bpf import BpfProgram
from sensor.sources.live.ring import RingCapture
from tests.support.capture_bytes import Packet, packets_of
from tests.support.namespaces import inside, ip

pytestmark = pytest.mark.live

TUNSETIFF, TUNSETLINK, IFF_TUN, IFF_NO_PI, ARPHRD_PPP = 0x400454CA, 0x400454CD, 0x0001, 0x1000, 512
MACS = bytes.fromhex("020000000002020000000001")
SENT = 2000


def frame_of(number: int, size: int = 60) -> bytes:
    """Frame of an EtherType for experiments, telling its number."""
    return (MACS + b"\x88\xb5" + number.to_bytes(4, "big")).ljust(size, b"\xaa")


def capture(ring: RingCapture, act: Callable[[], object], *, until: int, seconds: float = 5.0) -> list[Packet]:
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


def join(left: str, right: str) -> None:
    """A new cable between the namespaces, silent by itself like the first one."""
    ip("-n", left, "link", "add", "fv0", "type", "veth", "peer", "name", "fv1", "netns", right)
    for name, end in ((left, "fv0"), (right, "fv1")):
        with inside(name):
            Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").write_text("1")
        ip("-n", name, "link", "set", end, "up")


def test_each_packet_of_a_cable_is_received_once_with_its_bytes(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    frames = [frame_of(number, 60 + number % 1400) for number in range(SENT)]
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 20, 32)
    before = time.time_ns()
    seen = capture(ring, lambda: send(left, "fv0", frames), until=SENT)
    ring.close()
    assert [packet.frame for packet in seen] == frames
    assert all(packet.wirelen == len(packet.frame) and packet.linktype == 1 for packet in seen)
    assert all(before - 10**9 < packet.ts_ns < time.time_ns() for packet in seen)
    assert ring.statistics().received == SENT
    assert ring.statistics().dropped == 0
    assert ring.walked == SENT


def test_a_card_that_was_to_stamp_packets_and_does_not_is_told_of_once(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 20, 32, hardware_timestamps=True)  # which a veth pair cannot
    for _ in range(2):
        capture(ring, lambda: send(left, "fv0", [frame_of(1)]), until=1)
    events = ring.events() + ring.events()
    ring.close()
    assert [(event.interface, event.action) for event in events] == [(None, "unstamped")]
    assert events[0].message == "fv1: packets without the card's time have the system's; see hwstamp_ctl(8)"


def test_a_vlan_tag_is_where_it_was_on_the_wire(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    tagged = MACS + bytes.fromhex("8100a064") + b"\x88\xb5" + bytes(46)
    provider = MACS + bytes.fromhex("88a80010") + bytes.fromhex("81000020") + b"\x88\xb5" + bytes(46)
    frames = [frame_of(1), tagged, provider, frame_of(2)]
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 20, 32)
    seen = capture(ring, lambda: send(left, "fv0", frames), until=len(frames))
    ring.close()
    assert [packet.frame for packet in seen] == frames
    assert [packet.wirelen for packet in seen] == [len(frame) for frame in frames]


def test_what_was_written_reads_back_as_it_was_seen(namespaces: tuple[str, str], tmp_path: Path) -> None:
    left, right = namespaces
    frames = [frame_of(number, 60 + 7 * number % 900) for number in range(300)]
    frames[7] = MACS + bytes.fromhex("81000007") + b"\x88\xb5" + bytes(100)
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 20, 32)
    writer = create_capture(tmp_path / "seen.pcapng")
    writer.add_interface(ring.interfaces[0], ring.linktypes[0])
    seen: list[Packet] = []
    threading.Thread(target=send, args=(left, "fv0", frames)).start()
    for block in ring:
        writer.write(block, ring.interface_of, ring.clock_step_ns)
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
        ring = RingCapture(["lo"], 1 << 20, 32)
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
        ring = RingCapture(["fv0"], 1 << 20, 32)
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
        ring = RingCapture(["fv1"], 1 << 20, 32)
    send(left, "fv0", [frame_of(number) for number in range(100)])
    ring.stop()
    assert sum(len(block) for block in ring) == 100
    ring.close()


def test_after_stop_nothing_waits_even_on_a_busy_link(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            send(left, "fv0", [frame_of(0)] * 100)

    with inside(right):
        ring = RingCapture(["fv1"], 1 << 16, 16)
    flooding = threading.Thread(target=flood)
    flooding.start()
    walked = 0
    for block in ring:
        walked += len(block)
        if walked > 20_000:
            ring.stop()
    over.set()
    flooding.join()
    counted = ring.statistics()
    ring.close()
    assert ring.walked == walked
    assert ring.statistics().waiting == 0
    assert counted.received == walked + counted.dropped


def test_what_a_full_ring_loses_is_counted_to_the_packet(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 16, 4)
    send(left, "fv0", [frame_of(number, 1000) for number in range(SENT)])
    counted = ring.statistics()
    assert (counted.received, ring.walked) == (SENT, 0)
    assert 0 < counted.dropped < SENT
    assert ring.statistics().waiting == SENT - counted.dropped
    assert ring.fill == 1.0
    ring.stop()
    seen = packets_of(ring)
    assert len(seen) + counted.dropped == SENT
    assert ring.statistics().received == SENT
    assert ring.statistics().waiting == 0
    assert ring.fill == 0.0
    ring.close()


def test_fill_is_the_share_of_blocks_that_wait(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 16, 9)
    send(left, "fv0", [frame_of(number, 1400) for number in range(44 * 5)])  # 44 to a block
    time.sleep(0.2)
    blocks = iter(ring)
    fills = [ring.fill]
    while len(next(blocks)):
        fills.append(ring.fill)
    ring.close()
    assert fills == [5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]


def test_several_interfaces_are_one_stream_with_a_number_each(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = RingCapture(["lo", "fv1"], 1 << 20, 8)
        other = RingCapture(["lo"], 1 << 20, 8)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    assert ring.linktypes == (1, 1)
    send(left, "fv0", [frame_of(number) for number in range(50)])
    with sender:
        for _ in range(20):
            sender.sendto(b"x", ("127.0.0.1", 9))
    numbers: list[int] = []
    ring.stop()
    for block in ring:
        assert len(block) == len(ring.interface_of)
        numbers += ring.interface_of.tolist()
    other.stop()
    on_loopback = len(packets_of(other))
    assert on_loopback >= 20  # and what they provoke
    assert (numbers.count(0), numbers.count(1)) == (on_loopback, 50)
    assert ring.statistics().received == on_loopback + 50
    ring.close()
    other.close()


def test_an_interface_named_twice_is_refused(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    ip("-n", left, "link", "property", "add", "dev", "fv0", "altname", "uplink")
    with inside(left), pytest.raises(CaptureError, match=r"^uplink: the same interface as fv0, expected each once$"):
        RingCapture(["fv0", "uplink"], 1 << 20, 4)


# ldh [12]; jeq 0x88b5; ldb [17]; and 3; jeq 0: every fourth of our frames, by the number they carry
EVERY_FOURTH = [(0x28, 0, 0, 12), (0x15, 0, 4, 0x88B5), (0x30, 0, 0, 17), (0x54, 0, 0, 3), (0x15, 0, 1, 0)]
EVERY_FOURTH += [(0x06, 0, 0, 262_144), (0x06, 0, 0, 0)]
FILTER = BpfProgram("every fourth", 1, tuple(EVERY_FOURTH))


@pytest.mark.parametrize(
    ("interfaces", "group"), [(["fv1"], None), (["lo", "fv1"], None), (["fv1"], 0)], ids=["one", "two", "group"]
)
def test_what_the_filter_leaves_out_is_counted_to_the_packet(
    namespaces: tuple[str, str], interfaces: list[str], group: int | None
) -> None:
    left, right = namespaces
    with inside(right):
        ring = RingCapture(interfaces, 1 << 18, 16, programs={1: FILTER}, fanout=group)
    many = 20_000
    seen = capture(ring, lambda: send(left, "fv0", [frame_of(number) for number in range(many)]), until=many // 4)
    ring.close()
    counted = ring.statistics()
    assert [int.from_bytes(packet.frame[14:18], "big") for packet in seen] == list(range(0, many, 4))
    assert (counted.received, counted.dropped, counted.filtered) == (many // 4, 0, many - many // 4)


def test_the_filter_holds_for_an_interface_that_returns(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 18, 16, programs={1: FILTER})
    blocks = iter(ring)
    ip("-n", left, "link", "delete", "fv0")
    time.sleep(0.15)
    assert not next(blocks)
    join(left, right)
    time.sleep(0.15)
    assert not next(blocks)
    send(left, "fv0", [frame_of(number) for number in range(100)])
    ring.stop()
    seen = packets_of(blocks)
    ring.close()
    assert (len(seen), ring.statistics().filtered) == (25, 75)


def conversations(count: int) -> list[bytes]:
    """A packet each way of that many UDP conversations; the last two bytes tell which one."""
    frames = []
    for number in range(count):
        ends = [(bytes([10, 0, 0, 1]), 10_000 + number), (bytes([10, 0, 0, 2]), 53)]
        for (source, sport), (target, dport) in (ends, ends[::-1]):
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 46, 0, 0, 64, 17, 0, source, target)
            datagram = struct.pack("!HHHH", sport, dport, 26, 0) + bytes(16) + number.to_bytes(2, "big")
            frames.append(MACS + b"\x08\x00" + header + datagram)
    return frames


@pytest.mark.parametrize("interfaces", [["fv1"], ["fv1", "lo"]], ids=len)
def test_a_group_of_rings_shares_packets_by_flow(namespaces: tuple[str, str], interfaces: list[str]) -> None:
    left, right = namespaces
    with inside(right):
        first = RingCapture(interfaces, 1 << 18, 8, fanout=0)
        assert first.fanout_group
        second = RingCapture(interfaces, 1 << 18, 8, fanout=first.fanout_group)

    def shares() -> list[list[int]]:
        """Conversations that each ring sees."""
        send(left, "fv0", conversations(200))
        time.sleep(0.2)
        seen = []
        for ring in (first, second):
            blocks, numbers = iter(ring), []
            while block := next(blocks):
                numbers += [int.from_bytes(packet.frame[-2:], "big") for packet in packets_of([block])]
            seen.append(numbers)
        return seen

    def check(seen: list[list[int]]) -> None:
        assert sorted(seen[0] + seen[1]) == sorted([*range(200), *range(200)])
        assert not set(seen[0]) & set(seen[1])
        assert min(len(numbers) for numbers in seen) > 50

    check(shares())
    ip("-n", right, "link", "set", "fv1", "down")
    ip("-n", right, "link", "set", "fv1", "up")
    check(shares())
    ip("-n", left, "link", "delete", "fv0")
    for ring in (first, second):
        assert not next(iter(ring))
    join(left, right)
    time.sleep(0.15)  # news are looked for ten times a second
    for ring in (first, second):
        assert not next(iter(ring))
    check(shares())
    counted = [ring.statistics() for ring in (first, second)]
    assert sum(each.received for each in counted) == 3 * 400
    assert [ring.statistics().waiting for ring in (first, second)] == [0, 0]
    for ring in (first, second):
        ring.close()


def test_a_ring_left_to_a_worker_goes_on_there(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 18, 8)
    send(left, "fv0", [frame_of(number) for number in range(10)])
    told, tell = os.pipe()
    worker = os.fork()
    if not worker:
        ring.stop()
        walked = sum(len(block) for block in ring)
        os.write(tell, f"{walked} {ring.statistics().received}".encode())
        os._exit(0)
    ring.leave_to_worker()
    os.waitpid(worker, 0)
    assert os.read(told, 100) == b"10 10"
    os.close(told)
    os.close(tell)


def test_an_interface_that_is_down_is_refused(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    ip("-n", left, "link", "set", "fv0", "down")
    with inside(left), pytest.raises(CaptureError, match=r"^fv0: the interface is down.*ip link set fv0 up"):
        RingCapture(["fv0"], 1 << 20, 32)


def test_a_tunnel_device_gives_raw_ip(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    ip("-n", left, "tuntap", "add", "dev", "fvtun", "mode", "tun")
    ip("-n", left, "link", "set", "fvtun", "up")
    with inside(left):
        ring = RingCapture(["fvtun"], 1 << 20, 32)
    assert ring.linktypes == (101,)
    ring.close()


def test_hardware_of_another_type_is_refused_by_number(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    with inside(left), open("/dev/net/tun", "rb+", buffering=0) as tun:
        ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"fvppp", IFF_TUN | IFF_NO_PI))
        ioctl(tun, TUNSETLINK, ARPHRD_PPP)
        ip("-n", left, "link", "set", "fvppp", "up")
        with pytest.raises(CaptureError, match=r"^fvppp: an interface of hardware type 512, expected Ethernet"):
            RingCapture(["fvppp"], 1 << 20, 32)


def test_capture_without_permission_says_what_would_give_it() -> None:
    unprivileged = ["setpriv", "--bounding-set", "-net_raw"] if os.geteuid() == 0 else []
    program = (
        "from sensor.sources.live.ring import RingCapture\n"
        "try: RingCapture(['lo'], 1 << 20, 4)\n"
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
    assert "AmbientCapabilities" in run.stdout
    assert "setcap" in run.stdout
