"""What hosts do in a stretch of time once more, obvious and slow: the oracle of the tests of sensor.episodes.behaviour.

A count is the list of what was counted and when; it is added up anew, each at its weight, whenever it is looked at. All
is kept, in dictionaries without bound. Of the sensor's path it knows the roles, which have tests of their own, the
thresholds and the names of columns. Where two numbers that are compared lie so near to each other that rounding
decides, it says so, as no order of adding up is the right one.
"""

import math
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import pairwise
from typing import NamedTuple

from flows import batch as words
from flows.batch import FlowBatch
from flows.columns import INDEX
from flows.roles import ANSWER, FAILED, ICMP, ICMP6, SCTP, TALK, TCP, UDP, UNJUDGED, is_private, to_one_host
from kernels.hosts import HALF, MULTIPLIER_1, MULTIPLIER_2
from sensor.episodes import shapes
from sensor.episodes.unopened import act_of

SECOND, MINUTE, DAY = 1.0, 60.0, 86400.0
WINDOW = 10 * SECOND
TOLD = 0.3
BITS = 64
MASK = (1 << 64) - 1
ENDED = words.SEEN_FIN | words.SEEN_FIN_BACK | words.SEEN_RST | words.SEEN_RST_BACK
PRIVATE = [
    ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"),
        *("fc00::/7", "fe80::/10", "::/16"),
    )
]


class TooNearError(Exception):
    """Rounding decides a comparison."""


class Claim(NamedTuple):
    """A flow is part of something."""

    index: int
    kind: int
    subject: Hashable
    level: float
    before: float = -1.0


def reaches(value: float, threshold: float) -> bool:
    """Whether a number is as large as another one."""
    whole = float(value).is_integer() and float(threshold).is_integer()  # nothing has faded
    if not whole and abs(value - threshold) <= 1e-9 * max(abs(value), abs(threshold)):
        raise TooNearError
    return value >= threshold


@dataclass
class Count:
    """What was counted, with when."""

    memory: float
    events: list[tuple[float, float]] = field(default_factory=list)

    def add(self, now: float, amount: float = 1.0) -> None:
        self.events.append((now, amount))

    def at(self, now: float) -> float:
        return math.fsum(amount * math.exp((then - now) / self.memory) for then, amount in self.events)


@dataclass
class Sources:
    """Distinct sources in a window, by the bits that their addresses fall on: linear counting."""

    window: float
    began: float = 0.0
    bits: set[int] = field(default_factory=set)
    before: int = 0

    def see(self, now: float, high: int, low: int) -> None:
        if reaches(now - self.began, self.window):
            self.before = 0 if reaches(now - self.began, 2 * self.window) else len(self.bits)
            self.began, self.bits = now, set()
        self.bits.add(mixed((mixed(high & MASK) + (low & MASK)) & MASK) % BITS)

    @property
    def number(self) -> float:
        share = max(len(self.bits), self.before) / BITS
        return -BITS * math.log(max(1 - share, 1 / BITS))


def mixed(word: int) -> int:
    """kernels.hosts.mixed of a number of 64 bits."""
    for multiplier in (MULTIPLIER_1, MULTIPLIER_2):
        word = (word ^ word >> int(HALF)) * int(multiplier) & MASK
    return word ^ word >> int(HALF)


@dataclass
class Load:
    """What came, in windows of thirty seconds; this one and the last are told apart from the ten minutes before."""

    since: float | None = None
    this: list[float] = field(default_factory=lambda: [0.0, 0.0])  # its begin and what came
    last: list[float] = field(default_factory=lambda: [0.0, 0.0])
    before: Count = field(default_factory=lambda: Count(10 * MINUTE))

    def add(self, now: float, amount: float) -> None:
        if self.since is None:
            self.since, self.this, self.last = now, [now, 0.0], [now, 0.0]
        seconds = now - self.this[0]
        if reaches(seconds, 30 * SECOND):
            self.before.add(now, self.last[1])
            self.last = self.this
            if reaches(seconds, 60 * SECOND):
                self.before.add(now, self.last[1])
                self.last = [now, 0.0]
            self.this = [now, 0.0]
        self.this[1] += amount

    @property
    def rate_before(self) -> float:
        """Each second; −1 where not a minute of it was in view."""
        assert self.since is not None
        seconds = self.last[0] - self.since
        if not reaches(seconds, MINUTE):
            return -1.0
        return self.before.at(self.this[0]) / (10 * MINUTE * (1 - math.exp(-seconds / (10 * MINUTE))))


