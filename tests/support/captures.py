"""Captures for tests without the sensor's own readers: whole small files in, one block out."""

import gzip
import struct
from pathlib import Path

import numpy as np

from flows.block import PacketBlock


def read_whole_pcap(path: Path) -> PacketBlock:
    """Block of a little-endian microsecond pcap of Ethernet frames."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    assert content[:4] == bytes.fromhex("d4c3b2a1")
    records = []
    at = 24
    while at < len(content):
        seconds, micros, caplen, wirelen = struct.unpack_from("<4I", content, at)
        records.append((at + 16, caplen, wirelen, seconds * 10**9 + micros * 1000))
        at += 16 + caplen
    offset, caplen, wirelen, ts_ns = (np.array(field, dtype=np.int64) for field in zip(*records, strict=True))
    return PacketBlock(np.frombuffer(content, np.uint8), offset, caplen, wirelen, ts_ns, np.ones(len(offset), np.int64))
