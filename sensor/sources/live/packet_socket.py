"""Calls on AF_PACKET sockets, and look-up of an interface: numbers and structures, no policy.

Opening one needs CAP_NET_RAW; binding, filters and memberships need no privilege. Source: packet(7),
linux/if_packet.h, linux/filter.h.
"""

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from flows.linktypes import ETHERNET, RAW
from sensor.c_library import call
from sensor.errors import CaptureError, reason_of
from sensor.sources.filters.bpf import Instruction
from sensor.sources.live.rtnetlink import Link, link_at
from sensor.sources.live.tpacket import VLAN_TAG

# linux/if_packet.h, linux/if_ether.h, asm-generic/socket.h, linux/net_tstamp.h
SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_RESERVE = 1, 5, 6, 10, 12
PACKET_TIMESTAMP, PACKET_FANOUT, FANOUT_UNIQUE_ID = 17, 18, 0x2000
TPACKET_V3, PACKET_MR_PROMISC = 2, 1
ETH_P_ALL: Final = 3
STATISTICS_BYTES: Final = 12  # struct tpacket_stats_v3
SO_ATTACH_FILTER: Final = 26
ACCEPT_NOTHING: Final[Sequence[Instruction]] = [(0x06, 0, 0, 0)]  # BPF_RET 0
SOF_TIMESTAMPING_RAW_HARDWARE: Final = 1 << 6

ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE = 1, 772, 65534
LINKTYPES: Final = {ARPHRD_ETHER: ETHERNET, ARPHRD_LOOPBACK: ETHERNET, ARPHRD_NONE: RAW}
KNOWN_HARDWARE: Final = f"Ethernet ({ARPHRD_ETHER}), loopback ({ARPHRD_LOOPBACK}) or raw IP ({ARPHRD_NONE})"

FRAME_BYTES: Final = 2048  # without effect in version 3, but checked by the kernel
RETIRE_MS: Final = 50  # a block that is not full is handed over after this long


def open_packet_socket(interface: str) -> socket.socket:
    """A socket that receives nothing until it is bound. Raises CaptureError that names the interface."""
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise CaptureError(
            f"{interface}: no permission to capture, which needs CAP_NET_RAW: run with sudo, as a systemd service with "
            "AmbientCapabilities=CAP_NET_RAW (configs/flowvigil.service), or by a copy of the Python interpreter that "
            "has it (setcap cap_net_raw+ep)"
        ) from None
    except OSError as error:
        raise CaptureError(f"{interface}: cannot capture: {reason_of(error)}") from None


def link_of(interface: str) -> Link:
    """An interface as it is now; needs no privilege. Raises CaptureError when there is none of that name."""
    try:
        link = link_at(socket.if_nametoindex(interface))
    except OSError:
        link = None
    if link is None:
        existing = ", ".join(name for _, name in socket.if_nameindex())
        raise CaptureError(f"{interface}: no such interface, expected one of {existing}")
    return link


