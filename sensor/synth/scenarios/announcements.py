"""Discovery and membership: what hosts say to groups and to everybody on the link, asked or not.

mDNS (RFC 6762), SSDP (UPnP Device Architecture 1.1), LLMNR (RFC 4795), NetBIOS names and datagrams (RFC 1002), IGMP
(RFC 2236), DHCP (RFC 2131). Nothing answers most of it, and what does answers from another address: flows of one
direction, to hosts that never answer, on every network.
"""

import struct
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from sensor.synth.datagrams import Message, dialogue
from sensor.synth.packets import IPV4, UDP, address, checksum, ethernet, internet, udp
from sensor.synth.protocols import ssdp
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND, child
from sensor.synth.scenarios.discovery import discovery
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Host, Site, inside
from sensor.synth.stacks import MACOS, MS, WINDOWS
from sensor.synth.truth import Exchange, Packet, Purpose, flow

SSDP, LLMNR, NETBIOS = Purpose("ssdp"), Purpose("llmnr"), Purpose("netbios")
MEMBERSHIP, LEASES = Purpose("igmp"), Purpose("dhcp")

_IGMP = 2
_ROUTER_ALERT = bytes.fromhex("94040000")  # RFC 2113, as RFC 2236 section 2 wants it
_QUERY, _REPORT = 0x11, 0x16

_SSDP_GROUP, _LLMNR_GROUP, _ALL_HOSTS = "239.255.255.250", "224.0.0.252", "224.0.0.1"
_TELEVISION = "10.20.0.230"
_LINK_BROADCAST, _ANY_BROADCAST = "10.20.0.255", "255.255.255.255"


def announcements(*, clients: int = 8, every_s: float = 120.0, minutes: float = 60.0) -> Scenario:
    """What at most ten clients, a television and the gateway tell all others; every_s is between two searches."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        part, television = span.first(minutes * 60), inside("television", 230)
        talkers = [inside(f"talker{number}", 160 + number, (WINDOWS, MACOS)[number % 2]) for number in range(clients)]
        for client in talkers:
            yield discovery(client, child(rng), part)
            yield from _searches(site, client, television, child(rng), list(part.ticks(rng, every_s, 0.05)))
            yield from _names(site, client, child(rng), list(part.ticks(rng, 4 * every_s, 0.5)))
            yield from _netbios(client, child(rng), list(part.ticks(rng, 6 * every_s, 0.3)))
            yield from _renewals(site, client, child(rng), list(part.ticks(rng, 8 * every_s, 0.1)))
        yield from _membership(site, [*talkers, television], child(rng), list(part.ticks(rng, 125.0)))
        yield from _arrivals(site, child(rng), list(part.ticks(rng, 5 * every_s, 0.8)))

    return Scenario("announcements", f"discovery and membership of {clients} clients", 0.0, traffic, minutes)


def _searches(site: Site, client: Host, television: Host, rng: Random, times: list[int]) -> Iterator[Exchange]:
    """Four M-SEARCH a second apart from a new port, each answered by the television from port 1900 to that."""
    for at_ns in times:
        port = site.port(client, rng)
        asked = [at_ns + number * SECOND for number in range(4)]
        yield _to_group(client, _SSDP_GROUP, (port, 1900), [(when_ns, ssdp.search()) for when_ns in asked], SSDP, ttl=4)
        answers = [
            Message(when_ns + rng.randrange(5 * MS, 900 * MS), False, ssdp.found(_TELEVISION)) for when_ns in asked
        ]
        yield dialogue((television, client), (1900, port), answers, rng, SSDP)


def _names(site: Site, client: Host, rng: Random, times: list[int]) -> Iterator[Exchange]:
    """A name that nobody has, asked twice for each kind of address. RFC 4795 section 2.7: again after 100 ms."""
    for at_ns in times:
        question = struct.pack("!HHHHHH", rng.getrandbits(16), 0, 1, 0, 0, 0) + b"\x04wpad\0" + struct.pack("!HH", 1, 1)
        asked = [(at_ns, question), (at_ns + 110 * MS, question)]
        yield _to_group(client, _LLMNR_GROUP, (site.port(client, rng), 5355), asked, LLMNR, ttl=1)


def _netbios(client: Host, rng: Random, times: list[int]) -> Iterator[Exchange]:
    """Name queries, thrice 750 ms apart, and announcements to the link's browsers, from the well-known ports."""
    questions, announced = [], []
    ends = _encoded(client.name.upper(), 0) + _encoded("WORKGROUP", 0x1E)
    for at_ns in times:
        ident = rng.getrandbits(16)
        query = struct.pack("!HHHHHH", ident, 0x0110, 1, 0, 0, 0) + _encoded("WPAD", 0) + struct.pack("!HH", 0x20, 1)
        questions += [(at_ns + number * 750 * MS, query) for number in range(3)]
        content = ends + opaque(119)
        head = struct.pack("!BBH", 0x11, 0x0A, ident) + client.ipv4 + struct.pack("!HHH", 138, len(content), 0)
        announced.append((at_ns + 3 * SECOND, head + content))
    if times:
        yield _to_group(client, _LINK_BROADCAST, (137, 137), questions, NETBIOS)
        yield _to_group(client, _LINK_BROADCAST, (138, 138), announced, NETBIOS)


