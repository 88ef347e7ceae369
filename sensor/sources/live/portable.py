"""Live capture on systems without a packet ring (macOS, Windows), by libpcap through scapy.

One thread reads each interface, because not every system can wait for several at once. The handles are in
sensor.sources.live.pcap_handle.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np

from flows.block import Int64s, PacketBlock
from sensor.errors import CaptureError, ConfigError
from sensor.progress.progress import InterfaceState
from sensor.sources.capture import CaptureStatistics, LinkEvent
from sensor.sources.live.pcap_handle import HANDOVER_MS, PacketBatch, PcapHandle
from sensor.sources.live.steady import SteadyClock

LIMIT: Final = (
    "this system has no packet ring: packets come through scapy and libpcap one by one, which loses some from 120,000 "
    "to 400,000 packets/s on, by the machine"
)

BLOCK_PACKETS: Final = 1024
GATHER_S: Final = 0.05  # a block that is not full is delivered after this long
SILENCE_S: Final = 0.1  # an empty block is delivered after this long
QUEUE_BYTES: Final = 32 << 20  # as the ring has by default
LAST_NS: Final = 2 * HANDOVER_MS * 1_000_000  # packets are still read this long after `stop`
REOPEN_S: Final = 1.0
POLL_S: Final = 0.1  # a reader checks for `stop` at least this often


class PortableCapture:
    """Iterable of blocks of packets in the order of their times, until `stop`; empty blocks during silence.

    Times of packets are steady (sensor.sources.live.steady). An interface whose capture fails is reopened, tried each
    second. Packets that the capture filter excludes are unknown, and not in `received`.
    """

    def __init__(
        self,
        interfaces: Sequence[str],
        *,
        promiscuous: bool = False,
        expression: str | None = None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        """Open the interfaces. Raises CaptureError; ConfigError for an expression that is no filter (pcap-filter(7)).

        queue_bytes: capacity for packets that wait for the meter.
        """
        self.interfaces = tuple(interfaces)  # names as given
        self.interface_of: Int64s = np.zeros(0, dtype=np.int64)  # (n,) of the last block's packets
        self._queue = PacketQueue(queue_bytes)
        self._clock = SteadyClock(time.time_ns, time.monotonic_ns)
        self._delivered = self._longest_pause_ns = self._looked_ns = 0
        with contextlib.ExitStack() as opened:
            self._readers = [
                opened.enter_context(
                    contextlib.closing(InterfaceReader(name, number, self._queue, promiscuous, expression))
                )
                for number, name in enumerate(interfaces)
            ]
            opened.pop_all()
        self.linktypes = tuple(reader.linktype for reader in self._readers)  # of each interface
        self._linktypes = np.array(self.linktypes, dtype=np.int64)

    def __iter__(self) -> Iterator[PacketBlock]:
        for reader in self._readers:
            reader.start()
        while True:
            batches = self._queue.get()
            self._looked_ns = time.monotonic_ns()
            if not batches and not any(reader.reading for reader in self._readers) and not len(self._queue):
                return
            self._settle(traffic=bool(batches))
            self._delivered += sum(map(len, batches))
            yield self._block(batches)
            self._note_pause()

    def stop(self) -> None:
        """Read packets for a last fifth of a second, then end. May be called by a signal handler."""
        for reader in self._readers:
            reader.stopping = True

    def look(self) -> bool:
        """Whether packets wait in the queue; where none do, it is known to be empty at this moment."""
        if len(self._queue):
            return True
        self._note_pause()
        return False

    @property
    def links(self) -> tuple[InterfaceState, ...]:
        """Each interface, and whether it is open."""
        return tuple(InterfaceState(reader.name, reader.opened) for reader in self._readers)

    def events(self) -> list[LinkEvent]:
        """Events of the interfaces since the last call."""
        return [event for reader in self._readers for event in reader.events()]

    @property
    def clock_step_ns(self) -> int:
        """Sum of all steps of the wall clock since the start, which packets' times do not contain."""
        return self._clock.step_ns

    def steady_now_ns(self) -> int:
        """Current steady time, the clock of the packets' times."""
        return self._clock.now_ns()

    @property
    def fill(self) -> float:
        """Fill level of the queue, 0 to 1."""
        return self._queue.fill

    def statistics(self) -> CaptureStatistics:
        """Counts since the start; dropped: by libpcap's buffer and by the queue."""
        read, lost = self._queue.counts()
        dropped = sum(reader.dropped for reader in self._readers)
        return CaptureStatistics(
            received=read + dropped, dropped=lost + dropped, filtered=0, waiting=read - lost - self._delivered,
            longest_pause_ns=self._longest_pause_ns,
        )  # fmt: skip

    def close(self) -> None:
        """Close the interfaces; `statistics` still returns the last counts."""
        self.stop()
        for reader in self._readers:
            reader.close()

    def give_to_worker(self) -> None:
        """As `leave_to_worker`."""
        self.leave_to_worker()

    def last_counts(self) -> CaptureStatistics:
        """The counts, as no other process has the capture."""
        return self.statistics()

    def leave_to_worker(self) -> None:
        """Raise CaptureError: threads and handles of libpcap do not survive a fork."""
        raise CaptureError(f"{', '.join(self.interfaces)}: this capture cannot be shared by workers, expected one")

    def _block(self, batches: list[PacketBatch]) -> PacketBlock:
        frames = list(chain.from_iterable(batch.frames for batch in batches))
        caplen = np.fromiter(map(len, frames), dtype=np.int64, count=len(frames))
        ts_ns = _joined(batch.ts_ns for batch in batches)
        number = np.repeat(_joined([batch.number] for batch in batches), [len(batch) for batch in batches])
        self._clock.observe()
        self._clock.correct(ts_ns)
        order = np.argsort(ts_ns, kind="stable")  # the readers' packets arrive interleaved
        self.interface_of = number[order]
        return PacketBlock(
            buffer=np.frombuffer(bytearray().join(frames), dtype=np.uint8),
            offset=(np.cumsum(caplen) - caplen)[order],
            caplen=caplen[order],
            wirelen=_joined(batch.wirelen for batch in batches)[order],
            ts_ns=ts_ns[order],
            linktype=self._linktypes[self.interface_of],
        )

    def _note_pause(self) -> None:
        now = time.monotonic_ns()
        self._longest_pause_ns = max(self._longest_pause_ns, now - self._looked_ns)
        self._looked_ns = now

    def _settle(self, *, traffic: bool) -> None:
        """Settle the clock once no packet from before its last step can arrive any more."""
        since_ns = self._clock.settling_since_ns
        if not traffic and since_ns is not None and time.monotonic_ns() - since_ns > LAST_NS:
            self._clock.settle()


