"""Packets of a lab capture as their ends: IPv6 with its extension headers, fragments and errors."""

import socket
import struct
from pathlib import Path

import pytest

from training.lab.claims import Ends
from training.lab.fabric import Capture
from training.lab.packets import IPV6, LabPacket, packets_of
from training.lab.traffic import ICMPV6, TCP, UDP

ONE, TWO = "2001:db8:1::2", "2a00:5::9"
TCP_SYN = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 0x50, 0x02, 1000, 0, 0)
UDP_HEADER = struct.pack("!HHHH", 40000, 53, 8, 0)


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)


def ip6(following: int, payload: bytes, source: str = ONE, target: str = TWO) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + packed(source) + packed(target) + payload


def read(tmp_path: Path, *packets: bytes) -> list[LabPacket]:
    path = tmp_path / "router.pcap"
    capture = Capture(path)
    for number, packet in enumerate(packets):
        capture.write(bytes(12) + b"\x86\xdd" + packet, number)
    capture.close()
    return list(packets_of(path))


def ends(protocol: int, source_port: int, target_port: int) -> Ends:
    return Ends(protocol, int.from_bytes(packed(ONE)), source_port, int.from_bytes(packed(TWO)), target_port)


def test_a_tcp_segment_has_its_ends_and_says_whether_it_begins(tmp_path: Path) -> None:
    (packet,) = read(tmp_path, ip6(TCP, TCP_SYN))
    assert (packet.kind, packet.ends, packet.begins) == (IPV6, ends(TCP, 40000, 80), True)
    assert packet.ends is not None
    assert packet.ends.text(packet.ends.target) == TWO


@pytest.mark.parametrize("kind", [0, 43, 60])
def test_layer_4_stands_behind_the_extension_headers(tmp_path: Path, kind: int) -> None:
    option = bytes((UDP, 1)) + bytes(14)
    (packet,) = read(tmp_path, ip6(kind, option + UDP_HEADER))
    assert packet.ends == ends(UDP, 40000, 53)


def test_a_later_fragment_has_the_ports_of_the_first(tmp_path: Path) -> None:
    fragments = [struct.pack("!BBHI", UDP, 0, offset << 3 | more, 77) for offset, more in ((0, 1), (100, 0))]
    first, later = read(tmp_path, ip6(44, fragments[0] + UDP_HEADER), ip6(44, fragments[1] + bytes(30)))
    assert first.ends == later.ends == ends(UDP, 40000, 53)
    (lost,) = read(tmp_path, ip6(44, fragments[1] + bytes(30)))
    assert lost.ends == ends(UDP, 0, 0)


def test_an_error_tells_what_it_is_about(tmp_path: Path) -> None:
    error = struct.pack("!BBHI", 1, 4, 0, 0) + ip6(UDP, UDP_HEADER, TWO, ONE)
    (packet,) = read(tmp_path, ip6(ICMPV6, error))
    assert packet.about == ends(UDP, 53, 40000).turned()


@pytest.mark.parametrize(
    ("kind", "neighbours", "answer"),
    [(128, False, False), (129, False, True), (135, True, False), (136, True, False), (143, True, False)],
)
def test_neighbours_are_told_from_echoes(tmp_path: Path, kind: int, neighbours: bool, answer: bool) -> None:
    (packet,) = read(tmp_path, ip6(ICMPV6, bytes((kind, 0)) + bytes(22)))
    assert (packet.ends, packet.neighbours, packet.answer) == (ends(ICMPV6, 0, 0), neighbours, answer)


def test_where_a_host_listens_stands_behind_an_option(tmp_path: Path) -> None:
    (packet,) = read(tmp_path, ip6(0, bytes((ICMPV6, 0)) + bytes(6) + bytes((143, 0)) + bytes(22)))
    assert packet.neighbours
