"""The alerts of a capture as HTML: a row for each source and technique, within it its alerts and their flows.

Rows are given the worst first; the page's script sorts and pages them by what stands in their attributes.
"""

from collections.abc import Sequence
from typing import Any, Final

from sensor.alerts.reading import ReadErrors
from sensor.alerts.spread import counted
from sensor.alerts.words import (
    address_and_port,
    lane_in_words,
    muted_in_words,
    outside_normal,
    severity_word,
    who,
)
from sensor.api.capture import CaptureFindings, Flow
from sensor.report.detail import alert, facts_of
from sensor.report.digest import ReportedEpisode
from sensor.report.markup import Content, Markup, element
from sensor.report.subject import Judging, ReportSubject
from sensor.report.tables import table_of
from sensor.report.verdict import cautions, verdict
from sensor.report.words import share, size, stretch

TOLD: Final = 200  # alerts in full, the worst ones
_REASONS_IN_ROW: Final = 3


def findings_view(findings: CaptureFindings, name: str, judging: Judging) -> Markup:
    """All that was found in a capture. name: of its file. judging: the model."""
    subject = ReportSubject("captures", (name,), (judging,), command="", problems=findings.problems)
    digest = findings.digest
    told = digest.worst(TOLD)
    left = len(digest) - len(told)
    rows = [_row(key, episodes, findings, place) for place, (key, episodes) in enumerate(_grouped(told).items())]
    return element(
        "section",
        element("h2", name),
        element("p", verdict(digest, findings.coverage, subject), class_="found"),
        [
            element("p", caution, class_="note")
            for caution in cautions(findings.coverage, subject, ReadErrors(), digest.records)
        ],
        [element("p", line, class_="note") for line in (*findings.problems[1:], *findings.left_out)],
        _accounts(findings),
        element("ol", rows, class_="alerts", id="alerts") if rows else None,
        element(
            "p", f"{counted(left, 'more alert')} of less risk not shown here; flowvigil read shows all of them.",
            class_="note",
        ) if left else None,
        _muted(digest.muted),
    )  # fmt: skip


def _grouped(episodes: Sequence[ReportedEpisode]) -> dict[tuple[str, str], list[ReportedEpisode]]:
    """Episodes by source and what they are called, as in the terminal; the first of each is the worst."""
    groups: dict[tuple[str, str], list[ReportedEpisode]] = {}
    for episode in episodes:
        groups.setdefault((episode.last.origin, episode.what), []).append(episode)
    return groups


def _accounts(findings: CaptureFindings) -> Markup:
    coverage, counts = findings.coverage, findings.coverage.counts
    facts: list[tuple[str, str]] = []
    if coverage.end_ns:
        facts.append(("Time", stretch(coverage.start_ns, coverage.end_ns)))
    if counts is not None:
        facts += [
            ("Packets", f"{counts.received:,}"),
            ("Judged", f"{counts.metered:,} ({share(counts.metered, counts.received)})"),
            ("Not decoded", f"{sum(counts.undecoded.values()):,}"),
            *([("Left out by filter", f"{counts.filtered:,}")] if counts.filtered else []),
            ("Flows", f"{counts.flows:,}"),
        ]
    facts += [("Traffic", size(coverage.bytes_ or 0)), ("Hosts seen", f"{coverage.hosts or 0:,}")]
    return facts_of(facts, wide=("Time",))


def _row(key: tuple[str, str], episodes: list[ReportedEpisode], findings: CaptureFindings, place: int) -> Markup:
    """The worst episode's words, and all of them inside."""
    worst = episodes[0].last
    word = severity_word(worst.severity)
    oldest, newest = (
        min(episode.last.start_ns for episode in episodes),
        max(episode.last.end_ns for episode in episodes),
    )
    outside = [deviation.name for deviation in outside_normal(worst)[:_REASONS_IN_ROW]]
    return element(
        "li",
        element(
            "details",
            element(
                "summary",
                element("span", f"{word} {worst.severity}", class_="level"),
                element("span", who(worst, "→"), class_="who"),
                element("b", key[1]),
                element("span", f"×{len(episodes)}", class_="again") if len(episodes) > 1 else None,
                element("time", stretch(oldest, newest)),
                element(
                    "span",
                    element("i", f"{'attack' if episodes[0].attack else 'uncertain'}, {lane_in_words(worst)}"),
                    f": {worst.reason}",
                    f"; outside normal: {', '.join(outside)}" if outside else None,
                    class_="why",
                ),
            ),
            [_told(episode, findings, number) for number, episode in enumerate(episodes, 1)],
        ),
        class_=word,
        data_rank=place,
        data_began=str(oldest),
        data_moved=str(newest),
        data_flows=str(sum(episode.last.spread.flows for episode in episodes)),
        data_source=worst.origin,
        data_what=key[1],
    )


def _told(episode: ReportedEpisode, findings: CaptureFindings, number: int) -> Markup:
    flows = findings.flows.get(episode.last.id, ())
    return element("div", alert(episode, number), _flows(flows, episode.last.spread.flows), class_="told")


def _flows(flows: Sequence[Flow], every: int) -> Content:
    if not flows:
        return None
    headings = (
        ("Began (UTC)", False), ("From", False), ("To", False), ("Lasted", True), ("Packets", True), ("Bytes", True),
        ("Ended by", False), ("p known", True), ("p novel", True),
    )  # fmt: skip
    return table_of(f"Flows ({len(flows)} of {every:,})", headings, [_flow(flow) for flow in flows])


def _flow(flow: Flow) -> tuple[str, ...]:
    """A record as our own meter made it a moment ago: every field is there."""
    event, own, network = flow["event"], flow["flowvigil"], flow["network"]
    return (
        event["start"][:23].replace("T", " "),
        _side(flow["source"]),
        f"{_side(flow['destination'])} {network.get('application', network['transport'])}",
        f"{event['duration'] / 1e9:,.3f} s",
        f"{network['packets']:,}",
        f"{network['bytes']:,}",
        own["end_reason"],
        _p_value(own["p"]["known"]),
        _p_value(own["p"]["novel"]),
    )


def _side(endpoint: dict[str, Any]) -> str:
    return address_and_port(endpoint["ip"], endpoint.get("port"))


def _p_value(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _muted(episodes: Sequence[ReportedEpisode]) -> Content:
    if not episodes:
        return None
    shown = [
        element("li", f"{who(episode.last, '→')} {episode.what}: {muted_in_words(episode.last)}")
        for episode in episodes[:TOLD]
    ]
    left = len(episodes) - len(shown)
    return element(
        "details",
        element("summary", counted(len(episodes), "muted alert")),
        element("ul", shown),
        element("p", f"And {left:,} more.", class_="note") if left else None,
    )
