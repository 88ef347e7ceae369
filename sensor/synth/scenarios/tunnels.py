"""Tunnels: other traffic inside of names that are asked for, and inside of the payload of echoes.

To one resolver, or to one host, go far more bytes a minute than lookups or pings need, for as long as the tunnel is up.
T1071.004 (DNS as a channel), T1095 (non-application layer protocol).
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.datagrams import Message, dialogue, signalling
from sensor.synth.packets import icmp_echo
from sensor.synth.protocols import dns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import NetworkPath, Site, inside, outside, outward_path
from sensor.synth.stacks import MACOS, MS
from sensor.synth.truth import Exchange, Purpose

DNS_TUNNEL = Purpose("dns-tunnel", "T1071.004")
ICMP_TUNNEL = Purpose("icmp-tunnel", "T1095")

_ZONE = "t.example.org"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_LABEL = 63  # characters at most, RFC 1035 section 2.3.4


def dns_tunnel(
    *,
    queries_per_second: float = 4.0,
    jitter: float = 0.5,
    name_characters: int = 150,
    answer_bytes: int = 160,
    new_ports: bool = False,
    direct: bool = False,
    minutes: float = 10.0,
) -> Scenario:
    """TXT queries of long names that never repeat, under one zone, and their answers of binary text.

    name_characters: of the encoded part, at most 220. new_ports: a source port for each query, as by the system's
    resolver, in place of one for all, as by a tunnel with a socket of its own. direct: to the tunnel's own server
    outside, in place of the office's resolver.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client = inside("names tunneller", 132, MACOS)
        server = outside("tunnel server", "198.51.100.53", rng) if direct else site.gateway
        path = outward_path(rng)
        messages: list[Message] = []
        for at_ns in span.first(minutes * 60).ticks(rng, 1 / queries_per_second, jitter):
            pair = _question_and_answer(rng, path, at_ns)
            if new_ports:
                yield dialogue((client, server), (site.port(client, rng), 53), pair, rng, DNS_TUNNEL)
            messages += pair
        if messages and not new_ports:
            yield dialogue((client, server), (site.port(client, rng), 53), messages, rng, DNS_TUNNEL)

    def _question_and_answer(rng: Random, path: NetworkPath, at_ns: int) -> list[Message]:
        encoded = "".join(rng.choices(_BASE32, k=max(8, int(name_characters * rng.uniform(0.6, 1.0)))))
        labels = [encoded[start : start + _LABEL] for start in range(0, len(encoded), _LABEL)]
        name, ident = ".".join((*labels, _ZONE)), rng.getrandbits(16)
        text = rng.randbytes(int(answer_bytes * rng.uniform(0.3, 1.0)))
        record = bytes((len(text),)) + text  # RFC 1035 section 3.3.14
        answered_ns = at_ns + 2 * path.far_ns + int(rng.uniform(1, 4) * MS)
        return [
            Message(at_ns, False, dns.query(ident, name, dns.TXT)),
            Message(answered_ns, True, dns.response(ident, name, dns.TXT, [record])),
        ]

    summary = f"a tunnel in DNS, {queries_per_second:g} queries a second"
    return Scenario("dns-tunnel", summary, 0.0, traffic, minutes)


def icmp_tunnel(
    *, echoes_per_second: float = 5.0, jitter: float = 0.9, largest_bytes: int = 1400, minutes: float = 10.0
) -> Scenario:
    """Echoes with one host outside whose payloads are large, differ in size, and come back as something else.

    A ping's payload is of one size, and the reply repeats it (RFC 792).
    """

    def traffic(_: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, server = inside("echo tunneller", 133), outside("echo server", "198.51.100.80", rng)
        path, ident = outward_path(rng), rng.getrandbits(16)
        messages = []
        for number, at_ns in enumerate(span.first(minutes * 60).ticks(rng, 1 / echoes_per_second, jitter)):
            answered_ns = at_ns + 2 * path.far_ns + int(rng.expovariate(1 / path.jitter_ns))
            for when_ns, answers in ((at_ns, False), (answered_ns, True)):
                payload = rng.randbytes(rng.randrange(90, largest_bytes + 1) if rng.random() < 0.7 else 64)
                messages.append(Message(when_ns, answers, icmp_echo(answers, ident, number & 0xFFFF, payload)))
        if messages:
            yield signalling((client, server), messages, rng, ICMP_TUNNEL)

    return Scenario("icmp-tunnel", f"a tunnel in echoes, {echoes_per_second:g} a second", 0.0, traffic, minutes)
