"""One alert of the page: what it means, what to do next, why it was raised, and how to see its packets."""

from collections.abc import Iterable
from functools import cache

from sensor.contrast import quantity
from sensor.report.advice import advice_on
from sensor.report.charts import reason_bar
from sensor.report.filters import capture_filter, display_filter, flow_filter
from sensor.report.findings import Episode
from sensor.report.markup import Content, Markup, element
from sensor.report.records import Feature
from sensor.report.words import counted, endpoint, moment, severity_word, stretch, targets

_HOW_TO_READ = (
    "Grey: from the median (upright line) to what 99 % of normal flows stay under, on a logarithmic scale. Diamond: "
    "this flow, filled where it is beyond. What is named may lie within: the model weighs columns together."
)
_LANES = {
    "known": "recognised as a known attack",
    "novel": "unlike normal traffic",
    "both": "recognised as a known attack, and unlike normal traffic",
}


def alert(episode: Episode, number: int) -> Markup:
    """The whole entry; number: of the alert on its page."""
    record, advice = episode.last, advice_on(episode.technique)
    word = severity_word(record.event.severity)
    certainty = "" if episode.attack else " uncertain"
    return element(
        "article",
        element(
            "header",
            element("h3", f"{number}. {episode.what}: {record.source.ip} → {targets(episode)}"),
            _badges(episode, word),
        ),
        element("p", advice.meaning),
        _facts(episode),
        element("h4", "What to do next"),
        element("ol", [element("li", step) for step in advice.steps]),
        _reasons(episode, explained=number == 1),
        _packets(episode),
        class_=f"alert {word}{certainty}",
        id=f"alert-{number}",
        aria_label=f"Alert {number}",
    )


def _badges(episode: Episode, word: str) -> Markup:
    event, technique = episode.last.event, episode.technique
    badges = [
        element("span", f"{word} {event.severity}", class_="level"),
        element("span", f"risk {event.risk_score:g}"),
    ]
    badges.append(element("span", "attack" if episode.attack else "uncertain"))
    if technique is not None:
        badges.append(element("span", f"ATT&CK {technique.id} {technique.name}".strip()))
        if technique.tactic:
            badges.append(element("span", f"tactic: {technique.tactic}"))
    return element("p", badges, class_="badges")


def _facts(episode: Episode) -> Markup:
    record, own = episode.last, episode.last.flowvigil
    traffic = f"{counted(own.flows, 'flow')}, {counted(own.packets, 'packet')}"
    if own.failed:
        traffic += f"; {'none' if own.failed == own.flows else f'{own.flows - own.failed:,}'} with data exchanged"
    facts = [
        ("When", stretch(record.event.start, record.event.end)),
        ("In short", record.event.reason),
        ("Flagged traffic", traffic),
        ("How it was seen", _LANES[own.lane] + (f" ({own.label})" if own.label else "")),
        ("First told", f"{moment(episode.opened_ns)} UTC, in {counted(episode.lines, 'line')}"),
        ("State", "closed" if record.event.action == "closed" else "still open where the input ends"),
        ("Id", record.event.id),
    ]
    if record.observer.name:
        facts.append(("Sensor", f"{record.observer.name} ({record.observer.version or 'version unknown'})"))
    return facts_of(facts, wide=("When", "In short", "Id"))


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


def _reasons(episode: Episode, *, explained: bool) -> Content:
    """explained: with how to read the bars, which once on a page is enough."""
    features = episode.last.flowvigil.features
    if not features:
        return None
    return [
        element("h4", "Why: the flow that speaks strongest, against normal traffic"),
        element("ul", [_reason(feature) for feature in features], class_="reasons"),
        element("p", element("small", _HOW_TO_READ)) if explained else None,
    ]


def _reason(feature: Feature) -> Markup:
    normal = (
        f"normal: median {_quantity(feature.normal_median, feature)}, 99 % {_quantity(feature.normal_p99, feature)}"
    )
    meaning = _definitions().get(feature.name)
    return element(
        "li",
        element(
            "div",
            element("strong", f"{feature.name} {_quantity(feature.value, feature)}"),
            element("small", f"{normal}{f' · {meaning}' if meaning else ''}"),
        ),
        reason_bar(feature),
    )


def _quantity(value: float | None, feature: Feature) -> str:
    return "–" if value is None else quantity(value, feature.unit)


@cache
def _definitions() -> dict[str, str]:
    """What each column of a flow or of a connection is."""
    from flows.columns import COLUMNS
    from flows.kdd.columns import kdd_columns

    connections = {column.name: column.definition for column in kdd_columns(content=True)}
    return {**connections, **{column.name: column.definition for column in COLUMNS}}


def _packets(episode: Episode) -> Content:
    record = episode.last
    pair = (
        f"{endpoint(record.source.ip, record.source.port)} → {endpoint(record.destination.ip, record.destination.port)}"
    )
    return [
        element("h4", "See the packets (Wireshark, tshark -r CAPTURE -Y '…')"),
        _copy(display_filter(record)),
        element("h4", f"The flow that speaks strongest: {pair}"),
        _copy(flow_filter(record)),
        element("p", "Community ID ", element("code", record.network.flow_hash)) if record.network.flow_hash else None,
        element("h4", "Watch for more (tcpdump, dumpcap -f '…')"),
        _copy(capture_filter(record)),
    ]


def _copy(text: str) -> Markup:
    """Selected as a whole by one click."""
    return element("code", text, class_="copy")
