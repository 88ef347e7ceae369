"""Live packets of interfaces through a memory-mapped AF_PACKET ring (TPACKET_V3): no copy, no call per packet.

Linux only; opening needs CAP_NET_RAW, capturing does not. No change of an interface ends it. The layout of the ring is
in sensor.sources.live.tpacket, the system calls in sensor.sources.live.packet_socket.
"""

import contextlib
import math
import mmap
import select
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from flows.block import Bytes, Int64s, PacketBlock
from flows.pcap import packet_arrays
from sensor.errors import CaptureError, reason_of
from sensor.progress.progress import InterfaceState
from sensor.sources.capture import CaptureStatistics, LinkEvent
from sensor.sources.filters.bpf import BpfProgram
from sensor.sources.filters.socket_program import InterfaceRule, socket_program
from sensor.sources.live.interfaces import links_of
from sensor.sources.live.links import ABSENT, WatchedLinks
from sensor.sources.live.packet_socket import (
    ACCEPT_NOTHING,
    ARPHRD_LOOPBACK,
    LINKTYPES,
    RETIRE_MS,
    PacketCounts,
    attach_filter,
    bind_to,
    create_fanout,
    enable_card_timestamps,
    join_fanout,
    make_promiscuous,
    map_ring,
    open_packet_socket,
)
from sensor.sources.live.rtnetlink import LinkMonitor
from sensor.sources.live.steady import SteadyClock
from sensor.sources.live.tpacket import PACKET_HEADER, STATUS_USER, STATUS_WORD, Words, release_block, walk_ring_block

SILENCE_MS: Final = 100  # an empty block is delivered after this long
POLL_LINKS_NS: Final = SILENCE_MS * 1_000_000  # changes of interfaces are read at least this often
LAST_BLOCK_NS: Final = 2 * RETIRE_MS * 1_000_000  # time for the kernel to hand over the block it is filling
GRACE_NS: Final = 1_000_000_000  # further time on a busy machine
INDICES_EACH: Final = 8  # latest indices of a recreated interface that are known, for packets that still wait
ANY: Final = 0  # index that stands for all interfaces


