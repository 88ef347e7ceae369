"""The page: a verdict, what was looked at, the alerts over time and one by one, and what could not be seen.

It opens no file and knows no clock.
"""

from sensor.alerts.reading import ReadErrors
from sensor.alerts.spread import counted
from sensor.alerts.words import moment
from sensor.report import fleet as fleet_sections
from sensor.report.charts import ROWS, legend, timeline
from sensor.report.coverage import Coverage
from sensor.report.detail import alert, facts_of
from sensor.report.digest import Digest, ReportedEpisode
from sensor.report.document import document, section
from sensor.report.limits import limits
from sensor.report.markup import Content, element
from sensor.report.subject import ReportSubject
from sensor.report.tables import captures, muted, sources, summary, targeted
from sensor.report.verdict import cautions, verdict
from sensor.report.words import listed, share, size, stretch
from sensor.version import VERSION

DETAILED = 100  # alerts that are told in full
LISTED = 500  # that get a line


def page(
    digest: Digest,
    coverage: Coverage,
    subject: ReportSubject,
    errors: ReadErrors,
    fleet: fleet_sections.FleetReport | None = None,
) -> str:
    """The whole page as HTML5. fleet: what it tells of many sensors, None where nobody asked for that."""
    episodes = digest.episodes
    title = f"flowvigil report: {listed(list(subject.inputs), 3)}"
    sections = (
        *_of_fleet(fleet),
        ("What was looked at", _coverage(coverage, subject)),
        ("Alerts over time", _timeline(episodes, coverage)),
        ("Sources and targets", _parties(episodes)),
        ("Alerts", _alerts(episodes)),
        ("What was merged or muted", _merged(digest, errors, fleet)),
        ("What the sensor told of itself", _events(digest)),
        ("What this sensor could not see", limits(coverage, subject)),
        ("How this was made", _making(subject)),
    )
    header = [
        element("p", verdict(digest, coverage, subject), class_="verdict"),
        [
            element("p", caution, class_="caution")
            for caution in (
                *(() if fleet is None else fleet_sections.cautions(fleet)),
                *cautions(coverage, subject, errors, digest.records),
            )
        ],
    ]
    return document(title, header, [section(title, content) for title, content in sections if content is not None])


def _of_fleet(fleet: fleet_sections.FleetReport | None) -> tuple[tuple[str, Content], ...]:
    if fleet is None:
        return ()
    return ("Sensors", fleet_sections.sensors(fleet)), ("Hosts of several sensors", fleet_sections.hosts(fleet))


def _coverage(coverage: Coverage, subject: ReportSubject) -> Content:
    facts = [("Captures" if subject.kind == "captures" else "Alert files", listed(list(subject.inputs), 8))]
    if subject.since:
        facts.append(("Asked for", f"the last {subject.since}"))
    if coverage.end_ns:
        facts.append(("Time", stretch(coverage.start_ns, coverage.end_ns)))
    counts = coverage.counts
    if counts is not None:
        facts += [
            ("Packets", f"{counts.received:,}"),
            ("Judged", f"{counts.metered:,} ({share(counts.metered, counts.received)})"),
            ("Not decoded", f"{sum(counts.undecoded.values()):,}"),
            ("Dropped", f"{counts.dropped + counts.shed:,}"),
            ("Left out by filter", f"{counts.filtered:,}"),
            ("Flows", f"{counts.flows:,}"),
        ]
    if coverage.bytes_ is not None:
        facts.append(("Traffic", size(coverage.bytes_)))
    if coverage.hosts is not None:
        facts.append(("Hosts seen", f"{coverage.hosts:,}{'+' if coverage.hosts_more else ''}"))
    if subject.kind == "alerts" and counts is not None and coverage.runs > 1:
        facts.append(("Runs of a sensor", f"{coverage.runs:,}"))
    return [
        facts_of(facts, wide=(facts[0][0], "Time")),
        None if counts is not None else element(
            "p", "The input holds no statistics, so how much traffic stands behind it is not known.", class_="note"),
    ]  # fmt: skip


