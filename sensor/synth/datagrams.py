"""Single packets between hosts: UDP datagrams and exchanges of one question and one answer."""

from random import Random

from sensor.synth.packets import IPV4, UDP, ethernet, internet, udp
from sensor.synth.site import Host, Path
from sensor.synth.truth import Exchange, Packet, Purpose, flow


def ip_frame(source: Host, destination: Host, protocol: int, payload: bytes, rng: Random) -> bytes:
    """Frame that carries payload from host to host over IPv4."""
    ident = rng.getrandbits(16)
    packet = internet(source.ipv4, destination.ipv4, protocol, payload, ttl=source.ttl, ident=ident)
    return ethernet(source.mac, destination.mac, IPV4, packet)


def datagram(source: Host, destination: Host, ports: tuple[int, int], payload: bytes, rng: Random) -> bytes:
    """Frame of one UDP datagram over IPv4."""
    return ip_frame(source, destination, UDP, udp((source.ipv4, destination.ipv4), ports, payload), rng)


def question_and_answer(
    ends: tuple[Host, Host],
    ports: tuple[int, int],
    payloads: tuple[bytes, bytes],
    *,
    start_ns: int,
    path: Path,
    rng: Random,
    purpose: Purpose,
    thinking_ns: int = 0,
) -> Exchange:
    """One datagram each way over IPv4; start_ns is when the asker sends, thinking_ns how long the other side takes."""
    asker, answerer = ends
    asked_ns = start_ns + path.near_ns
    answered_ns = asked_ns + 2 * path.far_ns + thinking_ns + int(rng.expovariate(1 / path.jitter_ns))
    packets = (
        Packet(asked_ns, datagram(asker, answerer, ports, payloads[0], rng)),
        Packet(answered_ns, datagram(answerer, asker, ports[::-1], payloads[1], rng)),
    )
    return flow(packets, purpose, UDP, (asker.ipv4, ports[0]), (answerer.ipv4, ports[1]))
