"""The page of a baseline: what was learnt of the site, what is asked of an alert now, and what somebody should look at.

It opens no file and knows no clock.
"""

from collections.abc import Sequence
from typing import Final

from models.fusion import Hybrid
from sensor.alerts.alert import service_in_words
from sensor.alerts.spread import counted
from sensor.alerts.words import moment
from sensor.baseline.learning import Learning
from sensor.baseline.talk import HostLink, ServicePort
from sensor.baseline.words import kinds, thresholds
from sensor.episodes.candidates import Candidate
from sensor.episodes.learned_site import alerts_a_day, interval_in_words, period, warming
from sensor.report.detail import facts_of
from sensor.report.document import document, section
from sensor.report.markup import Content, element
from sensor.report.tables import table_of
from sensor.report.words import listed, stretch

MOST: Final = 100  # rows of a table
MOST_ALERTS: Final = 200


def page(learning: Learning, sources: Sequence[str], before: Hybrid) -> str:
    """The whole page as HTML5. before: the bundle that was fitted to the site."""
    site = learning.site
    sections = (
        ("What was learnt from", _source(learning, sources, before)),
        ("What is asked of an alert now", _budget(learning)),
        ("To be looked at: what holds all the time", _habits(learning)),
        ("Alerts of the learning period, before", _alerts(learning.before, "before")),
        ("Alerts of the learning period, after", _alerts(learning.budget.candidates, "after")),
        ("Services", _services(learning)),
        ("Hosts", _hosts(learning)),
        ("Rhythms", _links(learning.talk.rhythms(), "Links in a beat", rhythm=True)),
        ("What is rare", _links(learning.talk.rare(), "Links of services that hardly anybody uses", rhythm=False)),
        ("What this promises, and what not", _promises()),
    )
    header = [
        element("p", verdict(learning), class_="verdict"),
        [element("p", f"Warming: {warming(what)}.", class_="caution") for what in site.warming],
    ]
    title = f"flowvigil baseline: {listed([source.rpartition('/')[2] or source for source in sources], 3)}"
    return document(title, header, [section(title, content) for title, content in sections if content is not None])


def verdict(learning: Learning) -> str:
    """What comes of it, in one sentence."""
    site = learning.site
    return (
        f"{counted(site.learned.hosts, 'host')} in {period(site.learned.days)}: asked for "
        f"{alerts_a_day(site.alerts_per_day)}, expected {interval_in_words(site.expected_alerts_per_day)}."
    )


def _source(learning: Learning, sources: Sequence[str], before: Hybrid) -> Content:
    known, uncounted = learning.site.learned, learning.talk.uncounted
    return facts_of(
        [
            ("Traffic", listed(list(sources), 8)),
            ("Time", stretch(known.from_ns, known.to_ns)),
            ("Covered", period(known.days)),
            ("Flows", f"{known.flows:,}"),
            ("Hosts that began one", f"{known.hosts:,}"),
            ("Not learnt from", f"{counted(known.left_out, 'flow')} of what was told"),
            *(
                [("Not listed below", f"{counted(uncounted, 'flow')} of links after the first ones")]
                if uncounted
                else []
            ),
            ("Bundle", f"{before.model_id}, {before.sha256[:12]}"),
        ]
    )


def _budget(learning: Learning) -> Content:
    site = learning.site
    return facts_of(
        [
            ("Asked for", alerts_a_day(site.alerts_per_day)),
            ("Expected a day", f"{interval_in_words(site.expected_alerts_per_day)}, 95 %, habits aside"),
            ("Thresholds", thresholds(learning)),
            ("Before", kinds(learning.before)),
            ("After", kinds(learning.budget.candidates)),
        ]
    )


