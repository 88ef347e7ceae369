"""The capture of one alert, encoded anew when its packets change: in time order, with a comment on missing packets.

It works on bytes and knows no file. Source: draft-ietf-opsawg-pcapng.
"""

import struct
from array import array
from collections.abc import Iterable, Sequence, Set
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
_LEAST: Final = 12  # bytes of a block


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """A packet as it stands in a file."""

    stamp_ns: int
    position: int  # in the ring: unique, and in order of arrival
    captured: int  # bytes
    block: bytes  # Enhanced Packet Block


@dataclass(slots=True)
class AlertCapture:
    """Interface descriptions of one alert's capture; its packets are only in the encoded file."""

    names: tuple[str, ...]  # of interfaces by number, "" for one without a name
    _descriptions: list[bytes] = field(default_factory=list)  # Interface Description Blocks
    _described: dict[tuple[int, int], int] = field(default_factory=dict)  # (interface, link type) to its description

    def packets(self, found: RingPackets, positions: Int64s) -> list[EncodedPacket]:
        """Packets of the ring as they stand in a file, copied. positions: (n,) of them in the ring."""
        out = np.empty(max_encoded_bytes(found.block), dtype=np.uint8)
        content = bytes(packet_blocks(found.block, self._numbers(found), out))
        captured = found.block.caplen.tolist()
        blocks = zip(positions.tolist(), captured, _stamped_blocks(content), strict=True)
        return [EncodedPacket(stamp_ns, position, size, block) for position, size, (stamp_ns, block) in blocks]

    def encode(
        self, comment: str, previous: bytes, places: Sequence[int], gone: Set[int], added: Iterable[EncodedPacket]
    ) -> "tuple[bytes, array[int]]":
        """The whole capture as pcapng, and the positions of its packets in the file's order.

        previous: what this returned last, or nothing. places: the positions with it. gone: positions of the packets
        of it that are left out. Raises ValueError where the previous content is another.
        """
        stamped = [
            (stamp_ns, position, block)
            for position, (stamp_ns, block) in zip(places, _stamped_blocks(previous), strict=True)
            if position not in gone
        ]
        stamped += [(packet.stamp_ns, packet.position, packet.block) for packet in added]
        stamped.sort(key=lambda packet: packet[:2])
        descriptions = self._descriptions or [interface_description(self.names[0], 1)]
        content = b"".join([section_header(comment), *descriptions, *(block for _, _, block in stamped)])
        return content, array("q", [position for _, position, _ in stamped])

    def _numbers(self, packets: RingPackets) -> Int64s:
        interface_of, linktype = packets.interface_of, packets.block.linktype
        numbers = np.empty(len(linktype), dtype=np.int64)
        for at, pair in enumerate(zip(interface_of.tolist(), linktype.tolist(), strict=True)):
            if pair not in self._described:
                self._described[pair] = len(self._descriptions)
                self._descriptions.append(interface_description(self.names[pair[0]], pair[1]))
            numbers[at] = self._described[pair]
        return numbers


def _stamped_blocks(content: bytes) -> list[tuple[int, bytes]]:
    """(timestamp, Enhanced Packet Block) of each packet of a capture that was encoded here."""
    found = []
    at = 0
    while at < len(content):
        kind, length = _BLOCK_HEADER.unpack_from(content, at) if at + _LEAST <= len(content) else (0, 0)
        if not _LEAST <= length <= len(content) - at:
            raise ValueError("found no block of pcapng")
        if kind == ENHANCED_PACKET:
            high, low = _STAMP.unpack_from(content, at + _STAMP_AT)
            found.append((high << 32 | low, content[at : at + length]))
        at += length
    return found
