"""Socket filters in the kernel: which packets they take, and that their complement takes all the others."""

import os
import random
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from flows.block import block_of
from sensor.errors import CaptureError
from sensor.sources.filters.bpf import MAX_INSTRUCTIONS, BpfProgram, Instruction
from sensor.sources.filters.libpcap import compile_live, compile_offline
from sensor.sources.filters.packet_filter import PacketFilter
from sensor.sources.filters.socket_program import InterfaceRule, socket_program
from sensor.sources.live.packet_socket import attach_filter, bind_to, open_packet_socket
from sensor.sources.live.ring import RingCapture
from tests.support.bpf_programs import random_program
from tests.support.capture_bytes import packets_of
from tests.support.namespaces import inside, ip
from tests.support.packets import tcp, udp

pytestmark = pytest.mark.live

ANY = 0
SOL_PACKET, PACKET_STATISTICS = 263, 6
MACS = bytes.fromhex("020000000002020000000001")
REJECT: Instruction = (0x06, 0, 0, 0)
ACCEPT: Instruction = (0x06, 0, 0, 1)


def tagged(frame: bytes, tag: int) -> bytes:
    return frame[:12] + b"\x81\x00" + tag.to_bytes(2, "big") + frame[12:]


def untagged(frame: bytes) -> bytes:
    return frame[:12] + frame[16:] if frame[12] == 0x81 else frame


def traffic() -> list[bytes]:
    """Frames with and without VLAN tags."""
    plain = [
        make(f"10.0.0.{number % 5}:4000{number % 7}", f"10.0.1.{number % 3}:{port}", payload=number * 20).frame
        for number, port in enumerate([22, 53, 80, 443] * 5)
        for make in (tcp, udp)
    ]
    plain = [MACS + frame[12:] for frame in plain]
    plain += [MACS + b"\x88\xb5", MACS + b"\x88\xb5" + bytes(1), MACS + b"\x08\x00", MACS + b"\x08\x00\x45"]
    whole = plain[:-4]  # a tag with nothing behind it is dropped before any socket
    return plain + [tagged(frame, 100) for frame in whole[::3]] + [tagged(frame, 7) for frame in whole[::5]]


def send(namespace: str, interface: str, frames: Sequence[bytes]) -> None:
    with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        packets.bind((interface, 0))
        for frame in frames:
            packets.send(frame)


@contextmanager
def counters(namespace: str, count: int) -> Iterator[list[socket.socket]]:
    """Sockets that are not bound, to count packets with. Closing one takes the kernel a while."""
    with ExitStack() as opened:
        with inside(namespace):
            sockets = [opened.enter_context(open_packet_socket("test")) for _ in range(count)]
        for packets in sockets:
            packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        yield sockets


