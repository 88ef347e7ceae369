"""What a field of a record may hold: how a value is written, how it is read back, and what JSON Schema says of both.

A document may come from a file or a socket that anybody writes to: whatever is read here is checked, cut and made
printable, and a value that does not fit is refused with the field's name, what was found and what was expected.
Schemas are of draft 2020-12.
"""

import hashlib
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import Any, Final

from sensor.printable import printable

Schema = dict[str, Any]

SENTENCE_BYTES: Final = 640
_ELLIPSIS: Final = "…"
MOST: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_UTC: Final = datetime(1970, 1, 1)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value, in a record and in its document."""

    schema: Schema  # what stands in the document
    # What stands in the document for a value of the record; None where that is the value itself.
    write: Callable[[Any], Any] | None
    # The value again. Takes what stands there (None: nothing) and the field's name, with which its ValueError begins.
    read: Callable[[Any, str], Any]


_FOUND: Final = reprlib.Repr()
_FOUND.maxlevel, _FOUND.maxstring = 4, 200  # of what was found: whoever wrote it may have nested it a thousand deep


def misfit(path: str, value: Any, expected: str) -> ValueError:
    """What is wrong with a field: its name, what was found and what was expected."""
    found = "nothing" if value is None else printable(f"{type(value).__name__} {_FOUND.repr(value)}"[:200], 60)
    return ValueError(f"{path}: found {found}, expected {expected}")


def timestamp(time_ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC, cut to microseconds."""
    try:
        moment = _EPOCH_UTC + timedelta(microseconds=time_ns // 1000)
    except OverflowError:  # int64 nanoseconds end in 2262 and never get here; a test may hand in anything
        moment = _EPOCH_UTC
    return moment.isoformat(timespec="microseconds") + "Z"


def number(value: float) -> float | None:
    """A whole number as it is, any other with 6 significant digits; None for what JSON has no number for.

    Always written with a fraction (5.0, not 5): what guesses the type of a field by the first record that has it, as
    Elasticsearch's dynamic mapping does, would take 5 for an integer and cut the fractions of all others.
    """
    if not math.isfinite(value):
        return None
    return float(int(value)) if value == int(value) and abs(value) < 2**53 else float(f"{value:.6g}")


# Words


def text(longest: int, pattern: str | None = None) -> Kind:
    """Text of at most so many letters. pattern: that the writer keeps to; a reader takes any."""
    # The empty description holds the place of the field's own.
    shape = {} if pattern is None else {"description": "", "pattern": pattern}

    def read(value: Any, path: str) -> str:
        if type(value) is str and len(value) <= longest and value.isascii() and value.isprintable():
            return value
        return printable(_string(value, path), longest)

    return Kind({"type": "string", "maxLength": longest, **shape}, partial(printable, limit=longest), read)


def text_or_null(longest: int) -> Kind:
    """The same, of at most one and a half times as many bytes, or null."""
    write = sentence(longest, longest * 3 // 2).write
    assert write is not None  # noqa: S101  that of a sentence

    def read(value: Any, path: str) -> str | None:
        return None if value is None else printable(_string(value, path), longest) or None

    schema = {"type": ["string", "null"], "maxLength": longest}
    return Kind(schema, lambda value: None if value is None else write(value), read)


def sentence(longest: int, most_bytes: int = SENTENCE_BYTES) -> Kind:
    """Text of at most so many letters, and bytes when written."""

    def write(value: str) -> str:
        said = printable(value, longest)
        return said if said.isascii() else said.encode()[:most_bytes].decode(errors="ignore")

    return Kind({"type": "string", "maxLength": longest}, write, text(longest).read)


def path_of(most_bytes: int) -> Kind:
    """A path, of which as much stands as takes so many bytes in JSON: its end, behind an ellipsis."""
    return Kind(
        {"type": "string", "maxLength": most_bytes}, partial(_end_of, most_bytes=most_bytes), text(most_bytes).read
    )


@lru_cache(maxsize=64)  # many lines are of one capture
def _end_of(path: str, most_bytes: int) -> str:
    said = printable(path[-most_bytes:], 10 * most_bytes)  # an escape has ten letters at most
    if len(path) <= most_bytes and _json_bytes(said) <= most_bytes:
        return said
    left = most_bytes - len(_ELLIPSIS.encode())
    first = len(said)
    while first and (left := left - _json_bytes(said[first - 1])) >= 0:
        first -= 1
    return _ELLIPSIS + said[first:]


def _json_bytes(said: str) -> int:
    """What printable text takes in a JSON string."""
    return len(said.encode()) + said.count('"') + said.count("\\")


def exact(longest: int, schema: Schema | None = None) -> Kind:
    """Text that needs no cutting, such as a hash or a filter."""
    return Kind({"type": "string", "maxLength": longest} if schema is None else schema, None, text(longest).read)


def one_of(*words: str) -> Kind:
    """One of a few words."""

    def read(value: Any, path: str) -> str:
        if value not in words:
            raise misfit(path, value, f"one of {', '.join(words)}")
        return str(value)

    return Kind({"enum": list(words)}, None, read)


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise misfit(path, value, "text")
    return value


# Numbers


def count(least: int = 0, most: int | None = None) -> Kind:
    """A whole number."""
    limit = MOST if most is None else most

    def read(value: Any, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise misfit(path, value, f"a whole number from {least}")
        if value > limit:
            raise ValueError(f"{path}: found {value}, expected at most {limit}")
        return value

    bounds = {} if most is None else {"maximum": most}
    return Kind({"type": "integer", "minimum": least, **bounds}, None, read)


def between(least: float, most: float) -> Kind:
    """A number of a range."""

    def read(value: Any, path: str) -> float:
        found = _number_of(value, path)
        if not least <= found <= most:
            raise misfit(path, value, f"{least:g} to {most:g}")
        return found

    return Kind({"type": "number", "minimum": least, "maximum": most}, float, read)


def _number_of(value: Any, path: str) -> float:
    """NaN for what JSON had no number for."""
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise misfit(path, value, "a number")
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.nan


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise misfit(path, value, "true or false")
    return value


def _signed(value: Any, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise misfit(path, value, "a whole number")
    return value


COUNT: Final = count()
SIGNED: Final = Kind({"type": "integer"}, None, _signed)
PORT: Final = count(most=65535)
FLAG: Final = Kind({"type": "boolean"}, None, _flag)
NUMBER: Final = Kind({"type": ["number", "null"]}, number, _number_of)  # null: not finite


# Times, addresses and protocols


def _time_ns(value: Any, path: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return (moment - _EPOCH) // _MICROSECOND * 1000
    except (TypeError, ValueError, OverflowError) as error:
        raise misfit(path, value, "an RFC 3339 time") from error


def _address(value: Any, path: str) -> str:
    # A zone (fe80::1%eth0) may be any text, and addresses go into filters that people paste into a shell.
    try:
        if isinstance(value, str) and "%" not in value:
            return _address_of(value)
    except ValueError:  # told below
        pass
    raise misfit(path, value, "an IP address")


@lru_cache(maxsize=4096)  # lines of a log name the same few hosts
def _address_of(value: str) -> str:
    return str(ip_address(value))


def _protocol(value: Any, path: str) -> int:
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 3 or int(value) > 255:
        raise misfit(path, value, "an IP protocol's number as text")
    return int(value)


MOMENT: Final = Kind(
    {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$", "format": "date-time"},
    timestamp,
    _time_ns,
)
ADDRESS: Final = Kind({"type": "string", "maxLength": 45}, None, _address)
PROTOCOL: Final = Kind({"type": "string", "pattern": "^[0-9]{1,3}$"}, str, _protocol)


# Several


def first(most: int, item: Kind) -> Kind:
    """At most so many values of a kind, the first ones; a reader takes nothing for none."""
    write_item, read_item = item.write, item.read

    def write(values: Sequence[Any]) -> Sequence[Any]:
        shown = values[:most]
        return shown if write_item is None else [write_item(value) for value in shown]

    def read(values: Any, path: str) -> tuple[Any, ...]:
        if values is not None and not isinstance(values, list | tuple):
            raise misfit(path, values, "a list")
        return tuple([read_item(value, path) for value in (values or ())[:most]])

    return Kind({"type": "array", "items": item.schema, "maxItems": most}, write, read)


def any_of(most: int, item: Kind) -> Kind:
    """The same for an optional field, which stands nowhere where there is no value."""
    kind = first(most, item)
    write = kind.write
    assert write is not None  # noqa: S101  that of a list
    return Kind({**kind.schema, "minItems": 1}, lambda values: write(values) if values else None, kind.read)


def numbers_by_name(most: int, longest_name: int) -> Kind:
    """At most so many numbers, each under a name of at most so many letters, and one and a half times as many bytes."""
    name_of = sentence(longest_name, longest_name * 3 // 2).write
    assert name_of is not None  # noqa: S101  that of a sentence

    def write(values: Mapping[str, float]) -> dict[str, Any]:
        return {name_of(name): number(values[name]) for name in list(values)[:most]}

    def read(values: Any, path: str) -> dict[str, float]:
        if not isinstance(values, dict):
            raise misfit(path, values, "numbers by name")
        return {printable(name, longest_name): _number_of(values[name], path) for name in list(values)[:most]}

    return Kind({"type": "object", "additionalProperties": NUMBER.schema}, write, read)


def texts_by_name(most: int, longest_name: int, longest: int) -> Kind:
    """At most so many texts, each under a name; a reader takes the first of more.

    One of more than so many letters of ASCII is told by its beginning and its hash: two that differ stay two.
    """

    def cut(values: Mapping[str, str]) -> dict[str, str]:
        shown = list(values.items())[:most]
        return {_cut(printable(name, longest_name), longest_name): _short(value, longest) for name, value in shown}

    def read(values: Any, path: str) -> dict[str, str]:
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise misfit(path, values, "texts by name")
        return {printable(name, longest_name): printable(values[name], longest) for name in list(values)[:most]}

    return Kind({"type": "object", "additionalProperties": {"type": "string", "maxLength": longest}}, cut, read)


def _short(text: str, longest: int) -> str:
    if len(text) <= longest and text.isascii() and text.isprintable():
        return text
    sha256 = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]
    return f"{_cut(printable(text, longest), longest - 11)}.. {sha256}"


def _cut(text: str, most_bytes: int) -> str:
    return text if text.isascii() else text.encode()[:most_bytes].decode(errors="ignore")


def counts_by_name(most_read: int, longest_name: int) -> Kind:
    """Whole numbers from 0 in the order of their names, without those that are 0. most_read: more are refused."""

    def write(values: Mapping[str, int]) -> dict[str, int]:
        return {
            _cut(printable(name, longest_name), longest_name): number
            for name, number in sorted(values.items())
            if number
        }

    def read(values: Any, path: str) -> dict[str, int]:
        if not isinstance(values, dict) or len(values) > most_read:
            raise misfit(path, values, f"at most {most_read} counts by name")
        return {printable(name, longest_name): COUNT.read(values[name], path) for name in values}

    return Kind({"type": "object", "additionalProperties": COUNT.schema}, write, read)
