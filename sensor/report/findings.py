"""Lines about episodes folded into one entry each, the worst first, and events beside them. Memory is bounded.

It knows records only: no file and no page.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from heapq import nsmallest

from sensor.alerts.alert import Alert
from sensor.alerts.techniques import Technique
from sensor.report.coverage import Accounts
from sensor.report.records import EventRecord, Record, StatsRecord

EPISODES_KEPT = 20_000
EVENTS_KEPT = 200


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode as its lines tell it.

    last: the newest line. lines: how many there were. opened_ns: traffic time of the first. attack: whether any line
    said so.
    """

    last: Alert
    lines: int
    opened_ns: int
    attack: bool

    @property
    def rank(self) -> tuple[float, int, int, int, str]:
        """Sorts the worst first."""
        alert = self.last
        return (-alert.risk, -alert.severity, -alert.hosts_merged, alert.start_ns, alert.id)

    @property
    def technique(self) -> Technique | None:
        """The ATT&CK technique that the lines name, the sub-technique where there is one."""
        return self.last.technique

    @property
    def what(self) -> str:
        """Technique, else the label, else that it is unusual."""
        return self.last.title


@dataclass(slots=True)
class Findings:
    """What all lines said.

    alert_lines: lines about episodes. not_kept: lines about episodes beyond EPISODES_KEPT. events: the first
    EVENTS_KEPT, events_more: how many came after. first_ns, last_ns: traffic time that alerts speak of, 0 without any.
    """

    alert_lines: int = 0
    not_kept: int = 0
    events: list[EventRecord] = field(default_factory=list)
    events_more: int = 0
    first_ns: int = 0
    last_ns: int = 0
    accounts: Accounts = field(default_factory=Accounts)
    _episodes: dict[tuple[str, str], Episode] = field(default_factory=dict)

    def take(self, records: Iterable[Record]) -> None:
        """Fold records in."""
        for record in records:
            if isinstance(record, Alert):
                self._alert(record)
            elif isinstance(record, StatsRecord):
                self.accounts.take(record)
            elif len(self.events) < EVENTS_KEPT:
                self.events.append(record)
            else:
                self.events_more += 1

    @property
    def episodes(self) -> list[Episode]:
        """All that were kept, the worst first."""
        return sorted(self._episodes.values(), key=lambda episode: episode.rank)

    def worst(self, number: int) -> list[Episode]:
        """Some, the worst first."""
        return nsmallest(number, self._episodes.values(), key=lambda episode: episode.rank)

    def __iter__(self) -> Iterator[Episode]:
        return iter(self._episodes.values())

    def __len__(self) -> int:
        return len(self._episodes)

    def _alert(self, alert: Alert) -> None:
        self.alert_lines += 1
        self.first_ns = min(self.first_ns or alert.start_ns, alert.start_ns)
        self.last_ns = max(self.last_ns, alert.end_ns, alert.time_ns)
        key = (alert.observer.name, alert.id)
        attack = alert.verdict == "attack"
        before = self._episodes.get(key)
        if before is not None:
            last = alert if alert.time_ns >= before.last.time_ns else before.last
            opened_ns = min(before.opened_ns, alert.time_ns)
            self._episodes[key] = replace(
                before, last=last, lines=before.lines + 1, opened_ns=opened_ns, attack=before.attack or attack
            )
        elif len(self._episodes) < EPISODES_KEPT:
            self._episodes[key] = Episode(alert, 1, alert.time_ns, attack)
        else:
            self.not_kept += 1
