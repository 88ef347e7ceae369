"""What passes over the socket: lines of JSON, from the sensor to whoever looks.

First a hello; then the sensor's own lines as its outputs get them, the latest alerts of before among the first; between
them, twice a second, its progress; where a reader was too slow, how many lines it missed; at the end, that it ends.
The sensor's own lines are stable as anywhere. The others (schema `attach/1`) are between a sensor and a client of the
same release: another one says so and leaves. A reader of lines that knows native records passes over them.

It knows records and no socket. What comes in may come from anybody: every field is checked and bounded.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import orjson

from sensor.printable import printable
from sensor.progress.progress import InterfaceState, KeptPackets, OutputState, Progress

SCHEMA: Final = "attach/1"
FAMILY: Final = "attach/"
LONGEST_LINE: Final = 65_536  # bytes; records end at 8 KiB, an account of very many interfaces may be longer
_MOST_ENTRIES: Final = 64
_MOST: Final = 2**63 - 1


class NotUnderstoodError(ValueError):
    """A line that no sensor of this protocol writes."""


class OtherProtocolError(Exception):
    """A sensor that speaks another version. Its text names that."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who speaks. version: of flowvigil. observer: name of the sensor. source: what it watches. bundle: that judges."""

    version: str
    observer: str
    source: str
    bundle: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Lines that the reader missed because it was too slow."""

    lines: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing will be told. reason: one line."""

    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """The sensor has ended in order. problem: why it did unasked, None where it was stopped."""

    problem: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the sensor's own. kind: its schema without the version (alert, stats, event, flow)."""

    kind: str
    line: bytes
    document: Mapping[str, Any]


Message = Hello | Progress | LeftOut | Refused | End | Told


def line_of(message: Hello | Progress | LeftOut | Refused | End) -> bytes:
    """A message as one line of JSON with its newline."""
    name = type(message).__name__.lower()
    document = {"flowvigil": {"schema": SCHEMA, "record": name, name: asdict(message)}}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def message_of(line: bytes) -> Message:
    """What a line says. Raises NotUnderstoodError; OtherProtocolError for a line of another version."""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise NotUnderstoodError("no JSON") from None
    own = document.get("flowvigil") if isinstance(document, dict) else None
    schema = own.get("schema") if isinstance(own, dict) else None
    if not isinstance(own, dict) or not isinstance(schema, str):
        raise NotUnderstoodError("no record of flowvigil")
    if schema == SCHEMA:
        return _message(own)
    if schema.startswith(FAMILY):
        raise OtherProtocolError(printable(schema, 24))
    return Told(schema.partition("/")[0], line, document)


def _message(own: Mapping[str, Any]) -> Message:
    name = own.get("record")
    found = own.get(name) if isinstance(name, str) else None
    if not isinstance(found, dict):
        raise NotUnderstoodError("a record without what it says")
    if name == "hello":
        return Hello(*(_text(found, each, 200) for each in ("version", "observer", "source", "bundle")))
    if name == "progress":
        return _progress(found)
    if name == "leftout":
        return LeftOut(_count(found, "lines"))
    if name == "refused":
        return Refused(_text(found, "reason", 400))
    if name == "end":
        return End(None if found.get("problem") is None else _text(found, "problem", 400))
    raise NotUnderstoodError(f"a record named {printable(str(name), 24)}")


def _progress(found: Mapping[str, Any]) -> Progress:
    """What is not there has its default: a sensor may count less."""
    values: dict[str, Any] = {}
    for field in fields(Progress):
        read = _SPECIAL.get(field.name) or _READERS[type(field.default)]
        if found.get(field.name) is not None:
            values[field.name] = read(found, field.name)
    return Progress(**values)


def _count(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise NotUnderstoodError(f"{name} is no count")
    return value


def _seconds(found: Mapping[str, Any], name: str) -> float:
    value = found.get(name)
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not (0 <= value < 1e12 and math.isfinite(value))
    ):
        raise NotUnderstoodError(f"{name} is no time")
    return float(value)


def _text(found: Mapping[str, Any], name: str, limit: int = 200) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise NotUnderstoodError(f"{name} is no text")
    return printable(value, limit)


def _counts(found: Mapping[str, Any], name: str) -> dict[str, int]:
    value = found.get(name)
    if not isinstance(value, dict) or len(value) > _MOST_ENTRIES:
        raise NotUnderstoodError(f"{name} are no counts by name")
    return {printable(key, 40): _count(value, key) for key in value}


def _entries(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """At most so many: no terminal shows more."""
    value = found.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value[:_MOST_ENTRIES]):
        raise NotUnderstoodError(f"{name} is no list of records")
    return value[:_MOST_ENTRIES]


def _interfaces(found: Mapping[str, Any], name: str) -> tuple[InterfaceState, ...]:
    return tuple(InterfaceState(_text(each, "name", 32), each.get("up") is True) for each in _entries(found, name))


def _outputs(found: Mapping[str, Any], name: str) -> tuple[OutputState, ...]:
    return tuple(
        OutputState(
            _text(each, "name", 60),
            each.get("up") is True,
            *(_count(each, count) for count in ("written", "queued", "spooled", "lost")),
        )
        for each in _entries(found, name)
    )


def _kept(found: Mapping[str, Any], name: str) -> KeptPackets:
    value = found.get(name)
    if not isinstance(value, dict):
        raise NotUnderstoodError(f"{name} is no record")
    return KeptPackets(**{field.name: _count(value, field.name) for field in fields(KeptPackets)})


_READERS: Final[Mapping[type, Callable[[Mapping[str, Any], str], Any]]] = {int: _count, float: _seconds, str: _text}
_SPECIAL: Final[Mapping[str, Callable[[Mapping[str, Any], str], Any]]] = {
    "size": _count,
    "undecoded": _counts,
    "interfaces": _interfaces,
    "outputs": _outputs,
    "kept": _kept,
}
