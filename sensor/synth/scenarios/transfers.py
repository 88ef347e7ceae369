"""Bulk transfers: a package download in the clear, and a backup pushed out over TLS."""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import http, tls
from sensor.synth.randomness import SECOND, child, pause_ns
from sensor.synth.scenarios.lookups import lookup, resolved_ns, server_name
from sensor.synth.scenarios.scenario import Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.site import Host, Site, outward_path, remote_server
from sensor.synth.truth import Exchange, Purpose

TRANSFER = Purpose("bulk transfer")


def transfers(site: Site, rng: Random, span: Span, size: int = 1_600_000) -> Iterator[Exchange]:
    """Downloads and uploads of about `size` bytes each, about every three minutes."""
    downloader, uploader = (next(c for c in site.clients if c.name == name) for name in ("build", "design"))
    at_ns = span.start_ns + 25 * SECOND
    upload = False
    while at_ns < span.end_ns:
        transfer = _upload if upload else _download
        yield from transfer(
            site, uploader if upload else downloader, child(rng), at_ns, int(size * rng.uniform(0.6, 1.4))
        )
        upload = not upload
        at_ns += pause_ns(rng, 170, 0.15)


def _download(site: Site, client: Host, rng: Random, at_ns: int, size: int) -> Iterator[Exchange]:
    server = remote_server(504)
    resolution = list(lookup(site, client, server, rng, start_ns=at_ns, purpose=TRANSFER))
    yield from resolution
    talk = Conversation((client, site.port(client, rng)), (server, 80), outward_path(rng), rng)
    talk.open(resolved_ns(resolution))
    for part in (9_000, size, 30_000):
        talk.initiator_sends(http.request(server_name(server), f"/pool/{part}.deb", "apt/2.6"), pause_ns(rng, 0.01))
        talk.target_sends(http.response(part, "application/octet-stream"), pause_ns(rng, 0.01))
    talk.close(Close.INITIATOR_FIN, pause_ns(rng, 0.5))
    yield talk.exchange(TRANSFER)


def _upload(site: Site, client: Host, rng: Random, at_ns: int, size: int) -> Iterator[Exchange]:
    server = remote_server(505)
    resolution = list(lookup(site, client, server, rng, start_ns=at_ns, purpose=TRANSFER))
    yield from resolution
    talk = Conversation((client, site.port(client, rng)), (server, 443), outward_path(rng), rng)
    talk.open(resolved_ns(resolution))
    secure(talk, rng, server_name(server))
    talk.initiator_sends(tls.sealed(600) + tls.sealed(size))
    talk.target_sends(tls.sealed(310), pause_ns(rng, 0.08))
    talk.close(Close.INITIATOR_FIN, pause_ns(rng, 2.0))
    yield talk.exchange(TRANSFER)