class PacketQueue:
    """Queue of packets between the readers and the meter; packets that exceed its capacity are counted and dropped."""

    def __init__(self, capacity: int) -> None:
        """capacity: bytes."""
        self._capacity = capacity
        self._size = 0  # bytes
        self._batches: deque[PacketBatch] = deque()
        self._waiting = 0  # packets
        self._changed = threading.Condition()
        self._read = self._lost = 0

    def __len__(self) -> int:
        return self._waiting

    @property
    def fill(self) -> float:
        """Fill level, 0 to 1."""
        return self._size / self._capacity

    def counts(self) -> tuple[int, int]:
        """(packets put, dropped ones included; packets dropped)."""
        with self._changed:
            return self._read, self._lost

    def put(self, batch: PacketBatch) -> None:
        """Append the packets, or drop all of them when they exceed the capacity."""
        with self._changed:
            self._read += len(batch)
            if self._size + batch.size > self._capacity:
                self._lost += len(batch)
                return
            before = self._waiting
            self._batches.append(batch)
            self._size += batch.size
            self._waiting += len(batch)
            if not before or self._block_is_full():
                self._changed.notify()

    def get(self) -> list[PacketBatch]:
        """Wait until a block is full, at most GATHER_S after the first packet; [] after SILENCE_S without any."""
        with self._changed:
            if self._changed.wait_for(self.__len__, SILENCE_S):
                self._changed.wait_for(self._block_is_full, GATHER_S)
            batches: list[PacketBatch] = []
            room = BLOCK_PACKETS
            while self._batches and len(self._batches[0]) <= room:
                batch = self._batches.popleft()
                batches.append(batch)
                room -= len(batch)
                self._size -= batch.size
                self._waiting -= len(batch)
            return batches

    def _block_is_full(self) -> bool:
        return self._waiting >= BLOCK_PACKETS


class InterfaceReader:
    """One interface and the thread that reads it."""

    def __init__(self, name: str, number: int, queue: PacketQueue, promiscuous: bool, expression: str | None) -> None:
        """Open the interface. Raises CaptureError, ConfigError."""
        self.name = name
        self.dropped = 0  # packets, by libpcap
        self.stopping = False
        self._number = number
        self._queue = queue
        self._promiscuous = promiscuous
        self._expression = expression
        self._events: deque[LinkEvent] = deque()
        self._handle: PcapHandle | None = PcapHandle(name, promiscuous, expression)
        self.linktype = self._handle.linktype
        self._ends_at_ns: int | None = None
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)

    @property
    def opened(self) -> bool:
        """Whether packets can come."""
        return self._handle is not None

    @property
    def reading(self) -> bool:
        """Whether more packets may come."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def events(self) -> list[LinkEvent]:
        """Events since the last call."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def close(self) -> None:
        """End the thread and close the interface."""
        self.stopping = True
        self._ends_at_ns = 0
        if self._thread.is_alive():
            self._thread.join()
        self._shut()

    def _run(self) -> None:
        while not self._over():
            if self._handle is None:
                self._reopen()
                continue
            try:
                batch = self._handle.read(self._number)
                if len(batch):
                    self._queue.put(batch)
                else:
                    self._handle.wait(POLL_S)
                self.dropped += self._handle.newly_dropped()
            except OSError as error:
                self._shut()
                self._report("down", f"{self.name}: {error}; trying again each second")

    def _over(self) -> bool:
        if not self.stopping:
            return False
        if self._ends_at_ns is None:
            self._ends_at_ns = time.monotonic_ns() + LAST_NS
        return self._handle is None or time.monotonic_ns() >= self._ends_at_ns

    def _reopen(self) -> None:
        deadline = time.monotonic() + REOPEN_S
        while time.monotonic() < deadline:
            if self.stopping:
                return
            time.sleep(POLL_S)
        with contextlib.suppress(CaptureError, ConfigError):  # already reported as down
            handle = PcapHandle(self.name, self._promiscuous, self._expression)
            if handle.linktype != self.linktype:  # writer and meter use the first one
                handle.close()
                return
            self._handle = handle
            self._report("up", f"{self.name}: the interface can be read again: capture goes on")

    def _shut(self) -> None:
        handle, self._handle = self._handle, None
        if handle:
            self.dropped += handle.newly_dropped()
            handle.close()

    def _report(self, action: str, message: str) -> None:
        self._events.append(LinkEvent(self.name, action, message, time.time_ns()))


def _joined(lists: Iterable[list[int]]) -> Int64s:
    return np.fromiter(chain.from_iterable(lists), dtype=np.int64)
