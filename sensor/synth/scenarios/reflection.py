"""Reflection and amplification: servers answer a victim that asked nothing, for its address was forged. T1498.002.

The requests travel elsewhere, so the sensor beside the victim sees answers alone: from many addresses, from one port of
a service that answers small questions at length over UDP, to one address. What the reflectors do is not their own act,
and the victim's ICMP port unreachable to them even less so.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from sensor.synth.datagrams import Message, dialogue, port_unreachable, signalling
from sensor.synth.packets import address
from sensor.synth.protocols import dns, ldap, ntp, ssdp
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Host, Site, outside
from sensor.synth.truth import Exchange, Purpose

REFLECTION = Purpose("reflection", "T1498.002")
REFUSED_ANSWER = Purpose("reflection")  # the victim's ICMP: an answer to an attack is none

_UNREACHABLES = 6  # to one host in a burst: Linux, icmp_ratelimit

_LARGE_ZONE = [address(f"198.18.5.{1 + number}") for number in range(90)]


@dataclass(frozen=True, slots=True)
class Reflector:
    """A service that amplifies. Answers are of one datagram and not cut in fragments."""

    port: int
    answer: Callable[[Random, int], bytes]  # from a random stream and its number


def _large_zone(rng: Random, _: int) -> bytes:
    """All records of a name that has many, under EDNS: RFC 6891."""
    return dns.response(rng.getrandbits(16), "big.example.org", dns.A, _LARGE_ZONE[: rng.randrange(66, 87)])


def _controller(rng: Random, number: int) -> bytes:
    return ldap.controller_found(1 + number, rng.randrange(1250, 1380))


def _cached_value(_: Random, number: int) -> bytes:
    """A frame of a large value in memcached: its number, one of a hundred, 1400 bytes with the header of eight."""
    return struct.pack("!HHHH", 0, number, 100, 0) + opaque(1392)


def _device(rng: Random, _: int) -> bytes:
    return ssdp.found("192.168.1.1", rng.getrandbits(32))


REFLECTORS: dict[str, Reflector] = {
    "dns": Reflector(53, _large_zone),
    "ntp": Reflector(123, ntp.monitor_list),
    "cldap": Reflector(389, _controller),
    "memcached": Reflector(11211, _cached_value),
    "ssdp": Reflector(1900, _device),
}


def reflection(
    *, service: str = "dns", reflectors: int = 300, answers: int = 8, seconds: float = 10.0, unreachables: bool = False
) -> Scenario:
    """Answers of many servers to one port of the web server that asked none of them.

    service: a key of REFLECTORS. reflectors: at most 10,000. answers: datagrams of each. unreachables: whether the
    victim answers that the port is closed, at most six times to each; else it, or a firewall, says nothing.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        kind, victim, port = REFLECTORS[service], site.web, rng.randrange(1024, 65536)
        for number in range(reflectors):
            reflector = outside(f"reflector{number}", f"198.18.{64 + number // 250}.{1 + number % 250}", rng)
            times = sorted(span.start_ns + int(rng.random() * seconds * SECOND) for _ in range(answers))
            sent = [Message(at_ns, False, kind.answer(rng, order)) for order, at_ns in enumerate(times)]
            exchange = dialogue((reflector, victim), (kind.port, port), sent, rng, REFLECTION)
            yield exchange
            if unreachables:
                yield _refusals(victim, reflector, exchange, rng)

    summary = f"{service} answers of {reflectors} reflectors to a host that asked nothing"
    return Scenario("reflection", summary, 0.0, traffic, (seconds + 2) / 60)


def _refusals(victim: Host, reflector: Host, exchange: Exchange, rng: Random) -> Exchange:
    """Port unreachables of the victim about the first datagrams of a flow."""
    messages = [
        Message(at_ns + rng.randrange(100_000, 400_000), False, port_unreachable(frame))
        for at_ns, frame in exchange.packets[:_UNREACHABLES]
    ]
    return signalling((victim, reflector), messages, rng, REFUSED_ANSWER)