@dataclass
class Tried:
    """Services that were tried for the first time, of some kind."""

    failed: Count = field(default_factory=lambda: Count(10 * MINUTE))
    opened: Count = field(default_factory=lambda: Count(10 * MINUTE))
    failed_day: Count = field(default_factory=lambda: Count(DAY))
    opened_day: Count = field(default_factory=lambda: Count(DAY))

    def add(self, now: float, failed: bool) -> None:
        for count in (self.failed, self.failed_day) if failed else (self.opened, self.opened_day):
            count.add(now)

    def level(self, now: float, soon: float, a_day: float) -> float:
        level = 0.0
        for failed, opened, share, enough in (
            (self.failed.at(now), self.opened.at(now), shapes.MOSTLY, soon),
            (self.failed_day.at(now), self.opened_day.at(now), shapes.NEVER, a_day),
        ):
            if reaches(failed, share * (failed + opened)):
                level = max(level, failed / enough)
        return level


@dataclass
class Daily:
    """Pairs of a source that are of some kind, by the day."""

    of: dict[int, set[Hashable]] = field(default_factory=lambda: defaultdict(set))

    def most(self, day: int) -> int:
        return max(len(self.of[day]), len(self.of[day - 1]))


@dataclass
class Host:
    """A host."""

    hits: Count = field(default_factory=lambda: Count(WINDOW))
    talk: Count = field(default_factory=lambda: Count(WINDOW))
    answers: Count = field(default_factory=lambda: Count(WINDOW))
    sources: Sources = field(default_factory=lambda: Sources(WINDOW))
    regular: Daily = field(default_factory=Daily)
    kept: Daily = field(default_factory=Daily)
    day: list[float] = field(default_factory=list)  # begins of its days so far
    load: Load = field(default_factory=Load)

    def today(self, now: float) -> int:
        """Number of the present day; a new one begins where the last one is over."""
        if not self.day or reaches(now - self.day[-1], DAY):
            missed = bool(self.day) and reaches(now - self.day[-1], 2 * DAY)
            self.day += [now, now] if missed else [now]  # a day without anything lies between
        return len(self.day)


@dataclass
class Sessions:
    """Short sessions: how many, and the logarithms of what they sent."""

    number: Count = field(default_factory=lambda: Count(10 * MINUTE))
    sums: Count = field(default_factory=lambda: Count(10 * MINUTE))
    squares: Count = field(default_factory=lambda: Count(10 * MINUTE))

    def add(self, now: float, sent: float) -> None:
        self.number.add(now)
        self.sums.add(now, math.log(1 + sent))
        self.squares.add(now, math.log(1 + sent) ** 2)

    def alike(self, now: float, most: float) -> bool:
        number = self.number.at(now)
        variance = self.squares.at(now) / number - (self.sums.at(now) / number) ** 2
        return reaches(most**2, variance)


@dataclass
class Pair:
    """A source, a destination and its service."""

    flows: int = 0
    seen: float | None = None
    without: Count = field(default_factory=lambda: Count(WINDOW))
    like: Sessions = field(default_factory=Sessions)
    guesses: Count = field(default_factory=lambda: Count(10 * MINUTE))
    overload: Count = field(default_factory=lambda: Count(WINDOW))
    slow: Count = field(default_factory=lambda: Count(2 * MINUTE))
    asked: Count = field(default_factory=lambda: Count(MINUTE))
    asked_bytes: Count = field(default_factory=lambda: Count(MINUTE))
    starts: list[float] = field(default_factory=list)
    sent: Count = field(default_factory=lambda: Count(DAY))
    received: Count = field(default_factory=lambda: Count(DAY))
    packets: int = 0
    since: float = 0.0
    last: tuple[float, float, float] = (0.0, 0.0, 0.0)  # start of the flow reported last, its bytes there and back


