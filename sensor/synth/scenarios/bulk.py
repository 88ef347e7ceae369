"""Much at once, for good reasons: updates, a speed test, a crawler, the nightly backups.

Eight downloads in eight seconds are no denial of service, two hundred connections of one crawler no scan, and the
largest uploads of most networks are their backups: to the same host, at the same hour, each night.
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import http, tls
from sensor.synth.randomness import SECOND, child, lognormal, pause_ns
from sensor.synth.scenarios.lookups import server_name
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.site import Host, NetworkPath, Site, inside, inward_path, local_path, outside, remote_server
from sensor.synth.stacks import MACOS, MS, WINDOWS
from sensor.synth.truth import Exchange, Purpose

UPDATES = Purpose("software-updates")
SPEED = Purpose("speed-test")
CRAWL = Purpose("web-crawl")
BACKUP = Purpose("backups")

_JOINED = 22  # segments in a packet, as a sensor on a host sees them whose network card joins them
_HOUR = 3600 * SECOND
_CRAWLER = "Mozilla/5.0 (compatible; Crawler/2.1; +https://search.example.net/bot)"


def software_updates(*, bursts: int = 2, parallel: int = 8, kilobytes: int = 400, every_s: float = 600.0) -> Scenario:
    """Bursts of parallel downloads from one mirror in the clear, each of about so many kilobytes, every every_s."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, mirror = inside("updated", 140, WINDOWS), remote_server(480)
        for burst in range(bursts):
            at_ns = span.start_ns + int((burst + 0.2 * rng.random()) * every_s * SECOND)
            for number in range(parallel):
                own = child(rng)
                path = NetworkPath(MS // 5, 8 * MS, MS // 10, 60_000_000)
                talk = Conversation((client, site.port(client, own)), (mirror, 80), path, own)
                talk.open(at_ns + int(own.random() * 0.4 * SECOND))
                request = http.request(server_name(mirror), f"/updates/{burst}/{number}.cab", "Update-Agent/10.0")
                talk.initiator_sends(request, pause_ns(own, 0.001))
                size = int(lognormal(own, kilobytes * 1000, 0.4))
                talk.target_sends(http.response(size, "application/octet-stream"), pause_ns(own, 0.01))
                talk.close(Close.INITIATOR_FIN, pause_ns(own, 0.05))
                yield talk.exchange(UPDATES)

    summary = f"{bursts} bursts of {parallel} parallel downloads"
    return Scenario("software-updates", summary, 0.0, traffic, bursts * every_s / 60)


def speed_test(*, parallel: int = 8, megabytes: int = 2) -> Scenario:
    """Parallel downloads and then parallel uploads as fast as the line is, of so many megabytes each."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        client, server = inside("impatient", 141, MACOS), remote_server(481)
        path = NetworkPath(MS // 5, 5 * MS, MS // 20, 200_000_000 // parallel)
        seconds = megabytes * 1e6 * 8 / path.bits_per_second
        for upload in (False, True):
            at_ns = span.start_ns + SECOND + int(upload * (1.2 * seconds + 2) * SECOND)
            for _ in range(parallel):
                own = child(rng)
                talk = Conversation((client, site.port(client, own)), (server, 8080), path, own, joined=_JOINED)
                talk.open(at_ns + own.randrange(200 * MS))
                request = http.request(server_name(server), "/test", "speedtest/1.2")
                if upload:
                    talk.initiator_sends(request + http.response(megabytes * 1_000_000), pause_ns(own, 0.001))
                    talk.target_sends(http.response(20), pause_ns(own, 0.01))
                else:
                    talk.initiator_sends(request, pause_ns(own, 0.001))
                    talk.target_sends(http.response(megabytes * 1_000_000), pause_ns(own, 0.002))
                talk.close(Close.INITIATOR_FIN, pause_ns(own, 0.01))
                yield talk.exchange(SPEED)

    summary = f"{parallel} downloads and {parallel} uploads of {megabytes} MB at once"
    return Scenario("speed-test", summary, 0.0, traffic, 1.0)


def web_crawl(*, connections: int = 200, workers: int = 6, seconds: float = 20.0) -> Scenario:
    """A search engine's crawler at the office's web server: a page or two on each of many TLS connections."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        crawler, path = outside("crawler", "198.18.210.33", rng), inward_path(rng, 18.0)
        free_ns = [span.start_ns + worker * pause_ns(rng, 0.05) for worker in range(workers)]
        gap_s = max(0.005, seconds * workers / connections - 0.25)
        for _ in range(connections):
            worker, own = free_ns.index(min(free_ns)), child(rng)
            talk = Conversation((crawler, site.port(crawler, own)), (site.web, 443), path, own)
            talk.open(free_ns[worker])
            secure(talk, own, "www.office.example")
            for _ in range(own.choice((1, 1, 2))):
                page = f"/page/{own.randrange(10**6)}"
                request = http.request("www.office.example", page, _CRAWLER)
                talk.initiator_sends(tls.sealed(len(request)), pause_ns(own, 0.001))
                talk.target_sends(tls.sealed(min(40_000, int(lognormal(own, 6_000, 0.8)))), pause_ns(own, 0.01))
            talk.close(Close.INITIATOR_FIN, pause_ns(own, 0.002))
            free_ns[worker] = talk.now_ns + pause_ns(own, gap_s)
            yield talk.exchange(CRAWL)

    return Scenario("web-crawl", f"{connections} connections of one crawler", 0.0, traffic, seconds / 60 + 0.5)


def backups(*, nights: int = 3, megabytes: int = 8, first_at_h: float = 16.0) -> Scenario:
    """Each night an upload of the file server to a backup host inside, and later one to a host outside.

    first_at_h: hours from the start to the first night's upload: 16 is one o'clock where it begins at nine.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        away = NetworkPath(MS // 5, 9 * MS, MS // 10, 40_000_000)
        for night in range(nights):
            at_ns = span.start_ns + int((first_at_h + 24 * night) * _HOUR) + rng.randrange(90 * SECOND)
            yield _upload(site, inside("backup", 13), 8007, local_path(rng), child(rng), at_ns)
            yield _upload(site, remote_server(482), 443, away, child(rng), at_ns + _HOUR + rng.randrange(90 * SECOND))

    def _upload(site: Site, store: Host, port: int, path: NetworkPath, rng: Random, at_ns: int) -> Exchange:
        talk = Conversation((site.files, site.port(site.files, rng)), (store, port), path, rng, joined=_JOINED)
        talk.open(at_ns)
        secure(talk, rng, f"{store.name}.example.net")
        for _ in range(megabytes):
            talk.initiator_sends(tls.sealed(int(1_000_000 * rng.uniform(0.9, 1.1))), pause_ns(rng, 0.2))
            talk.target_sends(tls.sealed(90), pause_ns(rng, 0.01))
        talk.close(Close.INITIATOR_FIN, pause_ns(rng, 0.1))
        return talk.exchange(BACKUP)

    summary = f"uploads of {megabytes} MB to a backup inside and one outside, {nights} nights"
    return Scenario("backups", summary, 0.0, traffic, nights * 24 * 60)
