"""Name lookups: a client asks the gateway's resolver for A and AAAA before it connects."""

from collections.abc import Iterator
from random import Random

from sensor.synth.datagrams import question_and_answer
from sensor.synth.dice import pause_ns
from sensor.synth.protocols import dns
from sensor.synth.site import Host, Site, local_path
from sensor.synth.stacks import MS
from sensor.synth.truth import Exchange, Purpose

_CACHED = 0.4  # share of names that the gateway knows already


def server_name(host: Host) -> str:
    """Name under which clients look a server up."""
    return f"{host.name}.example.net"


def lookup(
    site: Site, client: Host, server: Host, rng: Random, *, start_ns: int, purpose: Purpose
) -> Iterator[Exchange]:
    """Both questions at once, each answered from the cache or after the resolver has asked further."""
    path = local_path(rng)
    name = server_name(server)
    for kind, known in ((dns.A, [server.ipv4]), (dns.AAAA, [server.ipv6] if server.ipv6 else [])):
        ident = rng.getrandbits(16)
        thinking_ns = MS // 5 if rng.random() < _CACHED else pause_ns(rng, 0.018, 0.4)
        yield question_and_answer(
            (client, site.gateway),
            (site.port(client, rng), 53),
            (dns.query(ident, name, kind), dns.response(ident, name, kind, known)),
            start_ns=start_ns + (kind == dns.AAAA) * MS // 10,
            path=path,
            rng=rng,
            purpose=purpose,
            thinking_ns=thinking_ns,
        )


def resolved_ns(exchanges: list[Exchange]) -> int:
    """When the last answer has come."""
    return max(exchange.packets[-1].ts_ns for exchange in exchanges) + MS // 5
