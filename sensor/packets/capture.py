"""A small capture made whole again each time it gets packets: in time order, with what is missing said in a comment.

It knows bytes and no file. Source: draft-ietf-opsawg-pcapng.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from flows.block import Int64s
from flows.pcapng import ENHANCED_PACKET
from sensor.packets.pcapng import interface_description, packet_blocks, room_for, section_header
from sensor.packets.ring import Remembered

_BLOCK_HEADER: Final = struct.Struct("<II")  # kind, length
_STAMP: Final = struct.Struct("<II")  # upper and lower half, behind the interface's number
_STAMP_AT: Final = 12


@dataclass(slots=True)
class SmallCapture:
    """One capture's interfaces; its packets are where it is stored. names: of interfaces, "" for one without."""

    names: tuple[str, ...]
    _descriptions: list[bytes] = field(default_factory=list)
    _described: dict[tuple[int, int], int] = field(default_factory=dict)  # (interface, link type) to the number in it

    def content(self, comment: str, before: bytes, packets: Remembered) -> bytes:
        """The whole capture. before: what this returned last, or nothing; its packets stay."""
        numbers = self._numbers(packets)
        out = np.empty(room_for(packets.block), dtype=np.uint8)
        blocks = _packets_in(before) + _packets_in(bytes(packet_blocks(packets.block, numbers, out)))
        blocks.sort(key=lambda stamped: stamped[0])  # stable: equal times stay as they came
        descriptions = self._descriptions or [interface_description(self.names[0], 1)]
        return b"".join([section_header(comment), *descriptions, *(block for _, block in blocks)])

    def _numbers(self, packets: Remembered) -> Int64s:
        interface_of, linktype = packets.interface_of, packets.block.linktype
        numbers = np.empty(len(linktype), dtype=np.int64)
        for at, pair in enumerate(zip(interface_of.tolist(), linktype.tolist(), strict=True)):
            if pair not in self._described:
                self._described[pair] = len(self._descriptions)
                self._descriptions.append(interface_description(self.names[pair[0]], pair[1]))
            numbers[at] = self._described[pair]
        return numbers


def _packets_in(content: bytes) -> list[tuple[int, bytes]]:
    """Packet blocks of a capture of ours with their times."""
    found = []
    at = 0
    while at < len(content):
        kind, length = _BLOCK_HEADER.unpack_from(content, at)
        if kind == ENHANCED_PACKET:
            high, low = _STAMP.unpack_from(content, at + _STAMP_AT)
            found.append((high << 32 | low, content[at : at + length]))
        at += length
    return found
