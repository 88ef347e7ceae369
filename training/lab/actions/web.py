"""What people and programs do with web servers, by curl."""

from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.content import CHUNKS, PAGES, parts_of
from training.lab.place import Place

AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605",
)


def curl(place: Place, urls: list[str], *options: str) -> list[str]:
    """curl for these addresses, by several connections at once where there are several."""
    agent = AGENTS[sum(place.host.encode()) % len(AGENTS)]
    parallel = ["--parallel", "--parallel-max", "4"] if len(urls) > 1 else []
    sinks = [part for url in urls for part in ("-o", "/dev/null", url)]
    return ["curl", "-sSk", "--no-progress-meter", "--max-time", "80", "-A", agent, *parallel, *options, *sinks]


def curl_in_turn(place: Place, urls: list[str], *options: str) -> list[str]:
    """curl for these addresses one after the other, by one connection."""
    return [*curl(place, urls[:1], *options), *(part for url in urls[1:] for part in ("-o", "/dev/null", url))]


def _browse(scheme: str, place: Place, target: str, draw: Random) -> list[Step]:
    """Some pages one after the other, each with its parts, read for a while."""
    base = f"{scheme}://{place.site.name(target)}"
    steps = []
    for _ in range(draw.randint(1, 4)):
        parts = parts_of(min(int(draw.expovariate(1 / 5)), PAGES - 1))  # some pages are liked better than others
        steps.append(Step(curl(place, [f"{base}/{parts[0]}"])))
        steps.append(Step(curl(place, [f"{base}/{part}" for part in parts[1:]]), draw.lognormvariate(1.5, 0.8)))
    return steps


def _crawl(place: Place, target: str, draw: Random) -> list[Step]:
    """Many pages without a rest, as a search engine reads them."""
    base = f"http://{place.site.name(target)}"
    pages = draw.sample(range(PAGES), draw.randint(8, PAGES))
    return [Step(curl(place, [f"{base}/page-{page}.html"]), draw.uniform(0.05, 0.5)) for page in pages]


def _film(place: Place, target: str, draw: Random) -> list[Step]:
    """Chunks by one connection, each when the one before has been watched; now and then the player reconnects."""
    base = f"https://{place.site.name(target)}"
    steps = []
    for _ in range(draw.choice((1, 1, 2))):
        begin = draw.randrange(CHUNKS)
        chunks = [(begin + number) % CHUNKS for number in range(draw.randint(4, 11))]
        pace = ["--rate", f"{draw.randint(12, 17)}/m"]
        steps.append(
            Step(curl_in_turn(place, [f"{base}/film-{chunk}.ts" for chunk in chunks], *pace), draw.uniform(1, 6))
        )
    return steps


def _download(place: Place, target: str, draw: Random) -> list[Step]:
    last = draw.randint(500_000, 5_999_999)
    return [Step(curl(place, [f"http://{place.site.name(target)}/large.bin"], "-r", f"0-{last}"))]


def _upload(place: Place, target: str, draw: Random) -> list[Step]:
    source = place.site.shared / "files" / f"report-{draw.randrange(16)}.odt"
    url = f"https://{place.site.name(target)}/upload/{place.host}-{draw.randrange(100)}.odt"
    return [Step(curl(place, [url], "-T", str(source)))]


def _api(place: Place, target: str, draw: Random) -> list[Step]:  # noqa: ARG001  an action's arguments
    return [Step(curl(place, [f"https://{place.site.name(target)}/api"]))]


def _health(place: Place, target: str, draw: Random) -> list[Step]:  # noqa: ARG001  an action's arguments
    return [Step(curl(place, [f"http://{place.site.name(target)}/api"], "-H", "Connection: close"))]


_CURL: Final = (("curl",), ("curl",))

WEB: Final = (
    Action("browse", "reads pages", *_CURL, "http", lambda *given: _browse("http", *given), ipv6=True),
    Action("browse-tls", "reads pages by TLS", *_CURL, "https", lambda *given: _browse("https", *given), ipv6=True),
    Action("crawl", "reads all pages without a rest", *_CURL, "http", _crawl, ipv6=True),
    Action("film", "watches a film in chunks", *_CURL, "https", _film, longest_s=90, ipv6=True),
    Action("download", "fetches a large file", *_CURL, "http", _download, ipv6=True),
    Action("upload", "sends a file", *_CURL, "https", _upload, ipv6=True),
    Action("api", "asks an interface for programs", *_CURL, "https", _api, ipv6=True),
    Action("health-check", "looks whether a web server answers", *_CURL, "http", _health, ipv6=True),
)
