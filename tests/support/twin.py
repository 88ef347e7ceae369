"""The meter once more, obvious and slow: the oracle of its tests.

Written from the specification of the CIC columns and from what flows/ promises in words. A flow is the list of its
packets, numbers are computed from that list with the standard library when a record is due, and what falls due with
time stands in one sorted list. It shares no code with flows/, only the names of columns and of identity fields.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from flows import batch

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
MICROSECOND = 1000
SECOND = 1_000_000  # µs
TICK = SECOND // 4  # how finely time is looked at
HORIZON = 1022  # ticks; what is due later is looked at by then

FIRST_SEEN, ESTABLISHED = range(2)


@dataclass(frozen=True)
class Packet:
    """What the headers of one packet say. Endpoints are (address as int, port); vlan: tags, outer first."""

    version: int
    protocol: int
    source: tuple[int, int]
    target: tuple[int, int]
    payload: int = 0
    header: int = 0
    flags: int = 0
    window: int | None = None  # None where there is no TCP
    icmp: tuple[int, int] | None = None  # type, code
    vlan: tuple[int, ...] = ()
    message: int = 0  # bytes of an ICMP message, its header included
    sequence: int = 0  # TCP's, and the number that it acknowledges
    acknowledged: int = 0

    @property
    def key(self):
        return self.version, self.protocol, frozenset([self.source, self.target]), self.vlan

    def has(self, flag):
        return bool(self.flags & flag)


@dataclass
class Seen:
    """A packet in a flow, at its time in the meter's clock."""

    packet: Packet
    time_ns: int
    forward: bool
    stamp_ns: int

    @property
    def time(self):
        return self.time_ns // MICROSECOND


@dataclass
class Flow:
    originator: tuple[int, int]
    responder: tuple[int, int]
    connection_start: int | None  # where an active timeout cut the connection before
    next_snapshot: int
    seen: list = field(default_factory=list)
    syn_before: frozenset = frozenset()  # directions whose SYN an active timeout cut off
    seen_before: tuple = ()  # packets that active timeouts cut off
    closed_at: int | None = None
    reports: int = 0
    reported_packets: int = 0

    @property
    def start(self):
        return self.seen[0].time

    @property
    def last(self):
        return self.seen[-1].time

    @property
    def syn_seen(self):
        return self.syn_before | {seen.forward for seen in self.seen if seen.packet.has(SYN)}

    def initial_sequence(self, forward):
        """Number with which a direction of the connection began, None where nothing tells."""
        for seen in (*self.seen_before, *self.seen):
            packet = seen.packet
            if packet.window is None or packet.has(RST):
                continue
            if seen.forward == forward:
                return packet.sequence if packet.has(SYN) else (packet.sequence - 1) % 2**32
            if packet.has(SYN) and packet.has(ACK):
                return (packet.acknowledged - 1) % 2**32
        return None

    @property
    def established(self):
        """Whether the originator spoke again after an answer."""
        directions = [seen.forward for seen in self.seen]
        return False in directions and True in directions[directions.index(False) :]


class Clock:
    """Packet time that never runs backwards and does not believe a lone far-future stamp."""

    DAY = 86_400 * 10**9
    HOUR = 3600 * 10**9  # the longest step of a clock that was set back
    LATEST = 2**62 - 1
    MINUTE = 60 * 10**9
    PATIENCE = 32  # packets

    def __init__(self):
        self.now = None
        self.offset = 0
        self.far_future = None
        self.behind = 0
        self.late = self.jumps = 0

    def read(self, ts_ns):
        stamp = min(max(ts_ns, 0), self.LATEST)
        if self.now is None:
            self.now = stamp
            return self.now
        ahead = stamp + self.offset - self.now
        if ahead < 0:
            self.late += 1
            self.behind = self.behind + 1 if -ahead > self.MINUTE else 0
            if self.behind == self.PATIENCE:
                self.offset, self.behind = self.now - stamp, 0
                self.jumps += 1
        elif ahead > self.DAY and (self.far_future is None or abs(stamp - self.far_future) > self.DAY):
            self.far_future = stamp
        else:
            self.jumps += ahead > self.DAY
            if self.offset and ahead > self.HOUR:
                ahead = max(stamp - self.now, self.HOUR)
            self.now += ahead
            self.offset = self.now - stamp
            self.far_future, self.behind = None, 0
        return self.now