def _timeline(episodes: list[ReportedEpisode], coverage: Coverage) -> Content:
    if not episodes:
        return None
    shown_last = [episode.last for episode in episodes]
    start = coverage.start_ns or min(last.start_ns for last in shown_last)
    end = coverage.end_ns or max(last.end_ns for last in shown_last)
    drawing = element(
        "div", timeline(episodes, start, end), class_="scroll", role="region", aria_label="Alerts over time", tabindex=0
    )
    shown = f"The {ROWS} worst of {len(episodes):,}. " if len(episodes) > ROWS else ""
    return element(
        "figure",
        drawing,
        legend(),
        element(
            "figcaption",
            element("small", f"{shown}Each bar spans the first to the last packet of the flagged flows (UTC)."),
        ),
    )


def _parties(episodes: list[ReportedEpisode]) -> Content:
    if not episodes:
        return None
    of_captures = captures(episodes) if any(episode.last.capture for episode in episodes) else None
    return [of_captures, sources(episodes), targeted(episodes)]


def _alerts(episodes: list[ReportedEpisode]) -> Content:
    if not episodes:
        return element("p", "None.")
    told = [alert(episode, number) for number, episode in enumerate(episodes[:DETAILED], 1)]
    if len(episodes) <= DETAILED:
        return told
    rest = episodes[DETAILED:LISTED]
    left = len(episodes) - DETAILED - len(rest)
    return [
        told,
        element("h3", f"{len(rest):,} more, the worst first"),
        summary(rest, DETAILED + 1),
        element("p", f"{left:,} more are not listed; all of them are counted above.", class_="note") if left else None,
    ]


def _merged(digest: Digest, errors: ReadErrors, fleet: fleet_sections.FleetReport | None) -> Content:
    told = [*digest, *digest.muted]
    flagged = sum(episode.last.spread.flows for episode in told)
    sentences = []
    if told:
        sentences.append(
            f"{counted(flagged, 'flagged flow')} and {counted(digest.alert_lines - digest.not_kept, 'alert line')} "
            f"are told as {counted(len(told), 'alert')}: one for each kind and whom it is about."
        )
    storms = [episode.last.hosts_merged for episode in told if episode.last.hosts_merged]
    if storms:
        sentences.append(
            f"{counted(len(storms), 'storm')} told as one alert each, of {counted(sum(storms), 'alert')}: more alerts "
            "opened than are told one by one (episodes.alerts_per_minute)."
        )
    if fleet is not None and fleet.told_twice:
        sentences.append(
            f"{counted(fleet.told_twice, 'alert')} of other sensors tell of the same attacks and stand with them: the "
            "same host, the same technique, a flow or a target in common, at the same time."
        )
    if digest.not_kept:
        sentences.append(f"{digest.not_kept:,} alert lines were too many for one page and are only counted here.")
    if digest.passed_over:
        passed = [f"{number:,} {schema}" for schema, number in sorted(digest.passed_over.items())[:20]]
        sentences.append(f"Records that this page does not tell: {', '.join(passed)}.")
    sentences += [f"{words}." for words in errors.words_without_quotes()]
    if not digest.muted:
        sentences.append("Nothing was muted: muting in the terminal changes what it shows, not what is written.")
        return element("ul", [element("li", sentence) for sentence in sentences])
    sentences.append(
        f"{counted(len(digest.muted), 'alert')} muted by notes of the site: somebody said that this is meant to be."
    )
    return [element("ul", [element("li", sentence) for sentence in sentences]), muted(digest.muted)]


def _events(digest: Digest) -> Content:
    if not digest.events:
        return None
    rows = [
        element("li", f"{moment(event.time_ns)} ", element("strong", event.action or "event"),
                f": {event.message}")
        for event in digest.events
    ]  # fmt: skip
    return [element("ul", rows), element("p", f"And {digest.events_more:,} more.") if digest.events_more else None]


def _making(subject: ReportSubject) -> Content:
    facts = [("flowvigil", VERSION)]
    facts += [("Model", f"{judging.model_id} (sha256 {judging.sha256[:16]}…)") for judging in subject.judging[:20]]
    facts += [("Site notes", subject.site)] if subject.site else []
    settings = [element("li", element("code", f"{name}: {value}"), " (not the default)" if changed else "")
                for name, value, changed in subject.settings]  # fmt: skip
    return [
        facts_of(facts, wide=("Model",)),
        [element("h4", "Settings"), element("ul", settings, class_="settings")] if settings else None,
        element("h4", "The same page again"),
        element("code", subject.command, class_="copy"),
        [element("h4", "Problems"), element("ul", [element("li", problem) for problem in subject.problems])]
        if subject.problems else None,
    ]  # fmt: skip
