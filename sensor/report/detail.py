"""One alert of the page: what it means, what to do next, why it was raised, and how to see its packets."""

import math
import re
from collections.abc import Iterable

from sensor.alerts.deviation import Deviation, edge_in_words, quantity
from sensor.alerts.glosses import gloss
from sensor.alerts.packet_filters import capture_filter, display_filter, flow_filter
from sensor.alerts.playbook import playbook_of
from sensor.alerts.spread import counted
from sensor.alerts.words import (
    direction_in_words,
    label_in_words,
    moment,
    names_in_words,
    networks_in_words,
    outside_normal,
    service_in_short,
    severity_word,
    sources_in_words,
    targets_in_words,
    tls_in_words,
    traffic_in_words,
)
from sensor.report.charts import reason_bar
from sensor.report.digest import ReportedEpisode
from sensor.report.markup import Content, Markup, element
from sensor.report.words import endpoint, listed, stretch, targets

_HOW_TO_READ = (
    "Grey: what 98 % of normal flows lie in, the median as an upright line, on a logarithmic scale. Diamond: this "
    "flow. Only columns outside of normal traffic are named; an alert may have none: its flows count together."
)
_COMMUNITY_ID = re.compile(r"1:[A-Za-z0-9+/]{27}=")
_LANES = {
    "known": "recognised as a known attack",
    "novel": "unlike normal traffic",
    "shape": "by number, spread and rate alone",
    "both": "recognised as a known attack, and unlike normal traffic",
}


def alert(episode: ReportedEpisode, number: int) -> Markup:
    """The whole entry; number: of the alert on its page."""
    record, playbook = episode.last, playbook_of(episode.last)
    word = severity_word(record.severity)
    certainty = "" if episode.attack else " uncertain"
    return element(
        "article",
        element(
            "header",
            element("h3", f"{number}. {episode.what}: {record.origin} → {targets(episode)}"),
            _badges(episode, word),
        ),
        element("p", playbook.meaning),
        _facts(episode),
        element("h4", "What to do next"),
        element("ol", [element("li", step) for step in playbook.steps]),
        _reasons(episode, explained=number == 1),
        _packets(episode),
        class_=f"alert {word}{certainty}",
        id=f"alert-{number}",
        aria_label=f"Alert {number}",
    )


def _badges(episode: ReportedEpisode, word: str) -> Markup:
    last, technique = episode.last, episode.technique
    badges = [
        element("span", f"{word} {last.severity}", class_="level"),
        element("span", f"risk {last.risk:g}"),
    ]
    badges.append(element("span", "attack" if episode.attack else "uncertain"))
    if technique is not None:
        badges.append(element("span", f"ATT&CK {technique.id} {technique.name}".strip()))
        if technique.tactic:
            badges.append(element("span", f"tactic: {technique.tactic}"))
    return element("p", badges, class_="badges")


def _facts(episode: ReportedEpisode) -> Markup:
    record, sources, label = episode.last, sources_in_words(episode.last), label_in_words(episode.last)
    facts = [
        ("When", stretch(record.start_ns, record.end_ns)),
        ("In short", record.reason),
        ("Targets", targets_in_words(record)),
        ("Flagged traffic", traffic_in_words(record)),
        ("How it was seen", _LANES[record.lane] + (f" ({label})" if label else "")),
        ("First told", f"{moment(episode.opened_ns)} UTC, in {counted(episode.lines, 'line')}"),
        ("State", "closed" if record.action == "closed" else "still open where the input ends"),
        ("Id", record.id),
    ]
    if sources:
        facts.insert(2, ("Sources", sources))
    if where := direction_in_words(record):
        facts.append(("Where", where))
    if service := service_in_short(record):
        facts.append(("Service", service))
    if networks := networks_in_words(record):
        facts.append(("Networks", networks))
    if names := names_in_words(record):
        facts.append(("Names", names))
    if hello := tls_in_words(record):
        facts.append(("TLS", hello))
    if record.capture:
        facts.append(("Capture", record.capture))
    if episode.others:
        facts.append(("Also told by", listed(list(episode.others), 12)))
    if record.packets_file:
        facts.append(("Packets kept in", record.packets_file))
    if record.observer.name:
        facts.append(("Sensor", f"{record.observer.name} ({record.observer.version or 'version unknown'})"))
    return facts_of(facts, wide=("When", "In short", "Targets", "Networks", "Names", "TLS", "Capture", "Id"))


def facts_of(facts: Iterable[tuple[str, str]], wide: tuple[str, ...] = ()) -> Markup:
    """Names and values side by side. wide: names of those that take more room."""
    return element(
        "dl",
        [
            element("div", element("dt", name), element("dd", value), class_="wide" if name in wide else None)
            for name, value in facts
        ],
        class_="facts",
    )


def _reasons(episode: ReportedEpisode, *, explained: bool) -> Content:
    """explained: with how to read the bars, which once on a page is enough."""
    deviations = outside_normal(episode.last)
    if not deviations:
        return None
    return [
        element("h4", "Why: the flow that speaks strongest, against normal traffic"),
        element("ul", [_reason(deviation) for deviation in deviations], class_="reasons"),
        element("p", element("small", _HOW_TO_READ)) if explained else None,
    ]


def _reason(deviation: Deviation) -> Markup:
    normal = f"normal: median {_quantity(deviation.median, deviation)}, {edge_in_words(deviation)}"
    meaning = gloss(deviation.name)
    return element(
        "li",
        element(
            "div",
            element("strong", f"{deviation.name} {_quantity(deviation.value, deviation)}"),
            element("small", f"{normal}{f' · {meaning}' if meaning else ''}"),
        ),
        reason_bar(deviation),
    )


def _quantity(value: float, deviation: Deviation) -> str:
    return quantity(value, deviation.unit) if math.isfinite(value) else "–"


def _packets(episode: ReportedEpisode) -> Content:
    record = episode.last
    pair = (
        f"{endpoint(record.source.ip, record.source.port)} → {endpoint(record.destination.ip, record.destination.port)}"
    )
    return [
        element("h4", "See the packets (Wireshark, tshark -r CAPTURE -Y '…')"),
        _copy(display_filter(record)),
        element("h4", f"The flow that speaks strongest: {pair}"),
        _copy(flow_filter(record)),
        element("p", "Community ID ", element("code", record.community_id))
        if _COMMUNITY_ID.fullmatch(record.community_id)
        else None,
        element("h4", "Watch for more (tcpdump, dumpcap -f '…')"),
        _copy(capture_filter(record)),
    ]


def _copy(text: str) -> Markup:
    """Selected as a whole by one click."""
    return element("code", text, class_="copy")