def map_ring(packets: socket.socket, block_bytes: int, blocks: int) -> mmap.mmap:
    """Create the ring of a socket and map it.

    Raises OSError, also for a ring larger than the available memory, for which the kernel would kill processes.
    """
    if block_bytes * blocks > _available_memory():
        raise OSError(errno.ENOMEM, f"{os.strerror(errno.ENOMEM)}: the ring is larger than what is available")
    packets.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    # Room before each frame for the VLAN tag that goes back in.
    packets.setsockopt(SOL_PACKET, PACKET_RESERVE, VLAN_TAG)
    frames = block_bytes // FRAME_BYTES * blocks
    request = struct.pack("7I", block_bytes, blocks, FRAME_BYTES, frames, RETIRE_MS, 0, 0)
    packets.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
    return mmap.mmap(packets.fileno(), block_bytes * blocks, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def _available_memory() -> int:
    """Bytes of memory available without swapping; of all memory where that is hidden (ProcSubset=pid)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def enable_card_timestamps(packets: socket.socket) -> None:
    """Take timestamps of the card, which the operator must have enabled (hwstamp_ctl)."""
    packets.setsockopt(SOL_PACKET, PACKET_TIMESTAMP, SOF_TIMESTAMPING_RAW_HARDWARE)


def attach_filter(packets: socket.socket, program: Sequence[Instruction]) -> None:
    """Replace the socket's filter, classic BPF, for all further packets. Raises OSError.

    Where the kernel has no room for both, the socket accepts nothing in between.
    """
    try:
        _attach(packets, program)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        _attach(packets, ACCEPT_NOTHING)
        try:
            _attach(packets, program)
        except OSError:
            raise OSError(
                errno.ENOMEM,
                f"no memory for a filter of {len(program):,} instructions, expected a shorter capture.filter or a "
                "larger net.core.optmem_max",
            ) from None


def _attach(packets: socket.socket, program: Sequence[Instruction]) -> None:
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    # struct sock_fprog: a count and a pointer, which the kernel has followed when the call returns
    packets.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(instructions))
    )


def bind_to(packets: socket.socket, index: int) -> None:
    """Bind to the interface with this index, 0 for all, and receive its packets. Raises OSError.

    By index, which socket.bind cannot: the name may belong to another interface by now.
    """
    address = struct.pack("HHiHBB8x", socket.AF_PACKET, socket.htons(ETH_P_ALL), index, 0, 0, 0)
    call("bind", packets.fileno(), address, len(address))


def make_promiscuous(packets: socket.socket, index: int) -> None:
    """Make the interface promiscuous while the socket is open. Raises OSError."""
    packets.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("iHH8x", index, PACKET_MR_PROMISC, 0))


def create_fanout(packets: socket.socket) -> int:
    """Create a fanout group, which shares packets by flow, with this bound socket as its first; returns its id."""
    packets.setsockopt(SOL_PACKET, PACKET_FANOUT, struct.pack("I", FANOUT_UNIQUE_ID << 16))
    return packets.getsockopt(SOL_PACKET, PACKET_FANOUT) & 0xFFFF


def join_fanout(packets: socket.socket, group: int) -> None:
    """Add the socket, which is bound like the others, to a fanout group."""
    packets.setsockopt(SOL_PACKET, PACKET_FANOUT, struct.pack("I", group))


class PacketCounts:
    """Packets that a socket received and dropped, counted once by whichever process reads them.

    The kernel sets its counts to 0 when they are read. It writes them straight into memory that processes made by fork
    share: one that is killed at any moment takes none with it, and whoever still holds the socket goes on counting.
    One process at a time may read.
    """

    def __init__(self, packets: socket.socket) -> None:
        self._packets = packets
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)  # shared by fork
        words = np.frombuffer(self._memory, dtype=np.int64)
        # The number of the last sums that are whole, and that of those being made; sums and what is added to them lie
        # in the half of that number's parity.
        self._whole, self._begun = words[0:1], words[1:2]
        self._sums = words[2:6].reshape(2, 2)
        self._added = words[8:12].view(np.uint32).reshape(2, 4)
        self._rooms = [added.ctypes.data for added in self._added]  # addresses

    def read(self) -> tuple[int, int]:
        """(received, dropped) packets since the socket was opened; received includes the dropped ones."""
        self._add_up()  # what a process that was killed here had read
        upcoming = int(self._whole[0]) + 1
        added = self._added[upcoming & 1]
        added[:] = 0
        self._begun[0] = upcoming
        length = ctypes.c_uint32(STATISTICS_BYTES)
        room = ctypes.c_void_p(self._rooms[upcoming & 1])
        call("getsockopt", self._packets.fileno(), SOL_PACKET, PACKET_STATISTICS, room, ctypes.byref(length))
        self._add_up()
        received, dropped = self._sums[upcoming & 1]
        return int(received), int(dropped)

    def _add_up(self) -> None:
        """Make sums that were begun whole."""
        upcoming = int(self._whole[0]) + 1
        if self._begun[0] != upcoming:
            return
        half = upcoming & 1
        self._sums[half] = self._sums[1 - half] + self._added[half, :2]
        self._whole[0] = upcoming
