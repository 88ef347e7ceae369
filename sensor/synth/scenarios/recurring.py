"""What a host does again and again because nobody stops it: retries of a dead server, page refreshes, mail to all.

A client that cannot reach one server for a day has more unanswered connections than most scans, but all to one port of
one host. People reload a page often, but not regularly. A mail server reaches hundreds of hosts, and some are gone.
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import tls
from sensor.synth.randomness import SECOND, child, lognormal, pause_ns
from sensor.synth.scenarios.lookups import lookup, resolved_ns, server_name
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.site import Host, Site, inside, outward_path, remote_server
from sensor.synth.stacks import MACOS
from sensor.synth.truth import Exchange, Purpose

DASHBOARD = Purpose("dashboard")
DELIVERY = Purpose("mail-delivery")


def retries(
    *, every_s: float = 60.0, refused: bool = False, repeats: int = 2, jitter: float = 0.01, hours: float = 24.0
) -> Scenario:
    """A client's connections to one service that is down, one every every_s seconds.

    refused: the host is up and answers RST; else nothing answers, and each SYN is sent again `repeats` times, after 1,
    3, 7 and 15 seconds.
    """
    purpose = Purpose("refused-retries" if refused else "unanswered-retries")

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, server, path = inside("forsaken", 142), remote_server(484), outward_path(rng)
        for at_ns in span.first(hours * 3600).ticks(rng, every_s, jitter):
            talk = Conversation((client, site.port(client, rng)), (server, 5432), path, child(rng))
            if refused:
                talk.refuse(at_ns)
            else:
                talk.unanswered(at_ns, (1, 3, 7, 15)[:repeats])
            yield talk.exchange(purpose)

    how = "refuses" if refused else "never answers"
    summary = f"a client that tries a server every {every_s:g} s which {how}"
    return Scenario(purpose.scenario, summary, 0.0, traffic, hours * 60)


def dashboard(*, gap_s: float = 90.0, spread: float = 0.8, hours: float = 6.0) -> Scenario:
    """A person who reloads one page over TLS, each time on a new connection.

    gap_s: median of the gaps, which are log-normal as human pauses are; spread: the deviation of their logarithm. Their
    median absolute deviation is about two thirds of spread, as a share of the median.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, server, path = inside("reader", 143, MACOS), remote_server(483), outward_path(rng)
        end_ns = span.first(hours * 3600).end_ns
        at_ns = span.start_ns + pause_ns(rng, gap_s, spread)
        while at_ns < end_ns:
            own = child(rng)
            talk = Conversation((client, site.port(client, own)), (server, 443), path, own)
            talk.open(at_ns)
            secure(talk, own, server_name(server))
            for _ in range(own.choice((1, 2, 2, 3))):
                talk.initiator_sends(tls.sealed(int(lognormal(own, 480, 0.2))), pause_ns(own, 0.02))
                talk.target_sends(tls.sealed(int(lognormal(own, 3_000, 0.7))), pause_ns(own, 0.03))
            talk.close(Close.INITIATOR_FIN, pause_ns(own, 4.0, 0.3))
            yield talk.exchange(DASHBOARD)
            at_ns += pause_ns(rng, gap_s, spread)

    return Scenario("dashboard", f"a person who reloads a page about every {gap_s:g} s", 0.0, traffic, hours * 60)


def mail_delivery(
    *, domains: int = 300, silent: float = 0.08, refused: float = 0.03, minutes: float = 30.0
) -> Scenario:
    """A mail server that sends to as many domains: their address looked up, then SMTP with STARTTLS on port 25.

    domains: at most 480. silent, refused: shares of them whose server does not answer, or refuses. RFC 5321, 3207.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        sender = inside("mailer", 12)
        for number in range(domains):
            own = child(rng)
            at_ns = span.start_ns + int((number + own.random()) * minutes * 60 / (domains + 15) * SECOND)
            server = remote_server(number)
            resolution = list(lookup(site, sender, server, own, start_ns=at_ns, purpose=DELIVERY))
            yield from resolution
            yield _deliver(site, sender, server, own, resolved_ns(resolution))

    def _deliver(site: Site, sender: Host, server: Host, rng: Random, at_ns: int) -> Exchange:
        talk = Conversation((sender, site.port(sender, rng)), (server, 25), outward_path(rng), rng)
        fate = rng.random()
        if fate < silent:
            talk.unanswered(at_ns, (1, 3, 7, 15))
        elif fate < silent + refused:
            talk.refuse(at_ns)
        else:
            talk.open(at_ns)
            _send_mail(talk, server, rng)
        return talk.exchange(DELIVERY)

    summary = f"a mail server that sends to {domains} domains, {silent:.0%} of them silent"
    return Scenario("mail-delivery", summary, 0.0, traffic, minutes)


def _send_mail(talk: Conversation, server: Host, rng: Random) -> None:
    name = server_name(server)
    talk.target_sends(f"220 {name} ESMTP Postfix\r\n".encode(), pause_ns(rng, 0.02))
    for command, answer in (
        (
            b"EHLO mail.office.example\r\n",
            f"250-{name}\r\n250-SIZE 52428800\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n".encode(),
        ),
        (b"STARTTLS\r\n", b"220 2.0.0 Ready to start TLS\r\n"),
    ):
        talk.initiator_sends(command, pause_ns(rng, 0.001))
        talk.target_sends(answer, pause_ns(rng, 0.003))
    secure(talk, rng, name)
    for asked, answered in ((30, 120), (90, 60), (int(lognormal(rng, 7_000, 0.9)), 50), (6, 20)):
        talk.initiator_sends(tls.sealed(asked), pause_ns(rng, 0.001))
        talk.target_sends(tls.sealed(answered), pause_ns(rng, 0.02))
    talk.close(Close.INITIATOR_FIN, pause_ns(rng, 0.001))
