"""Ring blocks as the kernel lays them out, and as it never should."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.block import PacketBlock
from flows.pcap import packet_arrays
from sensor.sources.live.tpacket import UNKNOWN_LINKTYPE, release_block, walk_ring_block
from tests.support.capture_bytes import Packet, packets_of

VLAN_VALID, VLAN_TPID_VALID, CARD_STAMP = 0x10, 0x40, 1 << 31
NUMBERS = np.array([2, 0, 7, 1, 5, 1], dtype=np.int64)  # an interface, and another that was recreated
LINKTYPES = np.array([1, 1, 772, 1, 65534, 101], dtype=np.int64)
MAC_OFFSET = 86  # with 4 bytes reserved for the tag
ADDRESSES = bytes(range(12))


def record(
    frame: bytes,
    *,
    ts_ns: int = 0,
    wirelen: int | None = None,
    vlan: tuple[int, int] | None = None,
    index: int = 2,
    hardware: int = 1,
    card_stamp: bool = False,
) -> bytes:
    """struct tpacket3_hdr, struct sockaddr_ll and the frame, without the offset of the next record. vlan: TPID, TCI."""
    tpid, tci = vlan or (0, 0)
    status = (VLAN_VALID if vlan else 0) | (VLAN_TPID_VALID if tpid else 0) | (CARD_STAMP if card_stamp else 0)
    size = len(frame) if wirelen is None else wirelen
    header = struct.pack("<4I", ts_ns // 10**9, ts_ns % 10**9, len(frame), size)
    header += struct.pack("<IHHIIHH8x", status, MAC_OFFSET, MAC_OFFSET + 14, 0, tci, tpid, 0)
    header += struct.pack("<HHiHBB8x", 17, 8, index, hardware, 0, 6)
    content = header + bytes(MAC_OFFSET - 4 - len(header)) + frame
    return content + bytes(-(4 + len(content)) % 8)


def ring_block(records: Sequence[bytes], size: int = 8192) -> bytearray:
    """A block of the given size that was handed to the user."""
    body = b""
    for number, content in enumerate(records):
        step = 0 if number == len(records) - 1 else len(content) + 4
        body += struct.pack("<I", step) + content
    head = struct.pack("<IIIIIIQ16x", 3, 48, 1, len(records), 48, 48 + len(body), 1)
    return bytearray((head + body).ljust(size, b"\0"))


class Walked(NamedTuple):
    """Packets found, the number of each one's interface, and how many the card stamped."""

    packets: list[Packet]
    interfaces: list[int]
    stamped: int


def walk(content: bytearray, *, room: int = 200) -> Walked:
    buffer = np.frombuffer(content, dtype=np.uint8)
    arrays = packet_arrays(room)
    interface = np.zeros(room, dtype=np.int64)
    count, stamped = walk_ring_block(
        buffer,
        NUMBERS,
        LINKTYPES,
        arrays.offset,
        arrays.caplen,
        arrays.wirelen,
        arrays.ts_ns,
        arrays.linktype,
        interface,
    )
    block: PacketBlock = arrays.block(buffer, count)
    assert (block.offset >= 0).all()
    assert (block.offset + block.caplen <= len(buffer)).all()
    return Walked(packets_of([block]), interface[:count].tolist(), stamped)


def test_each_packet_has_its_bytes_lengths_and_nanoseconds() -> None:
    packets = [Packet(b"a" * 60, 1_700_000_000_123_456_789, 60), Packet(b"b" * 61, 2, 1500), Packet(b"", 0, 0)]
    content = ring_block([record(item.frame, ts_ns=item.ts_ns, wirelen=item.wirelen) for item in packets])
    assert walk(content) == (packets, [0, 0, 0], 0)


def test_a_vlan_tag_goes_back_behind_the_addresses() -> None:
    frame = ADDRESSES + b"\x08\x00" + b"payload" * 7
    tagged, provider, old = (record(frame, vlan=vlan) for vlan in ((0x8100, 0xA064), (0x88A8, 5), (0, 7)))
    packets = walk(ring_block([tagged, record(frame), provider, old])).packets
    assert [item.frame for item in packets] == [
        ADDRESSES + b"\x81\x00\xa0\x64" + frame[12:],
        frame,
        ADDRESSES + b"\x88\xa8\x00\x05" + frame[12:],
        ADDRESSES + b"\x81\x00\x00\x07" + frame[12:],
    ]
    assert [item.wirelen for item in packets] == [len(item.frame) for item in packets]


def test_each_packet_has_its_interface_and_link_type() -> None:
    content = ring_block([record(b"x", index=index) for index in (2, 7, 7, 2, 5)])
    assert walk(content).interfaces == [0, 1, 1, 0, 1]
    hardware = [1, 65534, 772, 1, 512]
    content = ring_block([record(b"x", hardware=kind) for kind in hardware])
    assert [item.linktype for item in walk(content).packets] == [1, 101, 1, 1, UNKNOWN_LINKTYPE]
    assert walk(ring_block([record(b"x", index=-1)])).interfaces == [0]


def test_packets_that_the_card_stamped_are_counted() -> None:
    content = ring_block([record(b"x", card_stamp=stamped) for stamped in (True, False, True)])
    assert walk(content).stamped == 2


def test_a_block_given_back_is_the_kernels() -> None:
    content = ring_block([record(b"x")])
    words = np.frombuffer(content, dtype=np.uint32)
    assert words[2] == 1
    release_block(words)
    assert words[2] == 0
    assert words[0] == 3


@given(st.data())
def test_no_offset_leads_outside_the_block(data: st.DataObject) -> None:
    frame = ADDRESSES + bytes(50)
    content = ring_block([record(frame, vlan=(0x8100, 1)), record(frame), record(frame, index=7)], size=512)
    for at in data.draw(st.lists(st.integers(8, 511), max_size=12)):
        content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    walked = walk(content, room=4)
    assert len(walked.packets) <= 4
    assert all(number in (0, 1) for number in walked.interfaces)
    assert all(item.linktype in (1, 101, UNKNOWN_LINKTYPE) for item in walked.packets)
