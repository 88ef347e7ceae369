"""The capture of one alert, encoded anew whenever packets are added: in time order, with a comment on missing packets.

It works on bytes and knows no file. Source: draft-ietf-opsawg-pcapng.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from flows.block import Int64s
from flows.pcapng import ENHANCED_PACKET
from sensor.packets.pcapng import interface_description, max_encoded_bytes, packet_blocks, section_header
from sensor.packets.ring import RingPackets

_BLOCK_HEADER: Final = struct.Struct("<II")  # block type, length
_STAMP: Final = struct.Struct("<II")  # upper and lower half, behind the interface's number
_STAMP_AT: Final = 12


@dataclass(slots=True)
class AlertCapture:
    """Interface descriptions of one alert's capture; its packets are only in the encoded file."""

    names: tuple[str, ...]  # of interfaces by number, "" for one without a name
    _descriptions: list[bytes] = field(default_factory=list)  # Interface Description Blocks
    _described: dict[tuple[int, int], int] = field(default_factory=dict)  # (interface, link type) to its description

    def encode(self, comment: str, previous: bytes, packets: RingPackets) -> bytes:
        """The whole capture as pcapng: its previous packets and the new ones.

        previous: what this returned last, or nothing.
        """
        numbers = self._numbers(packets)
        out = np.empty(max_encoded_bytes(packets.block), dtype=np.uint8)
        blocks = _stamped_packets(previous) + _stamped_packets(bytes(packet_blocks(packets.block, numbers, out)))
        blocks.sort(key=lambda stamped: stamped[0])  # stable: packets with equal times stay in their order
        descriptions = self._descriptions or [interface_description(self.names[0], 1)]
        return b"".join([section_header(comment), *descriptions, *(block for _, block in blocks)])

    def _numbers(self, packets: RingPackets) -> Int64s:
        interface_of, linktype = packets.interface_of, packets.block.linktype
        numbers = np.empty(len(linktype), dtype=np.int64)
        for at, pair in enumerate(zip(interface_of.tolist(), linktype.tolist(), strict=True)):
            if pair not in self._described:
                self._described[pair] = len(self._descriptions)
                self._descriptions.append(interface_description(self.names[pair[0]], pair[1]))
            numbers[at] = self._described[pair]
        return numbers


def _stamped_packets(content: bytes) -> list[tuple[int, bytes]]:
    """(timestamp, Enhanced Packet Block) of each packet of a capture that was encoded here."""
    found = []
    at = 0
    while at < len(content):
        kind, length = _BLOCK_HEADER.unpack_from(content, at)
        if kind == ENHANCED_PACKET:
            high, low = _STAMP.unpack_from(content, at + _STAMP_AT)
            found.append((high << 32 | low, content[at : at + length]))
        at += length
    return found
