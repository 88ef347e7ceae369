"""One row for each alert of a log, though the log has a line each time that it opened, was updated or closed.

A row is shown when its alert has ended, those of open alerts at the end of the log. Memory is bounded: who writes the
log may open as many alerts as there is room for on a disk.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sensor.alerts.alert import Alert
from sensor.alerts.reading import Entry

ROWS_WAITING: Final = 10_000  # alerts whose end has not come; the oldest is shown as it stands
IDS_KEPT: Final = 100_000  # of alerts that were shown


class Row(NamedTuple):
    """What is kept of a line until it is shown."""

    line: bytes
    alert: Alert


@dataclass(slots=True)
class Shown:
    """The ids of the latest alerts that were shown, so that none is shown again."""

    _ids: dict[str, None] = field(default_factory=dict)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._ids

    def add(self, id_: str) -> None:
        """Keep an id; the oldest gives way."""
        self._ids[id_] = None
        if len(self._ids) > IDS_KEPT:
            del self._ids[next(iter(self._ids))]


def each_line(found: Iterable[Entry], matches: Callable[[Alert], bool]) -> Iterator[Row]:
    """Every line of which a query holds, as they come."""
    return (Row(entry.line, entry.alert) for entry in found if matches(entry.alert))


def one_each(found: Iterable[Entry], matches: Callable[[Alert], bool]) -> Iterator[Row]:
    """The last line of each alert of which a query holds, in the order in which the alerts ended.

    Files may come in any order, as a pattern of the shell gives rotated ones: the last is by the sensor's own number.
    """
    waiting: dict[str, Row] = {}
    shown = Shown()
    for entry in found:
        alert = entry.alert
        if alert.id in shown:
            continue
        if matches(alert):
            before = waiting.pop(alert.id, None)
            later = before is None or alert.sequence >= before.alert.sequence
            waiting[alert.id] = Row(entry.line, alert) if before is None or later else before
        ended = alert.id if alert.action == "closed" else next(iter(waiting)) if len(waiting) > ROWS_WAITING else None
        if ended is not None and ended in waiting:
            shown.add(ended)
            yield waiting.pop(ended)
    yield from waiting.values()


def last_each(found: Iterable[Entry], count: int) -> list[Row]:
    """The last line of each of the last alerts, at most so many, in the order of these lines."""
    rows: dict[str, Row] = {}
    for entry in found:
        alert = entry.alert
        before = rows.pop(alert.id, None)
        later = before is None or alert.sequence >= before.alert.sequence
        rows[alert.id] = Row(entry.line, alert) if before is None or later else before
        if len(rows) > count:
            del rows[next(iter(rows))]
    return list(rows.values())


def new_each(found: Iterable[Entry], shown: Shown) -> Iterator[Row]:
    """The first line of each alert that was not shown before, as they come."""
    for entry in found:
        if entry.alert.id not in shown:
            shown.add(entry.alert.id)
            yield Row(entry.line, entry.alert)
