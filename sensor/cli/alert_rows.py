"""One row for each alert of a log, though the log has a line each time that it opened, was updated or closed.

A row is shown when its alert has ended, those of open alerts at the end of the log. Memory is bounded: who writes the
log may open as many alerts as there is room for on a disk. Of a plain dict the oldest is found behind all that were
removed before it, so what gives way in turn is in ordered ones.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from sensor.alerts.alert import Alert
from sensor.alerts.reading import Entry
from sensor.fleet.hosts import Sites
from sensor.fleet.sightings import Sighting, grouped, sighting

ROWS_WAITING: Final = 10_000  # alerts whose end has not come; the oldest is shown as it stands
IDS_KEPT: Final = 100_000  # of alerts that were shown
ROWS_COMPARED: Final = 100_000  # alerts of a fleet, some 5 kB each


Key = tuple[str, str, str]  # sensor, capture and id of an alert


class Row(NamedTuple):
    """What is kept of a line until it is shown."""

    line: bytes
    alert: Alert
    others: tuple[Key, ...] = ()  # alerts of other sensors that tell of the same attack


@dataclass(slots=True)
class Shown:
    """The latest alerts that were shown, so that none is shown again."""

    _ids: OrderedDict[Key, None] = field(default_factory=OrderedDict)

    def __contains__(self, key: object) -> bool:
        return key in self._ids

    def add(self, key: Key) -> None:
        """Keep an alert; the oldest gives way."""
        self._ids[key] = None
        if len(self._ids) > IDS_KEPT:
            self._ids.popitem(last=False)


def each_line(found: Iterable[Entry], matches: Callable[[Alert], bool]) -> Iterator[Row]:
    """Every line of which a query holds, as they come."""
    return (Row(entry.line, entry.alert) for entry in found if matches(entry.alert))


def one_each(found: Iterable[Entry], matches: Callable[[Alert], bool]) -> Iterator[Row]:
    """The last line of each alert of which a query holds, in the order in which the alerts ended.

    Files may come in any order, as a pattern of the shell gives rotated ones: the last is by the sensor's own number.
    """
    waiting: OrderedDict[Key, Row] = OrderedDict()
    shown = Shown()
    for entry in found:
        alert = entry.alert
        if alert.key in shown:
            continue
        if matches(alert):
            before = waiting.pop(alert.key, None)
            later = before is None or alert.sequence >= before.alert.sequence
            waiting[alert.key] = Row(entry.line, alert) if before is None or later else before
        ended = alert.key if alert.action == "closed" else next(iter(waiting)) if len(waiting) > ROWS_WAITING else None
        if ended is not None and ended in waiting:
            shown.add(ended)
            yield waiting.pop(ended)
    yield from waiting.values()


def one_attack_each(rows: Iterable[Row], sites: Sites) -> Iterator[Row]:
    """Rows of which those that tell of one attack are one, of the sensor that saw it first; in the order of these.

    Beyond ROWS_COMPARED rows each is shown by itself.
    """
    held: dict[Key, Row] = {}
    for row in rows:
        if len(held) >= ROWS_COMPARED:
            yield row
        else:
            held[row.alert.key] = row
    for group in grouped(sighting(row.alert, sites) for row in held.values()):
        first, *others = group
        row = held[first.key]
        yield row._replace(line=_told_by(row.line, others), others=tuple(other.key for other in others))


def _told_by(line: bytes, others: Sequence[Sighting]) -> bytes:
    """A line that also says who else tells of the attack."""
    if not others:
        return line
    document = orjson.loads(line)
    document["flowvigil"]["also_told_by"] = [{"sensor": other.sensor, "id": other.id} for other in others]
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def last_each(found: Iterable[Entry], count: int) -> list[Row]:
    """The last line of each of the last alerts, at most so many, in the order of these lines."""
    rows: OrderedDict[Key, Row] = OrderedDict()
    for entry in found:
        alert = entry.alert
        before = rows.pop(alert.key, None)
        later = before is None or alert.sequence >= before.alert.sequence
        rows[alert.key] = Row(entry.line, alert) if before is None or later else before
        if len(rows) > count:
            rows.popitem(last=False)
    return list(rows.values())


def new_each(found: Iterable[Entry], shown: Shown) -> Iterator[Row]:
    """The first line of each alert that was not shown before, as they come."""
    for entry in found:
        if entry.alert.key not in shown:
            shown.add(entry.alert.key)
            yield Row(entry.line, entry.alert)
