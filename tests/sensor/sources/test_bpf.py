"""Filters over stored packets against libpcap itself, refused programs, and the layout of socket filters."""

import ctypes
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scapy.libs import winpcapy
from scapy.libs.structures import bpf_insn, bpf_program

from flows.block import PacketBlock, block_of
from sensor.errors import ConfigError
from sensor.sources.filters.bpf import MAX_INSTRUCTIONS, BpfProgram, Instruction, check_program
from sensor.sources.filters.libpcap import compile_offline
from sensor.sources.filters.packet_filter import PacketFilter
from sensor.sources.filters.socket_program import InterfaceRule, socket_program
from tests.support.bpf_programs import random_program
from tests.support.capture_bytes import packets_of
from tests.support.captures import read_whole_pcap
from tests.support.packets import tcp, udp

DEMO = Path(__file__).parents[3] / "sensor" / "synth" / "demo.pcap.gz"

EXPRESSIONS = """
ip
ip6
arp
tcp
udp
icmp
ip6 and tcp
not port 22
tcp port 443
port 53 or port 80
src port 53
portrange 1000-40000
udp dst portrange 1-1024
host 10.0.0.1
src host 10.0.0.2 and dst port 80
net 10.0.0.0/8
src net 192.168.0.0/16 or dst net 10.0.0.0/30
ip6 net fe80::/10
ip6 host 2001:db8::1
vlan
vlan 100
vlan 100 and tcp
vlan and vlan and udp
tcp[tcpflags] & tcp-syn != 0
tcp[tcpflags] = tcp-syn|tcp-ack
tcp[13] & 3 != 0 and not tcp[13] & 16 != 0
len > 100
less 80
greater 200
len - 14 > ip[2:2]
ip[2:2]/4 > 15
ip[2:2] % 7 = 3
ip[8] * 3 + 7 > 100
ip[0] & 0xf << 2 = 20
(ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2) != 0
tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420
ip[0] ^ 0x45 = 0 and ip[6:2] & 0x1fff = 0
ip[4:2] / ip[8] > 100
1 << ip[8] > 0
ip[len - 40] > 10
proto 6
ip proto 17
ip6 proto 58
ip multicast
mpls
pppoes
ip and not (tcp or udp)
tcp and (port 80 or port 443) and net 10.0.0.0/8 and len < 500
ip[12:4] | 0xff = 0x0a0000ff
""".strip().splitlines()
ETHERNET_ONLY = ["ether host 02:00:00:00:00:01", "ether[12:2] = 0x0800", "ether broadcast or ether multicast"]


def prepared(program: BpfProgram) -> bpf_program:
    steps = (bpf_insn * len(program.instructions))(*program.instructions)
    return bpf_program(len(steps), ctypes.cast(steps, ctypes.POINTER(bpf_insn)))


@cache
def offline_filter() -> Any:
    """libpcap's own; scapy's prototype keeps only the lowest byte of the answer."""
    function = ctypes.CDLL(winpcapy._lib._name).pcap_offline_filter
    function.restype = ctypes.c_uint
    function.argtypes = [ctypes.POINTER(bpf_program), ctypes.POINTER(winpcapy.pcap_pkthdr), ctypes.c_char_p]
    return function


def passed_by_libpcap(program: BpfProgram, block: PacketBlock) -> list[int]:
    """Numbers of the packets that libpcap lets pass."""
    compiled = prepared(program)
    header = winpcapy.pcap_pkthdr()
    kept = []
    for number, packet in enumerate(packets_of([block])):
        header.caplen, header.len = len(packet.frame), packet.wirelen
        if offline_filter()(ctypes.byref(compiled), ctypes.byref(header), packet.frame):
            kept.append(number)
    return kept


def passed_by_us(program: BpfProgram, block: PacketBlock) -> list[int]:
    numbered = PacketBlock(
        block.buffer, block.offset, block.caplen, block.wirelen, np.arange(len(block), dtype=np.int64), block.linktype
    )
    ours = PacketFilter(lambda _: program)
    kept = ours.apply(numbered).ts_ns.tolist()
    assert ours.filtered == len(block) - len(kept)
    return kept


