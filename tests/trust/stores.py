"""Claims about memory: whatever addresses, ports and fragments an attacker makes up, it stays what the settings say.

Flows from hosts without number go straight into episodes, context or the whole judge, as batches made with numpy: at
this level a million hosts take a minute, and the stores are the same. Fragments and SYNs are frames and go through the
meter. Resident memory is measured while each runs; what counts is how it goes over the second half, when all stores
are full.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_DETECTED,
    END_NS,
    END_REASON,
    IDENTITY_WIDTH,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORTED_NS,
    SEEN,
    SEEN_ACK,
    SEEN_FIN,
    SEEN_SYN,
    SEEN_SYN_BACK,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    FlowBatch,
)
from flows.columns import COLUMNS, INDEX
from flows.context.context import Context
from flows.meter import Meter
from models.fusion import ATTACK, BENIGN, Judgement
from sensor.alerts.alert import Alert
from sensor.episodes.episodes import Episodes
from sensor.judging.judge import Judge
from sensor.run.detection import in_parts
from tests.bench import bounded
from tests.support import episodes as made
from tests.trust.claim import Claim, Outcome

HOSTS_A_BATCH: Final = 250
FLOWS_A_BATCH: Final = 10 * HOSTS_A_BATCH
BATCH_NS: Final = 1_000_000_000  # of traffic time between the begins of two batches
CAPACITY: Final = 16_384  # hosts, as in the default settings, where there is time to fill all stores with as many
PEAK_MB: Final = 400.0  # that all stores of episodes together may come to, with the tables of hosts
SLOPE_MB: Final = 8.0  # that the second half may add
TCP, UDP = 6, 17
SYNS: Final = 6  # of a host, to as many ports: enough for an alert

Int64s = NDArray[np.int64]
Batches = Iterator[tuple[FlowBatch, Judgement]]


class Memory:
    """Resident memory of this process while something runs, from the moment on at which all kernels are compiled."""

    def __init__(self) -> None:
        trial, context = watched(64, 1), Context(64, 1)
        for batch, judgement in in_turn(scanners(8), guessers(8), questions(80), ipv6_scan(8), beats(26)):
            context.observe(batch)
            trial.observe(batch, batch.values, judgement)
        trial.finish()
        gc.collect()
        self._start = bounded.resident()
        self._sizes: list[int] = []

    def look(self) -> None:
        """Measure once more."""
        self._sizes.append(bounded.resident() - self._start)

    @property
    def peak_mb(self) -> float:
        """The most that it has grown by, MB."""
        return max(self._sizes) / 1e6

    @property
    def slope_mb(self) -> float:
        """Growth over the second half by the straight line nearest to it, MB."""
        half = np.array(self._sizes[len(self._sizes) // 2 :]) / 1e6
        return float(np.polyfit(np.linspace(0, 1, len(half)), half, 1)[0])

    def outcome(self, tries: int, found: list[str], peak_mb: float = PEAK_MB, more: str = "") -> Outcome:
        """Whether it stayed flat. found: what else was wrong. more: to be told beside."""
        if self.slope_mb > SLOPE_MB:
            found.append(f"memory grew by {self.slope_mb:.1f} MB in the second half, expected {SLOPE_MB:.0f} at most")
        if self.peak_mb > peak_mb:
            found.append(f"memory grew by {self.peak_mb:.0f} MB in all, expected {peak_mb:.0f} at most")
        return Outcome(tries, found, f"+{self.peak_mb:.0f} MB, second half {self.slope_mb:+.1f} MB{more}")


def flows_of(
    source: tuple[Int64s, Int64s], target: tuple[Int64s, Int64s], ports: tuple[Int64s, Int64s], times: Int64s,
    *, version: int = 4, protocol: int = TCP, talks: bool = False, known: bool = False,
) -> tuple[FlowBatch, Judgement]:  # fmt: skip
    """Flow records and what is said of them. source, target: high and low words of addresses, (n,) each.

    ports: of source and target. times: of the only packet of each, or of all of them, ns. talks: data is exchanged;
    else each is a SYN that is refused. known: the known lane flags them.
    """
    n = len(times)
    identity = np.zeros((n, IDENTITY_WIDTH), dtype=np.int64)
    identity[:, SRC_HIGH], identity[:, SRC_LOW] = source
    identity[:, DST_HIGH], identity[:, DST_LOW] = target
    identity[:, SRC_PORT], identity[:, DST_PORT] = ports
    identity[:, PROTOCOL], identity[:, IP_VERSION] = protocol, version
    identity[:, START_NS] = identity[:, END_NS] = identity[:, REPORTED_NS] = times
    identity[:, END_REASON], identity[:, NEW_PACKETS] = END_DETECTED, 2
    identity[:, SEEN] = (SEEN_SYN | (SEEN_SYN_BACK | SEEN_ACK | SEEN_FIN) * talks) * (protocol == TCP)
    values = np.zeros((n, len(COLUMNS)))
    values[:, INDEX["protocol"]] = protocol
    values[:, INDEX["fwd_packets"]] = values[:, INDEX["bwd_packets"]] = 1
    values[:, INDEX["syn_flag_count"]] = protocol == TCP
    if talks:
        values[:, INDEX["fwd_bytes"]] = values[:, INDEX["bwd_bytes"]] = 500
        values[:, INDEX["flow_duration"]] = 1000
    p_known = np.full(n, made.CUT / 9 if known else 1.0)
    verdict = np.full(n, ATTACK if known else BENIGN, dtype=np.int8)
    scores = {"lstm": 1 - p_known}
    labels = np.full(n, made.GUESSING, dtype=np.int64)
    said = Judgement(verdict, p_known, np.ones(n), scores, labels, np.ones(n, dtype=np.bool_))
    return FlowBatch(identity, values), said


def scanners(hosts: int) -> Batches:
    """Hosts one after the other, each with six refused SYNs to ports of a target of its own."""
    for first in range(0, hosts, HOSTS_A_BATCH):
        number, turn = each(first, min(HOSTS_A_BATCH, hosts - first), SYNS)
        yield flows_of(*apart(number), (40_000 + turn, 20 + turn), spread_over(len(number)))


def guessers(hosts: int) -> Batches:
    """Hosts one after the other, each with six sessions with a log-on service of its own that the known lane flags."""
    for first in range(0, hosts, HOSTS_A_BATCH):
        number, turn = each(first, min(HOSTS_A_BATCH, hosts - first), SYNS)
        ports = 40_000 + turn, np.full_like(turn, 22)
        yield flows_of(*apart(number + (1 << 24)), ports, spread_over(len(number)), talks=True, known=True)


def ipv6_scan(flows: int) -> Batches:
    """A /64 asked through by another /64: each flow to an address that was never seen, every other one from such."""
    rng = np.random.Generator(np.random.PCG64(6))
    for first in range(0, flows, FLOWS_A_BATCH):
        n = min(FLOWS_A_BATCH, flows - first)
        net, low = np.full(n, 0x20010DB8_00000001), rng.integers(1, 1 << 62, (2, n), dtype=np.int64)
        source = np.where(np.arange(n) % 2, low[0], 7)
        ports = np.full(n, 40_000), np.full(n, 22)
        yield flows_of((net, source), (net + 1, low[1]), ports, spread_over(n), version=6)


def questions(flows: int) -> Batches:
    """Questions for names without number, of hosts without number to as many resolvers, ten of each."""
    for first in range(0, flows, FLOWS_A_BATCH):
        number, turn = each(first // 10, min(FLOWS_A_BATCH, flows - first) // 10, 10)
        ports = 1024 + turn, np.full_like(turn, 53)
        yield flows_of(*apart(number + (2 << 24)), ports, spread_over(len(number)), protocol=UDP, talks=True)


def beats(flows: int) -> Batches:
    """Connections of hosts without number in a beat, 26 of each, a batch a beat."""
    for group in range(0, flows, 26 * HOSTS_A_BATCH):
        number = group // 26 + np.arange(HOSTS_A_BATCH)
        for beat in range(26):
            ports = np.full_like(number, 1024 + beat), np.full_like(number, 443)
            yield flows_of(*apart(number + (3 << 24)), ports, spread_over(len(number)), talks=True)


def each(first: int, hosts: int, flows: int) -> tuple[Int64s, Int64s]:
    """Number of its host, and of itself among the host's, of each flow of so many hosts."""
    return np.repeat(first + np.arange(hosts), flows), np.tile(np.arange(flows), hosts)


