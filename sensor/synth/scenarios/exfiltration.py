"""Exfiltration: much goes out and little comes back, at once or in pieces over hours. T1048, T1041.

Backups and uploads of people do the same; what differs is to whom, since when, and whether that host was known before.
Packets are those of a sensor on a host whose network card joins segments, so that hundreds of megabytes are some
thousands of packets.
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import http, ssh, tls
from sensor.synth.randomness import child, pause_ns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.scenarios.shells import negotiate
from sensor.synth.site import NetworkPath, Site, inside, outside
from sensor.synth.stacks import MS
from sensor.synth.truth import Exchange, Purpose

UPLOAD = Purpose("exfiltration", "T1048")
CHUNKS = Purpose("slow-exfiltration", "T1041")

_JOINED = 22  # segments in a packet
_WRITE = 1 << 20  # bytes that the program writes at a time


def exfiltration(*, megabytes: int = 64, megabits_per_second: float = 8.0, port: int = 22) -> Scenario:
    """One long upload from a client to a host outside that nobody knew, over SSH.

    All of it is in memory while it is made. It takes megabytes × 8 ÷ megabits_per_second seconds.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, drop = inside("sender", 134), outside("drop", "198.51.100.140", rng)
        path = NetworkPath(MS // 5, 21 * MS, MS // 5, int(megabits_per_second * 1e6))
        talk = Conversation((client, site.port(client, rng)), (drop, port), path, rng, joined=_JOINED)
        talk.open(span.start_ns)
        negotiate(talk, rng, "OpenSSH_9.6", "OpenSSH_9.3")
        talk.initiator_sends(ssh.sealed(360), pause_ns(rng, 0.004))
        talk.target_sends(ssh.authentication_success(), pause_ns(rng, 0.006))
        for _ in range(megabytes):
            talk.initiator_sends(ssh.sealed(_WRITE))
        talk.target_sends(ssh.sealed(17), pause_ns(rng, 0.01))
        talk.close(Close.INITIATOR_FIN, pause_ns(rng, 0.005))
        yield talk.exchange(UPLOAD)

    seconds = 8 * megabytes * 1.08 / megabits_per_second
    return Scenario("exfiltration", f"{megabytes} MB sent to a host outside at once", 0.0, traffic, seconds / 60 + 1)


def slow_exfiltration(
    *, every_s: float = 420.0, jitter: float = 0.2, kilobytes: int = 300, answer_bytes: int = 60, hours: float = 24.0
) -> Scenario:
    """A POST of some hundred kilobytes over TLS every few minutes to one controller, which answers in a few bytes."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, drop = inside("slow sender", 135), outside("slow drop", "198.51.100.141", rng)
        path = NetworkPath(MS // 5, 32 * MS, MS // 4, 20_000_000)
        for at_ns in span.first(hours * 3600).ticks(rng, every_s, jitter):
            own = child(rng)
            talk = Conversation((client, site.port(client, own)), (drop, 443), path, own, joined=_JOINED)
            talk.open(at_ns)
            secure(talk, own, "sync.example.org")
            head = http.request("sync.example.org", "/v1/items", "python-requests/2.31")
            talk.initiator_sends(
                tls.sealed(len(head) + int(kilobytes * 1000 * own.uniform(0.7, 1.3))), pause_ns(own, 0.002)
            )
            talk.target_sends(tls.sealed(answer_bytes), pause_ns(own, 0.05))
            talk.close(Close.INITIATOR_FIN, pause_ns(own, 0.01))
            yield talk.exchange(CHUNKS)

    summary = f"{kilobytes} kB sent to a host outside every {every_s:g} s"
    return Scenario("slow-exfiltration", summary, 0.0, traffic, hours * 60)
