"""Counts over the alerts of a log: each episode once, by its last alert."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sensor.alerts.alert import Alert
from sensor.alerts.kinds import timestamp
from sensor.alerts.techniques import NO_TECHNIQUE
from sensor.alerts.words import moment

KINDS: Final = ("verdict", "lane", "technique", "source", "hour")
SHOWN, HOURS_SHOWN = 10, 24  # rows of a table
BAR: Final = 30  # characters
HOUR_NS: Final = 3_600_000_000_000


@dataclass(slots=True)
class Statistics:
    """Alerts counted so far, and the last of each episode."""

    alerts: int = 0
    _last: dict[str, Alert] = field(default_factory=dict)

    def add(self, alerts: Iterable[Alert]) -> None:
        """Count alerts."""
        for alert in alerts:
            self.alerts += 1
            self._last[alert.id] = alert

    @property
    def _told(self) -> list[Alert]:
        """The last line of each episode that is not muted."""
        return [alert for alert in self._last.values() if alert.muted is None]

    def document(self) -> dict[str, Any]:
        """All counts, largest first; the hours in their order. What notes of the site mute is one count."""
        episodes = self._told
        muted = len(self._last) - len(episodes)
        return {
            "alerts": self.alerts,
            "episodes": len(episodes),
            **({"muted": muted} if muted else {}),
            "flows": sum(alert.spread.flows for alert in episodes),
            "first": timestamp(min(alert.start_ns for alert in episodes)) if episodes else None,
            "last": timestamp(max(alert.end_ns for alert in episodes)) if episodes else None,
            "verdict": _ranked(alert.verdict for alert in episodes),
            "lane": _ranked(alert.lane for alert in episodes),
            "technique": _ranked(_id(alert) or "none" for alert in episodes),
            "source": _ranked(alert.source.ip for alert in episodes),
            "hour": dict(sorted(Counter(_hour(alert) for alert in episodes).items())),
        }

    def table(self) -> list[str]:
        """The same for people, the largest of each kind."""
        document = self.document()
        muted = f", {document['muted']:,} muted by site notes" if "muted" in document else ""
        if not self._told:
            return [f"no alerts{muted}"]
        names = {_id(alert) or "none": _technique(alert) for alert in self._told}
        first = moment(min(alert.start_ns for alert in self._told))
        last = moment(max(alert.end_ns for alert in self._told))
        lines = [
            f"{document['episodes']:,} episodes, {self.alerts:,} alerts, {document['flows']:,} flows{muted}",
            f"{first} to {last} UTC",
        ]
        for kind in KINDS:
            lines += ["", *_section(kind, document[kind], names if kind == "technique" else {})]
        return lines


def _ranked(words: Iterable[str]) -> dict[str, int]:
    """Counts, largest first, equal ones by name."""
    return dict(sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0])))


def _hour(alert: Alert) -> str:
    """The hour in which an episode began."""
    return timestamp(alert.start_ns // HOUR_NS * HOUR_NS)[:13] + ":00Z"


def _id(alert: Alert) -> str:
    return (alert.technique or NO_TECHNIQUE).id


def _technique(alert: Alert) -> str:
    technique = alert.technique or NO_TECHNIQUE
    return f"{technique.id} {technique.name}".strip() or "none"


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
