"""Live packets of an interface through a memory-mapped AF_PACKET ring (TPACKET_V3): no copy, no call per packet.

Needs Linux and CAP_NET_RAW. The layout of the ring is in sensor.sources.tpacket.
"""

import contextlib
import errno
import mmap
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fcntl import ioctl
from typing import Final

import numpy as np

from flows.block import Bytes, PacketBlock
from flows.linktypes import ETHERNET, RAW
from flows.pcap import packet_arrays
from sensor.errors import CaptureError
from sensor.sources.tpacket import PACKET_HEADER, STATUS_USER, STATUS_WORD, VLAN_TAG, Words, give_back, walk_ring_block

# linux/if_packet.h, linux/if_ether.h, linux/sockios.h
SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_RESERVE = 1, 5, 6, 10, 12
TPACKET_V3, PACKET_MR_PROMISC = 2, 1
ETH_P_ALL: Final = 3
SIOCGIFFLAGS, SIOCGIFHWADDR = 0x8913, 0x8927
IFF_UP: Final = 1

ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE = 1, 772, 65534
LINKTYPES: Final = {ARPHRD_ETHER: ETHERNET, ARPHRD_LOOPBACK: ETHERNET, ARPHRD_NONE: RAW}

FRAME_BYTES: Final = 2048  # of no effect in version 3, but checked by the kernel
RETIRE_MS: Final = 50  # a block that is not full is handed over after this long
SILENCE_MS: Final = 100  # an empty block is delivered after this long
LAST_BLOCK_S: Final = 2 * RETIRE_MS / 1000  # time for the kernel to hand over the block it is filling


@dataclass(frozen=True, slots=True)
class CaptureStatistics:
    """Packets since the ring was opened. received: that reached the socket, lost or not. dropped: lost, ring full."""

    received: int = 0
    dropped: int = 0


