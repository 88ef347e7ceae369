"""Changed blocks of a capture ring through their walker, which trusts no offset, and on through the meter."""

import struct
from collections.abc import Iterator

import numpy as np

from flows.block import Bytes, Int64s
from flows.meter import Meter
from flows.pcap import MAX_CAPLEN, PacketArrays, packet_arrays
from sensor.sources.live.tpacket import walk_ring_block
from tests.fuzz.mutation import Corpus
from tests.fuzz.promises import require

WIDTH, ROOM, BATCH = 1024, 4096, 256
MAC_OFFSET = 86
SHORTEST = 48  # bytes: the header of a block
VLAN_VALID, VLAN_TPID_VALID = 0x10, 0x40
NUMBERS = np.array([2, 0, 7, 1], dtype=np.int64)
LINKTYPES = np.array([1, 1, 772, 1, 65534, 101], dtype=np.int64)
FRAME = bytes(12) + b"\x08\x00\x45" + bytes(3) + b"\0" * 5 + b"\x11" + bytes(30)


def seeds() -> Iterator[tuple[int, bytes]]:
    """Blocks as the kernel makes them; there is one kind."""
    plain = [record(FRAME)]
    tagged = [
        record(FRAME, vlan=(0x88A8, 5)),
        record(FRAME, index=7, hardware=65534),
        record(FRAME[:11], vlan=(0x8100, 1)),
    ]
    for records in (plain, [], tagged, plain + tagged, plain * 6, [record(FRAME, mac=MAC_OFFSET - 18, vlan=(0, 7))]):
        yield 0, block(records)
        yield 0, block(records).ljust(WIDTH, b"\0")


def record(
    frame: bytes, *, index: int = 2, hardware: int = 1, vlan: tuple[int, int] | None = None, mac: int = MAC_OFFSET
) -> bytes:
    """struct tpacket3_hdr, struct sockaddr_ll and the frame, without the offset of the next; vlan: TPID, TCI."""
    tpid, tci = vlan or (0, 0)
    status = (VLAN_VALID if vlan else 0) | (VLAN_TPID_VALID if tpid else 0)
    header = struct.pack("<4I", 1_700_000_000, 5, len(frame), len(frame))
    header += struct.pack("<IHHIIHH8x", status, mac, mac + 14, 0, tci, tpid, 0)
    header += struct.pack("<HHiHBB8x", 17, 8, index, hardware, 0, 6)
    content = header.ljust(mac - 4, b"\0") + frame
    return content + bytes(-(4 + len(content)) % 8)


def block(records: list[bytes]) -> bytes:
    """A block that was handed over."""
    steps = [len(content) + 4 for content in records[:-1]] + [0] * bool(records)
    body = b"".join(struct.pack("<I", step) + content for step, content in zip(steps, records, strict=True))
    return struct.pack("<IIIIIIQ16x", 3, 48, 1, len(records), 48, 48 + len(body), 1) + body


def walk(content: Bytes, arrays: PacketArrays, interface: Int64s) -> tuple[int, int]:
    """What the walker returns for a block."""
    filled = (arrays.offset, arrays.caplen, arrays.wirelen, arrays.ts_ns, arrays.linktype, interface)
    return walk_ring_block(content, NUMBERS, LINKTYPES, *filled)


def fuzz_ring(rng: np.random.Generator, corpus: Corpus, blocks: int) -> int:
    """Walk that many changed blocks; returns the packets found. Raises BrokenPromiseError, or what a kernel raises."""
    found = done = 0
    arrays = packet_arrays(8)
    interface = np.zeros(8, dtype=np.int64)
    while done < blocks:
        rows, lengths, kinds = corpus.draw(rng, min(BATCH, blocks - done))
        lengths = np.maximum(lengths, SHORTEST)
        meter = Meter(64)
        fed = 0
        for row, length, kind in zip(rows, lengths.tolist(), kinds.tolist(), strict=True):
            content = row[:length].copy()
            count, stamped = walk(content, arrays, interface)
            packets = arrays.block(content, count)
            require(0 <= stamped <= count <= len(arrays.offset), "more packets than there is room for")
            require(
                (packets.offset >= SHORTEST).all() and (packets.caplen >= 0).all(), "a packet in the block's header"
            )
            require((packets.offset + packets.caplen <= length).all(), "a packet that ends behind the block")
            require((packets.caplen <= MAX_CAPLEN).all() and (packets.ts_ns >= 0).all(), "an impossible packet")
            require(set(interface[:count].tolist()) <= {0, 1}, "a packet of an interface that there is not")
            meter.feed(packets)
            fed += count
            seen = (count, stamped, int(packets.caplen.sum()).bit_length(), int(content[SHORTEST:].sum()) % 2)
            corpus.notice(seen, row[:length], kind)
        require(meter.stats.packets == fed, "packets lost on the way to the meter")
        found += fed
        done += len(rows)
    return found
