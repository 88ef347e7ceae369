"""What the lines of many sensors say of each: its latest accounts, its alerts, when it was heard. Memory is bounded.

Lines may come in any order, and twice, as rotated files and syslog bring them: the latest is by the receiver's clock
where that stands before the lines, else by the sensor's own; an account that comes once more after later ones of its
run is none. It knows no file and no clock.
"""

from bisect import insort
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from operator import lt
from typing import Any, Final, NamedTuple

from sensor.alerts.alert import Alert, ModelIdentity
from sensor.alerts.drift_record import DriftRecord
from sensor.alerts.kinds import MOMENT, count, text
from sensor.alerts.reading import NativeLine, Record, UnreadableLineError
from sensor.alerts.sensor_records import EventRecord, StatsRecord
from sensor.fleet.clocks import Neighbours, Received, clock_behind_ns, head_ns, interval_ns_of, received_of
from sensor.fleet.numbering import LineNumbers

SENSORS_KEPT: Final = 1000  # beside those that are listed: who writes the lines may make up any number of names
ACCOUNTS_KEPT: Final = 8  # of a sensor, the latest
RUNS_KEPT: Final = 8  # of a sensor, of which an account came last
IDS_KEPT: Final = 1000  # of a sensor's alerts that opened last, so that one that comes twice counts once
_TEXT: Final = text(64).read
_NUMBER: Final = count(least=1).read


class AlertHead(NamedTuple):
    """What is counted of a line of an alert."""

    sensor: str
    version: str
    time_ns: int  # traffic time
    opened: bool
    id: str
    model: ModelIdentity
    sequence: int


class _Account(NamedTuple):
    """An account, sorted by when it came."""

    order: tuple[int, int]  # the receiver's time, where that is known, and the sensor's
    record: StatsRecord
    received: Received | None


class _Reached(NamedTuple):
    """How far a run has come, by the latest of its accounts."""

    order: tuple[int, int]  # of the account
    told: tuple[int, int]  # its time by its own clock, the packets until then


@dataclass(slots=True)
class SensorHeard:
    """A sensor as its lines tell it."""

    name: str
    lines: int = 0
    first_ns: int = 0  # wall clock of its first account or event, 0 before one
    last_ns: int = 0  # of the latest
    opened: int = 0  # alerts
    first_alert_ns: int = 0  # traffic time, 0 before one
    last_alert: AlertHead | None = None  # the latest by traffic time
    numbers: LineNumbers = field(default_factory=LineNumbers)  # of the lines of its alerts
    _accounts: list[_Account] = field(default_factory=list)
    _runs: dict[str, _Reached] = field(default_factory=dict)  # by their ids, the one heard last at the end
    _event: tuple[int, int] = (0, 0)  # the latest: when it came, in the order of accounts, and its own time
    _opened_ids: dict[str, None] = field(default_factory=dict)

    @property
    def accounts(self) -> list[StatsRecord]:
        """The latest, in the order of their time."""
        return [account.record for account in self._accounts]

    @property
    def latest(self) -> StatsRecord | None:
        """The latest account."""
        return self._accounts[-1].record if self._accounts else None

    @property
    def heard_ns(self) -> int:
        """When it was heard last, by its clock: its latest account or event, without any its latest alert; 0: never.

        It may have told later times before, by a clock that was ahead then.
        """
        if not self._accounts:
            return self.last_ns or (0 if self.last_alert is None else self.last_alert.time_ns)
        latest, (event_came_ns, event_ns) = self._accounts[-1], self._event
        return max(latest.record.time_ns, event_ns if event_came_ns > latest.order[0] else 0)

    @property
    def run(self) -> list[StatsRecord]:
        """Those of the latest accounts that are of its latest run: a new one begins to count anew."""
        accounts = self.accounts
        run = accounts[-1:]
        for account in reversed(accounts[:-1]):
            other = account.observer.run != run[0].observer.run
            if other or account.progress.received > run[0].progress.received or account.final:
                break
            run.insert(0, account)
        return run

    @property
    def of_two(self) -> bool:
        """Whether among its latest accounts one run goes on while another one tells something."""
        told = [account.observer.run for account in self.accounts]
        return any(
            run is not None and any(between != run for between in told[told.index(run) : place])
            for place, run in enumerate(told)
        )

    @property
    def clock_behind_ns(self) -> int:
        """How far its clock is behind others, below 0 where it is ahead, 0 where it does not differ or nobody knows."""
        run = self._accounts[-len(self.run) :]
        interval_ns = interval_ns_of(self.accounts)
        return clock_behind_ns([each.record.time_ns for each in run], [each.received for each in run], interval_ns)

    def add_account(self, account: StatsRecord, received: Received | None = None) -> None:
        """Take an account in. received: when it came, where something tells that."""
        self._heard(account.time_ns)
        by_head_ns = None if received is None else received.by_head_ns
        order = account.time_ns if by_head_ns is None else by_head_ns, account.time_ns
        new, accounts = _Account(order, account, received), self._accounts
        if self._is_again(new):
            return
        if by_head_ns is None and (not accounts or order > accounts[-1].order):
            accounts.append(new)
            del accounts[:-ACCOUNTS_KEPT]
            return
        if len(accounts) == ACCOUNTS_KEPT and order < accounts[0].order:
            return
        for place, known in enumerate(accounts):
            if known.record.time_ns == account.time_ns and known.record.observer == account.observer:
                if known.order <= new.order:  # delivered twice: it came when it came first
                    return
                del accounts[place]
                break
        insort(accounts, new, key=_order)
        del accounts[:-ACCOUNTS_KEPT]

    def _is_again(self, new: _Account) -> bool:
        """Whether an account comes once more, after later ones of its run: it has fewer packets at an earlier time.

        After a clock was set back the time alone is earlier.
        """
        record, run = new.record, new.record.observer.run
        if run is None:
            return False
        reached = _Reached(new.order, (record.time_ns, record.progress.received))
        before = self._runs.pop(run, reached)
        same = reached.told == before.told
        again = reached.order > before.order and (same or all(map(lt, reached.told, before.told)))
        self._runs[run] = before if again else max(before, reached)
        if len(self._runs) > RUNS_KEPT:
            del self._runs[next(iter(self._runs))]
        return again

    def add_event(self, time_ns: int, by_head_ns: int | None = None) -> None:
        """Take an event in. by_head_ns: when it came as the receiver said."""
        self._heard(time_ns)
        self._event = max(self._event, (time_ns if by_head_ns is None else by_head_ns, time_ns))

    def add_alert(self, head: AlertHead) -> None:
        """Take a line of an alert in; one that came before counts once."""
        self.lines += 1
        self.first_alert_ns = min(self.first_alert_ns or head.time_ns, head.time_ns)
        if self.last_alert is None or head.time_ns >= self.last_alert.time_ns:
            self.last_alert = head
        self.numbers.add(head.sequence, head.time_ns)
        if head.opened and head.id not in self._opened_ids:
            self._opened_ids[head.id] = None
            self.opened += 1
            if len(self._opened_ids) > IDS_KEPT:
                del self._opened_ids[next(iter(self._opened_ids))]

    def _heard(self, time_ns: int) -> None:
        self.lines += 1
        self.first_ns = min(self.first_ns or time_ns, time_ns)
        self.last_ns = max(self.last_ns, time_ns)


