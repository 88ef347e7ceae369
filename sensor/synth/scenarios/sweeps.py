"""Scans other than a fast one of TCP ports: slow ones, one UDP service on many hosts, echoes to a whole network.

A scan is distinct ports or hosts that do not answer, or answer that nobody is there. T1046 (services), T1018 (hosts).
A slow one keeps below each threshold of minutes; over a day it has still asked hundreds of ports or hosts, which no
client does.
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Conversation
from sensor.synth.datagrams import Message, dialogue, port_unreachable, signalling
from sensor.synth.packets import address, icmp_echo
from sensor.synth.protocols import snmp
from sensor.synth.randomness import SECOND, child, lognormal
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Host, Site, inward_path, outside
from sensor.synth.stacks import LINUX, MS
from sensor.synth.truth import Exchange, Purpose

SLOW_SCAN = Purpose("slow-scan", "T1046")
SLOW_SWEEP = Purpose("slow-sweep", "T1046")
UDP_SWEEP = Purpose("udp-sweep", "T1046")
NOBODY_LISTENS = Purpose("udp-sweep")  # ICMP of the hosts that were asked
ECHO_SWEEP = Purpose("echo-sweep", "T1018")


def slow_scan(*, every_s: float = 400.0, refused: float = 0.5, repeats: int = 1, hours: float = 24.0) -> Scenario:
    """A SYN every every_s seconds to one more port of the web server.

    refused: share of the ports that answer with RST, as where no firewall drops what comes. repeats: SYNs sent again
    where nothing answers.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        scanner, path = outside("slow scanner", "203.0.113.51", rng), inward_path(rng, 15.0)
        ports = rng.sample(range(1, 10_000), 10_000 - 1)
        for number, at_ns in enumerate(span.first(hours * 3600).ticks(rng, every_s, 0.1)):
            own = child(rng)
            end = site.web, ports[number % len(ports)]
            talk = Conversation((scanner, site.port(scanner, own)), end, path, own)
            if own.random() < refused:
                talk.refuse(at_ns)
            else:
                talk.unanswered(at_ns, (1, 3, 7, 15)[:repeats])
            yield talk.exchange(SLOW_SCAN)

    return Scenario("slow-scan", f"a probe every {every_s:g} s of one host's ports", 0.0, traffic, hours * 60)


def slow_sweep(*, every_s: float = 300.0, port: int = 445, hosts: int = 500, hours: float = 24.0) -> Scenario:
    """A SYN every every_s seconds to one port of one more host of a network where hardly anybody is.

    hosts: addresses that are asked in turn, at most 60,000, above 10.20.1.0.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        scanner, path = outside("slow sweeper", "203.0.113.52", rng), inward_path(rng, 15.0)
        asked = rng.sample(range(hosts), hosts)
        for number, at_ns in enumerate(span.first(hours * 3600).ticks(rng, every_s, 0.1)):
            own = child(rng)
            talk = Conversation(
                (scanner, site.port(scanner, own)), (_nobody(site, asked[number % hosts]), port), path, own
            )
            if own.random() < 0.04:
                talk.refuse(at_ns)
            else:
                talk.unanswered(at_ns, ())
            yield talk.exchange(SLOW_SWEEP)

    return Scenario("slow-sweep", f"a probe every {every_s:g} s of port {port} of many hosts", 0.0, traffic, hours * 60)


def udp_sweep(
    *, port: int = 161, hosts: int = 500, per_second: float = 100.0, answering: float = 0.01, closed: float = 0.05
) -> Scenario:
    """An SNMP question to one UDP port of each host of a network, within seconds, from one source port.

    answering, closed: shares of the hosts that answer, and that send an ICMP port unreachable; others are silent.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        scanner, path = outside("udp sweeper", "203.0.113.61", rng), inward_path(rng, 12.0)
        source_port, at_ns = rng.randrange(33000, 61000), span.start_ns
        for number in range(hosts):
            at_ns += int(lognormal(rng, SECOND / per_second, 0.3))
            host, kind = _nobody(site, number), rng.random()
            messages = [Message(at_ns, False, snmp.question(number))]
            answered_ns = at_ns + 2 * path.far_ns + rng.randrange(MS // 5, 2 * MS)
            if kind < answering:
                messages.append(Message(answered_ns, True, snmp.answer(number, value_bytes=60)))
            exchange = dialogue((scanner, host), (source_port, port), messages, rng, UDP_SWEEP)
            yield exchange
            if answering <= kind < answering + closed:
                refusal = Message(answered_ns, False, port_unreachable(exchange.packets[0].frame))
                yield signalling((host, scanner), [refusal], rng, NOBODY_LISTENS)

    summary = f"one question to UDP port {port} of each of {hosts} hosts"
    return Scenario("udp-sweep", summary, 0.0, traffic, (1.1 * hosts / per_second + 5) / 60)


def echo_sweep(*, hosts: int = 254, per_second: float = 50.0, answering: float = 0.06) -> Scenario:
    """One echo request to each address of a network, within seconds; answering: share that replies."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        scanner, path = outside("echo sweeper", "203.0.113.62", rng), inward_path(rng, 12.0)
        ident, at_ns = rng.getrandbits(16), span.start_ns
        for number in range(hosts):
            at_ns += int(lognormal(rng, SECOND / per_second, 0.3))
            messages = [Message(at_ns, False, icmp_echo(False, ident, number & 0xFFFF, b""))]
            if rng.random() < answering:
                reply = icmp_echo(True, ident, number & 0xFFFF, b"")
                messages.append(Message(at_ns + 2 * path.far_ns + rng.randrange(MS), True, reply))
            yield signalling((scanner, _nobody(site, number)), messages, rng, ECHO_SWEEP)

    summary = f"one echo request to each of {hosts} addresses"
    return Scenario("echo-sweep", summary, 0.0, traffic, (1.1 * hosts / per_second + 5) / 60)


def _nobody(site: Site, number: int) -> Host:
    """An address behind the gateway's further networks, of which most have no host."""
    third, fourth = 1 + number // 250, 1 + number % 250
    return Host(f"address{number}", site.gateway.mac, address(f"10.20.{third}.{fourth}"), LINUX, hops=1)
