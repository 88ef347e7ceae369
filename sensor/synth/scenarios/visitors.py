"""Ordinary visitors from outside to the office's own web server, in the clear and over TLS."""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import http, tls
from sensor.synth.randomness import SECOND, child, lognormal, pause_ns
from sensor.synth.scenarios.scenario import Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.site import Site, inward_path, outside
from sensor.synth.stacks import LINUX, MACOS, WINDOWS
from sensor.synth.truth import Exchange, Purpose

VISIT = Purpose("visitor")

_NAME = "www.office.example"
_AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Gecko/20100101 Firefox/128.0"


def visitors(site: Site, rng: Random, span: Span, every_s: float = 14.0) -> Iterator[Exchange]:
    """Visits about every_s seconds apart; a fifth uses plain HTTP."""
    at_ns = span.start_ns + pause_ns(rng, every_s)
    number = 0
    while at_ns < span.end_ns:
        number += 1
        yield _visit(site, number, child(rng), at_ns, secured=rng.random() < 0.8)
        at_ns += pause_ns(rng, every_s, 0.8)


def _visit(site: Site, number: int, rng: Random, at_ns: int, secured: bool) -> Exchange:
    third, fourth = 100 + number // 250, 1 + number % 250
    visitor = outside(f"visitor{number}", f"198.19.{third}.{fourth}", rng, rng.choice((WINDOWS, MACOS, LINUX)))
    end = site.web, 443 if secured else 80
    talk = Conversation((visitor, site.port(visitor, rng)), end, inward_path(rng), rng)
    talk.open(at_ns)
    if secured:
        secure(talk, rng, _NAME)
    for view in range(rng.choice((1, 2, 2, 3, 4))):
        waiting_ns = pause_ns(rng, 0.0005) if view == 0 else pause_ns(rng, 1.5, 1.0)
        size = min(60_000, int(lognormal(rng, 4_000, 0.9)))
        talk.initiator_sends(tls.sealed(430) if secured else http.request(_NAME, f"/{view}.html", _AGENT), waiting_ns)
        talk.target_sends(tls.sealed(size) if secured else http.response(size), pause_ns(rng, 0.006))
    how = rng.choice((Close.INITIATOR_FIN, Close.INITIATOR_FIN, Close.TARGET_FIN))
    talk.close(how, 5 * SECOND if how is Close.TARGET_FIN else pause_ns(rng, 2.0))
    return talk.exchange(VISIT)
