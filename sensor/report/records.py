"""flowvigil's own JSON lines, read back: alerts (sensor.alerts.reading), accounts and events, checked field by field.

The lines may come from anywhere: one that does not fit is counted with its reason, and the next one is read.
It folds nothing and shows nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, BinaryIO

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sensor.alerts.alert import SCHEMA as ALERT
from sensor.alerts.alert import Alert
from sensor.alerts.reading import alert_of
from sensor.printable import printable

LONGEST_LINE_BYTES = 65_536  # flowvigil's own end at 8192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _nanoseconds(found: Any) -> int:
    """Of a time as RFC 3339 has it. Raises ValueError, which becomes a line that cannot be read."""
    moment = datetime.fromisoformat(found) if isinstance(found, str) and len(found) <= 40 else None
    if moment is None or moment.tzinfo is None:
        raise ValueError("expected a time with its zone")
    return (moment - _EPOCH) // _MICROSECOND * 1000


Moment = Annotated[int, BeforeValidator(_nanoseconds)]
Text = Annotated[str, AfterValidator(lambda text: printable(text, 480))]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Speaker(_Part):
    """The sensor that wrote the line."""

    name: Text = ""
    version: Text = ""


class Account(_Part):
    """The counts of a line of statistics that a page tells: totals since the start of a run."""

    received: Count
    metered: Count = 0
    filtered: Count = 0
    undecoded: Annotated[dict[Text, Count], Field(max_length=64)] = {}
    shed: Count = 0
    dropped: Count = 0
    flows: Count = 0
    evicted: Count = 0
    late: Count = 0
    clock_jumps: Count = 0
    lost_lines: Count = 0


class StatsRecord(_Part):
    """A line of statistics."""

    time_ns: Annotated[Moment, Field(alias="@timestamp")]
    observer: Speaker = Speaker()
    flowvigil: Account


class Happening(_Part):
    """What an event says."""

    message: Text


class EventName(_Part):
    """What kind of event it is."""

    action: Text = ""


class EventRecord(_Part):
    """A line about the sensor itself, such as an interface that went down."""

    time_ns: Annotated[Moment, Field(alias="@timestamp")]
    event: EventName
    observer: Speaker = Speaker()
    flowvigil: Happening


Record = Alert | StatsRecord | EventRecord
_KINDS: dict[str, type[StatsRecord] | type[EventRecord]] = {
    "stats/1": StatsRecord,
    "event/1": EventRecord,
}


@dataclass(slots=True)
class Lines:
    """Records of lines, and what became of the others.

    read: lines that held a record. unreadable: number of the others by reason, first_unreadable: where each reason was
    met first, as text. passed_over: records of flowvigil that a page does not tell, by their schema.
    """

    read: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    first_unreadable: dict[str, str] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)

    def records(self, lines: Iterable[bytes | None], name: str) -> Iterator[Record]:
        """The records of lines, None standing for one that was too long. name: of the input, for people."""
        for number, line in enumerate(lines, 1):
            if line is not None and not line.strip():
                continue
            found = "longer than 64 KiB" if line is None else _record(line)
            if isinstance(found, Passed):
                self.passed_over[found.schema] += 1
            elif isinstance(found, str):
                self.unreadable[found] += 1
                self.first_unreadable.setdefault(found, f"{name}, line {number:,}")
            else:
                self.read += 1
                yield found


@dataclass(frozen=True, slots=True)
class Passed:
    """A record of flowvigil of another kind."""

    schema: str


def lines_of(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines of a stream, None for each that is longer than LONGEST_LINE_BYTES: it is never held as a whole."""
    while line := stream.readline(LONGEST_LINE_BYTES + 1):
        if len(line) <= LONGEST_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE_BYTES)
        yield None


def _record(line: bytes) -> Record | Passed | str:
    """The record of a line, or why there is none."""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not JSON"
    own = document.get("flowvigil") if isinstance(document, dict) else None
    schema = own.get("schema") if isinstance(own, dict) else None
    if not isinstance(schema, str):
        return "JSON, but no record of flowvigil"
    if schema == ALERT:
        try:
            return alert_of(document)
        except ValueError as error:  # which begins with the field
            return f"{schema} with a field that does not fit: {printable(str(error).partition(':')[0], 60)}"
    kind = _KINDS.get(schema)
    if kind is None:
        return Passed(printable(schema, 32)) if len(schema) <= 32 else "JSON, but no record of flowvigil"
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"][:3])
        return f"{schema} with a field that does not fit: {printable(place, 60)}"
