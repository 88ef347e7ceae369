"""Names of flows: the same whatever blocks packets come in and however many workers meter them; and as of then."""

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from flows.batch import REPORTED_NS, FlowBatch
from flows.block import PacketBlock, block_of
from flows.meter import Meter
from sensor.alerts.seen_names import FlowNames, SeenName, TlsHello
from sensor.metering.captures import CaptureTurns
from sensor.metering.names import Names
from sensor.metering.turns import END_NS, Turn
from sensor.metering.workers import TurnMerge
from sensor.synth.generate import generate
from sensor.synth.protocols import dns, tls
from sensor.synth.scenarios.normal import NORMAL
from tests.flows.names.test_marking import datagram, segment
from tests.support.packets import EPOCH_NS, Packet, tcp, udp
from tests.trust.live_trial import flow_of

CAPACITY, FLOWS = 64, 256  # few, so that some give way
CLIENT, SERVER, RESOLVER = "10.0.0.1", "198.51.100.7", "10.0.0.9"


@dataclass
class Blocks:
    """Packets as captures give them, in blocks of these sizes."""

    packets: Sequence[Packet]
    sizes: Sequence[int]
    filtered: int = 0
    bytes_read: int = 0
    size: int | None = None
    late: int = 0
    clock_jumps: int = 0
    problems: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[PacketBlock]:
        at = number = 0
        while at < len(self.packets):
            part = self.packets[at : at + self.sizes[number % len(self.sizes)]]
            yield block_of([packet.frame for packet in part], [packet.ts_ns for packet in part])
            at, number = at + len(part), number + 1


def turns(packets: Sequence[Packet], *sizes: int) -> list[Turn]:
    meter = Meter(FLOWS, news_only=True, names=True)
    return list(CaptureTurns(Blocks(packets, sizes or (len(packets),)), meter))  # type: ignore[arg-type]


Told = list[tuple[int, tuple[int, ...], FlowNames]]


def told(given: Sequence[Turn]) -> Told:
    """What is known of each record's flow when it is reported."""
    names, known = Names(CAPACITY), []
    for turn in given:
        names.add(turn)
        for identity, values in zip(turn.records.identity, turn.records.values, strict=True):
            known.append((int(identity[REPORTED_NS]), tuple(identity.tolist()), names.of_flow(identity, values)))
        names.settle(turn)
    return [(reported_ns, identity, tell()) for reported_ns, identity, tell in known]


@cache
def office() -> tuple[Packet, ...]:
    return tuple(Packet(each.frame, each.ts_ns) for each in generate([NORMAL], 3, 1.0).packets)


@cache
def of_office() -> Told:
    return told(turns(office()))


def test_flows_of_an_office_have_names() -> None:
    found = [names for *_, names in of_office()]
    assert sum(bool(names.destination) for names in found) > 50
    assert sum(names.tls.ja4 is not None for names in found) > 50
    with_both = [names for names in found if names.tls.server_name and names.destination]
    assert all(names.tls.server_name == names.destination[0].name for names in with_both)
    assert with_both


@pytest.mark.parametrize("sizes", [(1, 7, 300), (64,), (5000, 3)])
def test_names_do_not_depend_on_how_packets_were_read(sizes: tuple[int, ...]) -> None:
    assert told(turns(office(), *sizes)) == of_office()


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_have_the_names_of_one(workers: int) -> None:
    chance, merge = random.Random(workers), TurnMerge(workers)
    shares: list[list[Packet]] = [[] for _ in range(workers)]
    for packet in office():
        shares[zlib.crc32(flow_of(packet.frame)) % workers].append(packet)
    queues = [turns(share, 1, 40, 400) for share in shares]
    merged = []
    while any(queues):
        worker = chance.choice([number for number, queue in enumerate(queues) if queue])
        merge.add(worker, queues[worker].pop(0))
        if merge.complete:
            merged.append(merge.turn())
    assert merged[-1].until_ns == END_NS
    assert told(merged) == of_office()


def answer(name: str, at: float, client_port: int, kind: int = dns.A, address: str = SERVER) -> list[Packet]:
    """A question and what is said to it."""
    packed = bytes(map(int, address.split(".")))
    return [
        udp(f"{CLIENT}:{client_port}", f"{RESOLVER}:53", payload=30, at=at),
        datagram(f"{RESOLVER}:53", f"{CLIENT}:{client_port}", dns.response(1, name, kind, [packed]), at=at),
    ]


def connection(at: float, name: str = "www.example.org", port: int = 6000) -> list[Packet]:
    hello = tls.client_hello(random.Random(1), name)
    return [
        tcp(f"{CLIENT}:{port}", f"{SERVER}:443", "S", at=at),
        segment(f"{CLIENT}:{port}", f"{SERVER}:443", hello, at=at + 0.1),
        tcp(f"{CLIENT}:{port}", f"{SERVER}:443", "R", at=at + 0.2),
    ]


def tcp_records(given: Told) -> list[FlowNames]:
    return [names for _, identity, names in given if 443 in identity]


def test_a_flow_has_what_was_known_when_it_was_reported() -> None:
    packets = [*answer("before.example", 0, 5000), *connection(1), *answer("after.example", 60, 5001)]
    (found,) = tcp_records(told(turns(packets)))
    assert found.destination == (SeenName("before.example", EPOCH_NS, CLIENT),)
    assert (found.source, found.tls.server_name) == ((), "www.example.org")


def test_a_later_connection_of_the_same_ports_does_not_have_the_hello_of_an_earlier_one() -> None:
    again = [tcp(f"{CLIENT}:6000", f"{SERVER}:443", flags, at=at) for flags, at in (("S", 30), ("R", 31))]
    first, second = tcp_records(told(turns([*connection(1), *again])))
    assert (first.tls.server_name, second.tls) == ("www.example.org", TlsHello())


def test_what_goes_on_after_a_timeout_has_the_hello_of_its_connection() -> None:
    later = [segment(f"{CLIENT}:6000", f"{SERVER}:443", b"x" * 60, at=at) for at in (2, 100, 140, 200)]
    found = tcp_records(told(turns([*connection(1)[:2], *later])))
    assert len(found) > 2
    assert {names.tls.server_name for names in found} == {"www.example.org"}


def test_many_flows_and_answers_stay_within_bounds_and_are_counted() -> None:
    names = Names(16)
    packets = [
        each
        for n in range(400)
        for each in answer("x.example", n / 10, 5000 + n, address=f"198.51.{n // 250}.{n % 250}")
    ]
    packets += [each for n in range(40) for each in connection(41 + n / 10, port=6000 + n)]
    for turn in turns(packets):
        names.add(replace(turn, records=FlowBatch(turn.records.identity[:0], turn.records.values[:0])))
        names.settle(turn)
    assert names.evicted == {"names": 400 - 16, "hellos": 40 - 16}
