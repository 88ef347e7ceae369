"""The language in which people look for alerts: `src:10.0.0.0/8 port:22 score:>=0.9 tech:T1110 guessing "one host"`.

Terms stand side by side and all of them must hold; a word without a field is looked for in what the alert says, in any
case of its letters. It knows alerts and no file and no terminal.

| term            | holds where                                                                   |
|-----------------|-------------------------------------------------------------------------------|
| src:, dst:      | the address shown is this one, or lies in this network                        |
| port:           | the destination port shown is this one; `port:>=1024` and the like            |
| score:          | the highest score of a detector compares so, 0 to 1                           |
| severity:       | the severity compares so, 0 to 100                                            |
| tech:           | it is this ATT&CK technique, or one below it                                  |
| verdict:, lane: | it has this verdict (attack, uncertain), this lane (known, novel, both, shape)|
| direction:      | by the site's notes it is inbound, outbound, internal or external             |
| muted:          | a note of the site mutes it: yes or no                                        |
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from math import isfinite
from typing import Final

from sensor.alerts.alert import Alert
from sensor.alerts.techniques import NO_TECHNIQUE
from sensor.printable import printable

Predicate = Callable[[Alert], bool]

FIELDS: Final = ("src", "dst", "port", "score", "tech", "verdict", "lane", "severity", "direction", "muted")
VERDICTS: Final = ("attack", "uncertain")
LANES: Final = ("known", "novel", "both", "shape")
DIRECTIONS: Final = ("inbound", "outbound", "internal", "external")
LONGEST: Final = 1000  # characters of a query

_COMPARISONS: Final = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq, "": operator.eq,
}  # fmt: skip
_TERM: Final = re.compile(r'(?P<field>[A-Za-z_]+):(?P<value>"[^"]*"|[^\s"]*)|"(?P<quoted>[^"]*)"|(?P<word>[^\s"]+)')
_COMPARED: Final = re.compile(r"(?P<sign>[<>]=?|=)?(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?)\Z")
_TECHNIQUE: Final = re.compile(r"T[0-9]{4}(\.[0-9]{3})?\Z")


class QueryError(ValueError):
    """A query that cannot be read."""

    def __init__(self, column: int, found: str, expected: str) -> None:
        """column: of the first character that is wrong, counted from 1."""
        self.column = column
        super().__init__(f"column {column}: found {printable(found, 60)!r}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was read."""

    text: str  # as written
    terms: tuple[Predicate, ...]  # what must hold, all of it

    def matches(self, alert: Alert) -> bool:
        """Whether every term holds; a query without terms holds for all."""
        return all(term(alert) for term in self.terms)


def parse(text: str) -> Query:
    """Read a query. Raises QueryError, which says where it went wrong and what was expected there."""
    if len(text) > LONGEST:
        raise QueryError(LONGEST + 1, text[LONGEST : LONGEST + 20], f"at most {LONGEST} characters")
    terms: list[Predicate] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = _TERM.match(text, at)
        if found is None:
            raise QueryError(at + 1, text[at:], "a closing quote")
        terms.append(_term(found))
        at = found.end()
        if at < len(text) and not text[at].isspace():
            raise QueryError(at + 1, text[at:], "a space, or a closing quote" if text[at] == '"' else "a space")
    return Query(text, tuple(terms))


def _term(found: "re.Match[str]") -> Predicate:
    name = found["field"]
    if name is None:
        return _says(found["word"] if found["quoted"] is None else found["quoted"])
    build = _BUILDERS.get(name.lower())
    if build is None:
        expected = f"one of {', '.join(f'{field}:' for field in FIELDS)} or quotes around a text with a colon"
        raise QueryError(found.start() + 1, f"{name}:", expected)
    return build(found["value"].strip('"'), found.start("value") + 1)


def _says(text: str) -> Predicate:
    wanted = text.casefold()

    def holds(alert: Alert) -> bool:
        technique = alert.technique or NO_TECHNIQUE
        said = (
            alert.id, alert.title, alert.reason, alert.label or "", technique.id, technique.tactic, alert.source.ip,
            alert.destination.ip, alert.transport, alert.community_id, alert.observer.name, alert.action,
            *(deviation.name for deviation in alert.deviations),
        )  # fmt: skip
        return any(wanted in text.casefold() for text in said)

    return holds


def _network(value: str, column: int, side: Callable[[Alert], str]) -> Predicate:
    try:
        network = ip_network(value, strict=False)
    except ValueError as error:
        raise QueryError(column, value, "an address or a network such as 10.0.0.0/8") from error

    def holds(alert: Alert) -> bool:
        address = ip_address(side(alert))
        return address.version == network.version and address in network

    return holds


def _source(value: str, column: int) -> Predicate:
    return _network(value, column, lambda alert: alert.source.ip)


def _destination(value: str, column: int) -> Predicate:
    return _network(value, column, lambda alert: alert.destination.ip)


def _number(
    value: str, column: int, of: Callable[[Alert], float | None], largest: int, *, whole: bool = False
) -> Predicate:
    """Compares a number of the alert; one that is absent compares to nothing."""
    found = _COMPARED.match(value)
    if found is None or float(found["number"]) > largest or (whole and "." in found["number"]):
        kind = "a whole number" if whole else "a number"
        raise QueryError(column, value, f"{kind} from 0 to {largest}, perhaps behind >=, >, <=, < or =")
    compare, limit = _COMPARISONS[found["sign"] or ""], float(found["number"])

    def holds(alert: Alert) -> bool:
        number = of(alert)
        return number is not None and bool(compare(number, limit))

    return holds


def _port(value: str, column: int) -> Predicate:
    return _number(value, column, lambda alert: alert.destination.port, 65535, whole=True)


def _score(value: str, column: int) -> Predicate:
    return _number(
        value, column, lambda alert: max((score for score in alert.scores.values() if isfinite(score)), default=None), 1
    )


def _severity(value: str, column: int) -> Predicate:
    return _number(value, column, lambda alert: alert.severity, 100)


def _technique(value: str, column: int) -> Predicate:
    wanted = value.upper()
    if not _TECHNIQUE.match(wanted):
        raise QueryError(column, value, "an ATT&CK technique such as T1110 or T1110.001")
    return lambda alert: alert.technique is not None and wanted in (alert.technique.id, alert.technique.parent)


def _word(value: str, column: int, words: tuple[str, ...], of: Callable[[Alert], str]) -> Predicate:
    wanted = value.lower()
    if wanted not in words:
        raise QueryError(column, value, f"one of {', '.join(words)}")
    return lambda alert: of(alert) == wanted


def _verdict(value: str, column: int) -> Predicate:
    return _word(value, column, VERDICTS, lambda alert: alert.verdict)


def _lane(value: str, column: int) -> Predicate:
    return _word(value, column, LANES, lambda alert: alert.lane)


def _direction(value: str, column: int) -> Predicate:
    return _word(value, column, DIRECTIONS, lambda alert: alert.direction or "")


def _muted(value: str, column: int) -> Predicate:
    return _word(value, column, ("yes", "no"), lambda alert: "no" if alert.muted is None else "yes")


_BUILDERS: Final[dict[str, Callable[[str, int], Predicate]]] = {
    "src": _source, "dst": _destination, "port": _port, "score": _score, "tech": _technique, "verdict": _verdict,
    "lane": _lane, "severity": _severity, "direction": _direction, "muted": _muted,
}  # fmt: skip
