"""The query language in itself: text to terms, each a field and what must hold of it, whatever is asked.

Terms stand side by side and all of them must hold. A term is `field:value`, with quotes where the value has blanks, or
a word without a field. Alerts are asked by sensor.alerts.query, logged flows by sensor.flow_log.query: both have the
same fields, as far as they have what these are about.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from sensor.printable import printable

LONGEST: Final = 1000  # characters of a query
IPV4_MAPPED: Final = IPv6Network("::ffff:0:0/96")  # addresses of IPv4 in a form that no packet has
COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
PROTOCOLS: Final = {
    "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "icmp6": 58, "ipv6-icmp": 58,
    "ospf": 89, "sctp": 132,
}  # fmt: skip
_TERM: Final = re.compile(r'(?P<field>[A-Za-z_]+):(?P<value>"[^"]*"|[^\s"]*)|"(?P<quoted>[^"]*)"|(?P<word>[^\s"]+)')
_COMPARED: Final = re.compile(
    r"(?P<sign>[<>]=?|=)?(?P<number>[0-9]{1,15}(?:\.[0-9]{1,15})?(?:e-[0-9]{1,3})?)(?P<unit>[kKMG])?\Z"
)
_UNITS: Final = {None: 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_FAR_NS: Final = 2**63 - 1000  # what 64 bits can say, as a whole number and after rounding
_TECHNIQUE: Final = re.compile(r"T[0-9]{4}(\.[0-9]{3})?\Z")


class QueryError(ValueError):
    """A query that cannot be read."""

    def __init__(self, column: int, found: str, expected: str) -> None:
        """column: of the first character that is wrong, counted from 1."""
        self.column = column
        super().__init__(f"column {column}: found {printable(found, 60)!r}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Within:
    """An address of this network."""

    network: IPv4Network | IPv6Network

    def holds(self, text: str) -> bool:
        """Whether an address lies in it."""
        address = ip_address(text)
        return address.version == self.network.version and address in self.network


@dataclass(frozen=True, slots=True)
class Compared:
    """A number that compares so; one that is absent compares to nothing."""

    sign: str  # one of COMPARISONS
    number: float

    def holds(self, number: float | None) -> bool:
        """Whether a number does."""
        return number is not None and bool(COMPARISONS[self.sign](number, self.number))


@dataclass(frozen=True, slots=True)
class Word:
    """A text, in whatever case its letters have."""

    text: str  # in lower case; of techniques and countries in capitals


Condition = Within | Compared | Word
Reader = Callable[[str, int], Condition]  # of a term's value and its column; raises QueryError


@dataclass(frozen=True, slots=True)
class Term:
    """What must hold."""

    field: str  # "" for a word that is looked for in texts
    condition: Condition


def terms_of(text: str, fields: Mapping[str, Reader]) -> list[Term]:
    """Read a query. fields: those that it may have. Raises QueryError: where it went wrong, and what was expected."""
    if len(text) > LONGEST:
        raise QueryError(LONGEST + 1, text[LONGEST : LONGEST + 20], f"at most {LONGEST} characters")
    terms: list[Term] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = _TERM.match(text, at)
        if found is None:
            raise QueryError(at + 1, text[at:], "a closing quote")
        terms.append(_term(found, fields))
        at = found.end()
        if at < len(text) and not text[at].isspace():
            raise QueryError(at + 1, text[at:], "a space, or a closing quote" if text[at] == '"' else "a space")
    return terms


def _term(found: "re.Match[str]", fields: Mapping[str, Reader]) -> Term:
    name = found["field"]
    if name is None:
        return Term("", Word((found["word"] if found["quoted"] is None else found["quoted"]).casefold()))
    reader = fields.get(name.lower())
    if reader is None:
        expected = f"one of {', '.join(f'{field}:' for field in fields)} or quotes around a text with a colon"
        raise QueryError(found.start() + 1, f"{name}:", expected)
    return Term(name.lower(), reader(found["value"].strip('"'), found.start("value") + 1))


def network(value: str, column: int) -> Within:
    """An address or a network."""
    try:
        wanted = ip_network(value, strict=False)
    except ValueError as error:
        raise QueryError(column, value, "an address or a network such as 10.0.0.0/8") from error
    if "%" in value or (isinstance(wanted, IPv6Network) and wanted.subnet_of(IPV4_MAPPED)):
        raise QueryError(column, value, "an address without a zone, one of IPv4 in its own form")  # as flows have them
    return Within(wanted)


def number(largest: float, *, whole: bool = False, unit: bool = False) -> Reader:
    """A number, perhaps behind a comparison. unit: perhaps with k, M or G behind it."""

    def read(value: str, column: int) -> Compared:
        found = _COMPARED.match(value)
        read = float(found["number"]) * _UNITS[found["unit"]] if found else 0.0
        fits = found is not None and read <= largest and (unit or not found["unit"])
        if found is None or not fits or (whole and not read.is_integer()):
            kind = "a whole number" if whole else "a number"
            units = ", perhaps with k, M or G behind it" if unit else ""
            raise QueryError(column, value, f"{kind} from 0 to {largest:.0f}, perhaps behind >=, >, <=, < or ={units}")
        return Compared(found["sign"] or "=", read)

    return read


PORT: Final = number(65535, whole=True)


def word(*words: str) -> Reader:
    """One of some words."""

    def read(value: str, column: int) -> Word:
        wanted = value.lower()
        if wanted not in words:
            raise QueryError(column, value, f"one of {', '.join(words)}")
        return Word(wanted)

    return read


def text(value: str, column: int) -> Word:
    """Any text but none."""
    if not value:
        raise QueryError(column, value, "a text")
    return Word(value.casefold())


def country(value: str, column: int) -> Word:
    """A country by ISO 3166-1, in capital letters."""
    if not (len(value) == 2 and value.isascii() and value.isalpha()):
        raise QueryError(column, value, "a country of two letters such as FR")
    return Word(value.upper())


def technique(value: str, column: int) -> Word:
    """An ATT&CK technique, in capital letters."""
    wanted = value.upper()
    if not _TECHNIQUE.match(wanted):
        raise QueryError(column, value, "an ATT&CK technique such as T1110 or T1110.001")
    return Word(wanted)


def protocol(value: str, column: int) -> Compared:
    """An IP protocol, by name or number."""
    known = PROTOCOLS.get(value.lower())
    if known is None:
        if not (value.isascii() and value.isdigit() and len(value) <= 3 and int(value) <= 255):
            raise QueryError(column, value, f"one of {', '.join(PROTOCOLS)}, or a number from 0 to 255")
        known = int(value)
    return Compared("=", known)


def instant(sign: str) -> Reader:
    """A moment in nanoseconds since 1970, UTC unless it says otherwise, behind this comparison."""

    def read(value: str, column: int) -> Compared:
        try:
            moment = datetime.fromisoformat(value)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
            seconds = moment.timestamp()
        except (ValueError, OverflowError) as error:
            raise QueryError(column, value, "a moment such as 2026-03-02 or 2026-03-02T09:00") from error
        nanoseconds = round(seconds * 1_000_000) * 1000
        return Compared(sign, min(max(nanoseconds, -_FAR_NS), _FAR_NS))  # beyond it lies no traffic

    return read
