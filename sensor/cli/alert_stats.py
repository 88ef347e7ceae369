"""Counts over the alerts of a log: each alert once, by its last line, whatever the order of lines.

Of each only what is counted is kept, some 0.4 KB, and of no more than ALERTS_KEPT: whoever writes the log may make up
as many as there is room for on a disk.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Final, NamedTuple

from sensor.alerts.alert import Alert
from sensor.alerts.kinds import MOST, timestamp
from sensor.alerts.spread import counted
from sensor.alerts.techniques import NO_TECHNIQUE
from sensor.alerts.words import moment
from sensor.fleet.hosts import Sites
from sensor.fleet.sightings import Sighting, grouped, hosts_of_several, sighting

KINDS: Final = ("verdict", "lane", "technique", "source", "sensor", "hour")
SHOWN, HOURS_SHOWN = 10, 24  # rows of a table
HOSTS_LISTED: Final = 1000
BAR: Final = 30  # characters
HOUR_NS: Final = 3_600_000_000_000
ALERTS_KEPT: Final = 1_000_000
HOSTS_COMPARED: Final = 2_000_000  # of a fleet: that its alerts name, each once; some 0.5 KB each


class LastLine(NamedTuple):
    """What is counted of the last line of an alert."""

    sequence: int  # number of the line
    muted: bool
    flows: int
    start_ns: int
    end_ns: int
    verdict: str
    lane: str
    technique: str  # its id, "" for none
    technique_name: str
    source: str
    sensor: str
    seen: Sighting | None  # to be compared with what other sensors saw, None where that is not asked for

    @property
    def hosts(self) -> int:
        """How many of them are to be compared."""
        return 0 if self.seen is None else 1 + len(self.seen.targets)


@dataclass(slots=True)
class Statistics:
    """Lines counted so far, and the last of each alert."""

    lines: int = 0
    not_kept: int = 0  # lines of alerts beyond ALERTS_KEPT, which are in no other count
    # Of a fleet: its sites; an attack that several sensors tell counts once. None: sensors are sites by themselves.
    fleet: Sites | None = None
    _last: dict[tuple[str, str, str], LastLine] = field(default_factory=dict)
    _hosts: int = 0  # that the last lines name

    def add(self, alerts: Iterable[Alert]) -> None:
        """Count lines of alerts."""
        for alert in alerts:
            self.lines += 1
            before = self._last.get(alert.key)
            if before is None and (len(self._last) >= ALERTS_KEPT or self._hosts >= HOSTS_COMPARED):
                self.not_kept += 1
            elif before is None or alert.sequence >= before.sequence:
                last = self._last[alert.key] = _last_line(alert, self.fleet)
                self._hosts += last.hosts - (0 if before is None else before.hosts)

    @property
    def _not_muted(self) -> list[LastLine]:
        """The last line of each alert that is not muted."""
        return [alert for alert in self._last.values() if not alert.muted]

    @property
    def _seen(self) -> list[Sighting]:
        return [alert.seen for alert in self._not_muted if alert.seen is not None]

    @property
    def _told(self) -> list[LastLine]:
        """The same, of an attack that several sensors tell the first alone."""
        if self.fleet is None:
            return self._not_muted
        return [self._last[group[0].key] for group in grouped(self._seen)]

    def document(self) -> dict[str, Any]:
        """All counts, largest first; the hours in their order. What notes of the site mute is one count."""
        told, not_muted = self._told, self._not_muted
        muted = len(self._last) - len(not_muted)
        sensors = _ranked(alert.sensor for alert in not_muted)
        sites = self.fleet or Sites()
        of_sites = len({sites.of(sensor) for sensor in sensors}) > 1
        return {
            "alerts": len(told),
            **({} if self.fleet is None else {"told_twice": len(not_muted) - len(told)}),
            "lines": self.lines,
            **({"muted": muted} if muted else {}),
            **({"not_kept": self.not_kept} if self.not_kept else {}),
            "flows": min(sum(alert.flows for alert in told), MOST),  # whoever writes the lines may say any number
            "first": timestamp(min(alert.start_ns for alert in told)) if told else None,
            "last": timestamp(max(alert.end_ns for alert in told)) if told else None,
            "verdict": _ranked(alert.verdict for alert in told),
            "lane": _ranked(alert.lane for alert in told),
            "technique": _ranked(alert.technique or "none" for alert in told),
            "source": _ranked(
                str(sites.host(alert.sensor, alert.source)) if of_sites else alert.source for alert in told
            ),
            **({"sensor": sensors} if len(sensors) > 1 else {}),
            **({} if self.fleet is None else {"hosts_of_several": _hosts(self._seen)}),
            "hour": dict(sorted(Counter(_hour(alert) for alert in told).items())),
        }

    def table(self) -> list[str]:
        """The same for people, the largest of each kind."""
        document = self.document()
        muted = f", {document['muted']:,} muted by site notes" if "muted" in document else ""
        if self.not_kept:
            muted += f", {self.not_kept:,} lines of more alerts than are counted"
        told = self._told
        if not told:
            return [f"no alerts{muted}"]
        names = {alert.technique or "none": _technique(alert) for alert in told}
        first = moment(min(alert.start_ns for alert in told))
        last = moment(max(alert.end_ns for alert in told))
        twice = f", {document['told_twice']:,} more by other sensors" if document.get("told_twice") else ""
        lines = [
            f"{counted(len(told), 'alert')}{twice}, {counted(self.lines, 'line')}, "
            f"{counted(document['flows'], 'flow')}{muted}",
            f"{first} to {last} UTC",
        ]
        for kind in KINDS:
            if kind in document:
                lines += ["", *_section(kind, document[kind], names if kind == "technique" else {})]
        return [*lines, *_hosts_in_words(document.get("hosts_of_several", []))]


def _ranked(words: Iterable[str]) -> dict[str, int]:
    """Counts, largest first, equal ones by name."""
    return dict(sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0])))


def _hosts(seen: Iterable[Sighting]) -> list[dict[str, Any]]:
    """The hosts that several sensors tell of."""
    return [
        {
            "address": each.host.address,
            "site": each.host.site or None,
            "sensors": list(each.sensors[:SHOWN]),
            "sensors_total": len(each.sensors),
            "did": each.did,
            "suffered": each.suffered,
        }
        for each in hosts_of_several(seen)[:HOSTS_LISTED]
    ]


def _hosts_in_words(hosts: list[dict[str, Any]]) -> list[str]:
    if not hosts:
        return []
    lines = ["", "hosts that several sensors tell of"]
    for host in hosts[:SHOWN]:
        place = f" at {host['site']}" if host["site"] else ""
        more = host["sensors_total"] - len(host["sensors"])
        sensors = ", ".join(host["sensors"]) + (f" and {more:,} more" if more else "")
        roles = f"{counted(host['did'], 'alert')} of it, target of {host['suffered']:,}"
        lines.append(f"  {host['address']}{place}: {sensors}; {roles}")
    if len(hosts) > SHOWN:
        lines.append(f"  and {len(hosts) - SHOWN:,} more")
    return lines


def _last_line(alert: Alert, fleet: Sites | None) -> LastLine:
    technique = alert.technique or NO_TECHNIQUE
    return LastLine(
        sequence=alert.sequence,
        muted=alert.muted is not None,
        flows=alert.spread.flows,
        start_ns=alert.start_ns,
        end_ns=alert.end_ns,
        verdict=intern(alert.verdict),
        lane=intern(alert.lane),
        technique=intern(technique.id),
        technique_name=intern(technique.name),
        source=alert.source.ip,
        sensor=intern(alert.observer.name),
        seen=None if fleet is None else sighting(alert, fleet),
    )


def _hour(alert: LastLine) -> str:
    """The hour in which an alert began."""
    return timestamp(alert.start_ns // HOUR_NS * HOUR_NS)[:13] + ":00Z"


def _technique(alert: LastLine) -> str:
    return f"{alert.technique} {alert.technique_name}".strip() or "none"


def _section(kind: str, counts: dict[str, int], names: dict[str, str]) -> list[str]:
    """A kind's largest counts with bars; of hours the latest."""
    rows = list(counts.items())
    shown = rows[-HOURS_SHOWN:] if kind == "hour" else rows[:SHOWN]
    most = max(counts.values())
    width = max(len(names.get(name, name)) for name, _ in shown)
    lines = [f"by {kind}"]
    for name, count in shown:
        lines.append(f"  {names.get(name, name):{width}}  {count:>7,}  {'#' * max(1, count * BAR // most)}")
    if len(rows) > len(shown):
        lines.append(f"  and {len(rows) - len(shown):,} more")
    return lines
