"""What passes over the socket: lines of JSON, from the sensor to whoever looks.

First a hello; then the sensor's own lines as its outputs get them, the latest alerts of before among the first; between
them, twice a second, its progress; where a reader was too slow, how many lines it missed; at the end, that it ends.
The sensor's own lines are stable as anywhere. The others (schema `attach/1`) are between a sensor and a client of the
same release: another one says so and leaves. A reader of lines that knows native records passes over them.

It knows records and no socket. What comes in may come from anybody: every field is checked and bounded.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Final

import orjson

from sensor.alerts.declaration import Declaration, Field, part
from sensor.alerts.kinds import COUNT, between, counts_by_name, first, text
from sensor.alerts.reading import NativeLine, UnreadableLineError, native_line
from sensor.alerts.sensor_records import DRIFT_STATE, INTERFACE, KEPT, LOGGED, output
from sensor.printable import printable
from sensor.progress.progress import OpenAlert, Progress, Share, Traffic, WorkerRate

SCHEMA: Final = "attach/1"
_MOST_ENTRIES: Final = 64
_MOST_SECONDS: Final = 1e12


def _counts(*names: str) -> Iterator[Field]:
    return (Field(name, COUNT, name) for name in names)


class OtherProtocolError(UnreadableLineError):
    """A message of a sensor that speaks another version, which is the detail."""

    def __init__(self, schema: str) -> None:
        super().__init__("a message of another release", schema)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who speaks."""

    version: str  # of flowvigil
    observer: str  # name of the sensor
    source: str  # what it watches
    bundle: str  # the bundle that judged at its start; its progress says which one does


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The reader missed lines because it was too slow."""

    lines: int  # how many


@dataclass(frozen=True, slots=True)
class Refused:
    """The sensor will say nothing."""

    reason: str  # one line


@dataclass(frozen=True, slots=True)
class End:
    """The sensor has ended in order."""

    problem: str | None  # why it did unasked, None where it was stopped


_SHARE: Final = part(Declaration((Field("name", text(60), "name"), *_counts("bytes", "flows"))), Share)
_TRAFFIC: Final = part(
    Declaration(
        (
            Field("seconds", between(0, _MOST_SECONDS), "seconds"),
            *(Field(name, first(_MOST_ENTRIES, _SHARE), name) for name in ("hosts", "services", "protocols")),
            *_counts("forgotten"),
        )
    ),
    Traffic,
)
_OPEN_ALERT: Final = part(
    Declaration(
        (
            Field("id", text(64), "id"),
            *_counts("start_ns", "end_ns", "flows", "packets", "failed", "targets", "ports", "origins"),
        )
    ),
    OpenAlert,
)
_WORKER: Final = part(
    Declaration(
        (
            Field("name", text(200), "name"),
            *_counts("captures", "bytes"),
            Field("busy_s", between(0, _MOST_SECONDS), "busy_s"),
        )
    ),
    WorkerRate,
)
Message = Hello | Progress | LeftOut | Refused | End | NativeLine


def line_of(message: Hello | Progress | LeftOut | Refused | End) -> bytes:
    """A message as one line of JSON with its newline."""
    name = type(message).__name__.lower()
    document = {"flowvigil": {"schema": SCHEMA, "record": name, name: asdict(message)}}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def message_of(line: bytes) -> Message:
    """What a line says; the fields of a sensor's own line are not checked yet.

    Raises UnreadableLineError; OtherProtocolError, which is one, for a message of another version.
    """
    native = native_line(line)
    if native.schema == SCHEMA:
        return _message(native.document["flowvigil"])
    if native.kind == "attach":
        raise OtherProtocolError(native.schema)
    return native


def _message(own: Mapping[str, Any]) -> Message:
    name = own.get("record")
    declaration, build = _MESSAGES.get(name, (None, None)) if isinstance(name, str) else (None, None)
    said = own.get(name) if isinstance(name, str) else None
    if declaration is None or build is None or not isinstance(said, dict):
        raise UnreadableLineError("no message of this protocol", printable(str(name), 24))
    try:
        return build(**declaration.values(said)[""])
    except ValueError as error:
        raise UnreadableLineError("a message with a field that does not fit", str(error)) from error


def _progress() -> Iterator[Field]:
    """Every field of it. What is not there has its default: a sensor may count less."""
    special = {
        "size": COUNT,
        "undecoded": counts_by_name(_MOST_ENTRIES, 40),
        "unjudged": counts_by_name(_MOST_ENTRIES, 40),
        "stores_evicted": counts_by_name(_MOST_ENTRIES, 40),
        "interfaces": first(_MOST_ENTRIES, INTERFACE),
        "outputs": first(_MOST_ENTRIES, output(60)),
        "kept": KEPT,
        "logged": LOGGED,
        "context_evicted": COUNT,
        "longest_pause_ns": COUNT,
        "drift": DRIFT_STATE,
        "muted": COUNT,
        "lost_with_worker": COUNT,
        "traffic": _TRAFFIC,
        "workers": first(_MOST_ENTRIES, _WORKER),
        "open_alerts": first(_MOST_ENTRIES, _OPEN_ALERT),
    }
    plain = {int: COUNT, float: between(0, _MOST_SECONDS), str: text(200)}
    for each in fields(Progress):
        kind = special.get(each.name) or plain[type(each.default)]
        default = each.default if each.default_factory is MISSING else each.default_factory()
        yield Field(each.name, kind, each.name, optional=default is None, absent=default)


def _said(name: str, *rows: Field) -> Declaration:
    return Declaration(rows, within=f"flowvigil.{name}")


# By the name of the record.
_MESSAGES: Final[Mapping[str, tuple[Declaration, Callable[..., Message]]]] = {
    "hello": (
        _said("hello", *(Field(name, text(200), name) for name in ("version", "observer", "source", "bundle"))),
        Hello,
    ),
    "progress": (_said("progress", *_progress()), Progress),
    "leftout": (_said("leftout", Field("lines", COUNT, "lines")), LeftOut),
    "refused": (_said("refused", Field("reason", text(400), "reason")), Refused),
    "end": (_said("end", Field("problem", text(400), "problem", optional=True)), End),
}