def _encoded(name: str, suffix: int) -> bytes:
    """A NetBIOS name, half an octet in each letter. RFC 1001 section 14.1."""
    padded = name.encode()[:15].ljust(15) + bytes((suffix,))
    return b"\x20" + b"".join(bytes((65 + (octet >> 4), 65 + (octet & 15))) for octet in padded) + b"\0"


def _renewals(site: Site, client: Host, rng: Random, times: list[int]) -> Iterator[Exchange]:
    """Renewals of a lease: a request to the gateway and its acknowledgement, from 68 to 67. RFC 2131 section 4.4.5."""
    messages = []
    for at_ns in times:
        ident = rng.getrandbits(32)
        messages.append(Message(at_ns, False, _dhcp(1, ident, client, 3)))
        messages.append(Message(at_ns + rng.randrange(MS, 9 * MS), True, _dhcp(2, ident, client, 5)))
    if messages:
        yield dialogue((client, site.gateway), (68, 67), messages, rng, LEASES)


def _arrivals(site: Site, rng: Random, times: list[int]) -> Iterator[Exchange]:
    """A phone that comes and goes: DISCOVER and REQUEST from 0.0.0.0 to all, OFFER and ACK from the gateway to all."""
    phone = replace(inside("visitor's phone", 170, MACOS), ipv4=bytes(4))
    asked, answered = [], []
    for at_ns in times:
        ident = rng.getrandbits(32)
        for step, (question, answer) in enumerate(((1, 2), (3, 5))):
            when_ns = at_ns + step * 30 * MS
            asked.append((when_ns, _dhcp(1, ident, phone, question)))
            answered.append((when_ns + rng.randrange(2 * MS, 20 * MS), _dhcp(2, ident, phone, answer)))
    if times:
        yield _to_group(phone, _ANY_BROADCAST, (68, 67), asked, LEASES)
        yield _to_group(site.gateway, _ANY_BROADCAST, (67, 68), answered, LEASES)


def _membership(site: Site, members: list[Host], rng: Random, times: list[int]) -> Iterator[Exchange]:
    """The gateway's general query, and within ten seconds each member's reports of its groups."""
    queries = [(at_ns, _igmp(_QUERY, 100, bytes(4))) for at_ns in times]
    if not times:
        return
    yield _igmp_flow(site.gateway, _ALL_HOSTS, queries)
    for member in members:
        for group in (_SSDP_GROUP, _LLMNR_GROUP):
            report = _igmp(_REPORT, 0, address(group))
            yield _igmp_flow(member, group, [(at_ns + rng.randrange(10 * SECOND), report) for at_ns in times])


def _igmp(kind: int, tenths: int, group: bytes) -> bytes:
    total = checksum(struct.pack("!BBH", kind, tenths, 0) + group)
    return struct.pack("!BBH", kind, tenths, total) + group


def _igmp_flow(source: Host, group: str, messages: list[tuple[int, bytes]]) -> Exchange:
    to = address(group)
    packets = [
        Packet(
            at_ns,
            _link_frame(
                source, to, internet(source.ipv4, to, _IGMP, message, ttl=1, ident=number, options=_ROUTER_ALERT)
            ),
        )
        for number, (at_ns, message) in enumerate(messages)
    ]
    return flow(packets, MEMBERSHIP, _IGMP, (source.ipv4, 0), (to, 0))


def _to_group(
    source: Host, group: str, ports: tuple[int, int], messages: list[tuple[int, bytes]], purpose: Purpose, ttl: int = 64
) -> Exchange:
    """Datagrams to a group or to all, as one flow; messages are (ns, payload)."""
    to = address(group)
    packets = [
        Packet(
            at_ns,
            _link_frame(
                source,
                to,
                internet(source.ipv4, to, UDP, udp((source.ipv4, to), ports, payload), ttl=ttl, ident=number),
            ),
        )
        for number, (at_ns, payload) in enumerate(messages)
    ]
    return flow(packets, purpose, UDP, (source.ipv4, ports[0]), (to, ports[1]))


def _link_frame(source: Host, to: bytes, packet: bytes) -> bytes:
    """Frame to a multicast group (RFC 1112 section 6.4) or to all."""
    multicast = 224 <= to[0] < 240
    mac = b"\x01\x00\x5e" + bytes((to[1] & 0x7F, to[2], to[3])) if multicast else b"\xff" * 6
    return ethernet(source.mac, mac, IPV4, packet)


def _dhcp(operation: int, ident: int, client: Host, kind: int) -> bytes:
    """Message of 300 bytes with its type as the only option; operation 1 asks, 2 answers. RFC 2131 section 2."""
    head = struct.pack("!BBBBIHH", operation, 1, 6, 0, ident, 0, 0) + client.ipv4 + bytes(12)
    bootp = head + client.mac.ljust(16, b"\0") + bytes(64 + 128)
    return (bootp + bytes.fromhex("63825363") + bytes((53, 1, kind, 255))).ljust(300, b"\0")
