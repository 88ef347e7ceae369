"""Single packets between hosts: UDP datagrams and ICMP messages, and what is said in them."""

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from sensor.synth.packets import ICMP, IPV4, UDP, ethernet, icmp_unreachable, internet, udp
from sensor.synth.site import Host, NetworkPath
from sensor.synth.truth import Exchange, Packet, Purpose, flow


class Message(NamedTuple):
    """What one host tells another in one packet."""

    at_ns: int  # at the sensor
    answers: bool  # from the second host to the first
    content: bytes


def ip_frame(source: Host, destination: Host, protocol: int, payload: bytes, rng: Random) -> bytes:
    """Frame that carries payload from host to host over IPv4."""
    ident = rng.getrandbits(16)
    packet = internet(source.ipv4, destination.ipv4, protocol, payload, ttl=source.ttl, ident=ident)
    return ethernet(source.mac, destination.mac, IPV4, packet)


def datagram(source: Host, destination: Host, ports: tuple[int, int], payload: bytes, rng: Random) -> bytes:
    """Frame of one UDP datagram over IPv4."""
    return ip_frame(source, destination, UDP, udp((source.ipv4, destination.ipv4), ports, payload), rng)


def request_and_response(
    ends: tuple[Host, Host],
    ports: tuple[int, int],
    payloads: tuple[bytes, bytes],
    *,
    start_ns: int,
    path: NetworkPath,
    rng: Random,
    purpose: Purpose,
    processing_ns: int = 0,
) -> Exchange:
    """One datagram each way over IPv4; start_ns is when the client sends, processing_ns the time of the server."""
    client, server = ends
    request_ns = start_ns + path.near_ns
    response_ns = request_ns + 2 * path.far_ns + processing_ns + int(rng.expovariate(1 / path.jitter_ns))
    packets = (
        Packet(request_ns, datagram(client, server, ports, payloads[0], rng)),
        Packet(response_ns, datagram(server, client, ports[::-1], payloads[1], rng)),
    )
    return flow(packets, purpose, UDP, (client.ipv4, ports[0]), (server.ipv4, ports[1]))


def dialogue(
    ends: tuple[Host, Host], ports: tuple[int, int], messages: Iterable[Message], rng: Random, purpose: Purpose
) -> Exchange:
    """UDP datagrams between two hosts as one flow; contents of messages are payloads."""
    packets = [
        Packet(
            at_ns, datagram(*ends[::-1], ports[::-1], content, rng) if answers else datagram(*ends, ports, content, rng)
        )
        for at_ns, answers, content in messages
    ]
    return flow(packets, purpose, UDP, (ends[0].ipv4, ports[0]), (ends[1].ipv4, ports[1]))


def signalling(ends: tuple[Host, Host], messages: Iterable[Message], rng: Random, purpose: Purpose) -> Exchange:
    """ICMP messages between two hosts as one flow; contents of messages are whole ICMP messages."""
    packets = [
        Packet(at_ns, ip_frame(*(ends[::-1] if answers else ends), ICMP, content, rng))
        for at_ns, answers, content in messages
    ]
    return flow(packets, purpose, ICMP, (ends[0].ipv4, 0), (ends[1].ipv4, 0))


def port_unreachable(frame: bytes) -> bytes:
    """ICMP message that the port of a frame's datagram is closed; the frame is untagged Ethernet with IPv4."""
    return icmp_unreachable(3, frame[14 : 14 + int.from_bytes(frame[16:18], "big")])