@cache
def frames() -> list[bytes]:
    """Ethernet frames of many kinds, some of them nonsense, some cut short."""
    dice = random.Random(7)
    demo = read_whole_pcap(DEMO)
    chosen = [packet.frame for packet in packets_of([demo])[:: len(demo) // 500]]
    addresses = ["10.0.0.1", "10.0.0.2", "192.168.3.4", "224.0.0.1", "255.255.255.255"]
    for vlan in ((), (100,), (7,), (100, 7), (7, 8, 9)):
        for make in (tcp, udp):
            for payload in (0, 1, 50, 900):
                source, target = dice.choice(addresses), dice.choice(addresses)
                ports = dice.choice([22, 53, 80, 443, 1024, 40000]), dice.choice([22, 53, 80, 443, 1024, 40000])
                chosen.append(make(f"{source}:{ports[0]}", f"{target}:{ports[1]}", payload=payload, vlan=vlan).frame)
                chosen.append(
                    make(f"[2001:db8::1]:{ports[0]}", f"[fe80::2]:{ports[1]}", payload=payload, vlan=vlan).frame
                )
    for flags in ("S", "SA", "F", "R", "FA", "PA"):
        chosen.append(tcp("10.0.0.1:40000", "10.0.0.2:80", flags).frame)
    chosen += [b"", b"\0", bytes(14), b"\xff" * 14, b"\xff" * 60]
    chosen += [dice.randbytes(dice.randrange(1, 200)) for _ in range(200)]
    for frame in dice.sample(chosen, 200):  # with one byte changed
        if frame:
            at = dice.randrange(min(len(frame), 60))
            chosen.append(frame[:at] + dice.randbytes(1) + frame[at + 1 :])
    chosen += [frame[: dice.randrange(len(frame) + 1)] for frame in dice.sample(chosen, 300)]
    return chosen


def block(frames: Sequence[bytes], linktype: int) -> PacketBlock:
    """Every third frame was longer on the wire."""
    whole = block_of(list(frames), [0] * len(frames), linktype)
    whole.wirelen[::3] += 77
    return whole


@pytest.mark.parametrize("expression", EXPRESSIONS + ETHERNET_ONLY)
def test_a_filter_keeps_of_ethernet_frames_what_libpcap_keeps(expression: str) -> None:
    program = compile_offline(expression, 1)
    assert passed_by_us(program, block(frames(), 1)) == passed_by_libpcap(program, block(frames(), 1))


# what stands before the IP header in place of the Ethernet header
HEADERS = {
    101: b"",
    228: b"",
    0: bytes([2, 0, 0, 0]),
    108: bytes([0, 0, 0, 2]),
    9: bytes([0xFF, 3, 0, 33]),
    113: bytes(14) + b"\x08\x00",
    276: b"\x08\x00" + bytes(18),
}


@pytest.mark.parametrize("linktype", HEADERS)
def test_a_filter_keeps_of_other_link_types_what_libpcap_keeps(linktype: int) -> None:
    packets = block([HEADERS[linktype] + frame[14:] for frame in frames()], linktype)
    compiled = passing = 0
    for expression in EXPRESSIONS:
        try:
            program = compile_offline(expression, linktype)
        except ConfigError:  # such as `vlan` where there is none
            continue
        compiled += 1
        kept = passed_by_us(program, packets)
        passing += 0 < len(kept) < len(packets)
        assert kept == passed_by_libpcap(program, packets), expression
    assert compiled > 25
    assert passing > 20


def test_random_programs_answer_as_in_libpcap() -> None:
    dice = random.Random(11)
    packets = block([dice.randbytes(dice.randrange(80)) for _ in range(60)], 1)
    partial = 0
    for _ in range(800):
        program = random_program(dice)
        check_program(program)
        kept = passed_by_us(program, packets)
        assert kept == passed_by_libpcap(program, packets), program.instructions
        partial += 0 < len(kept) < len(packets)
    assert partial > 100


def test_a_block_that_passes_whole_is_not_touched() -> None:
    packets = block(frames(), 1)
    everything = PacketFilter(lambda linktype: compile_offline("", linktype))
    assert everything.apply(packets) is packets
    assert everything.filtered == 0


def test_what_is_left_out_is_counted_over_blocks() -> None:
    mixed = [tcp("10.0.0.1:40000", "10.0.0.2:80").frame, udp("10.0.0.1:53", "10.0.0.2:53").frame]
    only_tcp = PacketFilter(lambda linktype: compile_offline("tcp", linktype))
    passed = [packets_of([only_tcp.apply(block(mixed * count, 1))]) for count in (1, 0, 3)]
    assert [[packet.frame for packet in packets] for packets in passed] == [mixed[:1], [], mixed[:1] * 3]
    assert only_tcp.filtered == 4


def test_each_link_type_has_its_program_compiled_once() -> None:
    frame = tcp("10.0.0.1:40000", "10.0.0.2:80").frame
    other = udp("10.0.0.1:40000", "10.0.0.2:80").frame
    asked: list[int] = []

    def compile_for(linktype: int) -> BpfProgram:
        asked.append(linktype)
        return compile_offline("tcp", linktype)

    packets = block_of([frame, frame[14:], other, other[14:], frame, frame[14:]], [0] * 6)
    packets.linktype[1::2] = 101
    both = PacketFilter(compile_for)
    for _ in range(2):
        assert len(both.apply(packets)) == 4
    assert asked == [1, 101]
    assert both.filtered == 4


ACCEPT: Instruction = (0x06, 0, 0, 1)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([], "0 instructions, expected 1 to 4096"),
        ([ACCEPT] * (MAX_INSTRUCTIONS + 1), "4097 instructions"),
        ([(0x00, 0, 0, 1)], "the last instruction has code 0x0"),
        ([(0xFF, 0, 0, 0), ACCEPT], "unknown code 0xff"),
        ([(0x0E, 0, 0, 0)], "unknown code 0xe"),
        ([(0x05, 0, 0, 1), ACCEPT], "instruction 0: jumps over 1 of 1"),
        ([(0x05, 0, 0, 0xFFFFFFFF), ACCEPT], "jumps over 4294967295"),
        ([(0x15, 0, 1, 0), ACCEPT], "jumps over 1 of 1"),
        ([(0x15, 1, 0, 0), ACCEPT], "jumps over 1 of 1"),
        ([(0x15, 0, -1, 0), ACCEPT], "out of its range"),
        ([(0x15, 256, 0, 0), *[ACCEPT] * 300], "out of its range"),
        ([(0x00, 0, 0, -1), ACCEPT], "out of its range"),
        ([(0x00, 0, 0, 1 << 32), ACCEPT], "out of its range"),
        ([(0x02, 0, 0, 16), ACCEPT], "memory 16, expected less than 16"),
        ([(0x61, 0, 0, 1 << 31), ACCEPT], "memory 2147483648"),
        ([(0x34, 0, 0, 0), ACCEPT], "divides by the constant 0"),
        ([(0x94, 0, 0, 0), ACCEPT], "divides by the constant 0"),
        ([(0x64, 0, 0, 32), ACCEPT], "shifts by 32 bits"),
        ([(0x20, 0, 0, 0xFFFFF008), ACCEPT], "0xfffff008, which only the kernel can"),
        ([(0x60, 0, 0, 3), ACCEPT], "memory 3 is read before it is set"),
        ([(0x15, 1, 0, 0), (0x03, 0, 0, 3), (0x61, 0, 0, 3), ACCEPT], "instruction 2: memory 3 is read before"),
    ],
)
def test_a_hostile_program_is_never_run(steps: list[Instruction], reason: str) -> None:
    program = BpfProgram("hostile", 1, tuple(steps))
    with pytest.raises(ConfigError, match=rf"^filter program for link type 1: .*({reason})"):
        PacketFilter(lambda _: program).apply(block([b"x"], 1))


