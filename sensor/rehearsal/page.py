"""The page of a rehearsal: a verdict, every attack in a line, what was missed, and the alerts of the site's own day.

It opens no file and knows no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sensor.alerts.spread import counted, span_in_words
from sensor.alerts.words import severity_word, who
from sensor.rehearsal.hosts import text_of
from sensor.rehearsal.judged import RehearsedEpisode
from sensor.rehearsal.rehearsal import SILENCE_NS, Rehearsal, SiteDay
from sensor.rehearsal.told import fault_in_words, named_in_words, rank_in_words, seconds_in_words, sides_in_words
from sensor.report.detail import facts_of
from sensor.report.document import document, section
from sensor.report.markup import Content, element
from sensor.report.subject import Judging
from sensor.report.tables import table_of
from sensor.report.words import listed, stretch
from sensor.version import VERSION

ARROW = "→"
LISTED = 200  # alerts of the site's own traffic that get a line


@dataclass(frozen=True, slots=True)
class RehearsalSubject:
    """What was rehearsed on, and with what."""

    inputs: tuple[str, ...]  # captures or the interface, as named
    judging: Judging
    settings: tuple[tuple[str, str, bool], ...]  # name, value, whether it is not the default
    runs: tuple[str, ...] = ()  # of the lab, whose attacks were rehearsed too
    problems: tuple[str, ...] = ()  # captures and runs that could not be read to their end, a line each


def page(found: Rehearsal, subject: RehearsalSubject) -> str:
    """The whole page as HTML5."""
    day = found.day
    sections = (
        ("What it was rehearsed on", _site(day, subject)),
        ("The attacks", _attacks(found)),
        ("What was missed or wrongly named", _faults(found)),
        ("Alerts on the site's own traffic", _own_alerts(day)),
        ("How this was made", _making(subject)),
    )
    header = [
        element("p", verdict(found), class_="verdict"),
        [element("p", caution, class_="caution") for caution in cautions(found, subject.problems)],
    ]
    title = f"flowvigil rehearsal: {listed(list(subject.inputs), 3)}"
    return document(title, header, [section(title, content) for title, content in sections if content is not None])


def verdict(found: Rehearsal) -> str:
    """How it went, in one sentence."""
    episodes = found.episodes
    seen, right = sum(own.found for own in episodes), sum(own.right for own in episodes)
    return (
        f"{seen} of {counted(len(episodes), 'rehearsed attack')} would be found here, {right} of them rightly named; "
        f"the traffic itself has {counted(len(found.day.alerts), 'alert')}."
    )


def cautions(found: Rehearsal, problems: Sequence[str] = ()) -> list[str]:
    """What limits what the rehearsal says, a sentence each."""
    day = found.day
    sentences = []
    if day.is_cut:
        sentences.append(f"There is more traffic than was taken: the first {day.packets:,} packets.")
    if day.has_silence:
        sentences.append(
            f"The attacks are amid the longest stretch without a silence of more than {span_in_words(SILENCE_NS)}: "
            f"{stretch(day.begin_ns, day.end_ns)}."
        )
    alone = [own for own in found.episodes if own.episode.end_ns > day.end_ns]
    if alone:
        names = listed([own.episode.name for own in alone], 4)
        sentences.append(f"The traffic is shorter than some attacks, which go on alone behind its end: {names}.")
    muted = [own.episode.name for own in found.episodes if own.muted]
    if muted:
        sentences.append(f"The site's notes mute every alert on {listed(muted, 4)}.")
    filtered = [own.episode.name for own in found.episodes if not own.seen]
    if filtered:
        sentences.append(f"The capture filter hides every packet of {listed(filtered, 4)}.")
    if found.left_out:
        sentences.append(f"Not rehearsed: {listed(list(found.left_out), 8)}.")
    return [*sentences, *problems]


def _site(day: SiteDay, subject: RehearsalSubject) -> Content:
    hosts = day.hosts
    resolver = "none seen" if hosts.resolver is None else text_of(hosts.resolver)
    facts = [
        ("Traffic", listed(list(subject.inputs), 8)),
        ("Time", stretch(day.first_ns, day.last_ns)),
        ("Packets", f"{day.packets:,}"),
        ("Hosts inside", f"{len(hosts.inside):,}"),
        ("of them clients", f"{len(hosts.clients):,}"),
        ("of them servers", f"{len(hosts.servers):,}"),
        ("Resolver", resolver),
        ("Alerts on it", f"{len(day.alerts):,}"),
    ]
    return [
        facts_of(facts, wide=("Traffic", "Time")),
        element(
            "p",
            "Each attack was put into a copy of this traffic in memory, under addresses of its hosts, and "
            "judged in a run of its own. Nothing was sent.",
            class_="note",
        ),
    ]


def _attacks(found: Rehearsal) -> Content:
    headings = (
        *(("Technique", False), ("Attack", False), ("Made by", False), ("From, to", False), ("Found", False)),
        *(("Named", False), ("Sure", False), ("Told after", True), ("Risk", True), ("Rank", True)),
    )
    return [
        table_of("Every attack", headings, [_row(own, len(found.day.alerts)) for own in found.episodes]),
        element(
            "p",
            "Told after: from the attack's first packet until a sensor would have told. Rank: place of its risk among "
            "the alerts on the site's own traffic and itself; an alert that ranks low may be read late.",
        ),
    ]


def _row(own: RehearsedEpisode, alerts: int) -> Sequence[Content]:
    return (
        own.episode.technique,
        own.episode.name,
        own.episode.source,
        sides_in_words(own, ARROW),
        "yes" if own.found else element("strong", "muted" if own.muted else "no"),
        named_in_words(own),
        own.alert.verdict if own.alert else "-",
        seconds_in_words(own.seconds),
        f"{own.alert.risk:.0f}" if own.alert else "-",
        rank_in_words(own, alerts),
    )


def _faults(found: Rehearsal) -> Content:
    lines = [
        element("li", element("strong", own.episode.name), f" ({own.episode.technique}, {own.episode.source}): "
                f"{counted(own.seen, 'packet')} of {sides_in_words(own, ARROW)}, {fault_in_words(own)}.")
        for own in found.episodes if not own.right
    ]  # fmt: skip
    return element("ul", lines) if lines else None


def _own_alerts(day: SiteDay) -> Content:
    if not day.alerts:
        return element("p", "None.")
    ordered = sorted(day.alerts, key=lambda alert: -alert.last.risk)
    rows = [
        (alert.last.title, severity_word(alert.last.severity), alert.last.verdict, f"{alert.last.risk:.0f}",
         who(alert.last, ARROW))
        for alert in ordered[:LISTED]
    ]  # fmt: skip
    headings = (("What", False), ("Severity", False), ("Sure", False), ("Risk", True), ("Who", False))
    left = len(ordered) - LISTED
    return [
        table_of("The worst first", headings, rows),
        element("p", f"And {left:,} more.") if left > 0 else None,
        element(
            "p", "Whether these are attacks nobody here knows; each of them is read before an attack of lower risk."
        ),
    ]


def _making(subject: RehearsalSubject) -> Content:
    facts = [
        ("flowvigil", VERSION),
        ("Model", f"{subject.judging.model_id} (sha256 {subject.judging.sha256[:16]}…)"),
        ("Attacks of", listed(["the generator", *subject.runs], 6)),
    ]
    settings = [
        element("li", element("code", f"{name}: {value}"), " (not the default)" if changed else "")
        for name, value, changed in subject.settings
    ]
    return [facts_of(facts, wide=("Model",)), element("h4", "Settings"), element("ul", settings, class_="settings")]
