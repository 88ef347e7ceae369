"""The context of flow records once more, obvious and slow: the oracle of the tests of flows.context.

A count is the list of what was counted and when; it is added up anew, each at its weight, whenever it is looked at.
Tables are dictionaries without bound, keyed by the addresses. Of the kernels' path it knows the roles of records, which
have tests of their own, the names of columns, and the hash that bitmaps are made with.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from flows import batch as words
from flows.batch import FlowBatch
from flows.columns import INDEX
from flows.context.columns import CONTEXT_NAMES
from flows.roles import ANSWER, FAILED, TALK, TCP, UDP, role_of
from tests.support.behaviour_twin import Sources

S10, M1, M10, DAY = 10.0, 60.0, 600.0, 86400.0


@dataclass
class Record:
    """A record with its ends in place: the source is who asked."""

    index: int
    end_ns: int
    start: float
    end: float
    source: tuple[int, int]
    target: tuple[int, int]
    port: int
    protocol: int
    new: bool
    first: bool
    failed: bool
    unasked: float
    there: float
    back: float
    share: float
    sent: float
    received: float
    span: float

    def rank(self) -> tuple[float, ...]:
        """Order among peers: new flows first, by their start; then whatever it is, always the same."""
        said = (self.span, self.received, self.sent, self.share, self.back, self.there, self.unasked, self.failed)
        service = self.port << 8 | self.protocol
        return (not self.new, self.start, *said, self.first, service, *self.target[::-1], *self.source[::-1])

    @property
    def vain(self) -> bool:
        return self.failed or self.unasked > 0


def record_of(batch: FlowBatch, i: int, base_ns: int) -> Record:
    ids, values = batch.identity[i].tolist(), batch.values[i]
    role = role_of(batch.identity, batch.values, i)
    a = (-1 if ids[words.IP_VERSION] == 4 else ids[words.SRC_HIGH], ids[words.SRC_LOW])
    b = (-1 if ids[words.IP_VERSION] == 4 else ids[words.DST_HIGH], ids[words.DST_LOW])
    ports = (ids[words.SRC_PORT], ids[words.DST_PORT])
    packets = (values[INDEX["fwd_packets"]], values[INDEX["bwd_packets"]])
    carried = (values[INDEX["fwd_bytes"]], values[INDEX["bwd_bytes"]])
    protocol = ids[words.PROTOCOL]
    from_service = ports[0] < 1024 <= ports[1]
    no_syn = values[INDEX["syn_flag_count"]] == 0 and not ids[words.SEEN] & (words.SEEN_SYN | words.SEEN_SYN_BACK)
    if role == TALK and from_service and (protocol == UDP or (protocol == TCP and no_syn)):
        a, b, ports, packets, carried = b, a, ports[::-1], packets[::-1], carried[::-1]
    news, first = ids[words.NEW_PACKETS], ids[words.REPORT] == 0
    share = min(news / max(sum(packets), 1.0), 1.0)
    new = first and values[INDEX["connection_duration"]] <= values[INDEX["flow_duration"]]
    start, end = ids[words.START_NS] + ids[words.START_SHIFT_NS], ids[words.END_NS] + ids[words.END_SHIFT_NS]
    return Record(
        i, end, (start - base_ns) * 1e-9, (end - base_ns) * 1e-9, a, b, ports[1], protocol, new, first,
        new and role == FAILED, float(news) if role == ANSWER else 0.0, share * packets[0], share * packets[1], share,
        carried[0], carried[1], share * values[INDEX["flow_duration"]] * 1e-6,
    )  # fmt: skip


@dataclass
class Entity:
    """What is counted under one key: amounts by name, each with the moment that it is of; its clock."""

    at: float
    events: dict[str, list[tuple[float, float, float]]] = field(default_factory=lambda: defaultdict(list))
    peers: Sources = field(default_factory=lambda: Sources(M10))
    ports: Sources = field(default_factory=lambda: Sources(M10))
    numbers: list[tuple[float, float]] = field(default_factory=list)  # of a pair's flows: ln sent, ln received
    gaps: list[float] = field(default_factory=list)  # their logarithms
    since: float | None = None
    last: float = 0.0
    flow: tuple[float, float, float] | None = None  # of the flow reported last: start, sent, received

    def add(self, name: str, when: float, amount: float = 1.0, span: float = 0.0) -> None:
        self.events[name].append((when, amount, span))

    def sum(self, name: str, memory: float) -> float:
        return math.fsum(
            amount * math.exp((when - self.at) / memory) * spread_over(span, memory if memory < DAY else math.inf)
            for when, amount, span in self.events[name]
        )


def spread_over(span: float, memory: float) -> float:
    """Mean weight of what came evenly over a span."""
    times = span / memory
    return -math.expm1(-times) / times if times > 1e-6 else 1.0


def share(part: float, whole: float) -> float:
    return part / (1 + whole)


def surge(entity: Entity) -> float:
    return (1 + entity.sum("flows", S10)) / (1 + entity.sum("flows", M10) / 60)


def of_bytes(entity: Entity, memory: float) -> float:
    sent, received = entity.sum("sent", memory), entity.sum("received", memory)
    return sent / (1000 + sent + received)


def deviation(weighted: list[tuple[float, float]], prior: float) -> float:
    """Of (weight, number)s, and of `prior` numbers that deviate by 1."""
    n = math.fsum(weight for weight, _ in weighted)
    if n == 0:
        return 1.0
    mean = math.fsum(weight * number for weight, number in weighted) / n
    return math.sqrt((math.fsum(weight * (number - mean) ** 2 for weight, number in weighted) + prior) / (n + prior))


def by_event(numbers: list[float]) -> list[tuple[float, float]]:
    """Numbers with their weights: 15/16 for each one that came after."""
    return [((15 / 16) ** k, number) for k, number in enumerate(reversed(numbers))]


def mean(weighted: list[tuple[float, float]]) -> float:
    return math.fsum(w * x for w, x in weighted) / math.fsum(w for w, _ in weighted)


class ContextTwin:
    """All records at once, in their order."""

    def __init__(self) -> None:
        self.sources: dict[Hashable, Entity] = {}
        self.targets: dict[Hashable, Entity] = {}
        self.links: dict[Hashable, Entity] = {}
        self.pairs: dict[Hashable, Entity] = {}
        self.services: dict[Hashable, Entity] = {}

    def observe(self, batch: FlowBatch) -> np.ndarray:
        """(n, columns) context."""
        rows = np.zeros((len(batch), len(CONTEXT_NAMES)))
        ends = batch.identity[:, words.END_NS] + batch.identity[:, words.END_SHIFT_NS]
        base_ns = int(ends[0]) - round(DAY * 1e9)
        records = [record_of(batch, i, base_ns) for i in range(len(batch))]
        for _, peers in groupby(records, lambda record: record.end_ns):
            run = list(peers)
            for record in run:
                seen = dict(self.columns(record))
                rows[record.index] = [seen[name] for name in CONTEXT_NAMES]
            run.sort(key=Record.rank)
            for record in run:
                if batch.identity[record.index, words.NEW_PACKETS] > 0:
                    self.count(record)
        return rows

    def keys(self, record: Record) -> Iterator[tuple[dict[Hashable, Entity], Hashable]]:
        service = (record.port, record.protocol)
        yield self.sources, record.source
        yield self.targets, record.target
        yield self.links, (record.source, record.target)
        yield self.pairs, (record.source, record.target, service)
        yield self.services, (record.target, service)

    # ---------------------------------------------------------------- seeing

    def columns(self, record: Record) -> Iterator[tuple[str, float]]:
        entities = []
        for table, key in self.keys(record):
            if key in table:
                table[key].at = max(table[key].at, record.end)
            entities.append(table.get(key, Entity(record.end)))
        source, target, link, pair, service = entities
        yield from self.of_source(source)
        yield from self.of_target(target)
        missed, tried = link.sum("missed", DAY), link.sum("services", DAY)
        yield "link_new_services_day", tried
        yield "link_missed_share_day", share(missed, tried)
        yield from self.of_pair(pair, record)
        flows = service.sum("flows", M10)
        yield "svc_flows_10m", flows
        yield "svc_surge", surge(service)
        yield "svc_new_source_share_10s", share(service.sum("met", S10), service.sum("flows", S10))
        yield "svc_failed_share_10m", share(service.sum("failed", M10), flows)
        yield "svc_sent_spread_10m", deviation(self.sizes(service), 1)
        yield "svc_sources_10m", service.peers.number

    def sizes(self, entity: Entity) -> list[tuple[float, float]]:
        return [(math.exp((when - entity.at) / M10), size) for when, size, _ in entity.events["sizes"]]

    def of_source(self, source: Entity) -> Iterator[tuple[str, float]]:
        for name, memory in (("1s", 1.0), ("10s", S10), ("1m", M1), ("10m", M10)):
            yield f"src_flows_{name}", source.sum("flows", memory)
        yield "src_surge", surge(source)
        for name, memory in (("10s", S10), ("10m", M10), ("day", DAY)):
            yield f"src_failed_share_{name}", share(source.sum("failed", memory), source.sum("flows", memory))
        yield "src_new_peers_10m", source.sum("met", M10)
        yield "src_new_peers_day", source.sum("met", DAY)
        yield "src_new_peer_share_10m", share(source.sum("met", M10), source.sum("flows", M10))
        yield "src_new_services_1m", source.sum("services", M1)
        yield "src_missed_day", source.sum("missed", DAY)
        yield "src_peers_10m", source.peers.number
        yield "src_ports_10m", source.ports.number
        yield "src_peers_per_port_10m", (1 + source.peers.number) / (1 + source.ports.number)
        yield "src_packets_10s", source.sum("there", S10)
        yield "src_sent_share_10m", of_bytes(source, M10)
        yield "src_sent_share_day", of_bytes(source, DAY)
        yield "src_size_spread_10m", deviation(self.sizes(source), 1)

    def of_target(self, target: Entity) -> Iterator[tuple[str, float]]:
        soon, flows = target.sum("flows", S10), target.sum("flows", M10)
        yield "dst_flows_1s", target.sum("flows", 1.0)
        yield "dst_flows_10s", soon
        yield "dst_flows_10m", flows
        yield "dst_surge", surge(target)
        yield "dst_failed_share_10s", share(target.sum("failed", S10), soon)
        yield "dst_failed_share_10m", share(target.sum("failed", M10), flows)
        yield "dst_new_sources_10s", target.sum("met", S10)
        yield "dst_new_source_share_10s", share(target.sum("met", S10), soon)
        yield "dst_new_sources_10m", target.sum("met", M10)
        yield "dst_sources_10m", target.peers.number
        yield "dst_flows_per_source_10m", flows / (1 + target.peers.number)
        there, back = target.sum("there", S10), target.sum("back", S10)
        yield "dst_unasked_share_10s", share(target.sum("unasked", S10), there)
        yield "dst_packets_in_10s", there
        yield "dst_packets_in_share_10s", share(there, there + back)
        yield "dst_received_share_10m", of_bytes(target, M10)

    def of_pair(self, pair: Entity, record: Record) -> Iterator[tuple[str, float]]:
        yield "pair_age", max(record.start - pair.since, 0.0) if pair.since is not None else 0.0
        for name, memory in (("10s", S10), ("10m", M10), ("day", DAY)):
            yield f"pair_flows_{name}", pair.sum("flows", memory)
        yield "pair_packets_10s", pair.sum("packets", S10)
        gaps = by_event(pair.gaps)
        yield "pair_gaps", math.fsum(weight for weight, _ in gaps)
        yield "pair_gap_mean", math.exp(mean(gaps)) if gaps else 0.0
        yield "pair_gap_spread", deviation(gaps, 2)
        sent, received = by_event([s for s, _ in pair.numbers]), by_event([r for _, r in pair.numbers])
        yield "pair_sent_spread", deviation(sent, 1)
        yield "pair_received_spread", deviation(received, 1)
        yield "pair_sent_deviation", abs(math.log(1 + record.sent) - mean(sent)) if sent else 0.0
        yield "pair_sent_mean", math.exp(mean(sent)) - 1 if sent else 0.0
        yield "pair_received_mean", math.exp(mean(received)) - 1 if sent else 0.0
        yield "pair_sent_day", pair.sum("sent", DAY)
        yield "pair_sent_share_day", of_bytes(pair, DAY)
        carried = pair.sum("sent", DAY) + pair.sum("received", DAY)
        yield "pair_packet_bytes_day", share(carried, pair.sum("packets", DAY))
        yield "pair_open_day", pair.sum("open", DAY)

    # ---------------------------------------------------------------- counting

    def flooded(self, target: Entity | None) -> bool:
        if target is None:
            return False
        vain = target.sum("failed", S10) + target.sum("unasked", S10)
        return vain >= max(100, 0.8 * target.sum("flows", S10)) and target.sum("met", S10) >= 50

    def sweeping(self, source: Entity | None) -> bool:
        if source is None:
            return False
        most = max(100, 0.8 * source.sum("flows", S10))
        return source.sum("failed", S10) >= most and source.sum("met", S10) >= 50

    def count(self, record: Record) -> None:
        source, target, link, pair, service, met, known = self.entities(record)
        sent, received = self.growth(record, pair)
        size = math.log(1 + record.sent)
        for entity in (source, target):
            if entity is not None:
                entity.add("there", record.end, record.there, record.span)
                entity.add("back", record.end, record.back, record.span)
                entity.add("unasked", record.end, record.unasked, record.span)
                entity.add("sent", record.end, sent, record.span)
                entity.add("received", record.end, received, record.span)
        self.count_flow(record, [(source, met), (target, met), (service, known)], source, size)
        if source is not None and record.new:
            source.add("services", record.end, known)
            source.add("missed", record.end, known * record.failed)
            source.ports.see(source.at, 0, record.port << 8 | record.protocol)
        if link is not None and known:
            link.add("services", record.end)
            link.add("missed", record.end, float(record.failed))
        if pair is not None:
            self.count_pair(pair, record, sent, received)

    def count_flow(
        self, record: Record, entities: list[tuple[Entity | None, float]], source: Entity | None, size: float
    ) -> None:
        """Count a new flow among those of each; with each whether it met the other side for the first time."""
        for entity, first in entities:
            if entity is not None and record.new:
                entity.add("flows", record.end)
                entity.add("failed", record.end, float(record.failed))
                entity.add("met", record.end, first)
                entity.add("sizes", record.end, size)
                entity.peers.see(entity.at, *(record.target if entity is source else record.source))

    def entities(self, record: Record) -> tuple[Any, ...]:
        """Those that a record is counted in, made where there is room for them, and whether two of them are new."""
        now, new, places = record.end, float(record.new), list(self.keys(record))
        found = [table.get(key) for table, key in places]
        forged = record.vain and self.flooded(found[1])
        sweep = record.vain and self.sweeping(found[0])
        may = (not forged, not sweep, *[not (forged or sweep)] * 3)
        met, known = new * (found[2] is None), new * (found[3] is None)
        for k, (table, key) in enumerate(places):
            if found[k] is None and may[k]:
                found[k] = table[key] = Entity(now)
        return (*found, met, known)

    def growth(self, record: Record, pair: Entity | None) -> tuple[float, float]:
        """Bytes that no report of the flow told before."""
        if pair is None or record.first:
            return record.sent, record.received
        if pair.flow is not None and pair.flow[0] == record.start:
            return record.sent - pair.flow[1], record.received - pair.flow[2]
        return record.share * record.sent, record.share * record.received

    def count_pair(self, pair: Entity, record: Record, sent: float, received: float) -> None:
        now = record.end
        pair.flow = record.start, record.sent, record.received
        pair.add("packets", now, record.there + record.back, record.span)
        pair.add("sent", now, sent)
        pair.add("received", now, received)
        pair.add("open", now, record.span)
        if not record.new:
            return
        if pair.since is None:
            pair.since = pair.last = record.start
        if record.start - pair.last >= 1:
            pair.gaps.append(math.log(record.start - pair.last))
            pair.last = record.start
        pair.add("flows", now)
        pair.add("failed", now, float(record.failed))
        pair.numbers.append((math.log(1 + record.sent), math.log(1 + record.received)))
