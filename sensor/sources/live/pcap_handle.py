"""A libpcap handle on an interface, opened through scapy: packets are read in batches, by one thread.

scapy opens the interface, by the names that each system has for it, and sets the filter; its dissector, which would
cost a hundred times more than all the rest, is left out: packets are read through scapy's bindings to libpcap. It
knows no queue and no meter. Source: pcap(3PCAP), pcap_stats(3PCAP).
"""

import ctypes
import select
import struct
import sys
from dataclasses import dataclass
from typing import Any, Final

from flows.linktypes import RAW, RAW_BSD, RAW_OPENBSD
from sensor.errors import CaptureError, ConfigError

SNAPLEN: Final = 65535  # bytes of each packet
HANDOVER_MS: Final = 100  # libpcap may buffer a packet this long
READ_AT_ONCE: Final = 256  # packets
PACKET_OVERHEAD: Final = 256  # bytes that a waiting packet takes beside its own
COUNTER: Final = 1 << 32  # libpcap's counts are 32 bits wide
RAW_DATALINKS: Final = frozenset({RAW, RAW_BSD, RAW_OPENBSD})  # libpcap's for raw IP, by system; files know one


@dataclass(frozen=True, slots=True)
class PacketBatch:
    """Packets of one interface that were read together.

    Lists of bytes and numbers, not of objects that the garbage collector would have to visit.
    """

    number: int  # of the interface
    frames: list[bytes]
    ts_ns: list[int]  # wall clock
    wirelen: list[int]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> int:
        """Approximate bytes of memory."""
        return sum(map(len, self.frames)) + PACKET_OVERHEAD * len(self.frames)


class PcapHandle:
    """An open libpcap capture, for one thread."""

    def __init__(self, interface: str, promiscuous: bool, expression: str | None) -> None:
        """Open the interface. Raises CaptureError, ConfigError."""
        self._libpcap = _libpcap(interface)
        self._pcap = _opened(interface, promiscuous, expression)
        datalink = self._pcap.datalink()
        self.linktype: int = RAW if datalink in RAW_DATALINKS else datalink  # LINKTYPE_ number
        self._header = ctypes.POINTER(self._libpcap.pcap_pkthdr)()
        self._bytes = ctypes.POINTER(ctypes.c_ubyte)()
        self._arguments = self._pcap.pcap, ctypes.byref(self._header), ctypes.byref(self._bytes)
        self._lost = 0
        # Windows cannot wait for libpcap as for a socket: there each read waits, at most HANDOVER_MS.
        self._descriptor = -1 if sys.platform == "win32" else self._pcap.fileno()
        if self._descriptor >= 0:
            self._pcap.setnonblock(True)
        _enable_immediate_mode(self._pcap)

    def read(self, number: int) -> PacketBatch:
        """Available packets, at most READ_AT_ONCE. number: of the interface. Raises OSError."""
        batch = PacketBatch(number, [], [], [])
        following, string_at = self._libpcap.pcap_next_ex, ctypes.string_at
        for _ in range(READ_AT_ONCE):
            found = following(*self._arguments)
            if found <= 0:
                if found < 0 and not len(batch):  # else it fails again at the next call
                    raise OSError(self._reason())
                break
            header = self._header.contents
            stamp = header.ts
            batch.frames.append(string_at(self._bytes, header.caplen))
            batch.ts_ns.append(stamp.tv_sec * 1_000_000_000 + stamp.tv_usec * 1000)
            batch.wirelen.append(header.len)
        return batch

    def wait(self, seconds: float) -> None:
        """Wait for packets."""
        if self._descriptor >= 0:
            select.select([self._descriptor], [], [], seconds)

    def newly_dropped(self) -> int:
        """Packets dropped by libpcap's full buffer since the last call."""
        counts = self._libpcap.pcap_stat()
        if self._libpcap.pcap_stats(self._pcap.pcap, ctypes.byref(counts)) < 0:
            return 0
        lost, self._lost = (counts.ps_drop - self._lost) % COUNTER, counts.ps_drop
        return int(lost)

    def close(self) -> None:
        """Leave the interface."""
        self._pcap.close()

    def _reason(self) -> str:
        return str(ctypes.string_at(self._libpcap.pcap_geterr(self._pcap.pcap)).decode(errors="replace"))


def _libpcap(interface: str) -> Any:
    """scapy's bindings to libpcap, typed only at run time. Raises CaptureError where libpcap is absent."""
    try:
        from scapy.libs import winpcapy
    except OSError as error:
        raise CaptureError(
            f"{interface}: cannot capture: {error}; expected libpcap (Windows: Npcap, npcap.com)"
        ) from None
    return winpcapy


def _opened(interface: str, promiscuous: bool, expression: str | None) -> Any:
    """scapy's libpcap handle. Raises CaptureError, ConfigError."""
    from scapy.config import conf
    from scapy.error import Scapy_Exception

    conf.use_pcap = True  # before the next import, which makes the class by it
    from scapy.arch.libpcap import open_pcap

    try:
        pcap = open_pcap(interface, SNAPLEN, promiscuous, HANDOVER_MS)
    except (OSError, ValueError) as error:  # ValueError: scapy knows no interface of that name
        raise CaptureError(f"{interface}: cannot capture: {error}") from None
    try:
        if expression is not None:
            pcap.setfilter(expression)
    except Scapy_Exception as error:
        pcap.close()
        raise ConfigError(f"{interface}: capture filter {expression!r}: {error}") from None
    return pcap


def _enable_immediate_mode(pcap: Any) -> None:
    """Immediate mode on macOS, where select() else reports packets only when the buffer is full."""
    if sys.platform == "darwin":
        import fcntl

        from scapy.arch.libpcap import BIOCIMMEDIATE

        fcntl.ioctl(pcap.fileno(), BIOCIMMEDIATE, struct.pack("I", 1))