class Ring:
    """Packets of one interface as blocks, in the order of the kernel, until `stop` or the interface goes down.

    name: the interface. linktype: of all its packets. problem: None, or after the last block one line when the
    capture ended by itself. size is None: nobody knows how much will come.
    A block and its buffer belong to the kernel again when the next one is asked for. Silence gives empty blocks.
    """

    size: int | None = None

    def __init__(self, interface: str, block_bytes: int, blocks: int) -> None:
        """Open the interface, promiscuous. Raises CaptureError, one line.

        block_bytes: a multiple of 64 KiB. blocks: of these, all in memory once the ring has turned.
        """
        self.name = interface
        self.problem: str | None = None
        self.bytes_read = 0
        index = _interface_index(interface)
        self._socket = _packet_socket(interface)
        try:
            hardware = _hardware_type(self._socket, interface)
            self.linktype = LINKTYPES[hardware]
            self._map = _map_ring(self._socket, block_bytes, blocks)
            # Only a bound socket receives, so nothing arrives before the ring is there and nothing of other interfaces.
            membership = struct.pack("iHH8x", index, PACKET_MR_PROMISC, 0)
            self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
            self._socket.bind((interface, ETH_P_ALL))
        except OSError as error:
            self._socket.close()
            raise CaptureError(f"{interface}: cannot capture: {error.strerror}") from None
        except CaptureError:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)
        self._blocks = _block_views(self._map, block_bytes)
        self._next = 0
        # On loopback each packet is seen leaving and arriving.
        self._skip_outgoing = hardware == ARPHRD_LOOPBACK
        self._arrays = packet_arrays(block_bytes // PACKET_HEADER)
        self._arrays.linktype.fill(self.linktype)
        self._received = self._dropped = 0
        self._ends_at: float | None = None  # monotonic time from which an empty ring ends the capture

    def __iter__(self) -> Iterator[PacketBlock]:
        last_turn = len(self._blocks)  # once ending, at most what the ring can hold: a busy link never falls silent
        while last_turn:
            block, words = self._blocks[self._next]
            if words[STATUS_WORD] & STATUS_USER:
                try:
                    yield self._walk(block)
                finally:  # also when the consumer stops here: a block is walked once
                    give_back(words)
                    self._next = (self._next + 1) % len(self._blocks)
                last_turn -= self._ends_at is not None
            elif self._ends_at is not None and time.monotonic() >= self._ends_at:
                return
            elif not self._wait():
                yield self._arrays.block(block, 0)

    def stop(self) -> None:
        """End the iteration once what the ring holds by now has been delivered. May be called by a signal handler."""
        if self._ends_at is None:
            self._ends_at = time.monotonic() + LAST_BLOCK_S

    def statistics(self) -> CaptureStatistics:
        """Counts since the ring was opened, the copies that loopback makes not included."""
        if self._socket.fileno() >= 0:
            # Reading resets the kernel's counters.
            counters = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)
            received, dropped, _freezes = struct.unpack("III", counters)
            self._received += received
            self._dropped += dropped
        return CaptureStatistics(self._received, self._dropped)

    def close(self) -> None:
        """Leave the interface; `statistics` keeps its last counts."""
        self.statistics()
        self._socket.close()
        self._blocks = []
        # While somebody holds a block the mapping stays, and goes with it.
        with contextlib.suppress(BufferError):
            self._map.close()

    def _walk(self, block: Bytes) -> PacketBlock:
        room = self._arrays
        count, skipped = walk_ring_block(block, self._skip_outgoing, room.offset, room.caplen, room.wirelen, room.ts_ns)
        self._received -= skipped
        packets = room.block(block, count)
        self.bytes_read += int(packets.caplen.sum())
        return packets

    def _wait(self) -> bool:
        """Wait for a block, at most SILENCE_MS; False when none came."""
        events = self._poll.poll(SILENCE_MS)
        if any(event & select.POLLERR for _, event in events):
            self._report(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        return bool(events)

    def _report(self, code: int) -> None:
        """End because of a socket error; what came before it is still delivered."""
        if code:
            reason = "the interface went down" if code == errno.ENETDOWN else os.strerror(code)
            self.problem = f"{self.name}: capture ended: {reason}"
            self.stop()


def _interface_index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        existing = ", ".join(name for _, name in socket.if_nameindex())
        raise CaptureError(f"{interface}: no such interface, expected one of {existing}") from None


def _packet_socket(interface: str) -> socket.socket:
    try:
        # Protocol 0 receives nothing until the socket is bound.
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise CaptureError(
            f"{interface}: no permission to capture, which needs CAP_NET_RAW: "
            "run with sudo, or give it to the Python interpreter with setcap cap_net_raw+ep"
        ) from None
    except OSError as error:
        raise CaptureError(f"{interface}: cannot capture: {error.strerror}") from None


def _hardware_type(packets: socket.socket, interface: str) -> int:
    """ARPHRD_ number of an interface that is up and of a type whose frames the sensor knows."""
    # struct ifreq: 16 bytes of name, then a union of 24 bytes. Not /sys, which shows another network namespace's.
    request = struct.pack("16s24x", interface.encode())
    (flags,) = struct.unpack_from("H", ioctl(packets, SIOCGIFFLAGS, request), 16)
    (hardware,) = struct.unpack_from("H", ioctl(packets, SIOCGIFHWADDR, request), 16)
    if not flags & IFF_UP:
        raise CaptureError(f"{interface}: the interface is down, expected it up (ip link set {interface} up)")
    if hardware not in LINKTYPES:
        raise CaptureError(
            f"{interface}: an interface of hardware type {hardware}, expected Ethernet ({ARPHRD_ETHER}), "
            f"loopback ({ARPHRD_LOOPBACK}) or raw IP ({ARPHRD_NONE})"
        )
    return int(hardware)


def _map_ring(packets: socket.socket, block_bytes: int, blocks: int) -> mmap.mmap:
    packets.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    # Room before each frame for the VLAN tag that goes back in.
    packets.setsockopt(SOL_PACKET, PACKET_RESERVE, VLAN_TAG)
    frames = block_bytes // FRAME_BYTES * blocks
    request = struct.pack("7I", block_bytes, blocks, FRAME_BYTES, frames, RETIRE_MS, 0, 0)
    packets.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
    return mmap.mmap(packets.fileno(), block_bytes * blocks, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def _block_views(ring: mmap.mmap, block_bytes: int) -> list[tuple[Bytes, Words]]:
    """Each block as bytes and as words."""
    whole = np.frombuffer(ring, dtype=np.uint8)
    blocks = [whole[at : at + block_bytes] for at in range(0, len(whole), block_bytes)]
    return [(block, block.view(np.uint32)) for block in blocks]


def warm_ring_walker() -> None:
    """Have the walker compiled, so that the ring does not fill up while that is done."""
    room = packet_arrays(1)
    walk_ring_block(np.zeros(PACKET_HEADER, dtype=np.uint8), False, room.offset, room.caplen, room.wirelen, room.ts_ns)