def _order(account: _Account) -> tuple[int, int]:
    return account.order


@dataclass(slots=True)
class SensorBook:
    """All sensors that were heard."""

    listed: Collection[str] = ()  # names for which there is always room
    not_kept: int = 0  # lines of sensors beyond SENSORS_KEPT, which are in no other count
    _by_name: dict[str, SensorHeard] = field(default_factory=dict)
    _strangers: int = 0
    _neighbours: Neighbours = field(default_factory=Neighbours)

    def __iter__(self) -> Iterator[SensorHeard]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> SensorHeard | None:
        """A sensor by its name."""
        return self._by_name.get(name)

    @property
    def present_ns(self) -> int:
        """When a sensor of the list was heard last, without a list any; 0 for never. Where a clock is known to differ,
        by the others.
        """
        heard = {each.name: each.heard_ns + each.clock_behind_ns for each in self if each.heard_ns}
        listed = [heard[name] for name in self.listed if name in heard]
        return max(listed or heard.values(), default=0)

    def begin_input(self) -> None:
        """Go on with another input, whose lines came at times of their own."""
        self._neighbours.clear()

    def add(self, told: Record | AlertHead | None, head: bytes = b"") -> None:
        """Take in what a line says. head: what stood before it."""
        if told is None:
            return
        sensor = self._sensor(told.sensor if isinstance(told, AlertHead) else told.observer.name)
        if sensor is None:
            self.not_kept += 1
        elif isinstance(told, StatsRecord):
            sensor.add_account(told, received_of(told, head, self._neighbours))
        elif isinstance(told, AlertHead):
            sensor.add_alert(told)
        elif isinstance(told, Alert):
            sensor.add_alert(head_of(told))
        elif isinstance(told, EventRecord):
            sensor.add_event(told.time_ns, head_ns(head))
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
    sensor = alert.observer
    return AlertHead(sensor.name, sensor.version, alert.time_ns, opened, alert.id, alert.model, alert.sequence)


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
        _NUMBER(event["sequence"], "event.sequence"),
    )
