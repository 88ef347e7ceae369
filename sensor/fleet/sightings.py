"""Alerts of several sensors that tell of one attack: a flow that crosses two sensors is alerted by both.

Two alerts are of one attack where the same host does the same thing (its technique, or that it is unusual) to the same
target at the same time, and different sensors say so. The same target: the flow shown is the same one (Community ID),
or the first targets have a host in common. Of many sources the target alone is the party that both must name. What one
sensor told apart stays apart, so that a group has one alert of a sensor.

Private addresses are the same only within a site (sensor.fleet.hosts). Times may differ by CLOCKS_NS, as clocks do.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sensor.alerts.alert import Alert
from sensor.alerts.techniques import NO_TECHNIQUE
from sensor.fleet.hosts import Host, Sites

CLOCKS_NS: Final = 60_000_000_000
GROUPS_AT_ONCE: Final = 16  # that one flow or target is compared with: who writes the lines may make up any number


_Mark = tuple[str, Host | None, str | Host]


class Sighting(NamedTuple):
    """What is compared of an alert."""

    start_ns: int
    end_ns: int
    sensor: str
    id: str
    capture: str  # that it was found in, "" where that is not one of many
    technique: str  # its id, "" for none
    party: Host | None  # who did it; None for several, of whom the target is the party
    targets: frozenset[Host]
    community_id: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Of its alert (Alert.key)."""
        return self.sensor, self.capture, self.id


@dataclass(slots=True, eq=False)
class _Group:
    """Alerts of one attack."""

    number: int
    start_ns: int
    end_ns: int
    members: list[Sighting]
    sensors: set[str]  # of these

    def takes(self, other: Sighting) -> bool:
        """Whether an alert with a flow or a target in common is of the same attack."""
        return (
            other.start_ns <= self.end_ns + CLOCKS_NS
            and self.start_ns <= other.end_ns + CLOCKS_NS
            and other.sensor not in self.sensors
        )


def sighting(alert: Alert, sites: Sites) -> Sighting:
    """What is compared of an alert."""
    sensor = alert.observer.name
    targets = {sites.host(sensor, address) for address in (alert.destination.ip, *alert.target_ips)}
    return Sighting(
        alert.start_ns,
        alert.end_ns,
        sensor,
        alert.id,
        alert.capture or "",
        (alert.technique or NO_TECHNIQUE).id,
        None if alert.many_sources else sites.host(sensor, alert.source.ip),
        frozenset(targets),
        alert.community_id,
    )


class HostSeen(NamedTuple):
    """A host that alerts of several sensors are about."""

    host: Host
    sensors: tuple[str, ...]  # by name
    did: int  # alerts of what it did
    suffered: int  # alerts that name it among their first targets


def hosts_of_several(sightings: Iterable[Sighting]) -> list[HostSeen]:
    """The hosts that more than one sensor tells of, those of the most sensors first."""
    sensors: dict[Host, set[str]] = defaultdict(set)
    did, suffered = Counter[Host](), Counter[Host]()
    for found in sightings:
        if found.party is not None:
            did[found.party] += 1
            sensors[found.party].add(found.sensor)
        suffered.update(found.targets)
        for target in found.targets:
            sensors[target].add(found.sensor)
    several = (
        HostSeen(host, tuple(sorted(names)), did[host], suffered[host])
        for host, names in sensors.items()
        if len(names) > 1
    )
    return sorted(several, key=lambda each: (-len(each.sensors), -each.did, -each.suffered, each.host))


def grouped(sightings: Iterable[Sighting]) -> list[Sequence[Sighting]]:
    """Alerts by attack, in the order in which the attacks began; within one the earliest alert first.

    The order of what comes in does not matter.
    """
    groups: list[_Group] = []
    # By what is done, by whom, and a flow or a target of it.
    by_mark: dict[_Mark, list[_Group]] = {}
    for found in sorted(sightings, key=lambda each: each[:5]):
        told: tuple[str | Host, ...] = (found.community_id, *found.targets)
        marks: list[_Mark] = [(found.technique, found.party, mark) for mark in told]
        near = (group for mark in marks for group in by_mark.get(mark, ()) if group.takes(found))
        group = min(near, key=lambda each: each.number, default=None)
        if group is None:
            group = _Group(len(groups), found.start_ns, found.end_ns, [], set())
            groups.append(group)
        group.members.append(found)
        group.sensors.add(found.sensor)
        group.end_ns = max(group.end_ns, found.end_ns)
        for mark in marks:
            known = by_mark.setdefault(mark, [])
            if group not in known:
                known.append(group)
                del known[:-GROUPS_AT_ONCE]
    return [group.members for group in groups]
