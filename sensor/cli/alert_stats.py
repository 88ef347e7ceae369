"""Counts over the alerts of a log: each alert once, by its last line.

Of each only what is counted is kept, some 0.4 KB, and of no more than ALERTS_KEPT: whoever writes the log may make up
as many as there is room for on a disk.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Final, NamedTuple

from sensor.alerts.alert import Alert
from sensor.alerts.kinds import timestamp
from sensor.alerts.spread import counted
from sensor.alerts.techniques import NO_TECHNIQUE
from sensor.alerts.words import moment

KINDS: Final = ("verdict", "lane", "technique", "source", "hour")
SHOWN, HOURS_SHOWN = 10, 24  # rows of a table
BAR: Final = 30  # characters
HOUR_NS: Final = 3_600_000_000_000
ALERTS_KEPT: Final = 1_000_000


class LastLine(NamedTuple):
    """What is counted of the last line of an alert."""

    muted: bool
    flows: int
    start_ns: int
    end_ns: int
    verdict: str
    lane: str
    technique: str  # its id, "" for none
    technique_name: str
    source: str


@dataclass(slots=True)
class Statistics:
    """Lines counted so far, and the last of each alert."""

    lines: int = 0
    not_kept: int = 0  # lines of alerts beyond ALERTS_KEPT, which are in no other count
    _last: dict[str, LastLine] = field(default_factory=dict)

    def add(self, alerts: Iterable[Alert]) -> None:
        """Count lines of alerts."""
        for alert in alerts:
            self.lines += 1
            if alert.id in self._last or len(self._last) < ALERTS_KEPT:
                self._last[alert.id] = _last_line(alert)
            else:
                self.not_kept += 1

    @property
    def _told(self) -> list[LastLine]:
        """The last line of each alert that is not muted."""
        return [alert for alert in self._last.values() if not alert.muted]

    def document(self) -> dict[str, Any]:
        """All counts, largest first; the hours in their order. What notes of the site mute is one count."""
        told = self._told
        muted = len(self._last) - len(told)
        return {
            "alerts": len(told),
            "lines": self.lines,
            **({"muted": muted} if muted else {}),
            **({"not_kept": self.not_kept} if self.not_kept else {}),
            "flows": sum(alert.flows for alert in told),
            "first": timestamp(min(alert.start_ns for alert in told)) if told else None,
            "last": timestamp(max(alert.end_ns for alert in told)) if told else None,
            "verdict": _ranked(alert.verdict for alert in told),
            "lane": _ranked(alert.lane for alert in told),
            "technique": _ranked(alert.technique or "none" for alert in told),
            "source": _ranked(alert.source for alert in told),
            "hour": dict(sorted(Counter(_hour(alert) for alert in told).items())),
        }

    def table(self) -> list[str]:
        """The same for people, the largest of each kind."""
        document = self.document()
        muted = f", {document['muted']:,} muted by site notes" if "muted" in document else ""
        if self.not_kept:
            muted += f", {self.not_kept:,} lines of more alerts than are counted"
        if not self._told:
            return [f"no alerts{muted}"]
        names = {alert.technique or "none": _technique(alert) for alert in self._told}
        first = moment(min(alert.start_ns for alert in self._told))
        last = moment(max(alert.end_ns for alert in self._told))
        lines = [
            f"{counted(len(self._told), 'alert')}, {counted(self.lines, 'line')}, "
            f"{counted(document['flows'], 'flow')}{muted}",
            f"{first} to {last} UTC",
        ]
        for kind in KINDS:
            lines += ["", *_section(kind, document[kind], names if kind == "technique" else {})]
        return lines


def _ranked(words: Iterable[str]) -> dict[str, int]:
    """Counts, largest first, equal ones by name."""
    return dict(sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0])))


def _last_line(alert: Alert) -> LastLine:
    technique = alert.technique or NO_TECHNIQUE
    return LastLine(
        muted=alert.muted is not None,
        flows=alert.spread.flows,
        start_ns=alert.start_ns,
        end_ns=alert.end_ns,
        verdict=intern(alert.verdict),
        lane=intern(alert.lane),
        technique=intern(technique.id),
        technique_name=intern(technique.name),
        source=alert.source.ip,
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
