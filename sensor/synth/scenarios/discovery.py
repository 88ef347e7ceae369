"""Service discovery: queries and announcements over multicast DNS. RFC 6762."""

from random import Random

from sensor.synth.packets import IPV4, UDP, address, ethernet, internet, udp
from sensor.synth.protocols import dns
from sensor.synth.randomness import SECOND, pause_ns
from sensor.synth.scenarios.scenario import Span
from sensor.synth.site import Host
from sensor.synth.truth import Exchange, Packet, Purpose, flow

DISCOVERY = Purpose("mdns")

_GROUP, _GROUP_MAC = address("224.0.0.251"), bytes.fromhex("01005e0000fb")
_PORT = 5353
_TTL = 255  # RFC 6762 section 11
_SERVICES = ("_ipp._tcp.local", "_airplay._tcp.local", "_companion-link._tcp.local")


def discovery(client: Host, rng: Random, span: Span) -> Exchange:
    """One host's queries and announcements; they are one flow, since both ports are always the same."""
    seen = []
    at_ns = span.start_ns + int(rng.random() * min(20 * SECOND, span.end_ns - span.start_ns))
    while at_ns < span.end_ns:
        segment = udp((client.ipv4, _GROUP), (_PORT, _PORT), _message(client, rng))
        packet = internet(client.ipv4, _GROUP, UDP, segment, ttl=_TTL, ident=rng.getrandbits(16))
        seen.append(Packet(at_ns, ethernet(client.mac, _GROUP_MAC, IPV4, packet)))
        at_ns += pause_ns(rng, 25, 0.6)
    return flow(seen, DISCOVERY, UDP, (client.ipv4, _PORT), (_GROUP, _PORT))


def _message(client: Host, rng: Random) -> bytes:
    service = rng.choice(_SERVICES)
    if rng.random() < 0.7:
        return dns.multicast_query(service)
    return dns.multicast_answer(service, f"{client.name}.{service}")
