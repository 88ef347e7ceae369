"""Name lookups: a client queries the gateway's resolver for A and AAAA before it connects."""

from collections.abc import Iterator
from random import Random

from sensor.synth.datagrams import request_and_response
from sensor.synth.protocols import dns
from sensor.synth.randomness import pause_ns
from sensor.synth.site import Host, Site, local_path
from sensor.synth.stacks import MS
from sensor.synth.truth import Exchange, Purpose

_CACHED = 0.4  # share of names in the gateway's cache


def server_name(host: Host) -> str:
    """Host name of a server."""
    return f"{host.name}.example.net"


def lookup(
    site: Site, client: Host, server: Host, rng: Random, *, start_ns: int, purpose: Purpose
) -> Iterator[Exchange]:
    """Both queries at once, each answered from the cache or after a recursive query of the resolver."""
    path = local_path(rng)
    name = server_name(server)
    for kind, known in ((dns.A, [server.ipv4]), (dns.AAAA, [server.ipv6] if server.ipv6 else [])):
        ident = rng.getrandbits(16)
        processing_ns = MS // 5 if rng.random() < _CACHED else pause_ns(rng, 0.018, 0.4)
        yield request_and_response(
            (client, site.gateway),
            (site.port(client, rng), 53),
            (dns.query(ident, name, kind), dns.response(ident, name, kind, known)),
            start_ns=start_ns + (kind == dns.AAAA) * MS // 10,
            path=path,
            rng=rng,
            purpose=purpose,
            processing_ns=processing_ns,
        )


def resolved_ns(exchanges: list[Exchange]) -> int:
    """Time at which the client has the last response."""
    return max(exchange.packets[-1].ts_ns for exchange in exchanges) + MS // 5
