"""Slow HTTP: connections that send a header line now and then and never finish their request. T1499.002."""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import http
from sensor.synth.randomness import SECOND, child, pause_ns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Host, NetworkPath, Site, inward_path, outside
from sensor.synth.truth import Exchange, Purpose

SLOW = Purpose("slowhttp", "T1499.002")

_AGENT = "Mozilla/5.0 (Windows NT 6.3; rv:36.0) Gecko/20100101 Firefox/36.0"


def slow_http(
    site: Site, rng: Random, span: Span, connections: int = 150, seconds: float = 110.0
) -> Iterator[Exchange]:
    """Connections to the web server, opened one after another and kept open until `seconds` after the start."""
    attacker = outside("slow", "203.0.113.180", rng)
    path = inward_path(rng, 20.0)
    at_ns = span.start_ns
    until_ns = span.start_ns + int(seconds * SECOND)
    for _ in range(connections):
        at_ns += 2 * (path.near_ns + path.far_ns) + pause_ns(rng, 0.004)
        yield _slow_request(site, attacker, path, child(rng), at_ns=at_ns, until_ns=until_ns)


def _slow_request(site: Site, attacker: Host, path: NetworkPath, rng: Random, *, at_ns: int, until_ns: int) -> Exchange:
    talk = Conversation((attacker, site.port(attacker, rng)), (site.web, 80), path, rng)
    talk.open(at_ns)
    talk.initiator_sends(
        http.unfinished_request("www.office.example", rng.randrange(2000), _AGENT), pause_ns(rng, 0.0003)
    )
    while True:
        waiting_ns = int(rng.uniform(10, 15) * SECOND)
        if talk.now_ns + waiting_ns > until_ns:
            break
        talk.initiator_sends(http.one_more_header(rng.randrange(1, 5000)), waiting_ns)
    talk.close(Close.INITIATOR_FIN, max(0, until_ns - talk.now_ns) + pause_ns(rng, 0.05))
    return talk.exchange(SLOW)


SLOWHTTP = Scenario("slowhttp", "150 connections whose requests never end, kept open for two minutes", 0.7, slow_http)