def _habits(learning: Learning) -> Content:
    habits = learning.site.habits
    if not habits:
        return element("p", "Nothing that would be told held through most of the learning period.")
    rows = [
        (habit.kind, habit.source or "many", habit.destination or "many",
         _service(ServicePort(habit.port, habit.protocol)), f"{100 * habit.share:.0f} %")
        for habit in habits[:MOST]
    ]  # fmt: skip
    headings = (
        ("Claim", False),
        ("Source", False),
        ("Destination", False),
        ("Service", False),
        ("Of the time", True),
    )
    return [
        element(
            "p",
            "From now on each is told, whenever it begins, with a severity of 20 at most. If one is not meant to be, "
            "it is an attack that was there before the sensor: look at it now.",
        ),
        table_of(f"Habits ({len(rows)} of {len(habits):,})", headings, rows),
    ]


def _alerts(candidates: Sequence[Candidate], when: str) -> Content:
    opened = [one for one in candidates if one.opened and not one.muted]
    muted = sum(one.opened and one.muted for one in candidates)
    noted = [element("p", f"{counted(muted, 'alert')} muted by site notes, which use up no budget.")] if muted else []
    if not opened:
        return [element("p", f"None would be told {when}."), *noted]
    opened.sort(key=lambda one: (not one.attack, -one.level, one.start_ns))
    rows = [
        (one.kind, "attack" if one.attack else "uncertain", moment(one.start_ns), one.source, one.destination,
         _service(ServicePort(*one.subject[3:])), f"{one.level:.1f}", one.flows)
        for one in opened[:MOST_ALERTS]
    ]  # fmt: skip
    headings = (
        *(("Claim", False), ("Verdict", False), ("Began (UTC)", False), ("Source", False), ("Destination", False)),
        *(("Service", False), ("Level", True), ("Flows", True)),
    )
    return [table_of(f"Alerts {when} ({len(rows)} of {len(opened):,})", headings, rows), *noted]


def _services(learning: Learning) -> Content:
    services = learning.talk.services()
    rows = [(_service(own), flows, clients, servers) for own, flows, clients, servers in services[:MOST]]
    headings = (("Service", False), ("Flows", True), ("Clients", True), ("Servers", True))
    return table_of(f"Services ({len(rows)} of {len(services):,})", headings, rows)


def _hosts(learning: Learning) -> Content:
    hosts = learning.talk.hosts()
    rows = [(host, flows, asked) for host, flows, asked in hosts[:MOST]]
    headings = (("Host", False), ("Flows that it began", True), ("Services of hosts that it asked", True))
    return table_of(f"Hosts ({len(rows)} of {len(hosts):,})", headings, rows)


def _links(links: Sequence[HostLink], caption: str, *, rhythm: bool) -> Content:
    if not links:
        return element("p", "None.")
    rows = [
        (link.source, link.destination, _service(link.service), link.flows, f"{link.gap_s:,.0f} s" if rhythm else
         link.answered)
        for link in links[:MOST]
    ]  # fmt: skip
    last = "Each" if rhythm else "Answered"
    headings = (("Source", False), ("Destination", False), ("Service", False), ("Flows", True), (last, True))
    return table_of(f"{caption} ({len(rows)} of {len(links):,})", headings, rows)


def _service(service: ServicePort) -> str:
    return service_in_words(service.port or None, service.protocol)


def _promises() -> Content:
    return [
        element(
            "p",
            "At a nominal rate the cuts of both lanes flag no larger share of the site's normal flows, as far as these "
            "are exchangeable with those that were learnt from (split and cross-conformal). Flows of one host are "
            "alike, so that holds for as many hosts and hours as were seen.",
        ),
        element(
            "p",
            "The alerts a day are what these thresholds give in the learning period, gone through again with a forest "
            "that has not seen the half that it judges. What happens once a week is not in a day; no host counts more "
            "than the next one does, so that an attacker does not raise the thresholds.",
        ),
        element(
            "p",
            "Claims that the known lane agrees with, and those beyond doubt, are told whatever the budget: an attack "
            "does not wait for its turn.",
        ),
    ]
