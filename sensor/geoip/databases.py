"""Where an address belongs, by databases of the operator's in the MaxMind DB format: country, city, autonomous system.

Asked for the addresses of alerts alone, and shown, never judged. A file is read in place and not mapped: whoever maps a
file that somebody then cuts short is killed. It is read in Python, as a damaged one may hold anything, and takes no
memory for its size. What replaces it under its name is seen by whoever opens it again.
Source: MaxMind DB File Format Specification 2.0; the fields of MaxMind's City, Country and ASN databases.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.alert_record import AS_NUMBERS
from sensor.errors import ConfigError, reason_of
from sensor.files.special import is_special
from sensor.printable import printable

if TYPE_CHECKING:
    from maxminddb.reader import Reader

MOST_BYTES: Final = 1 << 32  # more than any published one; 32 bits of a record lead no further
REMEMBERED: Final = 4096  # addresses
TEXT: Final = 64  # characters of a name
DAMAGED: Final = "geoip-damaged"  # action of the event
# What the reader raises over a damaged file, beside its own error, which is a RuntimeError.
UNREADABLE: Final = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, OverflowError, MemoryError)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of database."""

    setting: str  # that names the file
    types: tuple[str, ...]  # words that the type in its metadata has one of
    expected: str  # for people


LOCATION: Final = Kind("geoip.location", ("city", "country", "enterprise"), "a MaxMind DB of cities or countries")
SYSTEMS: Final = Kind("geoip.asn", ("asn", "isp"), "a MaxMind DB of autonomous systems")


@dataclass(frozen=True, slots=True)
class Database:
    """One that is open."""

    path: Path
    kind: Kind
    reader: "Reader"
    type: str  # as it calls itself
    built_s: int  # seconds since 1970
    ipv6: bool  # whether it has addresses of IPv6

    def record(self, ip: str) -> object:
        """What it says of an address, None for nothing. Raises one of UNREADABLE, OSError."""
        return self.reader.get(ip) if self.ipv6 or ":" not in ip else None


def open_database(path: Path, kind: Kind) -> Database:
    """Open a database of a kind. Raises ConfigError: one line with the path, what was found and what was expected."""
    from maxminddb.const import MODE_FILE
    from maxminddb.reader import Reader

    if is_special(path):
        raise ConfigError(f"{path}: is a pipe or a device, expected {kind.expected}")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ConfigError(f"{path}: has {size:,} bytes, expected {kind.expected} of at most {MOST_BYTES:,}")
        if not size:  # which the reader asks the system for -1 bytes of
            raise ConfigError(f"{path}: is empty, expected {kind.expected}")
        reader = Reader(str(path), MODE_FILE)
    except OSError as error:
        raise ConfigError(f"{path}: {reason_of(error)}, expected {kind.expected}") from error
    except UNREADABLE as error:
        raise ConfigError(f"{path}: no MaxMind DB, or a damaged one, expected {kind.expected}") from error
    metadata: Any = reader.metadata()  # of the types that a damaged file has
    called, built_s = str(metadata.database_type), metadata.build_epoch
    if not any(word in called.lower() for word in kind.types):
        reader.close()
        raise ConfigError(f"{path}: found a database of type {printable(called, 40)!r}, expected {kind.expected}")
    built_s = built_s if isinstance(built_s, int) and 0 <= built_s < 1 << 32 else 0
    return Database(path, kind, reader, printable(called, 40), built_s, metadata.ip_version != 4)


@dataclass(slots=True)
class GeoDatabases:
    """Databases that are open, each of a kind of its own."""

    databases: tuple[Database, ...]
    damaged: int = 0  # addresses of which a database could not tell what it has
    _first: str = ""  # where that was met
    _told: bool = False
    _remembered: Any = field(init=False)

    def __post_init__(self) -> None:
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._whereabouts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def of(self, alert: Alert) -> Alert:
        """The alert with where its two addresses belong."""
        return replace(alert, source=self._placed(alert.source), destination=self._placed(alert.destination))

    @property
    def problem(self) -> str:
        """How often a database could not tell, in one line; nothing where that never happened."""
        if not self.damaged:
            return ""
        return f"{self._first} (addresses without: {self.damaged:,})"

    def news(self) -> list[tuple[str, str]]:
        """Action and message of an event, at the first address that a damaged database could not tell of."""
        if self._told or not self.damaged:
            return []
        self._told = True
        return [(DAMAGED, self._first)]

    def close(self) -> None:
        """Close the files."""
        for database in self.databases:
            database.reader.close()

    def _placed(self, end: Endpoint) -> Endpoint:
        found = self._remembered(end.ip)
        return replace(end, **found) if found else end

    def _whereabouts(self, ip: str) -> dict[str, Any]:
        """Fields of an Endpoint."""
        found: dict[str, Any] = {}
        for database in self.databases:
            try:
                found |= _fields(database.record(ip))
            except (OSError, *UNREADABLE):
                self.damaged += 1
                self._first = self._first or f"{database.path}: damaged, it does not tell of every address"
        return found


def opened(location: Path | None, systems: Path | None) -> GeoDatabases:
    """Open those that are named. Raises ConfigError as open_database."""
    named = ((location, LOCATION), (systems, SYSTEMS))
    return GeoDatabases(tuple(open_database(path, kind) for path, kind in named if path is not None))


def _fields(record: object) -> dict[str, Any]:
    """What a record says. Raises ValueError for one that no such database has."""
    country = _text(_inner(record, "country"), "iso_code")
    if country is not None and not (len(country) == 2 and country.isascii() and country.isupper()):
        raise ValueError(country)
    number = _inner(record, "autonomous_system_number")
    if number is not None and not (type(number) is int and 0 <= number <= AS_NUMBERS):
        raise ValueError(number)
    found = {
        "country": country,
        "city": _text(_inner(_inner(record, "city"), "names"), "en"),
        "as_number": number,
        "as_organization": _text(record, "autonomous_system_organization"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _inner(mapping: object, name: str) -> object:
    """What a mapping has under a name, None for nothing. Raises ValueError for what is no mapping."""
    if mapping is None:
        return None
    if not isinstance(mapping, dict):
        raise ValueError(name)
    return mapping.get(name)


def _text(mapping: object, name: str) -> str | None:
    """The same of a text, made printable."""
    found = _inner(mapping, name)
    if found is not None and not isinstance(found, str):
        raise ValueError(name)
    return printable(found, TEXT) if found else None
