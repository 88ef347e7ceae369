"""Background traffic of a network: NTP, address resolution, service discovery, echo, refused connections."""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Conversation
from sensor.synth.datagrams import ip_frame, request_and_response
from sensor.synth.packets import ICMP, icmp_echo
from sensor.synth.protocols import ntp
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND, child, pause_ns
from sensor.synth.scenarios.discovery import discovery
from sensor.synth.scenarios.neighbours import address_resolution, neighbour_discovery
from sensor.synth.scenarios.scenario import Span
from sensor.synth.site import Host, NetworkPath, Site, local_path, outward_path, remote_server
from sensor.synth.stacks import MS, WINDOWS
from sensor.synth.truth import Exchange, Packet, Purpose, flow

TIME, ECHO, REFUSED = Purpose("ntp"), Purpose("ping"), Purpose("refused")


def housekeeping(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
    """Background traffic of all clients."""
    for client in site.clients:
        yield from _clock(site, client, child(rng), span)
        yield from address_resolution(client, site.gateway, child(rng), span)
        if client.stack is not WINDOWS:
            yield discovery(client, child(rng), span)
        if client.ipv6:
            yield neighbour_discovery(client, site.gateway, child(rng), span)
    yield from _checks(site, child(rng), span.start_ns)


def _clock(site: Site, client: Host, rng: Random, span: Span) -> Iterator[Exchange]:
    """One client's requests to a time server, about every two minutes."""
    at_ns = span.start_ns + int(rng.random() * 120 * SECOND)
    server = remote_server(500 + rng.randrange(4))
    while at_ns < span.end_ns:
        path = outward_path(rng)
        yield request_and_response(
            (client, server),
            (site.port(client, rng), 123),
            (ntp.request(at_ns), ntp.response(at_ns, at_ns + path.near_ns + path.far_ns)),
            start_ns=at_ns,
            path=path,
            rng=rng,
            purpose=TIME,
            processing_ns=MS // 20,
        )
        at_ns += pause_ns(rng, 128, 0.02)


def _checks(site: Site, rng: Random, start_ns: int) -> Iterator[Exchange]:
    """Pings of the gateway and of a server outside, and connections to closed ports."""
    clients = {client.name: client for client in site.clients}
    yield _ping(clients["build"], site.gateway, local_path(rng), rng, at_ns=start_ns + 12 * SECOND)
    yield _ping(clients["accounts"], remote_server(3), outward_path(rng), rng, at_ns=start_ns + 41 * SECOND)
    yield _refusal(site, clients["reception"], (site.files, 445), local_path(rng), rng, at_ns=start_ns + 33 * SECOND)
    yield _refusal(
        site, clients["editor"], (remote_server(7), 8443), outward_path(rng), rng, at_ns=start_ns + 97 * SECOND
    )
    yield _refusal(site, clients["devel"], (site.web, 8080), local_path(rng), rng, at_ns=start_ns + 205 * SECOND)


def _ping(client: Host, target: Host, path: NetworkPath, rng: Random, *, at_ns: int) -> Exchange:
    ident = rng.getrandbits(16)
    seen = []
    for number in range(1, rng.randrange(4, 11)):
        at_ns += SECOND + rng.randrange(2 * MS)
        returned_ns = at_ns + 2 * path.far_ns + int(rng.expovariate(1 / path.jitter_ns))
        for when_ns, reply, ends in ((at_ns, False, (client, target)), (returned_ns, True, (target, client))):
            seen.append(Packet(when_ns, ip_frame(*ends, ICMP, icmp_echo(reply, ident, number, opaque(56)), rng)))
    return flow(seen, ECHO, ICMP, (client.ipv4, 0), (target.ipv4, 0))


def _refusal(
    site: Site, client: Host, end: tuple[Host, int], path: NetworkPath, rng: Random, *, at_ns: int
) -> Exchange:
    talk = Conversation((client, site.port(client, rng)), end, path, rng)
    talk.refuse(at_ns)
    return talk.exchange(REFUSED)
