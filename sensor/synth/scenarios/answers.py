"""Answers that nobody of ours asked for, or that say no: they are evidence against nobody who gives them.

Backscatter: a victim elsewhere answers addresses that its attacker forged, and some of them are ours. It looks like a
scan by the victim of ports that are all closed. Port unreachables: a host says that nothing listens there (RFC 1122
section 3.2.2.1), which looks like a flow of its own from it to whoever asked.
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.datagrams import Message, dialogue, ip_frame, port_unreachable, signalling
from sensor.synth.packets import TCP, Flag, address, tcp
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Host, Site, inside, remote_server
from sensor.synth.stacks import LINUX, MS, options
from sensor.synth.truth import Exchange, Packet, Purpose, flow

BACKSCATTER = Purpose("backscatter")
UNREACHABLE = Purpose("port-unreachable")

_REPEATS_S = (0, 1, 3, 7)  # of a SYN-ACK


def backscatter(
    *, victims: int = 1, per_second: float = 1.0, resets: float = 0.4, port: int = 443, minutes: float = 30.0
) -> Scenario:
    """SYN-ACKs, each repeated, and RSTs from hosts elsewhere to random addresses and ports of our networks.

    victims: at most 100. per_second: answers of all of them together, without repeats. resets: share of RST, as from a
    closed port or a firewall.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        used: set[tuple[bytes, int]] = set()
        for at_ns in span.first(minutes * 60).ticks(rng, 1 / per_second, 0.9):
            victim = remote_server(300 + rng.randrange(victims))
            ours = Host(
                "forged", site.gateway.mac, address(f"10.20.{rng.randrange(1, 64)}.{rng.randrange(1, 255)}"), LINUX
            )
            end = ours.ipv4, rng.randrange(1024, 65536)
            if end not in used:
                used.add(end)
                answer = _reset if rng.random() < resets else _accepted
                yield answer(victim, ours, (port, end[1]), rng, at_ns)

    whose = "a victim" if victims == 1 else f"{victims} victims"
    summary = f"answers of {whose} elsewhere to addresses that were forged"
    return Scenario("backscatter", summary, 0.0, traffic, minutes)


def unreachable_ports(*, every_s: float = 5.0, hours: float = 2.0) -> Scenario:
    """A server that sends its log over UDP to a host where no collector runs: each datagram is answered by ICMP."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        collector = inside("collector", 16)
        lines = [
            Message(at_ns, False, opaque(rng.randrange(80, 300)))
            for at_ns in span.first(hours * 3600).ticks(rng, every_s, 0.5)
        ]
        if not lines:
            return
        sent = dialogue((site.files, collector), (site.port(site.files, rng), 514), lines, rng, UNREACHABLE)
        yield sent
        refusals = [
            Message(at_ns + rng.randrange(100_000, MS), False, port_unreachable(frame)) for at_ns, frame in sent.packets
        ]
        yield signalling((collector, site.files), refusals, rng, UNREACHABLE)

    summary = f"a datagram every {every_s:g} s to a closed port, and what ICMP says"
    return Scenario("port-unreachable", summary, 0.0, traffic, hours * 60)


def _accepted(victim: Host, ours: Host, ports: tuple[int, int], rng: Random, at_ns: int) -> Exchange:
    """A SYN-ACK to whom the SYN was forged as, again until the victim gives up; the originator is the forged one."""
    mss, numbers = options(("mss",), 1460, 0, 0, 0), (rng.getrandbits(32), rng.getrandbits(32))
    segment = tcp((victim.ipv4, ours.ipv4), ports, *numbers, Flag.SYN | Flag.ACK, window=64240, options=mss)
    packets = [
        Packet(at_ns + after_s * SECOND + rng.randrange(4 * MS), ip_frame(victim, ours, TCP, segment, rng))
        for after_s in _REPEATS_S
    ]
    return flow(packets, BACKSCATTER, TCP, (ours.ipv4, ports[1]), (victim.ipv4, ports[0]))


def _reset(victim: Host, ours: Host, ports: tuple[int, int], rng: Random, at_ns: int) -> Exchange:
    """A RST to whom the SYN was forged as; with nothing before it, its sender is the originator."""
    segment = tcp((victim.ipv4, ours.ipv4), ports, 0, rng.getrandbits(32), Flag.RST | Flag.ACK, window=0)
    packet = Packet(at_ns, ip_frame(victim, ours, TCP, segment, rng))
    return flow([packet], BACKSCATTER, TCP, (victim.ipv4, ports[0]), (ours.ipv4, ports[1]))
