"""What the lines of many sensors say of each: its latest accounts, its alerts, when it was heard. Memory is bounded.

Lines may come in any order, and twice, as rotated files and syslog bring them: the latest is by the sensor's own clock.
It knows no file and no clock.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sensor.alerts.alert import Alert, ModelIdentity
from sensor.alerts.drift_record import DriftRecord
from sensor.alerts.kinds import MOMENT, text
from sensor.alerts.reading import NativeLine, Record, UnreadableLineError
from sensor.alerts.sensor_records import EventRecord, StatsRecord

SENSORS_KEPT: Final = 1000  # beside those that are listed: who writes the lines may make up any number of names
ACCOUNTS_KEPT: Final = 8  # of a sensor, the latest
IDS_KEPT: Final = 1000  # of a sensor's alerts that opened last, so that one that comes twice counts once
_TEXT: Final = text(64).read


class AlertHead(NamedTuple):
    """What is counted of a line of an alert."""

    sensor: str
    version: str
    time_ns: int  # traffic time
    opened: bool
    id: str
    model: ModelIdentity


@dataclass(slots=True)
class SensorHeard:
    """A sensor as its lines tell it."""

    name: str
    lines: int = 0
    first_ns: int = 0  # wall clock of its first account or event, 0 before one
    last_ns: int = 0  # of the latest
    accounts: list[StatsRecord] = field(default_factory=list)  # the latest, in the order of their time
    opened: int = 0  # alerts
    first_alert_ns: int = 0  # traffic time, 0 before one
    last_alert: AlertHead | None = None  # the latest by traffic time
    _opened_ids: deque[str] = field(default_factory=lambda: deque(maxlen=IDS_KEPT))

    @property
    def latest(self) -> StatsRecord | None:
        """The latest account."""
        return self.accounts[-1] if self.accounts else None

    @property
    def heard_ns(self) -> int:
        """When it was heard last: its latest account or event, without any its latest alert; 0 for never."""
        return self.last_ns or (0 if self.last_alert is None else self.last_alert.time_ns)

    @property
    def run(self) -> list[StatsRecord]:
        """Those of the latest accounts that are of its latest run: a new one begins to count anew."""
        run = self.accounts[-1:]
        for account in reversed(self.accounts[:-1]):
            if account.progress.received > run[0].progress.received or account.final:
                break
            run.insert(0, account)
        return run

    def add_account(self, account: StatsRecord) -> None:
        """Take an account in."""
        self._heard(account.time_ns)
        place = bisect_left(self.accounts, account.time_ns, key=lambda each: each.time_ns)
        if place < len(self.accounts) and self.accounts[place].time_ns == account.time_ns:
            return
        self.accounts.insert(place, account)
        del self.accounts[:-ACCOUNTS_KEPT]

    def add_event(self, time_ns: int) -> None:
        """Take an event in."""
        self._heard(time_ns)

    def add_alert(self, head: AlertHead) -> None:
        """Take a line of an alert in."""
        self.lines += 1
        self.first_alert_ns = min(self.first_alert_ns or head.time_ns, head.time_ns)
        if self.last_alert is None or head.time_ns >= self.last_alert.time_ns:
            self.last_alert = head
        if head.opened and head.id not in self._opened_ids:
            self._opened_ids.append(head.id)
            self.opened += 1

    def _heard(self, time_ns: int) -> None:
        self.lines += 1
        self.first_ns = min(self.first_ns or time_ns, time_ns)
        self.last_ns = max(self.last_ns, time_ns)


@dataclass(slots=True)
class SensorBook:
    """All sensors that were heard."""

    listed: Collection[str] = ()  # names for which there is always room
    not_kept: int = 0  # lines of sensors beyond SENSORS_KEPT, which are in no other count
    _by_name: dict[str, SensorHeard] = field(default_factory=dict)
    _strangers: int = 0

    def __iter__(self) -> Iterator[SensorHeard]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> SensorHeard | None:
        """A sensor by its name."""
        return self._by_name.get(name)

    @property
    def last_ns(self) -> int:
        """When any sensor was heard last, 0 for never."""
        return max((sensor.heard_ns for sensor in self), default=0)

    def add(self, told: Record | AlertHead | None) -> None:
        """Take in what a line says."""
        if told is None:
            return
        sensor = self._sensor(told.sensor if isinstance(told, AlertHead) else told.observer.name)
        if sensor is None:
            self.not_kept += 1
        elif isinstance(told, StatsRecord):
            sensor.add_account(told)
        elif isinstance(told, AlertHead):
            sensor.add_alert(told)
        elif isinstance(told, Alert):
            sensor.add_alert(head_of(told))
        elif isinstance(told, EventRecord):
            sensor.add_event(told.time_ns)
        else:  # its time is that of traffic; whether a condition holds the accounts say
            sensor.lines += 1

    def _sensor(self, name: str) -> SensorHeard | None:
        known = self._by_name.get(name)
        if known is not None:
            return known
        if name not in self.listed:
            if self._strangers == SENSORS_KEPT:
                return None
            self._strangers += 1
        return self._by_name.setdefault(name, SensorHeard(name))


def head_of(alert: Alert) -> AlertHead:
    """What is counted of an alert."""
    opened = alert.action == "opened" and alert.muted is None
    return AlertHead(alert.observer.name, alert.observer.version, alert.time_ns, opened, alert.id, alert.model)


def told_of_sensor(native: NativeLine) -> AlertHead | StatsRecord | EventRecord | DriftRecord | None:
    """What a line says of its sensor: of an alert its head alone, a fiftieth of the work; None for what says nothing.

    Raises UnreadableLineError.
    """
    if native.kind != "alert":
        told = native.record()
        return None if isinstance(told, Alert) else told
    try:
        return _head(native.document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableLineError("an alert with a field that does not fit") from error


def _head(document: Mapping[str, Any]) -> AlertHead:
    event, own, observer = document["event"], document["flowvigil"], document["observer"]
    return AlertHead(
        _TEXT(observer["name"], "observer.name"),
        _TEXT(observer.get("version", ""), "observer.version"),
        MOMENT.read(document["@timestamp"], "@timestamp"),
        event["action"] == "opened" and "muted" not in own,
        _TEXT(event["id"], "event.id"),
        ModelIdentity(_TEXT(own["model"]["id"], "flowvigil.model.id"), _TEXT(own["model"]["sha256"], "sha256")),
    )