@dataclass
class Service:
    """A destination's port."""

    like: Sessions = field(default_factory=Sessions)
    sources: Sources = field(default_factory=lambda: Sources(10 * MINUTE))
    talk: Count = field(default_factory=lambda: Count(WINDOW))
    overload: Count = field(default_factory=lambda: Count(WINDOW))
    load: Load = field(default_factory=Load)


class Flow:
    """One record, by names."""

    def __init__(self, batch: FlowBatch, index: int, label: int) -> None:
        identity, values = batch.identity[index].tolist(), batch.values[index].tolist()
        self.index, self.label = index, label
        self.role = act_of(batch.identity, batch.values, index)
        self.to_one_host = to_one_host(batch.identity, index)
        self.from_inside = is_private(batch.identity, index, words.SRC_HIGH, words.SRC_LOW)
        self.source, self.target = tuple(identity[words.SRC_HIGH :][:2]), tuple(identity[words.DST_HIGH :][:2])
        self.version, self.protocol = identity[words.IP_VERSION], identity[words.PROTOCOL]
        self.source_port, self.port = identity[words.SRC_PORT], identity[words.DST_PORT]
        self.report = identity[words.REPORT]
        self.first = self.report == 0
        self.news = identity[words.NEW_PACKETS]
        self.seen, self.goes_on = identity[words.SEEN], identity[words.END_REASON] == words.SNAPSHOT
        self.start_ns, self.end_ns = identity[words.START_NS], identity[words.END_NS]
        self.seconds = values[INDEX["flow_duration"]] / 1e6
        self.sent, self.answered = values[INDEX["fwd_bytes"]], values[INDEX["bwd_bytes"]]
        self.there, self.back = values[INDEX["fwd_packets"]], values[INDEX["bwd_packets"]]
        self.syn = values[INDEX["syn_flag_count"]] > 0

    @property
    def service(self) -> tuple[int, int]:
        from_dns = self.protocol == UDP and self.source_port == 53
        return (53 if from_dns else self.port, self.protocol)

    @property
    def pair(self) -> Hashable:
        return (self.source, self.target, self.service)

    @property
    def network(self) -> Hashable:
        return self.target[1] >> 8 if self.version == 4 else self.target[0]

    def inside(self, end: tuple[int, int]) -> bool:
        number = (end[0] & MASK) << 64 | end[1] & MASK
        address = IPv4Address(number & 0xFFFFFFFF) if self.version == 4 else IPv6Address(number)
        return any(address in network for network in PRIVATE if network.version == self.version)


