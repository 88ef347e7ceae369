"""Web browsing: lookups, page loads over parallel TLS connections, pauses to read, connections that stay open."""

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

BROWSING = Purpose("browsing")

_SITES = 120  # servers whose pages are read; those after them only serve parts of pages
_CLOSES = (Close.INITIATOR_FIN,) * 5 + (Close.TARGET_FIN,) * 3 + (Close.INITIATOR_RST,) * 2


def browsing(site: Site, client: Host, rng: Random, span: Span, reading_s: float = 40.0) -> Iterator[Exchange]:
    """One client's page loads; reading_s is the median pause between two."""
    at_ns = span.start_ns + int(rng.random() * reading_s * SECOND)
    while at_ns < span.end_ns:
        yield from _page(site, client, child(rng), at_ns)
        at_ns += pause_ns(rng, reading_s, 0.7) + SECOND


def _page(site: Site, client: Host, rng: Random, at_ns: int) -> Iterator[Exchange]:
    """A page from its own server, and parts of it from some others a little later."""
    main = remote_server(int(_SITES * rng.random() ** 2))
    resolution = list(lookup(site, client, main, rng, start_ns=at_ns, purpose=BROWSING))
    yield from resolution
    ready_ns = resolved_ns(resolution)
    load = _load_multiplexed if rng.random() < 0.7 else _load_one_by_one
    yield load(site, client, main, rng, ready_ns)
    parts_ns = ready_ns + pause_ns(rng, 0.25, 0.4)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        other = remote_server(rng.randrange(_SITES, 512))
        resolution = list(lookup(site, client, other, rng, start_ns=parts_ns, purpose=BROWSING))
        yield from resolution
        yield _load_one_by_one(site, client, other, rng, resolved_ns(resolution))


def _connect(site: Site, client: Host, server: Host, rng: Random, at_ns: int) -> Conversation:
    ipv6 = client.ipv6 is not None and server.ipv6 is not None
    talk = Conversation((client, site.port(client, rng)), (server, 443), outward_path(rng), rng, ipv6)
    talk.open(at_ns)
    secure(talk, rng, server_name(server))
    return talk


def _load_multiplexed(site: Site, client: Host, server: Host, rng: Random, at_ns: int) -> Exchange:
    """Load like HTTP/2: the page, then a burst of requests answered by one burst of objects; perhaps a second page."""
    talk = _connect(site, client, server, rng, at_ns)
    for page in range(1 + (rng.random() < 0.35)):
        talk.initiator_sends(tls.sealed(int(lognormal(rng, 420, 0.3))), pause_ns(rng, 9.0) if page else 0)
        talk.target_sends(tls.sealed(int(lognormal(rng, 9_000, 0.8))), pause_ns(rng, 0.04))
        objects = rng.randrange(2, 9)
        talk.initiator_sends(b"".join(tls.sealed(rng.randrange(45, 160)) for _ in range(objects)), pause_ns(rng, 0.02))
        sizes = (min(90_000, int(lognormal(rng, 3_500, 1.0))) for _ in range(objects))
        talk.target_sends(b"".join(map(tls.sealed, sizes)), pause_ns(rng, 0.015))
    return _finish(talk, rng)


def _load_one_by_one(site: Site, client: Host, server: Host, rng: Random, at_ns: int) -> Exchange:
    """Load like HTTP/1.1: requests and responses in turn on a persistent connection."""
    talk = _connect(site, client, server, rng, at_ns)
    for _ in range(rng.choice((1, 1, 2, 2, 3, 5))):
        talk.initiator_sends(tls.sealed(int(lognormal(rng, 480, 0.3))), pause_ns(rng, 0.03, 1.0))
        talk.target_sends(tls.sealed(min(120_000, int(lognormal(rng, 3_000, 1.2)))), pause_ns(rng, 0.03))
    return _finish(talk, rng)


def _finish(talk: Conversation, rng: Random) -> Exchange:
    talk.close(rng.choice(_CLOSES), pause_ns(rng, 6.0, 1.0))
    return talk.exchange(BROWSING)