def newly_received(packets: socket.socket) -> int:
    """Packets since the last call: the kernel begins anew with each."""
    received, _dropped = struct.unpack("II", packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    return int(received)


def count_by(sockets: Sequence[socket.socket], filters: Sequence[Sequence[Instruction]]) -> None:
    """Start each socket at zero with a filter, on all interfaces."""
    for packets, program in zip(sockets, filters, strict=True):
        attach_filter(packets, program)
        bind_to(packets, ANY)
        newly_received(packets)


def counted(sockets: Sequence[socket.socket], namespaces: tuple[str, str], frames: Sequence[bytes]) -> list[int]:
    """What each socket counts of frames that are sent through the cable; the last one is to count all."""
    counts = [0] * len(sockets)
    send(namespaces[0], "fv0", frames)
    deadline = time.monotonic() + 20
    while counts[-1] < len(frames) and time.monotonic() < deadline:
        counts = [count + newly_received(packets) for count, packets in zip(counts, sockets, strict=True)]
    assert counts[-1] == len(frames)
    return counts[:-1]


def taken(namespaces: tuple[str, str], filters: Sequence[Sequence[Instruction]], frames: Sequence[bytes]) -> list[int]:
    """How many of the frames, sent through the cable, each filter takes."""
    every = socket_program([InterfaceRule(index_of(namespaces[1], "fv1"), False, None)])
    with counters(namespaces[1], len(filters) + 1) as sockets:
        count_by(sockets, [*filters, every])
        return counted(sockets, namespaces, frames)


def index_of(namespace: str, interface: str) -> int:
    with inside(namespace):
        return socket.if_nametoindex(interface)


def both(rules: Sequence[InterfaceRule]) -> list[list[Instruction]]:
    return [socket_program(rules), socket_program(rules, complement=True)]


def test_any_program_and_its_complement_share_all_packets(namespaces: tuple[str, str]) -> None:
    """The kernel rejects when a load reaches too far or a divisor is zero: the complement has to take these."""
    dice = random.Random(5)
    frames = [MACS + b"\x88\xb5" + dice.randbytes(dice.randrange(60)) for _ in range(40)]
    index = index_of(namespaces[1], "fv1")
    every = socket_program([InterfaceRule(index, False, None)])
    alone: list[Instruction] = [(0x20, 0, 0, 0xFFFFF008), (0x15, 1, 0, index), REJECT]
    partial = 0
    with counters(namespaces[1], 13) as sockets:
        for _ in range(120):
            programs = [random_program(dice) for _ in range(4)]
            filters = [
                which
                for program in programs
                for which in ([*alone, *program.instructions], *both([InterfaceRule(index, False, program)]))
            ]
            count_by(sockets, [*filters, every])
            counts = counted(sockets, namespaces, frames)
            for program in programs:
                expected, *shares = counts[:3]
                assert shares == [expected, len(frames) - expected], program.instructions
                partial += 0 < expected < len(frames)
                del counts[:3]
    assert partial > 30


EXPRESSIONS = """
tcp
not port 22
vlan
not vlan
vlan 100
vlan 100 and tcp
vlan 7 and udp port 53
vlan and not port 80
tcp or (vlan and tcp)
net 10.0.0.0/30 and not tcp[tcpflags] & tcp-syn != 0
ip[2:2] / ip[8] > 3
ether[100] = 0
ether[len - 20] = 0
len > 100
""".strip().splitlines()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_live_and_stored_packets_pass_the_same_filter(namespaces: tuple[str, str], expression: str) -> None:
    _, right = namespaces
    frames = traffic()
    with inside(right):
        program = compile_live(expression, "fv1")
    stored = PacketFilter(lambda linktype: compile_offline(expression, linktype))
    # As in tcpdump, a filter that does not ask for tags does not see the one that the kernel took out.
    compared = frames if "vlan" in expression else [untagged(frame) for frame in frames]
    expected = len(stored.apply(block_of(compared, [0] * len(frames))))
    assert 0 < expected < len(frames)
    counts = taken(namespaces, both([InterfaceRule(index_of(right, "fv1"), False, program)]), frames)
    assert counts == [expected, len(frames) - expected]


def test_a_ring_delivers_tagged_frames_by_a_vlan_filter(namespaces: tuple[str, str]) -> None:
    left, right = namespaces
    frames = traffic()
    with inside(right):
        ring = RingCapture(["fv1"], 1 << 18, 4, programs={1: compile_live("vlan 100", "fv1")})
    send(left, "fv0", frames)
    ring.stop()
    seen = [packet.frame for packet in packets_of(ring)]
    ring.close()
    assert seen == [frame for frame in frames if frame[12:16] == bytes.fromhex("81000064")]
    assert ring.statistics().filtered == len(frames) - len(seen)


def test_each_interface_has_its_own_program(namespaces: tuple[str, str]) -> None:
    _, right = namespaces
    frames = traffic()
    everything, nothing = BpfProgram("all", 1, (ACCEPT,)), BpfProgram("none", 1, (REJECT,))
    index = index_of(right, "fv1")
    rules = [
        InterfaceRule(1, False, everything),
        InterfaceRule(index, False, nothing),
        InterfaceRule(index + 7, False, everything),
    ]
    other = [InterfaceRule(1, False, nothing), InterfaceRule(index, False, everything)]
    without = [InterfaceRule(1, False, everything), InterfaceRule(index + 7, False, None)]
    counts = taken(namespaces, [*both(rules), *both(other), *both(without)], frames)
    assert counts == [0, len(frames), len(frames), 0, 0, 0]


def test_skipped_packets_that_leave_are_in_neither_filter(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    everything, nothing = BpfProgram("all", 1, (ACCEPT,)), BpfProgram("none", 1, (REJECT,))
    filters = [
        which
        for skip in (True, False)
        for program in (everything, nothing)
        for which in both([InterfaceRule(1, skip, program)])
    ]
    with counters(left, len(filters)) as sockets:
        count_by(sockets, filters)
        send(left, "lo", [MACS + b"\x88\xb5" + bytes(46)] * 10)
        time.sleep(0.05)
        counts = [newly_received(packets) for packets in sockets]
    assert counts == [10, 0, 0, 10, 20, 0, 0, 20]


def test_long_programs_of_several_interfaces_are_reached(namespaces: tuple[str, str]) -> None:
    _, right = namespaces
    frames = traffic()
    ports = " or ".join(f"port {port}" for port in range(30_000, 30_240, 2))
    programs = [compile_offline(f"{ports} or port {port}", 1) for port in (53, 80)]
    assert min(len(program.instructions) for program in programs) > 300
    index = index_of(right, "fv1")
    rules = [InterfaceRule(1, True, programs[0]), InterfaceRule(index, True, programs[1])]
    stored = PacketFilter(lambda _: programs[1])
    plain = [frame for frame in frames if frame[12] != 0x81]
    expected = len(stored.apply(block_of(plain, [0] * len(plain))))
    assert 0 < expected < len(plain)
    assert taken(namespaces, both(rules), plain) == [expected, len(plain) - expected]


def test_a_conditional_jump_reaches_over_guarded_loads(namespaces: tuple[str, str]) -> None:
    _, right = namespaces
    loads: list[Instruction] = [(0x30, 0, 0, at % 14) for at in range(250)]
    steps = [(0x30, 0, 0, 14), (0x15, 251, 0, 1), *loads, REJECT, ACCEPT]
    program = BpfProgram("far", 1, tuple(steps))
    frames = [MACS + b"\x88\xb5" + bytes([number % 3]) * 20 for number in range(30)]
    assert taken(namespaces, both([InterfaceRule(index_of(right, "fv1"), False, program)]), frames) == [10, 20]


def test_the_longest_program_is_taken_by_the_kernel(namespaces: tuple[str, str]) -> None:
    _, right = namespaces
    program = BpfProgram("long", 1, (*[(0x04, 0, 0, 1)] * (MAX_INSTRUCTIONS - 5), ACCEPT))
    rules = [InterfaceRule(index_of(right, "fv1"), False, program)]
    assert len(socket_program(rules)) == MAX_INSTRUCTIONS
    assert taken(namespaces, both(rules), traffic()) == [len(traffic()), 0]


def test_compiling_leaves_nothing_open(namespaces: tuple[str, str]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with inside(namespaces[1]):
        assert compile_live("tcp", "fv1").linktype == 1
        assert compile_live("tcp", "lo").linktype == 1
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_raw_ip_interfaces_have_the_link_type_of_files(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    ip("-n", left, "tuntap", "add", "tun0", "mode", "tun")
    ip("-n", left, "link", "set", "tun0", "up")
    with inside(left):
        program = compile_live("tcp port 80", "tun0")
    assert program.linktype == 101
    assert program.instructions[0] == (0x30, 0, 0, 0)


def test_an_interface_that_is_down_is_told_by_libpcap(namespaces: tuple[str, str]) -> None:
    left, _ = namespaces
    ip("-n", left, "link", "set", "fv0", "down")
    with inside(left), pytest.raises(CaptureError, match=r"^fv0: cannot capture: .*not up[^\n]*$"):
        compile_live("tcp", "fv0")
