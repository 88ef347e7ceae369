"""Counts over the alerts of a log: each episode once, by its last alert."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sensor.formats.facts import Facts, rfc3339

KINDS: Final = ("verdict", "lane", "technique", "source", "hour")
SHOWN, HOURS_SHOWN = 10, 24  # rows of a table
BAR: Final = 30  # characters
HOUR_US: Final = 3_600_000_000


@dataclass(slots=True)
class Statistics:
    """Alerts counted so far, and the last of each episode."""

    alerts: int = 0
    _last: dict[str, Facts] = field(default_factory=dict)

    def add(self, alerts: Iterable[Facts]) -> None:
        """Count alerts."""
        for facts in alerts:
            self.alerts += 1
            self._last[facts.id] = facts

    def document(self) -> dict[str, Any]:
        """All counts, largest first; the hours in their order."""
        episodes = list(self._last.values())
        return {
            "alerts": self.alerts,
            "episodes": len(episodes),
            "flows": sum(facts.flows for facts in episodes),
            "first": rfc3339(min(facts.start_us for facts in episodes)) if episodes else None,
            "last": rfc3339(max(facts.end_us for facts in episodes)) if episodes else None,
            "verdict": _ranked(facts.verdict for facts in episodes),
            "lane": _ranked(facts.lane for facts in episodes),
            "technique": _ranked(facts.technique or "none" for facts in episodes),
            "source": _ranked(facts.source.ip for facts in episodes),
            "hour": dict(sorted(Counter(_hour(facts) for facts in episodes).items())),
        }

    def table(self) -> list[str]:
        """The same for people, the largest of each kind."""
        document = self.document()
        if not self.alerts:
            return ["no alerts"]
        names = {facts.technique or "none": _technique(facts) for facts in self._last.values()}
        first, last = document["first"][:19].replace("T", " "), document["last"][:19].replace("T", " ")
        lines = [
            f"{document['episodes']:,} episodes, {self.alerts:,} alerts, {document['flows']:,} flows",
            f"{first} to {last} UTC",
        ]
        for kind in KINDS:
            lines += ["", *_section(kind, document[kind], names if kind == "technique" else {})]
        return lines


def _ranked(words: Iterable[str]) -> dict[str, int]:
    """Counts, largest first, equal ones by name."""
    return dict(sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0])))


def _hour(facts: Facts) -> str:
    """The hour in which an episode began."""
    return rfc3339(facts.start_us // HOUR_US * HOUR_US)[:13] + ":00Z"


def _technique(facts: Facts) -> str:
    return f"{facts.technique} {facts.technique_name}".strip() or "none"


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
