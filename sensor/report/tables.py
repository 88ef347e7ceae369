"""Tables of the page: who acted, on whom, and the alerts that are only listed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from sensor.alerts.words import moment, severity_word
from sensor.report.digest import ReportedEpisode
from sensor.report.markup import Content, Markup, element
from sensor.report.words import endpoint, listed, targets

TOP = 10
CAPTURES = 200
MUTED = 500
_SHOWN = 3


def sources(episodes: Sequence[ReportedEpisode]) -> Markup:
    """The sources whose alerts weigh most."""
    by_source: dict[str, list[ReportedEpisode]] = defaultdict(list)
    for episode in episodes:
        by_source[episode.last.origin].append(episode)
    ranked = sorted(by_source.items(), key=lambda item: (item[1][0].rank[:3], -len(item[1]), _packed(item[1][0])))
    rows = [
        (ip, len(own), sum(episode.last.spread.flows for episode in own), _worst(own), _kinds(own))
        for ip, own in ranked[:TOP]
    ]
    headings = (("Source", False), ("Alerts", True), ("Flagged flows", True), ("Worst", False), ("What", False))
    return table_of(f"Top sources ({len(rows)} of {len(ranked):,})", headings, rows)


def captures(episodes: Sequence[ReportedEpisode]) -> Markup:
    """The captures whose alerts weigh most, of captures read each for itself."""
    by_capture: dict[str, list[ReportedEpisode]] = defaultdict(list)
    for episode in episodes:
        by_capture[episode.last.capture or ""].append(episode)
    ranked = sorted(by_capture.items(), key=lambda item: (item[1][0].rank[:3], -len(item[1]), item[0]))
    rows = [
        (name, len(own), sum(episode.attack for episode in own), _worst(own), _kinds(own))
        for name, own in ranked[:CAPTURES]
    ]
    headings = (("Capture", False), ("Alerts", True), ("Attacks", True), ("Worst", False), ("What", False))
    return table_of(f"Captures with alerts ({len(rows)} of {len(ranked):,})", headings, rows)


def targeted(episodes: Sequence[ReportedEpisode]) -> Markup:
    """The services that the flows shown were aimed at."""
    by_target: dict[tuple[str, int | None], list[ReportedEpisode]] = defaultdict(list)
    for episode in episodes:
        one_port = episode.last.spread.ports <= 1
        by_target[episode.last.destination.ip, episode.last.destination.port if one_port else None].append(episode)
    ranked = sorted(by_target.items(), key=lambda item: (item[1][0].rank[:3], -len(item[1]), str(item[0])))
    rows = [
        (endpoint(*target), len(own), listed(sorted({episode.last.origin for episode in own}), _SHOWN), _worst(own),
         _kinds(own))
        for target, own in ranked[:TOP]
    ]  # fmt: skip
    headings = (("Target", False), ("Alerts", True), ("By", False), ("Worst", False), ("What", False))
    return table_of(f"Top targets ({len(rows)} of {len(ranked):,}), of the flow that speaks strongest", headings, rows)


def summary(episodes: Sequence[ReportedEpisode], first: int) -> Markup:
    """A line for each alert; first: number of the first."""
    rows = [
        (number, moment(episode.last.start_ns), f"{severity_word(episode.last.severity)}, risk "
         f"{episode.last.risk:g}", episode.last.origin, targets(episode), episode.what)
        for number, episode in enumerate(episodes, first)
    ]  # fmt: skip
    headings = tuple((title, False) for title in ("No.", "Began (UTC)", "Severity", "Source", "Target", "What"))
    return table_of("Alerts in short", headings, rows)


def muted(episodes: Sequence[ReportedEpisode]) -> Markup:
    """The alerts that notes of the site mute, with who says so and why."""
    rows = [
        (moment(episode.last.start_ns), episode.last.origin, targets(episode), episode.what, note.by, note.why)
        for episode in episodes[:MUTED]
        if (note := episode.last.muted) is not None
    ]
    headings = tuple((title, False) for title in ("Began (UTC)", "Source", "Target", "What", "Muted by", "Why"))
    return table_of(f"Muted alerts ({len(rows)} of {len(episodes):,})", headings, rows)


def _worst(episodes: Sequence[ReportedEpisode]) -> str:
    last = episodes[0].last
    return f"{severity_word(last.severity)}, risk {last.risk:g}"


def _kinds(episodes: Sequence[ReportedEpisode]) -> str:
    return listed(list(dict.fromkeys(episode.what for episode in episodes)), _SHOWN)


def table_of(caption: str, headings: Iterable[tuple[str, bool]], rows: Iterable[Sequence[Content]]) -> Markup:
    """The first cell of a row is its header; headings: title, and whether its cells are numbers."""
    columns = list(headings)
    head = [element("th", title, scope="col", class_="number" if numeric else None) for title, numeric in columns]
    body = [
        element(
            "tr",
            [
                element(
                    "td" if place else "th", cell, scope=None if place else "row", class_="number" if numeric else None
                )
                for place, (cell, (_, numeric)) in enumerate(zip(row, columns, strict=True))
            ],
        )
        for row in rows
    ]
    return element(
        "div",
        element("table", element("caption", caption), element("thead", element("tr", head)), element("tbody", body)),
        class_="scroll", role="region", aria_label=caption, tabindex=0,
    )  # fmt: skip


def _packed(episode: ReportedEpisode) -> bytes:
    return ip_address(episode.last.source.ip).packed
