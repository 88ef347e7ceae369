"""The meter: packets in, flow records out, in packet time.

Knows no file, socket or clock: time comes with the packets, or with `advance` from a live source. What it reports and
in which order is a function of the packets alone, whatever blocks they come in.
"""

import secrets
from dataclasses import dataclass, field

import numpy as np

from flows.batch import IDENTITY_WIDTH, FlowBatch, empty_batch
from flows.block import PacketBlock
from flows.columns import COLUMNS
from flows.compat import run_compat
from flows.decode import DECODED, REASONS
from flows.fragments import fragment_table
from flows.layout import (
    M_ACTIVE_TIMEOUT,
    M_BYTES,
    M_CAPACITY,
    M_CLOCK_CANDIDATE_NS,
    M_CLOCK_JUMPS,
    M_CLOCK_NS,
    M_CLOCK_OFFSET_NS,
    M_CLOSED_LINGER,
    M_CONFIRMED,
    M_DECAPSULATE,
    M_DRAINING,
    M_EVICTED,
    M_FIRST_SNAPSHOT,
    M_FLOWS,
    M_FREE,
    M_IDLE_TIMEOUT,
    M_LATE,
    M_LATE_NS,
    M_LEFT_OUT,
    M_MARKS,
    M_MASK,
    M_METERED,
    M_NAMES,
    M_NEWS_ONLY,
    M_NEXT_PACKET,
    M_PACKETS,
    M_RECORDS,
    M_SAMPLE,
    M_SHED,
    M_SNAPSHOT_INTERVAL,
    M_TICK,
    M_TUNNELLED,
    M_UNDECODED,
    M_VLAN_IN_KEY,
    PACKET_FIELDS,
    REGISTERS,
    ROW_WORDS,
    UNSET,
)
from flows.lists import LINK_WORDS
from flows.metering_process import GROUP, run_meter
from flows.names.reading import MarkReader, Sightings
from flows.table import HASH_KEYS
from flows.wheel import TICK_US, WHEEL_SLOTS

OUTPUT_RECORDS = 8192
LEAST_SAMPLE = 64  # one flow in so many
SECOND_NS = 1_000_000_000
FIRST_SNAPSHOT_NS = 10 * SECOND_NS  # age at which a flow that goes on is reported for the first time
MAX_ACTIVE_TIMEOUT_NS = 3000 * SECOND_NS
COMPATIBLE: tuple[str, ...] = ("cicflowmeter-v4",)


@dataclass(frozen=True, slots=True)
class MeterStats:
    """Counts since the meter began.

    packets = metered + the sum of undecoded + shed; metered = packets over the last records of flows that ended + in
    the table + left_out.
    """

    packets: int = 0
    wire_bytes: int = 0
    metered: int = 0
    shed: int = 0  # of flows outside of the sample (Meter.adapt)
    flows: int = 0  # in the table now
    evicted: int = 0  # flows reported early because the table was full
    late: int = 0  # packets stamped before one that came earlier
    late_ns: int = 0  # how far before it at most
    clock_jumps: int = 0
    tunnelled: int = 0  # packets that were a tunnel's and not looked into; 0 with decap or compat
    left_out: int = 0  # metered packets of no record; only where a compatibility mode's rules drop some
    undecoded: dict[str, int] = field(default_factory=dict)  # by reason; reasons that did not occur are left out


NO_PACKETS = PacketBlock(np.empty(0, dtype=np.uint8), *(np.empty(0, dtype=np.int64) for _ in range(5)))


