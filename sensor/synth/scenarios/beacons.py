"""Command and control: an infected client asks its controller for orders, again and again, for hours.

What an analyst sees is one pair of hosts and a regular gap: implants sleep a fixed time and shorten or lengthen it by a
set share at random, so that the median absolute deviation of the gaps is a small part of their median, day and night.
The amounts are small and alike, for mostly there is no order. T1071.001 (web protocols), T1571 (non-standard port).
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import tls
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import child, lognormal, pause_ns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.site import Host, Site, inside, outside, outward_path
from sensor.synth.stacks import WINDOWS
from sensor.synth.truth import Exchange, Purpose

TLS_BEACON = Purpose("tls-beacon", "T1071.001")
TCP_BEACON = Purpose("tcp-beacon", "T1571")
HELD_CHANNEL = Purpose("held-channel", "T1571")


def tls_beacon(
    *,
    period_s: float = 300.0,
    jitter: float = 0.1,
    request_bytes: int = 420,
    answer_bytes: int = 180,
    orders: float = 0.02,
    hours: float = 24.0,
    victims: int = 1,
) -> Scenario:
    """A TLS connection each period to one controller on 443: a report, an answer, a close.

    jitter: the largest change of the period, as a share of it. orders: share of answers that are some kilobytes and
    followed by a longer report. victims: clients that have the same implant, at most ten.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        controller = outside("tls controller", "203.0.113.77", rng)
        for client in (inside(f"infected{number}", 120 + number, WINDOWS) for number in range(victims)):
            own = child(rng)
            for at_ns in span.first(hours * 3600).ticks(own, period_s, jitter):
                ordered = own.random() < orders
                yield _report(site, (client, controller), child(own), at_ns, ordered)

    def _report(site: Site, ends: tuple[Host, Host], rng: Random, at_ns: int, ordered: bool) -> Exchange:
        talk = Conversation((ends[0], site.port(ends[0], rng)), (ends[1], 443), outward_path(rng), rng)
        talk.open(at_ns)
        secure(talk, rng, "cdn-metrics.example.org")
        talk.initiator_sends(tls.sealed(request_bytes + rng.randrange(16)), pause_ns(rng, 0.001))
        talk.target_sends(tls.sealed(answer_bytes + ordered * int(lognormal(rng, 6_000))), pause_ns(rng, 0.02))
        if ordered:
            talk.initiator_sends(tls.sealed(int(lognormal(rng, 9_000))), pause_ns(rng, 2.0))
            talk.target_sends(tls.sealed(answer_bytes), pause_ns(rng, 0.02))
        talk.close(Close.INITIATOR_FIN, pause_ns(rng, 0.01))
        return talk.exchange(TLS_BEACON)

    return Scenario("tls-beacon", f"a TLS beacon every {period_s:g} s to one controller", 0.0, traffic, hours * 60)


def tcp_beacon(
    *,
    port: int = 4782,
    period_s: float = 180.0,
    jitter: float = 0.05,
    report_bytes: int = 96,
    order_bytes: int = 32,
    answered: float = 1.0,
    hours: float = 24.0,
) -> Scenario:
    """A raw TCP connection each period to an odd port of one controller: a few bytes each way, a close.

    answered: share of the attempts at which the controller is up; at others the SYN stays without answer, as where the
    controller is behind a machine that its owner switches on by night.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, controller = inside("infected by raw", 130, WINDOWS), outside("raw controller", "203.0.113.91", rng)
        path = outward_path(rng)
        for at_ns in span.first(hours * 3600).ticks(rng, period_s, jitter):
            own = child(rng)
            talk = Conversation((client, site.port(client, own)), (controller, port), path, own)
            if own.random() >= answered:
                talk.unanswered(at_ns, (1, 3))
            else:
                talk.open(at_ns)
                talk.initiator_sends(opaque(report_bytes + own.randrange(4)), pause_ns(own, 0.001))
                talk.target_sends(opaque(order_bytes), pause_ns(own, 0.003))
                talk.close(Close.INITIATOR_FIN, pause_ns(own, 0.002))
            yield talk.exchange(TCP_BEACON)

    return Scenario("tcp-beacon", f"a TCP beacon every {period_s:g} s to port {port}", 0.0, traffic, hours * 60)


def held_channel(
    *,
    port: int = 4444,
    keep_alive_s: float = 45.0,
    jitter: float = 0.1,
    message_bytes: int = 48,
    commands: int = 12,
    hours: float = 12.0,
) -> Scenario:
    """One connection to a controller that stays open for hours: a keep-alive each way, some commands and their output.

    A meter cuts such a connection at each active timeout; its records are one event, not a beacon.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        whole = span.first(hours * 3600)
        client, controller = (
            inside("infected by channel", 131, WINDOWS),
            outside("channel controller", "203.0.113.102", rng),
        )
        talk = Conversation((client, site.port(client, rng)), (controller, port), outward_path(rng), rng)
        beats = list(whole.ticks(rng, keep_alive_s, jitter))
        commanded = set(rng.sample(range(len(beats)), min(commands, len(beats))))
        talk.open(whole.start_ns)
        for number, at_ns in enumerate(beats):
            talk.initiator_sends(opaque(message_bytes), max(0, at_ns - talk.now_ns))
            talk.target_sends(opaque(message_bytes), pause_ns(rng, 0.002))
            if number in commanded:
                talk.target_sends(opaque(rng.randrange(60, 200)), pause_ns(rng, 2.0))
                talk.initiator_sends(opaque(int(lognormal(rng, 2_500, 0.8))), pause_ns(rng, 0.3))
        talk.close(Close.TARGET_RST, pause_ns(rng, 1.0))
        yield talk.exchange(HELD_CHANNEL)

    summary = f"one connection of {hours:g} hours to a controller, with a keep-alive every {keep_alive_s:g} s"
    return Scenario("held-channel", summary, 0.0, traffic, hours * 60)
