"""The language in which people look for alerts: `src:10.0.0.0/8 port:22 score:>=0.9 tech:T1110 guessing "one host"`.

Terms stand side by side and all of them must hold (sensor.alerts.query_terms); a word without a field is looked for in
what the alert says, in any case of its letters. It knows alerts and no file and no terminal.

| term               | holds where                                                                   |
|--------------------|-------------------------------------------------------------------------------|
| src:, dst:         | the address shown is this one, or lies in this network                        |
| port:              | the destination port shown is this one; `port:>=1024` and the like            |
| score:             | the highest score of a detector compares so, 0 to 1                           |
| severity:          | the severity compares so, 0 to 100                                            |
| tech:              | it is this ATT&CK technique, or one below it                                  |
| verdict:, lane:    | it has this verdict (attack, uncertain), this lane (known, novel, both, shape)|
| direction:         | by the site's notes it is inbound, outbound, internal or external             |
| country:, asn:     | by databases of the operator's either address is in it, or in this system     |
| name:              | a name of an address shown, or the server's in TLS, has this text in it       |
| tls:               | the server's name or the client's fingerprint in TLS has this text in it      |
| capture:           | the path of the capture that it was found in has this text in it              |
| sensor:            | the sensor of this name tells it, in any case of its letters                  |
| muted:             | a note of the site mutes it: yes or no                                        |
| host:, dport:, sport:, proto: | either address, the ports and the protocol shown, as logged flows have them |
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Final

from sensor.alerts.alert import Alert
from sensor.alerts.query_terms import (
    PORT,
    Compared,
    QueryError,
    Reader,
    Term,
    Within,
    country,
    network,
    number,
    protocol,
    technique,
    terms_of,
    text,
    word,
)
from sensor.alerts.techniques import NO_TECHNIQUE
from sensor.alerts.words import networks_in_words

__all__ = ["FIELDS", "LANES", "VERDICTS", "Query", "QueryError", "parse"]

VERDICTS: Final = ("attack", "uncertain")
LANES: Final = ("known", "novel", "both", "shape")
DIRECTIONS: Final = ("inbound", "outbound", "internal", "external")
_READERS: Final[dict[str, Reader]] = {
    "src": network, "dst": network, "port": PORT, "score": number(1), "tech": technique, "verdict": word(*VERDICTS),
    "lane": word(*LANES), "severity": number(100), "direction": word(*DIRECTIONS), "muted": word("yes", "no"),
    "country": country, "asn": number(2**32 - 1, whole=True), "name": text, "tls": text, "capture": text,
    "sensor": text, "host": network, "dport": PORT, "sport": PORT, "proto": protocol,
}  # fmt: skip
FIELDS: Final = tuple(_READERS)


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was read."""

    text: str  # as written
    terms: tuple[Term, ...]  # what must hold, all of it

    def matches(self, alert: Alert) -> bool:
        """Whether every term holds; a query without terms holds for all."""
        return all(_holds(term, alert) for term in self.terms)


def parse(text: str) -> Query:
    """Read a query. Raises QueryError, which says where it went wrong and what was expected there."""
    return Query(text, tuple(terms_of(text, _READERS)))


def _holds(term: Term, alert: Alert) -> bool:
    condition = term.condition
    if isinstance(condition, Within):
        return any(condition.holds(address) for address in _ADDRESSES[term.field](alert))
    if isinstance(condition, Compared):
        return any(condition.holds(found) for found in _NUMBERS[term.field](alert))
    return _WORDS[term.field](alert, condition.text)


def _says(alert: Alert, wanted: str) -> bool:
    technique = alert.technique or NO_TECHNIQUE
    said = (
        alert.id, alert.title, alert.reason, alert.label or "", technique.id, technique.tactic, alert.source.ip,
        alert.destination.ip, alert.transport, alert.community_id, alert.observer.name, alert.action,
        *(deviation.name for deviation in alert.deviations), networks_in_words(alert),
        *_names(alert), alert.tls.ja4 or "", alert.capture or "",
    )  # fmt: skip
    return any(wanted in text.casefold() for text in said)


def _names(alert: Alert) -> list[str]:
    """All that the addresses and the server of the flow shown are called, in small letters."""
    ends = (alert.source, alert.destination)
    names = [seen.name for end in ends for seen in end.names] + [end.domain or "" for end in ends]
    return [name.casefold() for name in (*names, alert.tls.server_name or "")]


def _is_technique(alert: Alert, wanted: str) -> bool:
    return alert.technique is not None and wanted in (alert.technique.id, alert.technique.parent)


def _highest_score(alert: Alert) -> float | None:
    return max((score for score in alert.scores.values() if isfinite(score)), default=None)


_ADDRESSES: Final[dict[str, Callable[[Alert], tuple[str, ...]]]] = {
    "src": lambda alert: (alert.source.ip,),
    "dst": lambda alert: (alert.destination.ip,),
    "host": lambda alert: (alert.source.ip, alert.destination.ip),
}
_NUMBERS: Final[dict[str, Callable[[Alert], tuple[float | None, ...]]]] = {
    "port": lambda alert: (alert.destination.port,),
    "dport": lambda alert: (alert.destination.port,),
    "sport": lambda alert: (alert.source.port,),
    "proto": lambda alert: (alert.protocol,),
    "score": lambda alert: (_highest_score(alert),),
    "severity": lambda alert: (alert.severity,),
    "asn": lambda alert: (alert.source.as_number, alert.destination.as_number),
}
_WORDS: Final[dict[str, Callable[[Alert, str], bool]]] = {
    "": _says,
    "tech": _is_technique,
    "verdict": lambda alert, wanted: alert.verdict == wanted,
    "lane": lambda alert, wanted: alert.lane == wanted,
    "direction": lambda alert, wanted: alert.direction == wanted,
    "country": lambda alert, wanted: wanted in (alert.source.country, alert.destination.country),
    "name": lambda alert, wanted: any(wanted in name for name in _names(alert)),
    "tls": lambda alert, wanted: any(
        wanted in (text or "").casefold() for text in (alert.tls.server_name, alert.tls.ja4)
    ),
    "capture": lambda alert, wanted: wanted in (alert.capture or "").casefold(),
    "sensor": lambda alert, wanted: wanted == alert.observer.name.casefold(),
    "muted": lambda alert, wanted: (alert.muted is not None) == (wanted == "yes"),
}