@dataclass
class Settings:
    """Times in µs."""

    capacity: int
    idle_timeout: int
    active_timeout: int
    closed_linger: int
    first_snapshot: int
    snapshot_interval: int


class Twin:
    """Packets in, (identity, values) dictionaries out."""

    def __init__(self, settings):
        self.settings = settings
        self.clock = Clock()
        self.flows = {}  # by key
        self.queues = ([], [])  # keys in the order flows were first seen, and went on after an answer
        self.alarms = []  # (tick, order, key): when a flow is looked at
        self.orders = 0
        self.tick = 0  # all before it is over
        self.draining = False
        self.evicted = 0
        self.undecoded = 0
        self.records = []
        self.reported_ns = 0

    def feed(self, packet, ts_ns):
        """Meter a packet."""
        time_ns = self.clock.read(ts_ns)
        time = time_ns // MICROSECOND
        self.play(time)
        self.reported_ns = max(self.reported_ns, time_ns)
        flow, reason = self.flows.get(packet.key), None
        originator, connection_start, syn_before, seen_before = None, None, frozenset(), ()
        if flow:
            reason = self.end_reason(flow, time, packet)
            if reason is not None:
                if reason == batch.ACTIVE_TIMEOUT:
                    originator, syn_before = flow.originator, flow.syn_seen
                    seen_before = (*flow.seen_before, *flow.seen)
                    connection_start = flow.start if flow.connection_start is None else flow.connection_start
                self.end(packet.key, reason)
        if packet.key not in self.flows:
            if len(self.flows) == self.settings.capacity:
                self.evicted += 1
                self.end((self.queues[FIRST_SEEN] or self.queues[ESTABLISHED])[0], batch.LACK_OF_RESOURCES)
            self.begin(packet, time, originator, connection_start, syn_before)
            self.flows[packet.key].seen_before = seen_before
        self.count(packet, time_ns, min(max(ts_ns, 0), Clock.LATEST))

    def skip(self, ts_ns):
        """A packet without a flow: only its time counts."""
        self.play(self.clock.read(ts_ns) // MICROSECOND)
        self.undecoded += 1

    def advance(self, now_ns):
        """Let time pass without packets."""
        if self.clock.now is not None:
            self.play((now_ns + self.clock.offset) // MICROSECOND)

    def drain(self):
        """Let time pass until no flow is left."""
        self.draining = True
        while self.flows:
            self.play((self.tick + HORIZON + 2) * TICK)
        self.draining = False

    def end_reason(self, flow, time, packet):
        """Why a packet of this time no longer belongs to the flow of its key; None where it does."""
        if flow.closed_at is not None:
            forward = packet.source == flow.originator
            own = packet.sequence == flow.initial_sequence(forward) and forward not in flow.syn_seen
            anew = packet.has(SYN) and (packet.has(ACK) or not own)
            over = anew or time > flow.closed_at + self.settings.closed_linger
            return batch.END_DETECTED if over else None
        if time > flow.last + self.settings.idle_timeout:
            return batch.IDLE_TIMEOUT
        if packet.has(SYN) and not packet.has(ACK):
            initial = flow.initial_sequence(packet.source == flow.originator)
            if initial not in (None, packet.sequence):
                return batch.END_DETECTED
        if time > flow.start + self.settings.active_timeout:
            return batch.ACTIVE_TIMEOUT
        return None

    def begin(self, packet, time, originator, connection_start, syn_before):
        ends = [packet.source, packet.target]
        if packet.has(SYN) and packet.has(ACK):
            ends.reverse()
        if originator is not None and ends[0] != originator:
            ends.reverse()
        snapshot = time + self.settings.first_snapshot
        self.flows[packet.key] = Flow(*ends, connection_start, snapshot, syn_before=syn_before)
        self.queues[FIRST_SEEN].append(packet.key)
        self.look_at(packet.key, min(snapshot, time + self.settings.idle_timeout))

    def count(self, packet, time_ns, stamp_ns):
        flow = self.flows[packet.key]
        established = flow.established
        fin_both_ways = {seen.forward for seen in flow.seen if seen.packet.has(FIN)} == {True, False}
        flow.seen.append(Seen(packet, time_ns, packet.source == flow.originator, stamp_ns))
        if flow.established and not established:
            self.queues[FIRST_SEEN].remove(packet.key)
            self.queues[ESTABLISHED].append(packet.key)
        if flow.closed_at is None and (packet.has(RST) or (packet.has(ACK) and fin_both_ways)):
            flow.closed_at = flow.next_snapshot = time_ns // MICROSECOND
            self.look_at(packet.key, min(self.silent_end(flow), flow.next_snapshot))

    def end(self, key, reason):
        flow = self.flows.pop(key)
        self.queues[ESTABLISHED if flow.established else FIRST_SEEN].remove(key)
        self.alarms = [alarm for alarm in self.alarms if alarm[2] != key]
        self.report(flow, reason)

    def silent_end(self, flow):
        """Last moment of a flow to which nothing more comes."""
        if flow.closed_at is not None:
            return flow.closed_at + self.settings.closed_linger
        return flow.last + self.settings.idle_timeout

    def look_at(self, key, due):
        """Set a flow's one alarm; alarms of one tick ring in the order they were set."""
        self.alarms = [alarm for alarm in self.alarms if alarm[2] != key]
        tick = min(max(due // TICK, self.tick), self.tick + HORIZON)
        self.orders += 1
        self.alarms.append((tick, self.orders, key))

    def play(self, until):
        """Let every tick that is over by `until` ring its alarms."""
        while self.alarms and min(self.alarms)[0] < until // TICK:
            tick, _, key = min(self.alarms)
            self.tick = tick + 1
            self.reported_ns = max(self.reported_ns, (tick + 1) * TICK * MICROSECOND)
            self.ring(key, (tick + 1) * TICK)
        self.tick = max(self.tick, until // TICK)

    def ring(self, key, now):
        flow = self.flows[key]
        if self.silent_end(flow) < now:
            silence = batch.FORCED_END if self.draining else batch.IDLE_TIMEOUT
            self.end(key, silence if flow.closed_at is None else batch.END_DETECTED)
            return
        if flow.next_snapshot < now:
            if len(flow.seen) > flow.reported_packets:
                self.report(flow, batch.SNAPSHOT)
            while flow.next_snapshot < now:
                flow.next_snapshot += self.settings.snapshot_interval
        self.look_at(key, min(self.silent_end(flow), flow.next_snapshot))

    def report(self, flow, reason):
        identity = identity_of(flow, reason)
        identity[batch.REPORTED_NS] = self.reported_ns
        self.records.append((identity, values_of(flow)))
        flow.reports += 1
        flow.reported_packets = len(flow.seen)


def words(address):
    """High and low 64 bits of an address as two's complement."""
    return [part - (1 << 64) if part >> 63 else part for part in ((address >> 64) & (2**64 - 1), address & (2**64 - 1))]


def identity_of(flow, reason):
    opening = flow.seen[0].packet
    identity = dict.fromkeys(range(batch.IDENTITY_WIDTH), 0)
    identity[batch.SRC_HIGH], identity[batch.SRC_LOW] = words(flow.originator[0])
    identity[batch.DST_HIGH], identity[batch.DST_LOW] = words(flow.responder[0])
    identity[batch.SRC_PORT], identity[batch.DST_PORT] = flow.originator[1], flow.responder[1]
    identity[batch.PROTOCOL], identity[batch.IP_VERSION] = opening.protocol, opening.version
    for tag in opening.vlan[:2]:
        identity[batch.VLAN] = identity[batch.VLAN] * 4096 + tag
    stamps = [seen.stamp_ns for seen in flow.seen]
    identity[batch.START_NS], identity[batch.END_NS] = min(stamps), max(stamps)
    identity[batch.START_SHIFT_NS] = flow.seen[0].time_ns - min(stamps)
    identity[batch.END_SHIFT_NS] = flow.seen[-1].time_ns - max(stamps)
    identity[batch.END_REASON], identity[batch.REPORT] = reason, flow.reports
    identity[batch.NEW_PACKETS] = len(flow.seen) - flow.reported_packets
    identity[batch.SEEN] = seen_of(flow)
    return identity


def seen_of(flow):
    """What no column tells, as flows.batch writes it."""
    sent = {(flag, seen.forward) for seen in flow.seen for flag in (ACK, FIN, RST) if seen.packet.has(flag)}
    sent |= {(SYN, forward) for forward in flow.syn_seen}
    flags = {
        batch.SEEN_SYN: (SYN, True),
        batch.SEEN_SYN_BACK: (SYN, False),
        batch.SEEN_ACK: (ACK, True),
        batch.SEEN_FIN: (FIN, True),
        batch.SEEN_FIN_BACK: (FIN, False),
        batch.SEEN_RST: (RST, True),
        batch.SEEN_RST_BACK: (RST, False),
    }
    return sum(bit for bit, what in flags.items() if what in sent) + (flow.seen[0].packet.message << 24)


def gaps_of(times):
    return [later - earlier for earlier, later in pairwise(times)]


def summary(numbers):
    """Mean, sample standard deviation, largest and smallest; 0 each of nothing."""
    if not numbers:
        return {"mean": 0, "std": 0, "max": 0, "min": 0}
    mean = Fraction(sum(numbers), len(numbers))
    squares = sum((len(numbers) * number - sum(numbers)) ** 2 for number in numbers)
    spread = Fraction(squares, len(numbers) ** 2 * (len(numbers) - 1)) if len(numbers) > 1 else 0
    return {
        "mean": mean,
        "std": math.sqrt(spread),
        "max": max(numbers),
        "min": min(numbers),
    }


def bulks_of(seen, forward):
    """Bulks of one direction, each a list of its packets: four or more data packets, at most 1 s from one to the next.

    Data of the other direction after the run began interrupts it.
    """
    runs, answered_at = [], None
    for each in seen:
        if not each.packet.payload:
            continue
        if each.forward != forward:
            answered_at = each.time
            continue
        interrupted = runs and answered_at is not None and answered_at > runs[-1][0].time
        if not runs or interrupted or each.time - runs[-1][-1].time > SECOND:
            runs.append([])
        runs[-1].append(each)
    return [run for run in runs if len(run) >= 4]


def activity_of(times):
    """Periods of activity that a gap over 5 s closed, those without length left out, and the gaps."""
    active, idle, since = [], [], times[0]
    for earlier, later in pairwise(times):
        if later - earlier > 5 * SECOND:
            active += [earlier - since] if earlier > since else []
            idle.append(later - earlier)
            since = later
    return active, idle


def over(a, b):
    return Fraction(a) / b if b else 0


def direction_values(seen, name, duration):
    """Columns of the packets of one direction."""
    packets = [each.packet for each in seen]
    payloads = [packet.payload for packet in packets]
    times = [each.time for each in seen]
    windows = [packet.window for packet in packets if packet.window is not None]
    lengths = summary(payloads)
    values = {
        f"{name}_packets": len(packets),
        f"{name}_bytes": sum(payloads),
        f"{name}_segment_size_avg": lengths["mean"],
        f"{name}_packets_per_s": over(len(packets), over(duration, SECOND)),
        f"{name}_header_length": sum(packet.header for packet in packets),
        f"{name}_seg_size_min": min((packet.header for packet in packets), default=0),
        f"{name}_init_win_bytes": windows[0] if windows else -1,
        f"{name}_act_data_packets": sum(payload > 0 for payload in payloads),
        f"{name}_iat_total": sum(gaps_of(times)),
    }
    values |= {f"{name}_packet_length_{part}": number for part, number in lengths.items()}
    values |= {f"{name}_iat_{part}": number for part, number in summary(gaps_of(times)).items()}
    for flag, label in ((PSH, "psh"), (URG, "urg"), (RST, "rst")):
        values[f"{name}_{label}_flags"] = sum(packet.has(flag) for packet in packets)
    return values


def bulk_values(seen, name, forward):
    bulks = bulks_of(seen, forward)
    payload = sum(each.packet.payload for bulk in bulks for each in bulk)
    return {
        f"{name}_bulk_bytes_avg": over(payload, len(bulks)),
        f"{name}_bulk_packets_avg": over(sum(map(len, bulks)), len(bulks)),
        f"{name}_bulk_rate_avg": over(payload, over(sum(bulk[-1].time - bulk[0].time for bulk in bulks), SECOND)),
    }


def values_of(flow):
    """Every column by name."""
    seen = flow.seen
    packets = [each.packet for each in seen]
    times = [each.time for each in seen]
    payloads = [packet.payload for packet in packets]
    duration = times[-1] - times[0]
    sides = {"fwd": [each for each in seen if each.forward], "bwd": [each for each in seen if not each.forward]}
    subflows = 1 + sum(gap > SECOND for gap in gaps_of(times))
    lengths = summary(payloads)
    connection_start = times[0] if flow.connection_start is None else flow.connection_start
    values = {
        "protocol": packets[0].protocol,
        "flow_duration": duration,
        "flow_bytes_per_s": over(sum(payloads), over(duration, SECOND)),
        "flow_packets_per_s": over(len(packets), over(duration, SECOND)),
        "down_up_ratio": over(len(sides["bwd"]), len(sides["fwd"])),
        "packet_length_variance": Fraction(lengths["std"]) ** 2,
        "average_packet_size": lengths["mean"],
        "icmp_type": packets[0].icmp[0] if packets[0].icmp else -1,
        "icmp_code": packets[0].icmp[1] if packets[0].icmp else -1,
        "connection_duration": times[-1] - connection_start,
        "bwd_last_win_bytes": next(
            (each.packet.window for each in reversed(sides["bwd"]) if each.packet.window is not None), -1
        ),
    }
    values |= {f"packet_length_{part}": number for part, number in lengths.items()}
    values |= {f"flow_iat_{part}": number for part, number in summary(gaps_of(times)).items()}
    active, idle = activity_of(times)
    values |= {f"active_{part}": number for part, number in summary(active).items()}
    values |= {f"idle_{part}": number for part, number in summary(idle).items()}
    for flag, label in zip(
        (FIN, SYN, RST, PSH, ACK, URG, CWR, ECE), ["fin", "syn", "rst", "psh", "ack", "urg", "cwr", "ece"], strict=True
    ):
        values[f"{label}_flag_count"] = sum(packet.has(flag) for packet in packets)
    for name, side in sides.items():
        values |= direction_values(side, name, duration)
        values |= bulk_values(seen, name, name == "fwd")
        values[f"subflow_{name}_packets"] = over(len(side), subflows)
        values[f"subflow_{name}_bytes"] = over(sum(each.packet.payload for each in side), subflows)
    return {name: float(number) for name, number in values.items()}