class RingCapture:
    """Iterable of blocks of packets in the order of the kernel, until `stop`; empty blocks during silence.

    A block and its buffer are returned to the kernel when the next one is requested. Times of packets are steady
    (sensor.sources.live.steady). An interface that goes down, is renamed or is recreated under its name is followed,
    which needs no privilege. It counts as up while it is administratively up and has a carrier.
    """

    size: int | None = None  # in bytes: unknown

    def __init__(
        self,
        interfaces: Sequence[str],
        block_bytes: int,
        blocks: int,
        *,
        promiscuous: bool = False,
        hardware_timestamps: bool = False,
        programs: Mapping[int, BpfProgram] | None = None,
        fanout: int | None = None,
    ) -> None:
        """Open the interfaces. Raises CaptureError, one line.

        block_bytes: a multiple of 64 KiB. blocks: their number, all in memory once the ring has turned. programs: a
        capture filter for each link type. fanout: 0 creates a group of rings that share the packets by flow, the
        fanout_group of its first ring joins it.
        """
        self.interfaces = tuple(interfaces)  # names as given
        self.bytes_read = 0
        self.walked = 0  # packets delivered
        self.fanout_group: int | None = None  # argument for further rings
        self._name = ", ".join(interfaces)
        self._programs = programs
        self._promiscuous = promiscuous
        self._card_timestamps = hardware_timestamps  # expected, until a packet comes without
        self._one = len(interfaces) == 1 and fanout is None  # the socket is bound to its interface, not to all
        self._unstamped: list[LinkEvent] = []
        self._followed: tuple[tuple[int, int], ...] = ()
        self._numbers: list[tuple[int, int]] = []
        self._received = self._dropped = self._filtered = 0
        self._stopping = False
        self._ends_at_ns: int | None = None  # monotonic time from which an empty ring ends the capture
        self._next = 0
        self._open(block_bytes, blocks, fanout)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)
        self._poll.register(self._monitor, select.POLLIN)
        self._blocks = _block_views(self._map, block_bytes)
        room = block_bytes // PACKET_HEADER
        self._arrays = packet_arrays(room)
        self._interface = np.zeros(room, dtype=np.int64)
        self.interface_of: Int64s = self._interface[:0]  # (n,) numbers into `interfaces` of the last block's packets
        self._linktypes = np.array([number for pair in LINKTYPES.items() for number in pair], dtype=np.int64)
        self._clock = SteadyClock(time.time_ns, time.monotonic_ns)
        self._polled_ns = 0
        self._delivered_ns = self._looked_ns = time.monotonic_ns()
        self._longest_pause_ns = 0

    def __iter__(self) -> Iterator[PacketBlock]:
        while True:
            self._poll_links()
            block, words = self._blocks[self._next]
            if words[STATUS_WORD] & STATUS_USER:
                self._clock.observe()  # after the status: whatever is in the block was stamped before
                self._next = (self._next + 1) % len(self._blocks)
                try:
                    yield self._walk(block)
                finally:  # also when the consumer stops here: a block is walked once
                    release_block(words)
                self._note_pause()
            elif self._ended():
                return
            elif self._wait():
                self.interface_of = self._interface[:0]
                yield self._arrays.block(block, 0)
                self._note_pause()

    def stop(self) -> None:
        """End the iteration once the packets received so far are delivered. May be called by a signal handler."""
        self._stopping = True

    def look(self) -> bool:
        """Whether a block of packets waits; where none does, the ring is known to be empty at this moment."""
        if self._blocks[self._next][1][STATUS_WORD] & STATUS_USER:
            return True
        self._note_pause()
        self._looked_ns = self._delivered_ns
        return False

    @property
    def links(self) -> tuple[InterfaceState, ...]:
        """Each interface by its present name, and whether it delivers packets."""
        return self._watched.states

    def events(self) -> list[LinkEvent]:
        """Events since the last call: changes of interfaces, and once a card without timestamps."""
        events, self._unstamped = [*self._unstamped, *self._watched.events()], []
        return events

    @property
    def clock_step_ns(self) -> int:
        """Sum of all steps of the wall clock since the start, which packets' times do not contain."""
        return self._clock.step_ns

    def steady_now_ns(self) -> int:
        """Current steady time, the clock of the packets' times."""
        return self._clock.now_ns()

    @property
    def fill(self) -> float:
        """Fill level, 0 to 1: share of the ring's blocks that wait, without the one being delivered."""
        low, high = 0, len(self._blocks) - 1
        while low < high:  # those that wait come first
            middle = (low + high) // 2
            _, words = self._blocks[(self._next + middle) % len(self._blocks)]
            low, high = (middle + 1, high) if words[STATUS_WORD] & STATUS_USER else (low, middle)
        return low / max(len(self._blocks) - 1, 1)

    def statistics(self) -> CaptureStatistics:
        """Counts since the ring was opened, without the copies that loopback makes of outgoing packets."""
        if self._socket.fileno() >= 0:
            self._received, self._dropped = self._counts.read()
            if self._excluded:
                self._filtered = self._excluded.read()[0]
        waiting = self._received - self._dropped - self.walked
        return CaptureStatistics(self._received, self._dropped, self._filtered, waiting, self._longest_pause_ns)

    def close(self) -> None:
        """Close the ring; `statistics` still returns the last counts."""
        self.statistics()
        self.leave_to_worker()

    def give_to_worker(self) -> None:
        """Keep the sockets alone, for `last_counts`; a forked process continues with the ring."""
        self._monitor.close()
        self._unmap()

    def last_counts(self) -> CaptureStatistics:
        """Counts after the process that had the ring has ended, by which it ends; `waiting` means nothing here."""
        with contextlib.suppress(OSError):  # nobody takes what comes from now on
            for packets in self._sockets():
                attach_filter(packets, ACCEPT_NOTHING)
        self.close()
        return self.statistics()

    def leave_to_worker(self) -> None:
        """Close this process's descriptors; a forked process continues with the ring and its counts."""
        for opened in (self._socket, self._complement, self._monitor):
            if opened:
                opened.close()
        self._unmap()

    def _unmap(self) -> None:
        self._blocks = []
        # While a block is referenced the mapping stays, and is freed with it.
        with contextlib.suppress(BufferError):
            self._map.close()

    def _open(self, block_bytes: int, blocks: int, fanout: int | None) -> None:
        """Open sockets, monitor and ring, all or none. Raises CaptureError."""
        # The monitor is opened before the interfaces are read, so that no change is missed.
        with contextlib.ExitStack() as opened:
            self._socket = opened.enter_context(open_packet_socket(self._name))
            try:
                self._monitor = opened.enter_context(contextlib.closing(LinkMonitor()))
                links = links_of(self.interfaces)
                self.linktypes = tuple(LINKTYPES[link.hardware] for link in links)  # of each interface
                self._watched = WatchedLinks(self.interfaces, links, readable_hardware(self._programs))
                self._map = map_ring(self._socket, block_bytes, blocks)
                if self._card_timestamps:
                    enable_card_timestamps(self._socket)
                self._complement = self._open_complement(fanout)
                if self._complement:
                    opened.enter_context(self._complement)
                self._counts = PacketCounts(self._socket)
                self._excluded = PacketCounts(self._complement) if self._complement else None
                self._start(fanout)
            except OSError as error:
                raise CaptureError(f"{self._name}: cannot capture: {reason_of(error)}") from None
            opened.pop_all()

    def _open_complement(self, fanout: int | None) -> socket.socket | None:
        """A socket that counts the packets that the capture filter excludes, opened by the group's first ring only.

        It is never read: the kernel counts dropped packets all the same.
        """
        if not self._programs or fanout:
            return None
        complement = open_packet_socket(self._name)
        complement.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        return complement

    def _start(self, fanout: int | None) -> None:
        """Bind the sockets, filters first: no unrequested packet arrives, and none twice."""
        if not self._one:
            for packets in self._sockets():
                attach_filter(packets, ACCEPT_NOTHING)
                bind_to(packets, ANY)
        if fanout:
            join_fanout(self._socket, fanout - 1)
            self.fanout_group = fanout
        elif fanout is not None:
            self.fanout_group = create_fanout(self._socket) + 1  # the kernel's first id is 0
        self._follow()

    def _sockets(self) -> list[socket.socket]:
        return [self._socket, self._complement] if self._complement else [self._socket]

    def _follow(self) -> None:
        """Filter for the present interfaces, and bind to them. Raises OSError when one was removed meanwhile."""
        readable = self._watched.readable
        if readable == self._followed:
            return
        indices = [index for index, _ in readable]
        appeared = set(indices) - {ABSENT} - {index for index, _ in self._followed}
        self._assign_numbers(indices)
        for packets in self._sockets():
            rules = self._rules(readable)
            attach_filter(packets, socket_program(rules, complement=packets is self._complement))
            if self._one and appeared:
                bind_to(packets, *appeared)
        if self._promiscuous:
            for index in appeared:
                make_promiscuous(self._socket, index)
        self._followed = readable

    def _rules(self, readable: Sequence[tuple[int, int]]) -> list[InterfaceRule]:
        # On loopback each packet is seen leaving and arriving.
        return [
            InterfaceRule(
                index, hardware == ARPHRD_LOOPBACK, self._programs[LINKTYPES[hardware]] if self._programs else None
            )
            for index, hardware in readable
            if index != ABSENT
        ]

    def _assign_numbers(self, indices: Sequence[int]) -> None:
        """Map each interface index to its number; packets of earlier indices may still wait."""
        pairs = [(index, number) for number, index in enumerate(indices) if index != ABSENT]
        old = [pair for pair in self._numbers if pair[0] not in indices]
        self._numbers = (pairs + old)[: INDICES_EACH * len(indices)]
        self._number_table = np.array([number for pair in self._numbers for number in pair], dtype=np.int64)

    def _poll_links(self) -> None:
        """Apply changes of interfaces, at most once in POLL_LINKS_NS; when stopping, accept no more packets."""
        now = self._looked_ns = time.monotonic_ns()
        if self._stopping:
            self._stop_accepting(now)
        elif now - self._polled_ns >= POLL_LINKS_NS:
            self._polled_ns = now
            self._watched.handle(self._monitor.read(), now, time.time_ns())
            with contextlib.suppress(OSError):  # removed meanwhile: a further change reports it
                self._follow()

    def _stop_accepting(self, now_ns: int) -> None:
        if self._ends_at_ns is None:
            for packets in self._sockets():
                attach_filter(packets, ACCEPT_NOTHING)
            self._ends_at_ns = now_ns + LAST_BLOCK_NS

    def _note_pause(self) -> None:
        """Note that whoever took the last block is back, and for how long nobody looked at the ring."""
        self._delivered_ns = time.monotonic_ns()
        self._longest_pause_ns = max(self._longest_pause_ns, self._delivered_ns - self._looked_ns)

    def _walk(self, block: Bytes) -> PacketBlock:
        room = self._arrays
        count, stamped = walk_ring_block(
            block,
            self._number_table,
            self._linktypes,
            room.offset,
            room.caplen,
            room.wirelen,
            room.ts_ns,
            room.linktype,
            self._interface,
        )
        packets = room.block(block, count)
        self._clock.correct(packets.ts_ns)
        self.interface_of = self._interface[:count]
        self.walked += count
        self.bytes_read += int(packets.caplen.sum())
        if self._card_timestamps and stamped < count:
            self._card_timestamps = False
            message = f"{self._name}: packets without the card's time have the system's; see hwstamp_ctl(8)"
            self._unstamped.append(LinkEvent(None, "unstamped", message, time.time_ns()))
        return packets

    def _wait(self) -> bool:
        """Wait for a block or a change; returns whether SILENCE_MS have passed since the last block."""
        self._settle()
        silent_ms = (time.monotonic_ns() - self._delivered_ns) / 1e6
        for descriptor, event in self._poll.poll(max(0, math.ceil(SILENCE_MS - silent_ms))):
            if descriptor == self._monitor.fileno():
                self._polled_ns = 0
            elif event & select.POLLERR:
                # An interface went down, which is reported once; the kernel continues when it is up again.
                self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._looked_ns = time.monotonic_ns()
        return self._looked_ns - self._delivered_ns >= SILENCE_MS * 1_000_000

    def _settle(self) -> None:
        """Settle the clock: in an empty ring no packet from before its last step can wait after LAST_BLOCK_NS."""
        since_ns = self._clock.settling_since_ns
        if since_ns is not None and time.monotonic_ns() - since_ns > LAST_BLOCK_NS:
            self._clock.settle()

    def _ended(self) -> bool:
        """Whether the empty ring is the end: all accepted packets have been delivered."""
        if self._ends_at_ns is None:
            return False
        late_ns = time.monotonic_ns() - self._ends_at_ns
        return late_ns >= GRACE_NS or (late_ns >= 0 and self.statistics().waiting == 0)


def readable_hardware(programs: Mapping[int, BpfProgram] | None) -> frozenset[int]:
    """ARPHRD_ numbers of interfaces that can be captured: with a filter those that it was compiled for."""
    return frozenset(number for number, linktype in LINKTYPES.items() if not programs or linktype in programs)


def _block_views(ring: mmap.mmap, block_bytes: int) -> list[tuple[Bytes, Words]]:
    """Each block of the mapped ring as bytes and as 32-bit words."""
    whole = np.frombuffer(ring, dtype=np.uint8)
    blocks = [whole[at : at + block_bytes] for at in range(0, len(whole), block_bytes)]
    return [(block, block.view(np.uint32)) for block in blocks]


def warm_ring_walker() -> None:
    """Compile the kernels of the ring, so that it does not fill up meanwhile."""
    room = packet_arrays(1)
    table = np.zeros(2, dtype=np.int64)
    block = np.zeros(PACKET_HEADER, dtype=np.uint8)
    arrays = (room.offset, room.caplen, room.wirelen, room.ts_ns, room.linktype)
    walk_ring_block(block, table, table, *arrays, table.copy())
    release_block(block.view(np.uint32))
