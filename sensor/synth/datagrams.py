"""Single packets between hosts: UDP datagrams, and exchanges of one request and one response."""

from random import Random

from sensor.synth.packets import IPV4, UDP, ethernet, internet, udp
from sensor.synth.site import Host, NetworkPath
from sensor.synth.truth import Exchange, Packet, Purpose, flow


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
