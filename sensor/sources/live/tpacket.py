"""Layout of the blocks of a TPACKET_V3 ring, and the kernel that parses them.

It knows no sockets, and trusts no offset: each one is checked against the block. Source: linux/if_packet.h,
Documentation/networking/packet_mmap.rst.
"""

from typing import Any, Final

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy import int64
from numpy.typing import NDArray

from flows.block import Bytes, Int64s
from flows.pcap import MAX_CAPLEN
from kernels.jit import U, entry, inner
from sensor.sources.pairs import lookup

Words = NDArray[np.uint32]  # (b / 4,) a block as 32-bit words

# struct tpacket_block_desc; the status is read as a word, the rest at byte offsets.
STATUS_WORD: Final = 2
STATUS_USER: Final = 1  # the block is ours until the word is zero
BLOCK_PACKETS, BLOCK_FIRST, BLOCK_HEADER = 12, 16, 48

# struct tpacket3_hdr, and struct sockaddr_ll behind it.
NEXT, SECONDS, NANOSECONDS, CAPTURED, ORIGINAL, STATUS, MAC, VLAN_TCI, VLAN_TPID, INDEX, HARDWARE = (
    0,
    4,
    8,
    12,
    16,
    20,
    24,
    32,
    36,
    52,
    56,
)
PACKET_HEADER: Final = 68
VLAN_VALID, VLAN_TPID_VALID = 0x10, 0x40
HARDWARE_STAMP: Final = 0x80000000  # TP_STATUS_TS_RAW_HARDWARE
VLAN_TAG: Final = 4  # bytes
MAC_ADDRESSES: Final = 12  # bytes
DOT1Q: Final = 0x8100
UNKNOWN_LINKTYPE: Final = -1  # no LINKTYPE_ number


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # numba fills its configuration at run time

    def fence() -> None:
        """Do nothing: the interpreter's own locks order memory accesses."""

else:

    @intrinsic
    def fence(_context: Any) -> Any:
        """Order memory accesses before and after: on ARM the kernel's block may else be seen before its status."""

        def codegen(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
            builder.fence("seq_cst")
            return context.get_dummy_value()

        return types.void(), codegen


@inner
def le16(block: Bytes, at: int) -> int:
    """Unsigned 16-bit number; the ring is in host order, which is little-endian wherever numba runs."""
    return int(int64(block[U(at)]) | (int64(block[U(at + 1)]) << 8))


@inner
def le32(block: Bytes, at: int) -> int:
    """Unsigned 32-bit number in host order."""
    return le16(block, at) | (le16(block, at + 2) << 16)


@inner
def reinsert_vlan(block: Bytes, packet: int, frame: int) -> None:
    """Reinsert the VLAN tag that the kernel removed after the MAC addresses; the frame then begins 4 bytes earlier.

    Live frames must equal those of a capture file, which are as on the wire.
    """
    for byte in range(MAC_ADDRESSES):
        block[U(frame - VLAN_TAG + byte)] = block[U(frame + byte)]
    tpid = le16(block, packet + VLAN_TPID) if le32(block, packet + STATUS) & VLAN_TPID_VALID else DOT1Q
    tci = le16(block, packet + VLAN_TCI)
    tag = frame - VLAN_TAG + MAC_ADDRESSES
    block[U(tag)], block[U(tag + 1)] = tpid >> 8, tpid & 0xFF
    block[U(tag + 2)], block[U(tag + 3)] = tci >> 8, tci & 0xFF


@entry
def walk_ring_block(
    block: Bytes,
    numbers: Int64s,
    linktypes: Int64s,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
    linktype: Int64s,
    interface: Int64s,
) -> tuple[int, int]:
    """Parse the packets of a block that the kernel handed over: (packets, those with a timestamp of the card).

    block: (b,) uint8, modified where a VLAN tag is reinserted, so a block is walked only once. numbers: pairs of an
    interface's index in the kernel and its number, which is 0 for others. linktypes: pairs of an ARPHRD_ and a
    LINKTYPE_ number, which is UNKNOWN_LINKTYPE for others. All other arrays are outputs, filled from 0.
    """
    fence()
    count = stamped = 0
    last_index = last_hardware = -1
    number, link = 0, UNKNOWN_LINKTYPE
    packet = le32(block, BLOCK_FIRST)
    for _ in range(le32(block, BLOCK_PACKETS)):
        if count == len(offset) or packet < BLOCK_HEADER or packet + PACKET_HEADER > len(block):
            break
        frame = packet + le16(block, packet + MAC)
        captured = le32(block, packet + CAPTURED)
        original = le32(block, packet + ORIGINAL)
        status = le32(block, packet + STATUS)
        if frame < packet + PACKET_HEADER or frame + captured > len(block):
            break
        if status & VLAN_VALID and captured >= MAC_ADDRESSES and frame - VLAN_TAG >= packet + PACKET_HEADER:
            reinsert_vlan(block, packet, frame)
            frame -= VLAN_TAG
            captured += VLAN_TAG
            original += VLAN_TAG
        index, hardware = le32(block, packet + INDEX), le16(block, packet + HARDWARE)
        if index != last_index or hardware != last_hardware:  # rarely: looked up once for many packets
            number = lookup(numbers, index, 0)
            link = lookup(linktypes, hardware, UNKNOWN_LINKTYPE)
            last_index, last_hardware = index, hardware
        offset[U(count)] = frame
        caplen[U(count)] = min(captured, MAX_CAPLEN)
        wirelen[U(count)] = original
        ts_ns[U(count)] = le32(block, packet + SECONDS) * 1_000_000_000 + le32(block, packet + NANOSECONDS)
        linktype[U(count)] = link
        interface[U(count)] = number
        stamped += status >= HARDWARE_STAMP
        count += 1
        step = le32(block, packet + NEXT)
        if step < PACKET_HEADER:  # 0 behind the last packet
            break
        packet += step
    return count, stamped


@entry
def release_block(words: Words) -> None:
    """Return a block to the kernel, ordered after all reads from it."""
    fence()
    words[U(STATUS_WORD)] = 0