def apart(number: Int64s) -> tuple[tuple[Int64s, Int64s], tuple[Int64s, Int64s]]:
    """Source and target of each host, that no other has: high and low words of IPv4 addresses."""
    zero = np.zeros_like(number)
    return (zero, 0x0A000000 + number), (zero, 0x60000000 + number)


def spread_over(flows: int) -> Int64s:
    """Times of the flows of a batch from its begin, ns."""
    return np.arange(flows) * (BATCH_NS // (2 * flows))


def in_turn(*kinds: Batches) -> Batches:
    """A batch of each kind after the other, as long as there are any, BATCH_NS apart in traffic time."""
    begin_ns, left = made.T0, list(kinds)
    while left:
        for kind in list(left):
            found = next(kind, None)
            if found is None:
                left.remove(kind)
                continue
            found[0].identity[:, [START_NS, END_NS, REPORTED_NS]] += begin_ns
            begin_ns += BATCH_NS
            yield found


def watched(capacity: int, alerts_per_minute: int | None) -> Episodes:
    """Episodes with the settings that bound them."""
    return made.episodes(seed=1, capacity_hosts=capacity, alerts_per_minute=alerts_per_minute)


def through(episodes: Episodes, batches: Batches, memory: Memory) -> int:
    """Feed episodes and keep nothing that they tell; how many flows."""
    flows = 0
    for batch, judgement in batches:
        episodes.observe(batch, batch.values, judgement)
        flows += len(batch)
        memory.look()
    return flows


def held(episodes: Episodes, capacity: int) -> list[str]:
    """What is beyond the bounds of the settings."""
    counts = {name: getattr(episodes.held, name) for name in ("waiting", "alone", "merged")}
    return [f"{count:,} episodes {name}, expected {capacity:,}" for name, count in counts.items() if count > capacity]


def capacity_for(hosts: int) -> int:
    """Hosts that stores have room for, so that all are full long before the second half."""
    return min(CAPACITY, hosts // 32)


def storm(hosts: int) -> Outcome:
    """Hosts that each are worth an alert, merged into storms of scans and of guesses."""
    capacity = capacity_for(hosts)
    episodes, memory = watched(capacity, 120), Memory()
    through(episodes, in_turn(scanners(hosts // 2), guessers(hosts // 2)), memory)
    found = held(episodes, capacity)
    episodes.finish()
    if not episodes.merged:
        found.append("no host was folded into a storm")
    if len(episodes.held):
        found.append(f"{len(episodes.held)} episodes after the end, expected none")
    return memory.outcome(hosts, found, more=f", room for {capacity:,}, {episodes.merged:,} hosts in storms")


def told_one_by_one(hosts: int) -> Outcome:
    """The same without a budget of alerts: each host has an alert of its own."""
    capacity = capacity_for(hosts)
    episodes, memory, told = watched(capacity, None), Memory(), Counter[str]()
    for batch, judgement in in_turn(guessers(hosts)):
        told.update(item.action for item in episodes.observe(batch, batch.values, judgement) if isinstance(item, Alert))
        memory.look()
    found = held(episodes, capacity)
    early = episodes.evicted["open episodes"]
    told.update(item.action for item in episodes.finish() if isinstance(item, Alert))
    if not early or not told["opened"] == told["closed"] == hosts:
        found.append(f"{told['opened']:,} alerts opened and {told['closed']:,} closed, expected {hosts:,} each")
    return memory.outcome(hosts, found, more=f", room for {capacity:,}, {early:,} alerts closed early")


def many_kinds(flows: int) -> Outcome:
    """A /64 asked through, questions for names, beats: hosts, pairs and services without number."""
    capacity, part = capacity_for(flows // 40), flows // 3
    episodes, context, memory = watched(capacity, 120), Context(capacity, 1), Memory()
    tried = 0
    for batch, judgement in in_turn(ipv6_scan(part), questions(part), beats(part)):
        context.observe(batch)
        episodes.observe(batch, batch.values, judgement)
        tried += len(batch)
        memory.look()
    gave_way = sum(episodes.evicted.values()) + context.evicted
    return memory.outcome(tried, held(episodes, capacity), more=f", room for {capacity:,}, {gave_way:,} rows gave way")


def whole_judge(flows: int) -> Outcome:
    """All of it through the shipped bundle: its forests, its network, context, episodes."""
    judge, memory = shipped_judge(), Memory()
    part, tried = flows // 5, 0
    kinds = scanners(part // SYNS), guessers(part // SYNS), ipv6_scan(part), questions(part), beats(part)
    for batch, _ in in_turn(*kinds):
        for records in in_parts(batch):
            judge.judge(records)
        tried += len(batch)
        memory.look()
    rate = tried / (judge.spent_ns / 1e9)
    return memory.outcome(tried, held(judge.episodes, CAPACITY), 2 * PEAK_MB, f", {rate:,.0f} flows a second")


def shipped_judge() -> Judge:
    """A judge with the shipped bundle and the default settings."""
    from sensor.cli.build import build_judge, load_model
    from sensor.settings.config import Config

    return build_judge(Config(), load_model(Config()))


def syns(count: int) -> Outcome:
    """SYNs from forged addresses, as frames through a small table, while a thousand sessions go on.

    The table is full after a tenth of them at the latest.
    """
    capacity = min(bounded.TABLE, count // 10)
    bounded.flood(2 * capacity, capacity=capacity)  # compiles, and touches the memory once
    result = bounded.flood(count, capacity=capacity)
    early, late = (size / 1e6 for size in result.memory)
    found = []
    if result.survived != bounded.SESSIONS:
        found.append(f"{result.survived:,} of {bounded.SESSIONS:,} sessions whole")
    if late - early > SLOPE_MB:
        found.append(f"memory grew by {late - early:.1f} MB after the first tenth, expected {SLOPE_MB:.0f} at most")
    figure = f"{late - early:+.1f} MB after the first tenth, {result.survived:,} sessions whole"
    return Outcome(count, found, f"{figure}, {result.stats.evicted:,} flows evicted")


def fragments(count: int) -> Outcome:
    """First fragments, each of a datagram of its own that never comes whole."""
    meter = Meter(min(bounded.TABLE, count // 10))
    meter.feed(bounded.block(fragment_frames(np.arange(9)), bounded.EPOCH_NS - np.arange(9, 0, -1)))  # compiles
    memory, packets, size = Memory(), 9, min(bounded.BLOCK, count // 50)
    for first in range(0, count, size):
        number = first + np.arange(min(size, count - first))
        frames = fragment_frames(number)
        meter.feed(bounded.block(frames, bounded.EPOCH_NS + number * 10_000))
        packets += len(number)
        memory.look()
    stats = meter.stats
    found = [] if stats.metered == packets else [f"{stats.metered:,} of {packets:,} fragments metered"]
    return memory.outcome(packets, found, more=f", {stats.evicted:,} flows evicted")


def fragment_frames(number: Int64s) -> Int64s:
    """(n, FRAME) bytes: first fragments of UDP, all with other addresses and identifications."""
    ports = np.full(len(number), 9)
    frames = bounded.frames(bounded.FLOOD_NET + number // 7, ports, 0x0B000000 + number, ports, ports)
    frames[:, 18], frames[:, 19] = number >> 8 & 0xFF, number & 0xFF
    frames[:, 20], frames[:, 23] = 0x20, UDP  # more fragments follow
    frames[:, 38], frames[:, 39] = 5, 0xC8  # length of the datagram: 1480
    return frames


def scaled(run: Callable[[int], Outcome], tries: int) -> Callable[[float], Outcome]:
    """A claim's run of so many tries."""
    return lambda scale: run(round(tries * scale))


_FLAT: Final = f"the second half adds {SLOPE_MB:.0f} MB at most"
CLAIMS: Final = (
    Claim(
        "storm-memory",
        f"Hosts that each are worth an alert, however many, are folded into storms in bounded memory: {_FLAT}.",
        "hosts",
        scaled(storm, 150_000),
        minutes=1.0,
    ),
    Claim(
        "alert-memory",
        "Without a budget of alerts the open ones are as many as episodes.capacity_hosts, and each that gives way has "
        "its last line.",
        "hosts",
        scaled(told_one_by_one, 60_000),
        minutes=0.7,
    ),
    Claim(
        "scan-memory",
        f"A /64 asked through, questions for names and beats of hosts without number take bounded memory: {_FLAT}.",
        "flows",
        scaled(many_kinds, 900_000),
        minutes=0.7,
    ),
    Claim(
        "table-memory",
        "SYNs from forged addresses take no more than the flow table, and sessions of before stay whole.",
        "SYNs",
        scaled(syns, 2_000_000),
        minutes=0.3,
    ),
    Claim(
        "fragment-memory",
        f"First fragments of datagrams that never come whole take bounded memory: {_FLAT}.",
        "fragments",
        scaled(fragments, 2_000_000),
        minutes=0.3,
    ),
    Claim(
        "storm-memory-long",
        f"Five million hosts with six SYNs or six guesses each: {_FLAT}.",
        "hosts",
        scaled(storm, 5_000_000),
        minutes=25,
        long=True,
    ),
    Claim(
        "table-memory-long",
        "Ten million flows through a table of 65,536: memory as after the first million, sessions of before whole.",
        "SYNs",
        scaled(syns, 10_000_000),
        minutes=2,
        long=True,
    ),
    Claim(
        "judge-memory-long",
        f"Ten million flows of scans, a /64, names and beats through the whole judge with the shipped bundle: {_FLAT}.",
        "flows",
        scaled(whole_judge, 10_000_000),
        minutes=40,
        long=True,
    ),
)