class Meter:
    """Flow meter with a fixed table.

    capacity: flows. Times in nanoseconds of packet time. The active timeout is at most 3000 s, because sums of squared
    gaps are kept in 64 bits. decap: flows are those inside tunnels (flows.tunnels), not the tunnels.
    vlan_in_key: what has other VLAN tags is another flow; else tags are not looked at, and records have none.
    compat: None, or a program of COMPATIBLE whose construction and values are followed, errors included (flows.compat).
    Of the times only the active timeout counts then, and nothing is reported before it ends. The two rates over the
    whole flow may be infinite or not a number.
    news_only: a flow's final report is left out where it would say nothing that an earlier one has not said.
    names: what DNS answers and TLS hellos say of addresses and flows is read too (Meter.sightings); not with compat.
    """

    def __init__(
        self,
        capacity: int = 131_072,
        *,
        idle_timeout_ns: int = 120 * SECOND_NS,
        active_timeout_ns: int = 120 * SECOND_NS,
        closed_linger_ns: int = 2 * SECOND_NS,
        first_snapshot_ns: int = FIRST_SNAPSHOT_NS,
        snapshot_interval_ns: int = 60 * SECOND_NS,
        compat: str | None = None,
        decap: bool = False,
        vlan_in_key: bool = True,
        news_only: bool = False,
        names: bool = False,
    ) -> None:
        if compat not in (None, *COMPATIBLE):
            raise ValueError(f"compat is {compat!r}, expected one of {', '.join(COMPATIBLE)}")
        if capacity < 1:
            raise ValueError(f"capacity is {capacity} flows, expected at least 1")
        if not 0 < active_timeout_ns <= MAX_ACTIVE_TIMEOUT_NS:
            raise ValueError(f"active timeout is {active_timeout_ns} ns, expected 1 to {MAX_ACTIVE_TIMEOUT_NS}")
        if min(idle_timeout_ns, first_snapshot_ns, snapshot_interval_ns) < 1000 or closed_linger_ns < 0:
            raise ValueError("timeouts and snapshot intervals must be positive, at least 1000 ns")
        slots = 1 << max(1, (2 * capacity - 1).bit_length())
        # zeros are not touched before they are used, so a large table costs memory only as it fills
        self._rows = np.zeros(capacity * ROW_WORDS, dtype=np.int64)
        self._slots = np.zeros(slots, dtype=np.int64)
        self._links = np.zeros(capacity * LINK_WORDS, dtype=np.int32)
        self._wheel = np.full(2 * WHEEL_SLOTS, UNSET, dtype=np.int32)
        self._queues = np.full(4, UNSET, dtype=np.int32)
        self._keys = np.frombuffer(secrets.token_bytes(8 * HASH_KEYS), dtype=np.int64).copy()
        self._fields = np.zeros(GROUP * PACKET_FIELDS, dtype=np.int64)
        self._fragments = fragment_table()
        self._identity = np.empty((OUTPUT_RECORDS, IDENTITY_WIDTH), dtype=np.int64)
        self._values = np.empty((OUTPUT_RECORDS, len(COLUMNS)), dtype=np.float64)
        registers = np.zeros(REGISTERS, dtype=np.int64)
        registers[M_CAPACITY] = capacity
        registers[M_MASK] = slots - 1
        registers[M_IDLE_TIMEOUT] = idle_timeout_ns // 1000
        registers[M_ACTIVE_TIMEOUT] = active_timeout_ns // 1000
        registers[M_CLOSED_LINGER] = closed_linger_ns // 1000
        registers[M_FIRST_SNAPSHOT] = first_snapshot_ns // 1000
        registers[M_SNAPSHOT_INTERVAL] = snapshot_interval_ns // 1000
        registers[M_DECAPSULATE] = decap
        registers[M_VLAN_IN_KEY] = vlan_in_key
        registers[M_NEWS_ONLY] = news_only
        registers[M_NAMES] = names
        registers[M_FREE] = registers[M_CLOCK_NS] = registers[M_CLOCK_CANDIDATE_NS] = UNSET
        self._registers = registers
        self._kernel = run_compat if compat else run_meter
        self._reader = MarkReader() if names else MarkReader(marks=1)
        self._capacity = capacity
        self._idle_timeout_us = idle_timeout_ns // 1000

    def feed(self, block: PacketBlock) -> FlowBatch:
        """Meter a block of packets; returns the records that fell due."""
        self._registers[M_NEXT_PACKET] = 0
        self._registers[M_CONFIRMED] = block.clock_ns is not None
        return self._run(block, UNSET)

    def advance(self, now_ns: int) -> FlowBatch:
        """Play time on while no packets come; returns the records that fell due by then.

        now_ns: ns in the packets' clock. Packets that come later should not be stamped before it.
        """
        if self._registers[M_CLOCK_NS] == UNSET:
            return empty_batch()
        return self._run(NO_PACKETS, (now_ns + int(self._registers[M_CLOCK_OFFSET_NS])) // 1000)

    def drain(self) -> FlowBatch:
        """End of the capture: play time on until every flow has ended, in the order silence would have brought."""
        registers = self._registers
        registers[M_DRAINING] = 1
        batches = []
        while registers[M_FLOWS]:
            batches.append(self._run(NO_PACKETS, (int(registers[M_TICK]) + WHEEL_SLOTS) * TICK_US))
        registers[M_DRAINING] = 0
        return concatenate(batches)

    def adapt(self, *, idle_timeout_ns: int | None = None, capacity_share: float = 1.0, keep_one_in: int = 1) -> None:
        """Need less from now on, or as much as at first again; not together with compat.

        idle_timeout_ns: holds where it is shorter than the configured one, for flows in the table from the next time
        that they are looked at (within the snapshot interval). capacity_share: of the flow table; while more flows are
        in it, two are evicted for each new one. keep_one_in: 1, 2, 4 ... 64; flows are chosen by their keyed hash, both
        directions together, and a larger number keeps some of those that a smaller one keeps. Packets of the others are
        only counted (`shed`); those of them that are in the table get no more packets and end by silence.
        Raises ValueError for another number.
        """
        if keep_one_in not in (1, 2, 4, 8, 16, 32, LEAST_SAMPLE):
            raise ValueError(f"keep_one_in is {keep_one_in}, expected 1, 2, 4, 8, 16, 32 or {LEAST_SAMPLE}")
        if not 0 < capacity_share <= 1:
            raise ValueError(f"capacity share is {capacity_share}, expected more than 0, at most 1")
        timeout_us = self._idle_timeout_us if idle_timeout_ns is None else idle_timeout_ns // 1000
        self._registers[M_IDLE_TIMEOUT] = min(timeout_us, self._idle_timeout_us)
        self._registers[M_CAPACITY] = max(1, int(self._capacity * capacity_share))
        self._registers[M_SAMPLE] = keep_one_in - 1

    def sightings(self) -> Sightings:
        """What packets said of addresses and flows since the last call."""
        return self._reader.take()

    @property
    def stats(self) -> MeterStats:
        """Counts up to now."""
        registers = self._registers
        return MeterStats(
            packets=int(registers[M_PACKETS]),
            wire_bytes=int(registers[M_BYTES]),
            metered=int(registers[M_METERED]),
            shed=int(registers[M_SHED]),
            flows=int(registers[M_FLOWS]),
            evicted=int(registers[M_EVICTED]),
            late=int(registers[M_LATE]),
            late_ns=int(registers[M_LATE_NS]),
            clock_jumps=int(registers[M_CLOCK_JUMPS]),
            tunnelled=int(registers[M_TUNNELLED]),
            left_out=int(registers[M_LEFT_OUT]),
            undecoded={
                reason: int(registers[M_UNDECODED + i])
                for i, reason in enumerate(REASONS)
                if i != DECODED and registers[M_UNDECODED + i]
            },
        )

    @property
    def now_ns(self) -> int:
        """Time of the last packet, ns since 1970; 0 before the first."""
        return max(0, int(self._registers[M_CLOCK_NS]))

    def _run(self, block: PacketBlock, until: int) -> FlowBatch:
        batches = []
        done = False
        while not done:
            self._registers[M_RECORDS] = 0
            done = self._kernel(
                block.buffer,
                block.offset,
                block.caplen,
                block.wirelen,
                block.ts_ns,
                block.arrival_ns,
                block.linktype,
                until,
                self._rows,
                self._slots,
                self._links,
                self._wheel,
                self._queues,
                self._keys,
                self._fields,
                self._fragments,
                self._registers,
                self._identity,
                self._values,
                self._reader.marks,
            )
            if marked := int(self._registers[M_MARKS]):
                self._reader.read(block.buffer, marked)
                self._registers[M_MARKS] = 0
            records = int(self._registers[M_RECORDS])
            if records:
                batches.append(FlowBatch(self._identity[:records].copy(), self._values[:records].copy()))
        return concatenate(batches)


def concatenate(batches: list[FlowBatch]) -> FlowBatch:
    """One batch of many, in order."""
    if not batches:
        return empty_batch()
    if len(batches) == 1:
        return batches[0]
    return FlowBatch(
        np.concatenate([batch.identity for batch in batches]), np.concatenate([batch.values for batch in batches])
    )
