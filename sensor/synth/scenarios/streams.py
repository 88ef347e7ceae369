"""Streams over UDP: many packets a second both ways in one flow, for minutes or hours. A flood has one direction."""

from collections.abc import Iterator
from random import Random

from sensor.synth.datagrams import Message, dialogue
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND, lognormal, pause_ns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Site, inside, outward_path, remote_server
from sensor.synth.stacks import MACOS, MS
from sensor.synth.truth import Exchange, Purpose

CALL = Purpose("video-call")
VPN = Purpose("vpn")

_REKEY_S, _KEEP_ALIVE_S = 120.0, 25.0  # WireGuard, section 6 of its paper, and its usual PersistentKeepalive
_INITIATION, _RESPONSE, _EMPTY = 148, 92, 32  # bytes


def video_call(*, per_second: float = 50.0, seconds: float = 45.0, largest_bytes: int = 1100) -> Scenario:
    """RTP both ways, so many packets a second each way: sound of about 120 bytes, pictures in larger ones. RFC 3550."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, server = inside("caller", 144, MACOS), remote_server(489)
        messages = []
        for answers in (False, True):
            for at_ns in span.first(seconds).ticks(rng, 1 / per_second, 0.05):
                size = rng.randrange(90, 160) if rng.random() < 0.6 else rng.randrange(400, largest_bytes)
                messages.append(Message(at_ns + int(rng.expovariate(1 / MS)), answers, opaque(size)))
        yield dialogue((client, server), (site.port(client, rng), 8801), _client_first(messages), rng, CALL)

    summary = f"a video call, {per_second:g} packets a second each way"
    return Scenario("video-call", summary, 0.0, traffic, seconds / 60 + 0.1)


def vpn(*, burst_s: float = 20.0, packets: int = 9, hours: float = 2.0) -> Scenario:
    """A WireGuard-like tunnel in one flow: data in bursts about burst_s apart, keep-alives, a handshake every 120 s.

    packets: median of a burst, both ways together.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        part, path = span.first(hours * 3600), outward_path(rng)
        client, server = inside("commuter", 145), remote_server(490)
        messages = [Message(part.start_ns + MS, False, opaque(_INITIATION))]
        for at_ns in part.ticks(rng, _REKEY_S, 0.02):
            answered_ns = at_ns + 2 * path.far_ns + MS
            messages.append(Message(at_ns, False, opaque(_INITIATION)))
            messages.append(Message(answered_ns, True, opaque(_RESPONSE)))
            messages.append(Message(answered_ns + MS, False, opaque(_EMPTY)))
        messages += [Message(at_ns, False, opaque(_EMPTY)) for at_ns in part.ticks(rng, _KEEP_ALIVE_S)]
        for at_ns in part.ticks(rng, burst_s, 0.9):
            messages += _burst(rng, at_ns, max(2, int(lognormal(rng, packets, 0.6))))
        yield dialogue((client, server), (site.port(client, rng), 51820), messages, rng, VPN)

    return Scenario("vpn", f"a WireGuard-like tunnel of {hours:g} hours", 0.0, traffic, hours * 60 + 0.5)


def _burst(rng: Random, at_ns: int, count: int) -> Iterator[Message]:
    """Encrypted packets either way; data is padded to sixteen bytes, with a header of 32."""
    for _ in range(count):
        yield Message(at_ns, rng.random() < 0.6, opaque(32 + 16 * rng.randrange(3, 87)))
        at_ns += min(SECOND, pause_ns(rng, 0.004, 1.0))


def _client_first(messages: list[Message]) -> list[Message]:
    """The messages by time, without those of the server before the client's first."""
    messages.sort()
    first = next(number for number, message in enumerate(messages) if not message.answers)
    return messages[first:]
