"""A flood of SYNs through a small table: `python -m tests.bench.bounded [--syns 10000000] [--answered]`.

Prints how many of the sessions that were there before survived whole, how memory went and what it cost.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.batch import DST_PORT, END_REASON, LACK_OF_RESOURCES, SNAPSHOT, SRC_LOW, FlowBatch
from flows.block import Int64s, PacketBlock
from flows.meter import Meter, MeterStats

TABLE, SESSIONS = 65_536, 1000
SYNS_PER_S = 100_000
BLOCK = 20_000  # SYNs of one block
PAUSE_S = 2.0  # between packets of a session
LONGEST_S = 118.0  # of one flood in traffic time: past 120 s the active timeout would cut the sessions
FRAME = 54
SYN, ACK, SYN_ACK = 2, 16, 18
SESSION_NET, FLOOD_NET, SERVER = 0x0A000000, 0x60000000, 0xC0000201
WEB, GAME = 80, 7000  # ports: the flooded one, and that of the sessions
EPOCH_NS = 1_772_442_000 * 10**9
PAGE = 4096


@dataclass(frozen=True)
class Flood:
    """What came of a flood. memory: bytes resident after a tenth of it, and at its end."""

    syns: int
    survived: int  # sessions reported once, with all their packets
    evicted_sessions: int
    reported: int  # records with the reason "lack of resources"
    stats: MeterStats
    memory: tuple[int, int]
    cpu_s: float
    packets_per_session: int


def frames(source: Int64s, source_port: Int64s, target: Int64s, target_port: Int64s, flags: Int64s) -> Int64s:
    """(n, FRAME) bytes: Ethernet, IPv4 and TCP, headers only."""
    rows = np.zeros((len(source), FRAME), dtype=np.uint8)
    rows[:, 12], rows[:, 14], rows[:, 17], rows[:, 23], rows[:, 46] = 8, 0x45, 40, 6, 0x50
    for at, field, size in ((26, source, 4), (30, target, 4), (34, source_port, 2), (36, target_port, 2)):
        for byte in range(size):
            rows[:, at + byte] = (field >> (8 * (size - 1 - byte))) & 0xFF
    rows[:, 47] = flags
    return rows


def block(rows: Int64s, ts_ns: Int64s) -> PacketBlock:
    """Rows of bytes as packets."""
    count = len(rows)
    size = np.full(count, FRAME, dtype=np.int64)
    return PacketBlock(rows.reshape(-1), np.arange(count) * FRAME, size, size, ts_ns, np.ones(count, dtype=np.int64))


def session_packets(at_ns: int, flags: int, *, answer: bool = False) -> PacketBlock:
    """A packet of each session, 1 µs apart."""
    client, server = SESSION_NET + np.arange(SESSIONS), np.full(SESSIONS, SERVER)
    client_port, server_port = 1024 + np.arange(SESSIONS), np.full(SESSIONS, GAME)
    ends = (server, server_port, client, client_port) if answer else (client, client_port, server, server_port)
    return block(frames(*ends, np.full(SESSIONS, flags)), at_ns + np.arange(SESSIONS) * 1000)


def syns(first: int, count: int, at_ns: int, step_ns: int, *, answered: bool) -> PacketBlock:
    """SYNs from that many forged addresses, each answered by the server or not."""
    number = first + np.arange(count)
    source, port = FLOOD_NET + number // 7, 1024 + number % 50_000
    server, web = np.full(count, SERVER), np.full(count, WEB)
    rows = frames(source, port, server, web, np.full(count, SYN))
    times = at_ns + np.arange(count) * step_ns
    if not answered:
        return block(rows, times)
    answers = frames(server, web, source, port, np.full(count, SYN_ACK))
    return block(np.stack([rows, answers], axis=1).reshape(-1, FRAME), np.repeat(times, 2))


def flood(count: int, *, answered: bool = False, capacity: int = TABLE) -> Flood:
    """Establish sessions, then pour SYNs while each session sends a packet every few seconds."""
    meter = Meter(capacity)
    tally = Tally()
    step_ns = min(10**9 // SYNS_PER_S, int(LONGEST_S * 1e9) // count)
    for turn, flags in enumerate((SYN, SYN_ACK, ACK)):
        tally.take(meter.feed(session_packets(EPOCH_NS + turn * 10_000_000, flags, answer=turn == 1)))
    packets, now_ns, spoke_ns = 3, EPOCH_NS + 10**8, EPOCH_NS
    began, early = time.process_time(), 0
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        tally.take(meter.feed(syns(first, size, now_ns, step_ns, answered=answered)))
        now_ns += size * step_ns
        if now_ns - spoke_ns > PAUSE_S * 1e9:
            tally.take(meter.feed(session_packets(now_ns, ACK, answer=packets % 2 == 0)))
            now_ns, spoke_ns, packets = now_ns + SESSIONS * 1000, now_ns, packets + 1
        if not early and first * 10 >= count:
            early = resident()
    memory = early, resident()
    tally.take(meter.drain())
    cpu_s = time.process_time() - began
    return Flood(
        count, tally.whole(packets), tally.evicted_sessions, tally.evicted, meter.stats, memory, cpu_s, packets
    )


class Tally:
    """Counts records as they come and keeps none of them."""

    def __init__(self) -> None:
        self.evicted = self.evicted_sessions = 0
        self._packets = np.zeros(SESSIONS)  # in the final record of each session
        self._records = np.zeros(SESSIONS, dtype=np.int64)

    def take(self, batch: FlowBatch) -> None:
        """Count the records of a batch."""
        reason = batch.identity[:, END_REASON]
        evicted = reason == LACK_OF_RESOURCES
        session = batch.identity[:, DST_PORT] == GAME
        self.evicted += int(evicted.sum())
        self.evicted_sessions += int((evicted & session).sum())
        final = session & (reason != SNAPSHOT)
        number = batch.identity[final, SRC_LOW] - SESSION_NET
        np.add.at(self._records, number, 1)
        self._packets[number] = (batch.column("fwd_packets") + batch.column("bwd_packets"))[final]

    def whole(self, packets: int) -> int:
        """Sessions with one final record that holds all their packets."""
        return int(((self._records == 1) & (self._packets == packets)).sum())


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def main() -> None:
    """Run one flood and print what came of it."""
    parser = argparse.ArgumentParser(description="Flood the flow table with SYNs.")
    parser.add_argument("--syns", type=int, default=10_000_000)
    parser.add_argument("--answered", action="store_true", help="the server answers every SYN")
    options = parser.parse_args()
    flood(100_000)  # compiles, and touches the memory once
    result = flood(options.syns, answered=options.answered)
    print(f"{result.syns:,} SYNs{' and answers' if options.answered else ''} through {TABLE:,} flows")
    print(f"{result.survived:,} of {SESSIONS:,} sessions whole, with {result.packets_per_session} packets each")
    print(f"{result.stats.evicted:,} flows evicted, {result.reported:,} of them reported as such")
    early, late = (size / 1e6 for size in result.memory)
    print(f"resident: {early:.1f} MB after a tenth, {late:.1f} MB at the end")
    print(f"{result.cpu_s:.1f} s of CPU with making the packets")


if __name__ == "__main__":
    main()
