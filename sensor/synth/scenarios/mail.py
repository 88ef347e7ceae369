"""Mail fetched over IMAP with TLS, about every minute."""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import tls
from sensor.synth.randomness import SECOND, child, lognormal, pause_ns
from sensor.synth.scenarios.lookups import lookup, resolved_ns, server_name
from sensor.synth.scenarios.scenario import Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.site import Host, Site, outward_path, remote_server
from sensor.synth.truth import Exchange, Purpose

MAIL = Purpose("mail")


def mail(site: Site, client: Host, rng: Random, span: Span, every_s: float = 75.0) -> Iterator[Exchange]:
    """One client's mail program; every_s is the median time between two fetches."""
    at_ns = span.start_ns + int(rng.random() * every_s * SECOND)
    while at_ns < span.end_ns:
        yield from _fetch(site, client, child(rng), at_ns)
        at_ns += pause_ns(rng, every_s, 0.1)


def _fetch(site: Site, client: Host, rng: Random, at_ns: int) -> Iterator[Exchange]:
    server = remote_server(510)
    resolution = list(lookup(site, client, server, rng, start_ns=at_ns, purpose=MAIL))
    yield from resolution
    talk = Conversation((client, site.port(client, rng)), (server, 993), outward_path(rng), rng)
    talk.open(resolved_ns(resolution))
    secure(talk, rng, server_name(server))
    talk.target_sends(tls.sealed(110), pause_ns(rng, 0.004))
    message_sizes = [int(lognormal(rng, 9_000, 1.0)) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    for command, answer in (
        (60, 240),
        (25, 420),
        (40, 90),
        *((45, min(size, 80_000)) for size in message_sizes),
        (12, 70),
    ):
        talk.initiator_sends(tls.sealed(command), pause_ns(rng, 0.002))
        talk.target_sends(tls.sealed(answer), pause_ns(rng, 0.008))
    talk.close(Close.TARGET_FIN, pause_ns(rng, 0.0004))
    yield talk.exchange(MAIL)
