"""A small office on an ordinary morning: all benign traffic, each actor with a random stream of its own."""

from collections.abc import Iterator
from random import Random

from sensor.synth.randomness import child
from sensor.synth.scenarios.browsing import browsing
from sensor.synth.scenarios.housekeeping import housekeeping
from sensor.synth.scenarios.mail import mail
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.shells import shells
from sensor.synth.scenarios.transfers import transfers
from sensor.synth.scenarios.visitors import visitors
from sensor.synth.site import Site
from sensor.synth.truth import Exchange


def _traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
    for client in site.clients:
        if client.name != "printer":
            yield from browsing(site, client, child(rng), span)
    for client in site.clients[1:6]:
        yield from mail(site, client, child(rng), span)
    yield from shells(site, child(rng), span)
    yield from transfers(site, child(rng), span)
    yield from visitors(site, child(rng), span)
    yield from housekeeping(site, child(rng), span)


NORMAL = Scenario(
    "normal", "an office of ten clients: web, mail, ssh, transfers, visitors, housekeeping", 0.0, _traffic
)
