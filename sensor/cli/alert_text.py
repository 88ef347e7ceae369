"""An alert of a log in words: a row of a list, one of its lines, all about it. Nothing here needs a model."""

from collections.abc import Sequence
from typing import Final

from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.deviation import Deviation, edge_in_words, quantity
from sensor.alerts.glosses import gloss
from sensor.alerts.packet_filters import display_filter
from sensor.alerts.playbook import playbook_of
from sensor.alerts.reading import Entry
from sensor.alerts.spread import span_in_words
from sensor.alerts.words import (
    address_and_port,
    direction_in_words,
    label_in_words,
    lane_in_words,
    moment,
    muted_in_words,
    names_in_words,
    networks_in_words,
    outside_normal,
    service_in_short,
    severity_word,
    sources_in_words,
    state_word,
    targets_in_words,
    tls_in_words,
    traffic_in_words,
    when,
    who,
)

BAR: Final = 24  # characters
STEPS_SHOWN: Final = 40


def row_in_words(alert: Alert) -> str:
    """An alert: `2026-03-02 09:01:15-09:01:22  HIGH    closed  192.0.2.10 -> 10.0.0.1:22  Brute Force  attack: …`.

    When it began and last moved, in UTC with the date, and whether it was open by its last line.
    """
    times = when(alert.start_ns, alert.end_ns, None)
    return f"{times}  {severity_word(alert.severity).upper():6}  {state_word(alert):6}  {_who_what_why(alert)}"


def line_in_words(alert: Alert) -> str:
    """A line of an alert: `2026-03-02 09:01:15  HIGH    updated  192.0.2.10 -> 10.0.0.1:22  Brute Force  attack: …`."""
    word = severity_word(alert.severity).upper()
    return f"{moment(alert.time_ns)}  {word:6}  {alert.action:7}  {_who_what_why(alert)}"


def _who_what_why(alert: Alert) -> str:
    muted = f"{muted_in_words(alert)}, " if alert.muted else ""
    return f"{who(alert)}  {alert.title}  {muted}{alert.verdict}: {alert.reason}  [{alert.id}]"


def detail(entries: Sequence[Entry], bar_cells: int = BAR) -> list[str]:
    """Lines about one alert, of which `entries` are all lines in the order they were written.

    bar_cells: of the longest bar beside its lines.
    """
    alert = entries[-1].alert
    playbook = playbook_of(alert)
    lines = [
        f"{severity_word(alert.severity).upper()}  {alert.title}  {who(alert)}",
        f"{alert.verdict}, {lanes(alert)}, severity {alert.severity}, risk {alert.risk:g}",
        *([muted_in_words(alert)] if alert.muted else []),
        "",
        f"What        {playbook.meaning}",
        f"Why         {alert.reason}",
        *_reasons(outside_normal(alert)),
        "",
        f"Technique   {_technique(alert)}",
        f"Targets     {targets_in_words(alert)}",
        *_sources(alert),
        f"Traffic     {traffic_in_words(alert)}",
        *(f"{name:12}{words}" for name, words in _context(alert) if words),
        f"Flow shown  {_flow(alert)}",
        f"Community   {alert.community_id}",
        f"Packets     tshark -r CAPTURE -Y '{display_filter(alert)}'",
        *([f"Capture     {alert.capture}"] if alert.capture else []),
        *([f"Kept in     {alert.packets_file}"] if alert.packets_file else []),
        "",
        *(f"{'' if place else 'Next':12}{place + 1}. {step}" for place, step in enumerate(playbook.steps)),
        "",
        *_course(entries, bar_cells),
        "",
        f"Alert {alert.id}, told by {alert.observer.name} with bundle {alert.model.id} {alert.model.sha256[:12]}",
    ]
    if alert.dropped:
        lines.append(f"The capture had lost {alert.dropped:,} packets by then: counts may be too low.")
    return lines


def lanes(alert: Alert) -> str:
    """Such as `known lane, label SSH-Patator` or `both lanes`."""
    words, label = lane_in_words(alert), label_in_words(alert)
    return f"{words}, label {label}" if label else words


def _technique(alert: Alert) -> str:
    technique = alert.technique
    if technique is None:
        return "none: unusual, but like no class that is known"
    name = f" {technique.name}" if technique.name else ""
    return f"{technique.id}{name}{f' ({technique.tactic})' if technique.tactic else ''}"


def _sources(alert: Alert) -> list[str]:
    """Of how many hosts one alert tells, where there are several."""
    sources = sources_in_words(alert)
    return [f"Sources     {sources}"] if sources else []


def _context(alert: Alert) -> tuple[tuple[str, str], ...]:
    """What is shown and never judged."""
    return (
        ("Service", service_in_short(alert)),
        ("Where", direction_in_words(alert)),
        ("Names", names_in_words(alert)),
        ("TLS", tls_in_words(alert)),
        ("Networks", networks_in_words(alert)),
    )


def _flow(alert: Alert) -> str:
    source, destination = (address_and_port(end.ip, end.port) for end in (alert.source, alert.destination))
    sent = f"there {_sent(alert.source)}, back {_sent(alert.destination)}"
    return f"{alert.transport} {source} -> {destination}, {sent}"


def _sent(end: Endpoint) -> str:
    return f"{end.packets:,} packet{'s' * (end.packets != 1)} with {quantity(end.bytes, 'bytes')} of data"


def _reasons(deviations: Sequence[Deviation]) -> list[str]:
    if not deviations:
        return []
    width = max(len(deviation.name) for deviation in deviations)
    return [f"            {deviation.name:{width}}  {_deviation(deviation)}" for deviation in deviations]


def _deviation(deviation: Deviation) -> str:
    """Value against normal and its gloss: `412, normal 2, 99 % up to 9: packets sent`; `from` where it is low."""
    value, median = quantity(deviation.value, deviation.unit), quantity(deviation.median, deviation.unit)
    meaning = gloss(deviation.name)
    return f"{value}, normal {median}, {edge_in_words(deviation)}{': ' if meaning else ''}{meaning}"


def _course(entries: Sequence[Entry], bar_cells: int) -> list[str]:
    """What became of it: each of its lines, with a bar of its flows against the most."""
    first, last = entries[0].alert, entries[-1].alert
    span = span_in_words(max(0, last.end_ns - last.start_ns))
    most = max(1, *(entry.alert.spread.flows for entry in entries))
    shown = list(entries) if len(entries) <= STEPS_SHOWN else [*entries[:1], *entries[1 - STEPS_SHOWN :]]
    lines = [f"Time line   first packet {moment(last.start_ns)} UTC, last packet {moment(last.end_ns)} UTC ({span})"]
    for entry in shown:
        alert = entry.alert
        later = span_in_words(max(0, alert.time_ns - first.time_ns))
        bar = "#" * max(1, alert.spread.flows * bar_cells // most) if alert.spread.flows else ""
        lines.append(
            f"  {moment(alert.time_ns)} {alert.action:7} {'+' + later:>9}  {alert.spread.flows:>9,} "
            f"{'flow' if alert.spread.flows == 1 else 'flows':5}  risk {alert.risk:>5.1f}  {bar}".rstrip()
        )
    if len(entries) > STEPS_SHOWN:
        lines.insert(2, f"  ({len(entries) - STEPS_SHOWN:,} lines between)")
    return lines
