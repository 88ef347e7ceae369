"""Lines about episodes folded into one entry each, the worst first, and events beside them. Memory is bounded.

It knows records only: no file and no page.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from heapq import nsmallest

from sensor.alerts.alert import Alert
from sensor.alerts.drift_record import DriftRecord
from sensor.alerts.reading import NativeLine, Record
from sensor.alerts.sensor_records import EventRecord, StatsRecord
from sensor.alerts.techniques import Technique
from sensor.fleet.hosts import Sites
from sensor.fleet.sightings import grouped, sighting
from sensor.report.coverage import StatsCounts

EPISODES_KEPT = 20_000
EVENTS_KEPT = 200
SCHEMAS_KEPT, OTHER_SCHEMAS = 100, "of other schemas"  # of lines that are passed over, told apart


@dataclass(frozen=True, slots=True)
class ReportedEpisode:
    """An episode as its lines tell it."""

    last: Alert  # the newest line
    lines: int  # how many there were
    opened_ns: int  # traffic time of the first
    attack: bool  # whether any line said so
    others: tuple[str, ...] = ()  # names of other sensors whose alerts tell of the same attack

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
        """The technique, else that it is unusual."""
        return self.last.title


@dataclass(slots=True)
class Digest:
    """What all lines said."""

    records: int = 0  # lines that held a record which the page tells
    # Records of the sensor that the page does not tell, by their schema.
    passed_over: Counter[str] = field(default_factory=Counter)
    alert_lines: int = 0  # lines about episodes
    not_kept: int = 0  # lines about episodes beyond EPISODES_KEPT
    events: list[EventRecord | DriftRecord] = field(default_factory=list)  # the first EVENTS_KEPT
    events_more: int = 0  # how many came after those
    first_ns: int = 0  # earliest traffic time that alerts speak of, 0 without any
    last_ns: int = 0  # latest traffic time that alerts speak of, 0 without any
    stats: StatsCounts = field(default_factory=StatsCounts)  # the accounts among the lines
    # By sensor, capture and name of the episode: copies of a capture give the same names.
    _episodes: dict[tuple[str, str, str], ReportedEpisode] = field(default_factory=dict)

    def add(self, lines: Iterable[tuple[NativeLine, Record | None]]) -> None:
        """Fold lines in."""
        for native, record in lines:
            if record is None:
                known = native.schema in self.passed_over or len(self.passed_over) < SCHEMAS_KEPT
                self.passed_over[native.schema if known else OTHER_SCHEMAS] += 1
                continue
            self.records += 1
            if isinstance(record, Alert):
                self.add_alert(record)
            elif isinstance(record, StatsRecord):
                self.stats.add(record)
            elif len(self.events) < EVENTS_KEPT:
                self.events.append(record)
            else:
                self.events_more += 1

    @property
    def episodes(self) -> list[ReportedEpisode]:
        """All that were kept and are not muted, the worst first."""
        return sorted(self, key=lambda episode: episode.rank)

    @property
    def muted(self) -> list[ReportedEpisode]:
        """Those that a note of the site mutes, in the order in which they began."""
        muted = (episode for episode in self._episodes.values() if episode.last.muted is not None)
        return sorted(muted, key=lambda episode: (episode.last.start_ns, episode.last.id))

    def worst(self, number: int) -> list[ReportedEpisode]:
        """Some that are not muted, the worst first."""
        return nsmallest(number, self, key=lambda episode: episode.rank)

    def __iter__(self) -> Iterator[ReportedEpisode]:
        return (episode for episode in self._episodes.values() if episode.last.muted is None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def one_attack_each(self, sites: Sites) -> int:
        """Have the alert of the sensor that saw an attack first stand for those of others, which it names.

        Returns how many it stands for.
        """
        groups = grouped(sighting(episode.last, sites) for episode in self)
        for first, *others in groups:
            names = tuple(other.sensor for other in others)
            self._episodes[first.key] = replace(self._episodes[first.key], others=names)
            for other in others:
                del self._episodes[other.key]
        return sum(len(group) - 1 for group in groups)

    def add_alert(self, alert: Alert) -> None:
        """Fold a line about an episode in."""
        self.alert_lines += 1
        self.first_ns = min(self.first_ns or alert.start_ns, alert.start_ns)
        self.last_ns = max(self.last_ns, alert.end_ns, alert.time_ns)
        key = alert.key
        attack = alert.verdict == "attack"
        before = self._episodes.get(key)
        if before is not None:
            last = alert if alert.sequence >= before.last.sequence else before.last
            opened_ns = min(before.opened_ns, alert.time_ns)
            self._episodes[key] = replace(
                before, last=last, lines=before.lines + 1, opened_ns=opened_ns, attack=before.attack or attack
            )
        elif len(self._episodes) < EPISODES_KEPT:
            self._episodes[key] = ReportedEpisode(alert, 1, alert.time_ns, attack)
        else:
            self.not_kept += 1
