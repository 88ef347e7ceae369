"""Live packets of interfaces through a memory-mapped AF_PACKET ring (TPACKET_V3): no copy, no call per packet.

Needs Linux, and CAP_NET_RAW to open; it goes on without. What an interface does never ends it. The layout of the ring
is in sensor.sources.live.tpacket, the calls in sensor.sources.live.packet_socket.
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
from sensor.errors import CaptureError
from sensor.progress.progress import InterfaceState
from sensor.sources.capture import CaptureStatistics, LinkEvent
from sensor.sources.filters.bpf import Program, Rule, socket_program
from sensor.sources.live.links import ABSENT, WatchedLinks
from sensor.sources.live.packet_socket import (
    ARPHRD_LOOPBACK,
    KNOWN_HARDWARE,
    LINKTYPES,
    RETIRE_MS,
    ask_for_card_stamps,
    attach_filter,
    bind_to,
    found_fanout,
    join_fanout,
    link_of,
    make_promiscuous,
    map_ring,
    open_packet_socket,
    take_counts,
)
from sensor.sources.live.rtnetlink import IFF_UP, Link, LinkMonitor
from sensor.sources.live.steady import SteadyClock
from sensor.sources.live.tpacket import PACKET_HEADER, STATUS_USER, STATUS_WORD, Words, give_back, walk_ring_block

SILENCE_MS: Final = 100  # an empty block is delivered after this long
LOOK_NS: Final = SILENCE_MS * 1_000_000  # news of the interfaces are asked for at least this often
LAST_BLOCK_NS: Final = 2 * RETIRE_MS * 1_000_000  # time for the kernel to hand over the block it is filling
PATIENCE_NS: Final = 1_000_000_000  # more of it on a busy machine
REMEMBERED: Final = 8  # indices of an interface that was recreated, for packets that still wait
ANY: Final = 0  # index that stands for all interfaces
ACCEPT_NOTHING: Final = [(0x06, 0, 0, 0)]  # BPF_RET 0


class Ring:
    """Packets of interfaces as blocks, in the order of the kernel, until `stop`.

    interfaces: names as given. linktypes: of each. size is None: nobody knows how much will come.
    A block and its buffer belong to the kernel again when the next one is asked for. Silence gives empty blocks. Times
    of packets are steady (sensor.sources.live.steady). An interface that goes down, is renamed or comes back under its
    name is followed, which needs no privilege. It counts as up while it was set up and has a carrier.
    """

    size: int | None = None

    def __init__(
        self,
        interfaces: Sequence[str],
        block_bytes: int,
        blocks: int,
        *,
        promiscuous: bool = False,
        hardware_timestamps: bool = False,
        programs: Mapping[int, Program] | None = None,
        fanout: int | None = None,
    ) -> None:
        """Open the interfaces. Raises CaptureError, one line.

        block_bytes: a multiple of 64 KiB. blocks: of these, all in memory once the ring has turned. programs: a capture
        filter for each link type. fanout: 0 begins a group of rings that share the packets by flow, the fanout_group
        of its first ring joins it.
        """
        self.interfaces = tuple(interfaces)
        self.bytes_read = 0
        self.walked = 0  # packets delivered
        self.fanout_group: int | None = None  # for further rings; opaque
        self._name = ", ".join(interfaces)
        self._programs = programs
        self._promiscuous = promiscuous
        self._card_stamps = hardware_timestamps  # expected, until a packet comes without
        self._one = len(interfaces) == 1 and fanout is None  # the socket is bound to its interface, not to all
        self._unstamped: list[LinkEvent] = []
        self._followed: tuple[tuple[int, int], ...] = ()
        self._numbers: list[tuple[int, int]] = []
        self._received = self._dropped = self._filtered = 0
        self._stopping = False
        self._ends_at_ns: int | None = None  # monotonic time from which an empty ring ends the capture
        self._next = 0
        # News are kept from before the first look at the interfaces on.
        with contextlib.ExitStack() as opened:
            self._socket = opened.enter_context(open_packet_socket(self._name))
            try:
                self._monitor = opened.enter_context(contextlib.closing(LinkMonitor()))
                links = _links(interfaces)
                self.linktypes = tuple(LINKTYPES[link.hardware] for link in links)
                self._watched = WatchedLinks(interfaces, links, LINKTYPES)
                self._map = map_ring(self._socket, block_bytes, blocks)
                if hardware_timestamps:
                    ask_for_card_stamps(self._socket)
                self._complement = self._open_complement(fanout)
                if self._complement:
                    opened.enter_context(self._complement)
                self._start(fanout)
            except OSError as error:
                raise CaptureError(f"{self._name}: cannot capture: {error.strerror}") from None
            opened.pop_all()
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
        self._looked_ns = 0
        self._delivered_ns = time.monotonic_ns()

    def __iter__(self) -> Iterator[PacketBlock]:
        while True:
            self._look()
            block, words = self._blocks[self._next]
            if words[STATUS_WORD] & STATUS_USER:
                self._clock.look()  # after the status: whatever is in the block was stamped before
                self._next = (self._next + 1) % len(self._blocks)
                try:
                    yield self._walk(block)
                finally:  # also when the consumer stops here: a block is walked once
                    give_back(words)
                self._delivered_ns = time.monotonic_ns()
            elif self._ended():
                return
            elif self._wait():
                self.interface_of = self._interface[:0]
                yield self._arrays.block(block, 0)
                self._delivered_ns = time.monotonic_ns()

    def stop(self) -> None:
        """End the iteration once what came by now has been delivered. May be called by a signal handler."""
        self._stopping = True

    @property
    def links(self) -> tuple[InterfaceState, ...]:
        """Each interface under the name it has now, and whether it delivers packets."""
        return self._watched.states

    def events(self) -> list[LinkEvent]:
        """Take what happened since the last call: each change of an interface, and a card that does not stamp, once."""
        events, self._unstamped = [*self._unstamped, *self._watched.events()], []
        return events

    @property
    def clock_step_ns(self) -> int:
        """What the wall clock was set forward by since the start, all told; packets' times leave it out."""
        return self._clock.step_ns

    def steady_now_ns(self) -> int:
        """The present moment in the packets' time."""
        return self._clock.now_ns()

    @property
    def fill(self) -> float:
        """Share of the ring's other blocks that wait, from the one that is delivered on."""
        low, high = 0, len(self._blocks) - 1
        while low < high:  # those that wait come first
            middle = (low + high) // 2
            _, words = self._blocks[(self._next + middle) % len(self._blocks)]
            low, high = (middle + 1, high) if words[STATUS_WORD] & STATUS_USER else (low, middle)
        return low / max(len(self._blocks) - 1, 1)

    def statistics(self) -> CaptureStatistics:
        """Counts since the ring was opened. The copies that loopback makes of packets that leave are in none."""
        if self._socket.fileno() >= 0:
            received, dropped = take_counts(self._socket)
            self._received += received
            self._dropped += dropped
            if self._complement:
                self._filtered += take_counts(self._complement)[0]
        waiting = self._received - self._dropped - self.walked
        return CaptureStatistics(self._received, self._dropped, self._filtered, waiting)

    def close(self) -> None:
        """Leave the interfaces; `statistics` keeps its last counts."""
        self.statistics()
        self.leave_to_worker()

    def leave_to_worker(self) -> None:
        """Close this process's copies; another process, made by fork, goes on with the ring and its counts."""
        for held in (self._socket, self._complement, self._monitor):
            if held:
                held.close()
        self._blocks = []
        # While somebody holds a block the mapping stays, and goes with it.
        with contextlib.suppress(BufferError):
            self._map.close()

    def _open_complement(self, fanout: int | None) -> socket.socket | None:
        """A socket that counts what the capture filter leaves out: once for each capture, by the group's first ring.

        It is never read: what finds no room is counted all the same.
        """
        if not self._programs or fanout:
            return None
        complement = open_packet_socket(self._name)
        complement.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        return complement

    def _start(self, fanout: int | None) -> None:
        """Bind the sockets, filters first: nothing arrives that was not asked for, and nothing twice."""
        if not self._one:
            for packets in self._sockets():
                attach_filter(packets, ACCEPT_NOTHING)
                bind_to(packets, ANY)
        if fanout:
            join_fanout(self._socket, fanout - 1)
            self.fanout_group = fanout
        elif fanout is not None:
            self.fanout_group = found_fanout(self._socket) + 1  # the kernel's first id is 0
        self._follow()

    def _sockets(self) -> list[socket.socket]:
        return [self._socket, self._complement] if self._complement else [self._socket]

    def _follow(self) -> None:
        """Filter for the interfaces as they are now, and bind to them. Raises OSError when one is gone again."""
        readable = self._watched.readable
        if readable == self._followed:
            return
        indices = [index for index, _ in readable]
        appeared = set(indices) - {ABSENT} - {index for index, _ in self._followed}
        self._remember(indices)
        for packets in self._sockets():
            rules = self._rules(readable)
            attach_filter(packets, socket_program(rules, complement=packets is self._complement))
            if self._one and appeared:
                bind_to(packets, *appeared)
        if self._promiscuous:
            for index in appeared:
                make_promiscuous(self._socket, index)
        self._followed = readable

    def _rules(self, readable: Sequence[tuple[int, int]]) -> list[Rule]:
        # On loopback each packet is seen leaving and arriving.
        return [
            Rule(index, hardware == ARPHRD_LOOPBACK, self._programs[LINKTYPES[hardware]] if self._programs else None)
            for index, hardware in readable
            if index != ABSENT
        ]

    def _remember(self, indices: Sequence[int]) -> None:
        """Tell the walker which number the packets of an index get; of earlier indices some may still wait."""
        pairs = [(index, number) for number, index in enumerate(indices) if index != ABSENT]
        old = [pair for pair in self._numbers if pair[0] not in indices]
        self._numbers = (pairs + old)[: REMEMBERED * len(indices)]
        self._table = np.array([number for pair in self._numbers for number in pair], dtype=np.int64)

    def _look(self) -> None:
        """Take in news of the interfaces, unless that was done just now; once stopping, take no more packets."""
        now = time.monotonic_ns()
        if self._stopping:
            self._refuse(now)
        elif now - self._looked_ns >= LOOK_NS:
            self._looked_ns = now
            self._watched.take(self._monitor.read(), now, time.time_ns())
            with contextlib.suppress(OSError):  # gone again: the next news say so
                self._follow()

    def _refuse(self, now_ns: int) -> None:
        if self._ends_at_ns is None:
            for packets in self._sockets():
                attach_filter(packets, ACCEPT_NOTHING)
            self._ends_at_ns = now_ns + LAST_BLOCK_NS

    def _walk(self, block: Bytes) -> PacketBlock:
        room = self._arrays
        count, stamped = walk_ring_block(
            block,
            self._table,
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
        if self._card_stamps and stamped < count:
            self._card_stamps = False
            message = f"{self._name}: packets without the card's time have the system's; see hwstamp_ctl(8)"
            self._unstamped.append(LinkEvent(None, "unstamped", message, time.time_ns()))
        return packets

    def _wait(self) -> bool:
        """Wait for a block; True when none came since the last one for SILENCE_MS."""
        self._settle()
        silent_ms = (time.monotonic_ns() - self._delivered_ns) / 1e6
        for descriptor, event in self._poll.poll(max(0, math.ceil(SILENCE_MS - silent_ms))):
            if descriptor == self._monitor.fileno():
                self._looked_ns = 0
            elif event & select.POLLERR:
                # An interface went down: told once; the kernel goes on by itself when it is up again.
                self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return time.monotonic_ns() - self._delivered_ns >= SILENCE_MS * 1_000_000

    def _settle(self) -> None:
        """The ring is empty: what was stamped before the clock's last step, long enough ago, has been delivered."""
        since_ns = self._clock.settling_since_ns
        if since_ns is not None and time.monotonic_ns() - since_ns > LAST_BLOCK_NS:
            self._clock.settle()

    def _ended(self) -> bool:
        """Whether an empty ring is the end: all that was accepted has been handed over and delivered."""
        if self._ends_at_ns is None:
            return False
        late_ns = time.monotonic_ns() - self._ends_at_ns
        return late_ns >= PATIENCE_NS or (late_ns >= 0 and self.statistics().waiting == 0)


def _links(interfaces: Sequence[str]) -> list[Link]:
    """Each interface as it is. Raises CaptureError for one that is absent, down, unreadable or named twice."""
    links: dict[int, Link] = {}
    for interface in interfaces:
        link = link_of(interface)
        if not link.flags & IFF_UP:
            raise CaptureError(f"{interface}: the interface is down, expected it up (ip link set {interface} up)")
        if link.hardware not in LINKTYPES:
            raise CaptureError(f"{interface}: an interface of hardware type {link.hardware}, expected {KNOWN_HARDWARE}")
        if link.index in links:
            raise CaptureError(f"{interface}: the interface is already watched as {links[link.index].name}")
        links[link.index] = link
    return list(links.values())


def _block_views(ring: mmap.mmap, block_bytes: int) -> list[tuple[Bytes, Words]]:
    """Each block as bytes and as words."""
    whole = np.frombuffer(ring, dtype=np.uint8)
    blocks = [whole[at : at + block_bytes] for at in range(0, len(whole), block_bytes)]
    return [(block, block.view(np.uint32)) for block in blocks]


def warm_ring_walker() -> None:
    """Have the walker and the return compiled, so that the ring does not fill up while that is done."""
    room = packet_arrays(1)
    table = np.zeros(2, dtype=np.int64)
    block = np.zeros(PACKET_HEADER, dtype=np.uint8)
    arrays = (room.offset, room.caplen, room.wirelen, room.ts_ns, room.linktype)
    walk_ring_block(block, table, table, *arrays, table.copy())
    give_back(block.view(np.uint32))