class Twin:
    """Everything that was seen so far."""

    def __init__(self) -> None:
        self.hosts: dict[Hashable, Host] = defaultdict(Host)
        self.pairs: dict[Hashable, Pair] = defaultdict(Pair)
        self.services: dict[Hashable, Service] = defaultdict(Service)
        self.tried: dict[Hashable, Tried] = defaultdict(Tried)
        self.torrents: dict[Hashable, Count] = defaultdict(lambda: Count(SECOND))
        self.began_ns: int | None = None
        self.clock_ns = 0
        self.claims: list[Claim] = []

    def observe(self, batch: FlowBatch, labels: list[int]) -> list[Claim]:
        """What the records are part of, in their order."""
        self.claims = []
        for index, label in enumerate(labels):
            flow = Flow(batch, index, label)
            self.began_ns = flow.end_ns if self.began_ns is None else self.began_ns
            self.clock_ns = max(self.clock_ns, flow.end_ns)
            now = (self.clock_ns - self.began_ns) / 1e9
            aside = flow.role == UNJUDGED
            if not flow.news or (aside and (flow.protocol != UDP or flow.back or not flow.to_one_host)):
                continue
            self.hosts[flow.target].load.add(now, flow.news)
            if aside:
                self._without(flow, now, self._pair(flow, now))
            elif flow.role == ANSWER:
                if flow.protocol not in (ICMP, ICMP6):
                    self._answer(flow, now, counted=flow.first)
                self._unasked(flow, now)
            elif flow.role == TALK:
                self._talk(flow, now)
            else:
                self._attempt(flow, now)
        return self.claims

    def _tell(self, flow: Flow, kind: int, subject: Hashable, level: float) -> None:
        if reaches(level, TOLD):
            before = self.hosts[flow.target].load.rate_before if kind in shapes.LOADED else -1.0
            self.claims.append(Claim(flow.index, kind, subject, level, before))

    def _answer(self, flow: Flow, now: float, *, counted: bool) -> None:
        """What a host gets that it did not ask for."""
        target = self.hosts[flow.target]
        target.answers.add(now, flow.news)
        if counted:
            target.sources.see(now, *flow.source)
        answers = target.answers.at(now)
        if reaches(answers, 2 * target.talk.at(now)) and reaches(target.sources.number, shapes.REFLECTORS):
            self._tell(flow, shapes.REFLECTION, flow.target, answers / shapes.REFLECTION_PACKETS)

    def _unasked(self, flow: Flow, now: float) -> None:
        """One flow of answers."""
        level = flow.there / max(flow.seconds, 1) / shapes.STREAM_ANSWERS_PER_S
        if level >= TOLD:
            self._pair(flow, now)
        self._tell(flow, shapes.STREAM, flow.pair, level)

    def _attempt(self, flow: Flow, now: float) -> None:
        """A flow without data."""
        target = self.hosts[flow.target]
        half_open = flow.protocol == TCP and not flow.seen & words.SEEN_ACK
        without = flow.role == FAILED or half_open
        if flow.first and without:
            target.hits.add(now)
            target.sources.see(now, *flow.source)
        hits = target.hits.at(now)
        many = reaches(hits, 4 * target.talk.at(now)) and reaches(target.sources.number, shapes.MANY_SOURCES)
        reflects = flow.source_port in shapes.REFLECTING_PORTS and not flow.from_inside
        answers = flow.source_port < 1024 or reflects
        if flow.protocol == UDP and answers and flow.source_port != flow.port:
            self._answer(flow, now, counted=False)
        elif many and without:
            self._tell(flow, shapes.FLOOD_AT, flow.target, hits / shapes.FLOOD_AT_FLOWS)
        if many and flow.pair not in self.pairs and reaches(hits, shapes.FLOOD_AT_FLOWS):
            return  # whoever it says it is
        pair = self._pair(flow, now)
        fresh, pair.flows = pair.flows == 0 and flow.first, pair.flows + flow.first
        if without or flow.protocol == TCP:
            self._without(flow, now, pair)
        again = reaches(pair.without.at(now), shapes.FLOOD_FROM_FLOWS / 2)
        self._probe(flow, now, fresh=fresh, hit=flow.first and without, again=again)

    def _without(self, flow: Flow, now: float, pair: Pair) -> None:
        """A flood of flows without data, or one flow that is one."""
        if flow.first:
            pair.without.add(now)
        self._tell(flow, shapes.FLOOD_FROM, flow.pair, pair.without.at(now) / shapes.FLOOD_FROM_FLOWS)
        self._stream(flow)

    def _pair(self, flow: Flow, now: float) -> Pair:
        """The pair of a flow, as new as any where it was not seen for a day."""
        pair = self.pairs[flow.pair]
        if pair.seen is not None and reaches(now - pair.seen, DAY):
            pair.flows = pair.packets = 0
        pair.seen = now
        return pair

    def _probe(self, flow: Flow, now: float, *, fresh: bool, hit: bool, again: bool) -> None:
        """Among what a source tried: ports of one host, hosts of one port, and all."""
        streams = flow.protocol == UDP and flow.there > shapes.PROBE_PACKETS
        failed = flow.role == FAILED and not streams
        service = (flow.port, flow.protocol)
        ports = self.tried[flow.source, "host", flow.target]
        targets = self.tried[flow.source, "network", flow.network, service]
        everywhere = self.tried[flow.source, "anywhere", service]
        if fresh:
            for tried in (ports, targets, everywhere):
                tried.add(now, failed)
        torrent = self.torrents[flow.source, flow.target]
        if hit:
            torrent.add(now)
            self._tell(flow, shapes.TORRENT, (flow.source, flow.target), torrent.at(now) / shapes.TORRENT_FLOWS)
        level = 0.0
        if flow.protocol in (ICMP, ICMP6):
            missed, there = targets.failed.at(now), targets.opened.at(now)
            if reaches(missed, shapes.EMPTY * (missed + there)):
                level = (missed + there) / shapes.ECHO_TARGETS
            level = max(level, targets.level(now, shapes.SCAN_TARGETS, shapes.SCAN_TARGETS))
        elif not failed or again:
            return
        else:
            level = ports.level(now, shapes.SCAN_PORTS, shapes.SCAN_PORTS_A_DAY)
            if flow.protocol in (TCP, UDP, SCTP):
                level = max(level, targets.level(now, shapes.SCAN_TARGETS, shapes.SCAN_TARGETS))
                everybodys = flow.port in (53, 123, *shapes.WEB_PORTS)
                a_day = shapes.SCAN_SPREAD if everybodys else shapes.SCAN_TARGETS
                level = max(level, everywhere.level(now, shapes.SCAN_SPREAD, a_day))
        self._tell(flow, shapes.SCAN, flow.source, level)

    def _talk(self, flow: Flow, now: float) -> None:
        """A flow with data."""
        pair = self._pair(flow, now)
        if flow.first:
            self.hosts[flow.source].talk.add(now)
            self.hosts[flow.target].talk.add(now)
            if pair.flows == 0:
                self._probe(flow, now, fresh=True, hit=False, again=False)
            pair.flows += 1
        if flow.protocol == TCP:
            service = self.services[flow.target, flow.port]
            if flow.first:
                service.sources.see(now, *flow.source)
            self._session(flow, now, pair, service)
            if flow.first and flow.port not in shapes.LOGIN_PORTS:
                self._crowd(flow, now, service)
            if flow.inside(flow.source) and not flow.inside(flow.target):
                self._outward(flow, now, pair, service)
            if flow.first and flow.syn:
                self._beat(flow, now, pair, service)
        elif flow.protocol == UDP and 53 in (flow.port, flow.source_port):
            self._questions(flow, now, pair)
        elif flow.protocol in (UDP, ICMP, ICMP6):
            self._stream(flow)
        if flow.protocol in (ICMP, ICMP6):
            flood = flow.there >= shapes.STREAM_ECHOES_PER_S * max(flow.seconds, 1)
            often = flow.back >= shapes.TUNNEL_ECHOES_PER_S * flow.seconds
            if often and not flood and flow.seen >> 24 >= shapes.TUNNEL_ECHO_BYTES:
                self._tell(flow, shapes.ECHO_TUNNEL, flow.pair, flow.back / shapes.TUNNEL_ECHOES)

    def _stream(self, flow: Flow) -> None:
        """Packets a second of one flow."""
        rate = flow.there / max(flow.seconds, 1)
        if flow.protocol in (ICMP, ICMP6):
            self._tell(flow, shapes.STREAM, flow.pair, rate / shapes.STREAM_ECHOES_PER_S)
        elif flow.protocol == UDP and 20 * flow.back < flow.there:
            level = rate / shapes.STREAM_PACKETS_PER_S
            sure = level >= shapes.STREAM_BEYOND_DOUBT
            self._tell(flow, shapes.STREAM, flow.pair, level if sure else min(level, 1.9))

    def _session(self, flow: Flow, now: float, pair: Pair, service: Service) -> None:
        """Guesses, and requests that keep a service busy."""
        login, guess = flow.port in shapes.LOGIN_PORTS, flow.label == shapes.GUESS_LABEL
        ended = not flow.goes_on or bool(flow.seen & ENDED)
        told = flow.first or (flow.report == 1 and flow.seconds > 10)
        short = ended and flow.seconds < shapes.GUESS_S and flow.sent + flow.answered < shapes.GUESS_BYTES
        if told and short and (login or guess):
            pair.like.add(now, flow.sent)
            if guess:
                pair.guesses.add(now)
            level = 0.0
            if pair.like.alike(now, shapes.LIKE_LABELLED if login else shapes.LIKE):
                labelled = shapes.GUESSES_LABELLED if login else shapes.GUESSES_ANYWHERE
                level = pair.guesses.at(now) / labelled
            if login and pair.like.alike(now, shapes.LIKE):
                level = max(level, pair.like.number.at(now) / shapes.GUESSES)
            self._tell(flow, shapes.GUESSING, flow.pair, level)
            if login and not reaches(level, 1):
                service.like.add(now, flow.sent)
                several = service.sources.number >= shapes.GUESSING_SOURCES
                if several and service.like.alike(now, shapes.LIKE):
                    subject = (flow.target, flow.port)
                    self._tell(flow, shapes.GUESSING_AT, subject, service.like.number.at(now) / shapes.GUESSES_AT)
        slow = flow.seconds >= shapes.OPEN_S and flow.sent < shapes.OPEN_BYTES_PER_S * flow.seconds
        flagged = flow.label == shapes.DOS_LABEL
        waits = slow and flow.sent > 0 and flow.answered == 0
        if (flagged and (flow.first or slow)) or waits:
            if flow.first and flagged:
                pair.overload.add(now)
            if slow:
                share = 1.0 if flagged else shapes.OVERLOAD_OPEN / shapes.OVERLOAD_WAITING
                pair.slow.add(now, share * 0.5 ** min(flow.report, 60))
            level = max(pair.overload.at(now) / shapes.OVERLOAD_FLOWS, pair.slow.at(now) / shapes.OVERLOAD_OPEN)
            self._tell(flow, shapes.OVERLOAD, flow.pair, level)

    def _crowd(self, flow: Flow, now: float, service: Service) -> None:
        """Many sources that each open session after session at one service."""
        service.talk.add(now)
        if flow.label == shapes.DOS_LABEL:
            service.overload.add(now)
        service.load.add(now, 1)
        sessions, sources = service.talk.at(now), service.sources.number
        if not reaches(sources, shapes.MANY_SOURCES) or not reaches(sessions, shapes.CROWD_AGAIN * sources):
            return
        usual = max(service.load.rate_before, 0.0) * WINDOW
        surge = self.hosts[flow.target].load.rate_before >= 0 and reaches(sessions, shapes.SURGE * usual)
        if surge or reaches(2 * service.overload.at(now), sessions):
            self._tell(flow, shapes.OVERLOAD_AT, (flow.target, flow.port), sessions / shapes.CROWD_FLOWS)

    def _outward(self, flow: Flow, now: float, pair: Pair, service: Service) -> None:
        """Bytes of an inside host and one outside."""
        assert self.began_ns is not None
        start, end = (flow.start_ns - self.began_ns) / 1e9, (flow.end_ns - self.began_ns) / 1e9
        sent, received = flow.sent, flow.answered
        if flow.report and pair.last[0] == start:
            sent, received = sent - pair.last[1], received - pair.last[2]
        elif flow.report:
            news = flow.news / (flow.there + flow.back)
            sent, received = news * sent, news * received
        pair.last = (start, flow.sent, flow.answered)
        pair.sent.add(now, sent)
        pair.received.add(now, received)
        pair.since = pair.since if pair.packets else start
        pair.packets += flow.news
        met = not flow.seen & words.SEEN_SYN
        if met or flow.port in shapes.WEB_PORTS or service.sources.number > shapes.COMMON_TARGET:
            return
        sent, received = pair.sent.at(now), pair.received.at(now)
        if flow.port not in shapes.MAIL_PORTS and reaches(sent, shapes.UPLOAD_RATIO * received):
            self._tell_few(flow, now, shapes.UPLOAD, sent / shapes.UPLOAD_BYTES)
        known = flow.port < 1024 or flow.port in shapes.KEPT_OPEN_PORTS
        if known or len(pair.starts) > shapes.KEPT_CONNECTIONS or not reaches(sent, shapes.KEPT_RATIO * received):
            return
        if not reaches(shapes.KEPT_PACKET_BYTES * pair.packets, sent + received):
            return
        enough = (shapes.KEPT_S, shapes.KEPT_PACKETS, shapes.KEPT_BYTES)
        level = min(x / y for x, y in zip((end - pair.since, pair.packets, sent), enough, strict=True))
        self._tell_few(flow, now, shapes.KEPT_OPEN, level)

    def _tell_few(self, flow: Flow, now: float, kind: int, level: float) -> None:
        """Only of a source that has few such pairs."""
        source = self.hosts[flow.source]
        day = source.today(now)
        if reaches(level, TOLD):
            source.kept.of[day].add(flow.pair)
        if source.kept.most(day) <= shapes.OUTWARD_PAIRS:
            self._tell(flow, kind, flow.pair, level)

    def _beat(self, flow: Flow, now: float, pair: Pair, service: Service) -> None:
        """Connections whose gaps are alike: the latest forty that are a second or more apart."""
        assert self.began_ns is not None
        start = (flow.start_ns - self.began_ns) / 1e9
        if any(not reaches(abs(start - other), 1.0) for other in pair.starts):
            return
        kept = sorted([*pair.starts, start])[-40:]
        if start not in kept:
            return
        pair.starts = kept
        gaps = sorted(later - earlier for earlier, later in pairwise(kept))
        if len(gaps) < shapes.BEACON_FIRST:
            return
        median = gaps[len(gaps) // 2]
        deviation = sorted(abs(gap - median) for gap in gaps)[len(gaps) // 2]
        if not (reaches(median, shapes.BEACON_GAP_S) and reaches(shapes.BEACON_JITTER * median, deviation)):
            return
        source = self.hosts[flow.source]
        day = source.today(now)
        source.regular.of[day].add(flow.pair)
        if source.regular.most(day) > shapes.BEACON_PAIRS or service.sources.number > shapes.COMMON_TARGET:
            return
        outward = flow.inside(flow.source) and not flow.inside(flow.target) and flow.source_port >= 1024
        web = flow.port in shapes.WEB_PORTS
        neighbour = not (flow.inside(flow.source) and not flow.inside(flow.target))
        if outward or (web and (not neighbour or reaches(deviation, shapes.TIMER_JITTER * median))):
            inside_out = flow.inside(flow.source) and not flow.inside(flow.target)
            much = flow.sent >= max(shapes.UPLOAD_BEAT_BYTES, shapes.UPLOAD_BEAT_RATIO * flow.answered)
            much = much and reaches(pair.sent.at(now), shapes.UPLOAD_BEAT_RATIO * pair.received.at(now))
            kind = shapes.UPLOAD_BEAT if much and inside_out else shapes.BEACON
            self._tell(flow, kind, flow.pair, len(gaps) / shapes.BEACON_EVENTS)

    def _questions(self, flow: Flow, now: float, pair: Pair) -> None:
        """Questions to a resolver, whichever side of the flow asks them."""
        backwards = flow.source_port == 53 and flow.port != 53
        asked, asked_bytes, answered_bytes = flow.there, flow.sent, flow.answered
        if backwards:
            asked, asked_bytes, answered_bytes = flow.back, flow.answered, flow.sent
        level, rate = 0.0, asked / max(flow.seconds, 1)
        if asked >= shapes.QUESTIONS:
            exchanged = asked_bytes + answered_bytes
            long_answers = rate >= shapes.LONG_ANSWERS_PER_S and answered_bytes >= shapes.ANSWER_BYTES * asked
            many = rate >= shapes.QUESTIONS_PER_S and asked >= 2 * shapes.QUESTIONS
            many = many and exchanged >= shapes.EXCHANGE_BYTES * asked
            level = asked / shapes.QUESTIONS if long_answers or many else 0.0
        elif flow.first:
            pair.asked.add(now, asked)
            pair.asked_bytes.add(now, asked_bytes)
            asked, asked_bytes = pair.asked.at(now), pair.asked_bytes.at(now)
        if reaches(asked_bytes, shapes.QUESTION_BYTES * asked):
            level = max(level, asked / shapes.QUESTIONS)
        self._tell(flow, shapes.DNS_TUNNEL, flow.pair, level)
