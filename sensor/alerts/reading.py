"""The sensor's own lines read back, the same for `flowvigil alerts`, `flowvigil report` and `watch --attach`.

Anybody may have written them. A line that holds no record is counted by what is wrong with it, and the next one is
read. Records of the sensor that are not read back, such as flows, are told by their schema alone.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from configs.formats import Format, OtherVersionError
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import FORMAT as ALERT_FORMAT
from sensor.alerts.alert_record import alert_of
from sensor.alerts.declaration import claimed_schema
from sensor.alerts.drift_record import DRIFT_FORMAT, DriftRecord, drift_of
from sensor.alerts.json_lines import lines_in, may_be_ours
from sensor.alerts.sensor_records import EVENT_FORMAT, STATS_FORMAT, EventRecord, StatsRecord, event_of, stats_of
from sensor.errors import InputError
from sensor.printable import printable

Record = Alert | StatsRecord | EventRecord | DriftRecord

# Families of schemas of this sensor, up to the number, that are no alerts.
OTHER_RECORDS: Final = ("stats/", "event/", "drift/", "flow/", "attach/")
TOO_LONG: Final = "longer than 64 KiB"
NOT_JSON: Final = "not JSON"
TOO_DEEP: Final = "nested too deeply"
_NESTED: Final = 200  # objects and lists in each other, which can be written again; a record of ours has six
NOT_OURS: Final = "no record of this sensor"
# Records that are read back, by kind: in words, their format, and their reader.
_READ: Final[dict[str, tuple[str, Format, Callable[[Mapping[str, Any]], Record]]]] = {
    "alert": ("an alert", ALERT_FORMAT, alert_of),
    "stats": ("an account", STATS_FORMAT, stats_of),
    "event": ("an event", EVENT_FORMAT, event_of),
    "drift": ("a record of drift", DRIFT_FORMAT, drift_of),
}


T = TypeVar("T")
_WRITTEN: Final = {str(written) for _, written, _ in _READ.values()}  # schemas as this release writes them
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_BLANK: Final = re.compile(rb"(?:\A|\n)[ \t\r\v\f]*\n")


class UnreadableLineError(ValueError):
    """A line that holds no record of this sensor."""

    def __init__(self, reason: str, detail: str = "", field: str = "") -> None:
        """reason: what is counted. detail: of this line, which may quote it. field: name of the one that is wrong."""
        self.reason, self.detail, self.field = reason, detail, field
        super().__init__(f"{reason}{': ' * bool(detail)}{detail}")


@dataclass(frozen=True, slots=True)
class NativeLine:
    """A line of the sensor's own."""

    line: bytes  # as it stood there, with its newline
    schema: str  # such as `alert/1`
    document: dict[str, Any]  # what it says
    head: bytes = b""  # what stood before it, such as the head of a syslog message

    @property
    def kind(self) -> str:
        """The schema without its version: alert, stats, event, drift, flow or attach."""
        return self.schema.partition("/")[0]

    def record(self) -> Record | None:
        """What it says, checked; None for a record that is not read back. Raises UnreadableLineError."""
        if self.kind not in _READ:
            return None
        called, written, read = _READ[self.kind]
        try:
            if self.schema not in _WRITTEN:
                written.version_of(self.schema)
        except OtherVersionError as error:
            raise UnreadableLineError(f"{called} of another version", str(error), "flowvigil.schema") from error
        try:
            return read(self.document)
        except ValueError as error:
            told = str(error)
            raise UnreadableLineError(
                f"{called} with a field that does not fit", told, told.partition(":")[0]
            ) from error


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert of a log."""

    line: bytes  # as it stood there, with its newline
    document: dict[str, Any]  # what it says
    alert: Alert  # the same, checked


@dataclass(slots=True)
class ReadErrors:
    """What became of the lines that hold no record, and of inputs that could not be read to their end."""

    left_out: Counter[str] = field(default_factory=Counter)  # lines left out, by reason
    # Of each reason, where it was met first, and what was wrong there.
    first: dict[str, tuple[str, UnreadableLineError]] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)  # one line for each input that could not be read to its end

    def leave_out(self, error: UnreadableLineError, place: str, lines: int = 1) -> None:
        """Count a line, or several of which the first stands there."""
        self.left_out[error.reason] += lines
        self.first.setdefault(error.reason, (place, error))

    @property
    def whole(self) -> bool:
        """Whether every line was what it should be."""
        return not self.left_out and not self.damage

    def words(self) -> list[str]:
        """One line for each kind of trouble; file names and texts in it are not yet printable."""
        firsts = {
            reason: f"{place}{error.detail and f': {error.detail}'}" for reason, (place, error) in self.first.items()
        }
        return [*self._told(firsts), *self.damage]

    def words_without_quotes(self) -> list[str]:
        """The same of the lines left out, without a word of what stood there: for a page that people copy from."""
        return self._told(
            {reason: f"{place}{error.field and f', {error.field}'}" for reason, (place, error) in self.first.items()}
        )

    def _told(self, firsts: Mapping[str, str]) -> list[str]:
        return [
            f"{count:,} line{'s' * (count != 1)} left out: {reason} (first: {firsts[reason]})"
            for reason, count in sorted(self.left_out.items())
        ]


def native_line(line: bytes) -> NativeLine:
    """A line by its schema; its fields are not checked yet. Raises UnreadableLineError.

    What stands before it is set apart: the head of a syslog message, the key of a Kafka record.
    """
    if not may_be_ours(line):
        raise UnreadableLineError(NOT_OURS)
    head = b""
    if not line.startswith(b"{"):
        begin = max(0, line.find(b"{"))
        head, line = line[:begin], line[begin:]
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UnreadableLineError(NOT_JSON, f"from column {error.colno} on") from error
    if line.count(b"{") + line.count(b"[") > _NESTED and _depth(line) > _NESTED:
        raise UnreadableLineError(TOO_DEEP)
    schema = claimed_schema(document)
    if schema is None or not schema.startswith(("alert/", *OTHER_RECORDS)):
        raise UnreadableLineError(NOT_OURS)
    return NativeLine(line if line.endswith(b"\n") else line + b"\n", printable(schema, 32), document, head)


def _depth(line: bytes) -> int:
    """How many objects and lists of a line of JSON lie in each other at most."""
    depth = most = 0
    for mark in _BRACKETS.findall(_STRINGS.sub(b"", line)):
        depth += 1 if mark in b"{[" else -1
        most = max(most, depth)
    return most


def read_lines(
    lines: Iterable[bytes | None], name: str, errors: ReadErrors
) -> Iterator[tuple[NativeLine, Record | None]]:
    """The records among lines, None standing for a line that was too long; those that are not read back have no record.

    name: of the input, for people.
    """
    return told_by_lines(lines, name, errors, NativeLine.record)


def told_by_lines(
    lines: Iterable[bytes | None], name: str, errors: ReadErrors, told: Callable[[NativeLine], T]
) -> Iterator[tuple[NativeLine, T]]:
    """The same with whatever somebody reads of a line. told: raises UnreadableLineError for one that it cannot read."""
    number = 0
    for line in lines:
        before, number = number, number + (1 if line is None else line.count(b"\n"))
        try:
            if line is None:
                raise UnreadableLineError(TOO_LONG)
            if number > before + 1 and not line.isspace():
                leave_out_several(line, before, name, errors)
            elif not line.isspace():
                native = native_line(line)
                yield native, told(native)
        except UnreadableLineError as error:
            errors.leave_out(error, f"{name}:{number}")


def leave_out_several(lines: bytes, before: int, name: str, errors: ReadErrors) -> None:
    """Count lines that came together, none of which can be ours; blank ones are nothing. before: lines before them."""
    count = lines.count(b"\n")
    if _BLANK.search(lines) or NOT_OURS not in errors.first:
        told = [place for place, line in enumerate(lines.split(b"\n"), before + 1) if line and not line.isspace()]
        errors.leave_out(UnreadableLineError(NOT_OURS), f"{name}:{told[0]}", len(told))
    else:
        errors.leave_out(UnreadableLineError(NOT_OURS), "", count)


def entries_of(lines: Iterable[bytes | None], name: str, errors: ReadErrors) -> Iterator[Entry]:
    """The alerts among lines. name: of the input, for people."""
    for native, record in read_lines(lines, name, errors):
        if isinstance(record, Alert):
            yield Entry(native.line, native.document, record)


def entries(names: Iterable[str], errors: ReadErrors) -> Iterator[Entry]:
    """The alerts of inputs, one input after the other; `-` is standard input. One that cannot be opened is damage."""
    for name in names:
        try:
            yield from entries_of(lines_in(name, errors.damage), name, errors)
        except InputError as error:
            errors.damage.append(str(error))
