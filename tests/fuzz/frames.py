"""Frames to begin with: every link type, tag, tunnel, option and extension header, and traffic of the generator.

Built field by field and on purpose more than the meter decodes: what it learns to decode later is covered then. RFC
791, 8200, 4302, 2784, 7348, 8926, 3032, 2516; IEEE 802.1Q, 802.11, 802.2; tcpdump.org/linktypes.html; 3GPP TS 29.281.
"""

import struct
import tarfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from sensor.errors import InputError
from sensor.sources.captures.files import CaptureFile
from sensor.synth.generate import SCENARIOS, generate
from tests.support.capture_bytes import Arriving

Kind = int  # LINKTYPE_ number
LINKTYPES = (0, 1, 9, 12, 14, 50, 51, 101, 104, 105, 107, 108, 109, 113, 119, 127, 147, 163, 192, 228, 229, 239, 276)
FRAMES_OF_A_CAPTURE = 3
MACS = bytes(range(12))
V4_SOURCE, V4_TARGET = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2])
V6_SOURCE, V6_TARGET = bytes.fromhex("20010db8" + "0" * 23 + "1"), bytes.fromhex("20010db8" + "0" * 23 + "2")


def seeds(seed: int, variety: Path | None) -> Iterator[tuple[Kind, bytes]]:
    """Frames and their link types. variety: an archive of captures, or None."""
    yield from structured()
    traffic = generate(SCENARIOS, seed, 0.5).packets
    yield from ((1, packet.frame) for packet in traffic[:: max(1, len(traffic) // 200)])
    if variety is not None:
        yield from captured(variety)


def structured() -> Iterator[tuple[Kind, bytes]]:
    """One frame of each construction."""
    plain = [*packets()]
    for _, packet in plain:
        yield 101, packet
    for ethertype, packet in plain[:2]:
        for kind, head in link_layers(ethertype):
            yield kind, head + packet
        yield from ((1, frame) for frame in behind_ethernet(ethertype, packet))
        yield from ((1, ethernet(0x0800, tunnel)) for tunnel in tunnels(ethertype, packet))
        yield from ((1, ethernet(0x86DD, v6(protocol, body))) for protocol, body in tunnel_bodies(ethertype, packet))
    yield from ((1, ethernet(ethertype, packet)) for ethertype, packet in plain)
    yield from ((kind, plain[0][1]) for kind in LINKTYPES)


def tcp(options: bytes = b"", payload: bytes = b"data", flags: int = 0x18) -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 443, 1, 2, (20 + len(options)) << 2, flags, 64240, 0, 0) + options + payload


def udp(payload: bytes, port: int = 53) -> bytes:
    return struct.pack("!HHHH", 40001, port, 8 + len(payload), 0) + payload


def v4(protocol: int, content: bytes, *, options: bytes = b"", fragment: int = 0, length: int | None = None) -> bytes:
    """IPv4 packet; length: what the header claims, as 0 with segmentation offload."""
    header = 20 + len(options)
    total = header + len(content) if length is None else length
    fields = (0x40 | header >> 2, 0, total, 7, fragment, 64, protocol, 0)
    return struct.pack("!BBHHHBBH", *fields) + V4_SOURCE + V4_TARGET + options + content


def v6(following: int, content: bytes, *, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return struct.pack("!IHBB", 6 << 28, size, following, 64) + V6_SOURCE + V6_TARGET + content


def ethernet(ethertype: int, content: bytes) -> bytes:
    return MACS + struct.pack("!H", ethertype) + content


def packets() -> Iterator[tuple[int, bytes]]:
    """IP packets with their EtherTypes; the first two are the plainest of each version."""
    yield 0x0800, v4(6, tcp())
    yield 0x86DD, v6(6, tcp())
    options = b"\x02\x04\x05\xb4\x04\x02\x08\x0a" + bytes(8) + b"\x01\x03\x03\x07"
    contents = [
        (6, tcp(options, flags=2)), (6, tcp(flags=0x11)), (6, tcp(b"\x01" * 40)), (17, udp(b"q" * 20)), (17, udp(b"")),
        (1, b"\x08\x00" + bytes(6)), (1, b"\x03\x01" + bytes(6) + v4(17, udp(b""))), (58, b"\x80\x00" + bytes(6)),
        (132, bytes(12) + b"\x01\x00\x00\x14" + bytes(16)), (136, udp(b"lite")), (2, b"\x16" + bytes(7)),
        (50, bytes(24)), (33, bytes(16)), (59, b""), (255, b"?"),
    ]  # fmt: skip
    for protocol, content in contents:
        yield 0x0800, v4(protocol, content)
        yield 0x86DD, v6(protocol, content)
    for fragment, protocol in product((0x2000, 0x2001, 0x00B9, 0x1FFF, 0x4000), (6, 17, 1)):
        yield 0x0800, v4(protocol, udp(b"piece"), fragment=fragment)
    yield 0x0800, v4(6, tcp(), options=b"\x01" * 4)
    yield 0x0800, v4(17, udp(b"x"), options=b"\x94\x04\x00\x00" + b"\x07\x23" + bytes(34))
    for length in (0, 20, 21, 65535):
        yield 0x0800, v4(6, tcp(), length=length)
        yield 0x86DD, v6(6, tcp(), length=length)
    authentication = struct.pack("!BBHII", 6, 4, 0, 1, 1) + bytes(12)
    yield 0x0800, v4(51, authentication + tcp())
    for chain in extension_chains():
        yield 0x86DD, chain


def extension_chains() -> Iterator[bytes]:
    """IPv6 packets behind extension headers: each alone, long ones, fragments, and more of them than are allowed."""
    for kind, words in product((0, 43, 60, 135, 139, 140), (0, 1, 4)):
        yield v6(kind, bytes([6, words]) + bytes(6 + 8 * words) + tcp())
    for offset, protocol in product((0, 1, 8, 9, 0xFFF8), (6, 17, 60)):
        yield v6(44, struct.pack("!BBHI", protocol, 0, offset, 99) + udp(b"piece"))
    yield v6(51, struct.pack("!BBHII", 17, 4, 0, 1, 1) + bytes(12) + udp(b"x"))
    for count in (2, 7, 8, 9, 12):
        chain = b"".join(bytes([0 if i + 1 < count else 17, 0]) + bytes(6) for i in range(count))
        yield v6(0, chain + udp(b"x"))


def link_layers(ethertype: int) -> Iterator[tuple[Kind, bytes]]:
    """What stands before an IP packet: link type and bytes."""
    family, ppp = (2, 0x0021) if ethertype == 0x0800 else (30, 0x0057)
    snap = b"\xaa\xaa\x03\x00\x00\x00" + struct.pack("!H", ethertype)
    yield 0, struct.pack("<I", family)
    yield 0, struct.pack(">I", family)
    yield 108, struct.pack(">I", family)
    yield 109, struct.pack(">III", family, 1, 0)
    yield 113, struct.pack("!HHH8sH", 0, 1, 6, bytes(8), ethertype)
    yield 276, struct.pack("!HHIHBB8s", ethertype, 0, 1, 1, 0, 6, bytes(8))
    for linktype in (12, 14, 101, 228, 229):
        yield linktype, b""
    for linktype in (9, 50):
        yield linktype, b"\xff\x03" + struct.pack("!H", ppp)
        yield linktype, struct.pack("!H", ppp)
        yield linktype, bytes([ppp])
    yield 51, b"\x11\x00" + struct.pack("!HHH", 1, 100, ppp)
    yield 104, b"\x0f\x00" + struct.pack("!H", ethertype)
    for control in (b"\x08\x00", b"\x08\x01", b"\x08\x02", b"\x08\x03", b"\x88\x00", b"\x88\x80", b"\x40\x00"):
        size = 24 + (6 if control[1] & 3 == 3 else 0) + (2 if control[0] & 0x80 else 0) + (4 if control[1] & 128 else 0)
        dot11 = control + bytes(size - 2)
        yield 105, dot11 + snap
        yield 127, struct.pack("<BBHI", 0, 0, 8, 0) + dot11 + snap
        yield 127, struct.pack("<BBHIIB3x", 0, 0, 16, 0x80000002, 0, 0) + dot11 + snap
        yield 119, struct.pack("!II", 0x44, 144) + bytes(136) + dot11 + snap
        yield 163, bytes(64) + dot11 + snap
        yield 192, struct.pack("<BBHI", 0, 0, 8, 105) + dot11 + snap


def behind_ethernet(ethertype: int, packet: bytes) -> Iterator[bytes]:
    """Ethernet frames with tags, labels and other things before the packet."""
    kind = struct.pack("!H", ethertype)
    ppp = b"\x00\x21" if ethertype == 0x0800 else b"\x00\x57"
    for tags in (1, 2, 3, 4, 5):
        for number in (0x8100, 0x88A8, 0x9100):
            tag = struct.pack("!HH", number, 0x6064)
            yield MACS + tag * tags + kind + packet
    for number, labels in product((0x8847, 0x8848), (1, 2, 3, 9)):
        stack = b"".join(struct.pack("!I", 16 << 12 | (i + 1 == labels) << 8 | 64) for i in range(labels))
        yield ethernet(number, stack + packet)
        yield ethernet(number, stack + bytes(4) + ethernet(ethertype, packet))
    yield ethernet(0x8864, struct.pack("!BBHH", 0x11, 0, 1, len(packet) + 2) + ppp + packet)
    yield ethernet(0x8863, struct.pack("!BBHH", 0x11, 9, 0, 0))
    yield ethernet(len(packet) + 8, b"\xaa\xaa\x03\x00\x00\x00" + kind + packet)
    yield ethernet(len(packet) + 3, b"\x06\x06\x03" + packet)
    yield ethernet(0x88E7, bytes(4) + ethernet(ethertype, packet))
    yield ethernet(0x8926, bytes(4) + kind + packet)
    yield ethernet(0x88E5, bytes(14) + kind + packet)
    yield ethernet(0x893F, bytes(6) + kind + packet)
    yield ethernet(0x0806, bytes(28))
    yield MACS + b"\x81\x00\x00\x07" + struct.pack("!H", 0x8864) + b"\x11\x00\x00\x01\x00\x40" + ppp + packet


def tunnel_bodies(ethertype: int, packet: bytes) -> Iterator[tuple[int, bytes]]:
    """IP protocol and content of tunnels that carry the packet, also inside one another."""
    frame = ethernet(ethertype, packet)
    yield (4 if ethertype == 0x0800 else 41), packet
    yield 47, struct.pack("!HH", 0, ethertype) + packet
    yield 47, struct.pack("!HHII", 0xB000, ethertype, 0, 1) + bytes(4) + packet
    yield 47, struct.pack("!HHHH", 0x2001, 0x880B, len(packet), 1) + bytes(4) + b"\xff\x03\x00\x21" + packet
    yield 47, struct.pack("!HH", 0, 0x6558) + frame
    yield 47, struct.pack("!HHII", 0x1000, 0x88BE, 0, 0x10000001) + bytes(4) + frame
    yield 47, struct.pack("!HHI", 0x1000, 0x22EB, 0) + bytes(12) + frame
    yield 47, struct.pack("!HH", 0, 0x8847) + struct.pack("!I", 0x10140) + packet
    yield 17, udp(struct.pack("!II", 0x08000000, 42 << 8) + frame, 4789)
    for words, kind in product((0, 2, 63), (ethertype, 0x6558)):
        yield 17, udp(struct.pack("!BBHI", words, 0, kind, 42 << 8) + bytes(4 * words) + frame, 6081)
    for flags, extra in ((0x30, b""), (0x32, bytes(4)), (0x34, bytes(3) + b"\x85\x01\x00\x00\x00"), (0x34, bytes(4))):
        yield 17, udp(struct.pack("!BBHI", flags, 255, len(packet), 1) + extra + packet, 2152)
    yield 17, udp(b"\x00\x02" + b"\x00\x21" + packet, 1701)
    yield 17, udp(struct.pack("!I", 0x10140) + packet, 6635)
    inner = v4(4, packet)
    for _ in range(6):
        inner = v4(4, inner)
    yield 4, inner


def tunnels(ethertype: int, packet: bytes) -> Iterator[bytes]:
    for protocol, body in tunnel_bodies(ethertype, packet):
        yield v4(protocol, body)


def captured(archive: Path) -> Iterator[tuple[Kind, bytes]]:
    """The first frames of each capture in a tar archive."""
    with tarfile.open(archive) as members:
        for member in members:
            content = members.extractfile(member)
            if content is None:
                continue
            try:
                source = CaptureFile(Arriving(content.read()), member.name)
            except InputError:
                continue
            yield from first_frames(source)


def first_frames(source: CaptureFile) -> Iterator[tuple[Kind, bytes]]:
    for block in source:
        for i in range(min(FRAMES_OF_A_CAPTURE, len(block))):
            start = int(block.offset[i])
            yield int(block.linktype[i]), block.buffer[start : start + int(block.caplen[i])].tobytes()
        return
