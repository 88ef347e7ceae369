"""Resolution of the gateway's address: ARP, and IPv6 neighbour discovery. RFC 826, RFC 4861 sections 4.3 and 4.4."""

import struct
from collections.abc import Iterator
from random import Random

from sensor.synth.packets import ARP, ICMPV6, IPV6, arp, ethernet, icmpv6, internet
from sensor.synth.randomness import SECOND, pause_ns
from sensor.synth.scenarios.scenario import Span
from sensor.synth.site import Host
from sensor.synth.stacks import MS
from sensor.synth.truth import Exchange, Packet, Purpose, flow

NEIGHBOUR = Purpose("neighbour")

_BROADCAST = b"\xff" * 6
_ANSWER_NS = MS // 8
_FROM_THIS_LINK = 255  # hop limit that proves that no router passed it on: RFC 4861 section 7.1
_ROUTER_SOLICITED_OVERRIDE = 0xE0000000


def address_resolution(client: Host, gateway: Host, rng: Random, span: Span) -> Iterator[Exchange]:
    """ARP request and reply, about every minute."""
    for at_ns in _moments(rng, span, 55):
        request = arp(1, client.mac, client.ipv4, bytes(6), gateway.ipv4)
        reply = arp(2, gateway.mac, gateway.ipv4, client.mac, client.ipv4)
        packets = (
            Packet(at_ns, ethernet(client.mac, _BROADCAST, ARP, request)),
            Packet(at_ns + _ANSWER_NS, ethernet(gateway.mac, client.mac, ARP, reply)),
        )
        yield Exchange(packets, None)


def neighbour_discovery(client: Host, gateway: Host, rng: Random, span: Span) -> Exchange:
    """IPv6 reachability probes, one flow. Raises ValueError when the client has no IPv6 address."""
    out = client.ip(ipv6=True), gateway.ip(ipv6=True)
    back = out[::-1]
    request = icmpv6(out, 135, bytes(4) + out[1] + b"\x01\x01" + client.mac)
    reply = icmpv6(back, 136, struct.pack("!I", _ROUTER_SOLICITED_OVERRIDE) + out[1] + b"\x02\x01" + gateway.mac)
    question = internet(*out, ICMPV6, request, ttl=_FROM_THIS_LINK, ident=0)
    answer = internet(*back, ICMPV6, reply, ttl=_FROM_THIS_LINK, ident=0)
    seen = []
    for at_ns in _moments(rng, span, 40):
        seen.append(Packet(at_ns, ethernet(client.mac, gateway.mac, IPV6, question)))
        seen.append(Packet(at_ns + _ANSWER_NS, ethernet(gateway.mac, client.mac, IPV6, answer)))
    return flow(seen, NEIGHBOUR, ICMPV6, (out[0], 0), (out[1], 0))


def _moments(rng: Random, span: Span, every_s: float) -> Iterator[int]:
    """Times within the span, at least one, about every_s seconds apart."""
    at_ns = span.start_ns + int(rng.random() * min(every_s * SECOND, span.end_ns - span.start_ns))
    while at_ns < span.end_ns:
        yield at_ns
        at_ns += pause_ns(rng, every_s, 0.3)
