"""Ring blocks as the kernel lays them out, and as it never should."""

import struct
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.block import PacketBlock
from flows.pcap import packet_arrays
from sensor.sources.tpacket import give_back, walk_ring_block
from tests.support.capture_bytes import Packet, packets_of

PATIENT = settings(deadline=None)  # the first example compiles the kernels

HOST, OUTGOING = 0, 4
VLAN_VALID, VLAN_TPID_VALID = 0x10, 0x40
MAC_OFFSET = 86  # with 4 bytes reserved for the tag
ADDRESSES = bytes(range(12))


def record(
    frame: bytes, *, ts_ns: int = 0, wirelen: int | None = None, kind: int = HOST, vlan: tuple[int, int] | None = None
) -> bytes:
    """struct tpacket3_hdr, struct sockaddr_ll and the frame, without the offset of the next record. vlan: TPID, TCI."""
    tpid, tci = vlan or (0, 0)
    status = (VLAN_VALID if vlan else 0) | (VLAN_TPID_VALID if tpid else 0)
    size = len(frame) if wirelen is None else wirelen
    header = struct.pack("<4I", ts_ns // 10**9, ts_ns % 10**9, len(frame), size)
    header += struct.pack("<IHHIIHH8x", status, MAC_OFFSET, MAC_OFFSET + 14, 0, tci, tpid, 0)
    header += struct.pack("<HHiHBB8x", 17, 8, 2, 1, kind, 6)
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


def walk(content: bytearray, *, skip_outgoing: bool = False, room: int = 200) -> tuple[list[Packet], int]:
    """Packets found, and how many were skipped."""
    buffer = np.frombuffer(content, dtype=np.uint8)
    arrays = packet_arrays(room)
    arrays.linktype.fill(1)
    count, skipped = walk_ring_block(buffer, skip_outgoing, arrays.offset, arrays.caplen, arrays.wirelen, arrays.ts_ns)
    block: PacketBlock = arrays.block(buffer, count)
    assert (block.offset >= 0).all()
    assert (block.offset + block.caplen <= len(buffer)).all()
    return packets_of([block]), skipped


def test_each_packet_has_its_bytes_lengths_and_nanoseconds() -> None:
    packets = [Packet(b"a" * 60, 1_700_000_000_123_456_789, 60), Packet(b"b" * 61, 2, 1500), Packet(b"", 0, 0)]
    content = ring_block([record(item.frame, ts_ns=item.ts_ns, wirelen=item.wirelen) for item in packets])
    assert walk(content) == (packets, 0)


def test_a_vlan_tag_goes_back_behind_the_addresses() -> None:
    frame = ADDRESSES + b"\x08\x00" + b"payload" * 7
    tagged, provider, old = (record(frame, vlan=vlan) for vlan in ((0x8100, 0xA064), (0x88A8, 5), (0, 7)))
    packets, _ = walk(ring_block([tagged, record(frame), provider, old]))
    assert [item.frame for item in packets] == [
        ADDRESSES + b"\x81\x00\xa0\x64" + frame[12:],
        frame,
        ADDRESSES + b"\x88\xa8\x00\x05" + frame[12:],
        ADDRESSES + b"\x81\x00\x00\x07" + frame[12:],
    ]
    assert [item.wirelen for item in packets] == [len(item.frame) for item in packets]


def test_packets_that_leave_are_skipped_only_where_they_come_back() -> None:
    content = ring_block([record(b"out", kind=OUTGOING), record(b"in"), record(b"out", kind=OUTGOING)])
    assert [item.frame for item in walk(bytearray(content))[0]] == [b"out", b"in", b"out"]
    packets, skipped = walk(content, skip_outgoing=True)
    assert ([item.frame for item in packets], skipped) == ([b"in"], 2)


def test_a_block_given_back_is_the_kernels() -> None:
    content = ring_block([record(b"x")])
    words = np.frombuffer(content, dtype=np.uint32)
    assert words[2] == 1
    give_back(words)
    assert words[2] == 0
    assert words[0] == 3


@PATIENT
@given(st.data())
def test_no_offset_leads_outside_the_block(data: st.DataObject) -> None:
    frame = ADDRESSES + bytes(50)
    content = ring_block([record(frame, vlan=(0x8100, 1)), record(frame), record(frame, kind=OUTGOING)], size=512)
    for at in data.draw(st.lists(st.integers(8, 511), max_size=12)):
        content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    packets, skipped = walk(content, skip_outgoing=True, room=4)
    assert len(packets) + skipped <= 4 + 512 // 68