def test_memory_set_on_all_ways_may_be_read() -> None:
    steps = [(0x15, 1, 0, 0), (0x15, 0, 0, 1), (0x02, 0, 0, 3), (0x60, 0, 0, 3), ACCEPT]
    check_program(BpfProgram("fine", 1, tuple(steps)))


def long_program(length: int) -> BpfProgram:
    return BpfProgram("long", 1, (*[(0x04, 0, 0, 1)] * (length - 1), ACCEPT))


def test_a_program_of_many_interfaces_is_there_once() -> None:
    program = long_program(3000)
    rules = [InterfaceRule(index, False, program) for index in range(1, 21)]
    assert len(socket_program(rules)) == 1 + 2 * 20 + 1 + 3000


def test_a_socket_filter_that_the_kernel_would_refuse_is_refused() -> None:
    assert len(socket_program([InterfaceRule(1, False, long_program(MAX_INSTRUCTIONS - 4))])) == MAX_INSTRUCTIONS
    with pytest.raises(
        ConfigError, match=r"^capture.filter: 4097 instructions for 1 interfaces, expected at most 4096"
    ):
        socket_program([InterfaceRule(1, False, long_program(MAX_INSTRUCTIONS - 3))])


def test_a_complement_without_a_free_cell_of_memory_is_refused() -> None:
    program = BpfProgram("greedy", 1, (*[(0x02, 0, 0, cell) for cell in range(16)], ACCEPT))
    with pytest.raises(ConfigError, match=r"^capture.filter: the expression needs all 16 cells of memory"):
        socket_program([InterfaceRule(1, False, program)], complement=True)
