"""A native alert read back: what a format, a search or a table needs of it, each field checked once.

A document may come from a file that anybody wrote: a field that is missing or of another type is named in the error,
and every string is cut and made printable here, so that what is built from it stays within a line.
It knows native documents of schema `alert/1` and no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

from sensor.escape import printable

SCHEMA: Final = "alert/1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REQUIRED: Final = object()


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the flow shown; port None where there is none. bytes, packets: sent by it."""

    ip: str
    port: int | None
    bytes: int
    packets: int


@dataclass(frozen=True, slots=True)
class Reason:
    """A column of the flow shown against normal traffic; None where the number was none that JSON can write."""

    name: str
    unit: str
    value: float | None
    median: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """A native alert. Times are whole microseconds since 1970.

    technique: the most exact ATT&CK id, "" without one; parent: that of the technique it belongs to, equal to it for
    one that is no sub-technique. protocol: IP number. Counts and scores are those of the document.
    """

    time_us: int
    start_us: int
    end_us: int
    action: str
    id: str
    sequence: int
    severity: int
    risk: float
    reason: str
    source: Side
    destination: Side
    protocol: int
    transport: str
    community_id: str
    observer: str
    version: str
    technique: str
    parent: str
    technique_name: str
    tactic: str
    verdict: str
    lane: str
    label: str
    p_known: float | None
    p_novel: float | None
    scores: Mapping[str, float | None]
    reasons: tuple[Reason, ...]
    flows: int
    packets: int
    failed: int
    targets: int
    targets_more: bool
    ports: int
    ports_more: bool
    model: str
    sha256: str
    dropped: int

    @property
    def ip_version(self) -> int:
        """4 or 6, of the source."""
        return 6 if ":" in self.source.ip else 4

    @property
    def title(self) -> str:
        """What it is called: the technique's name or id, or the label, or that it is only unusual."""
        return self.technique_name or self.technique or self.label or "Unusual traffic"


def facts_of(document: dict[str, Any]) -> Facts:
    """The facts of a native alert. Raises ValueError, which names the field, for any other document."""
    own_schema = _text(document, "flowvigil.schema", 16)
    if own_schema != SCHEMA:
        raise ValueError(f"flowvigil.schema: found {own_schema!r}, expected {SCHEMA!r}")
    technique, name, parent = _technique(document)
    source, destination = _side(document, "source"), _side(document, "destination")
    if (":" in source.ip) != (":" in destination.ip):
        raise ValueError(f"destination.ip: found {destination.ip}, expected an address of the source's IP version")
    return Facts(
        time_us=_time_us(document, "@timestamp"),
        start_us=_time_us(document, "event.start"),
        end_us=_time_us(document, "event.end"),
        action=_one_of(document, "event.action", ("opened", "updated", "closed")),
        id=_text(document, "event.id", 26),
        sequence=_count(document, "event.sequence"),
        severity=_percent(document, "event.severity"),
        risk=_risk(document),
        reason=_text(document, "event.reason", 480),
        source=source,
        destination=destination,
        protocol=_protocol(document),
        transport=_text(document, "network.transport", 16),
        community_id=_text(document, "network.community_id", 32),
        observer=_text(document, "observer.name", 64),
        version=_text(document, "observer.version", 24),
        technique=technique,
        parent=parent,
        technique_name=name,
        tactic=_first_text(document, "threat.tactic.name", 48),
        verdict=_one_of(document, "flowvigil.verdict", ("attack", "uncertain")),
        lane=_one_of(document, "flowvigil.lane", ("known", "novel", "both")),
        label=_text(document, "flowvigil.label", 64, ""),
        p_known=_number(document, "flowvigil.p.known"),
        p_novel=_number(document, "flowvigil.p.novel"),
        scores=_scores(document),
        reasons=_reasons(document),
        flows=_count(document, "flowvigil.flows"),
        packets=_count(document, "flowvigil.packets"),
        failed=_count(document, "flowvigil.failed"),
        targets=_count(document, "flowvigil.targets"),
        targets_more=_flag(document, "flowvigil.targets_more"),
        ports=_count(document, "flowvigil.ports"),
        ports_more=_flag(document, "flowvigil.ports_more"),
        model=_text(document, "flowvigil.model.id", 64),
        sha256=_text(document, "flowvigil.model.sha256", 64),
        dropped=_count(document, "flowvigil.quality.dropped"),
    )


def is_alert(document: Mapping[str, Any]) -> bool:
    """Whether a native record is an alert; else it tells of the sensor."""
    schema = field(document, "flowvigil.schema")
    return isinstance(schema, str) and schema.startswith("alert/")


def rfc3339(time_us: int) -> str:
    """Microseconds since 1970 as in native records."""
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def field(document: Mapping[str, Any], path: str) -> Any:
    """What stands under a dotted name, None where nothing does or a part of the way is no mapping."""
    found: Any = document
    for name in _names(path):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


@cache
def _names(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    return printable(f"{type(value).__name__} {value!r}"[:200], 60)


def _text(document: dict[str, Any], path: str, limit: int, default: object = _REQUIRED) -> str:
    value = field(document, path)
    if value is None and default is not _REQUIRED:
        return str(default)
    if not isinstance(value, str):
        raise ValueError(f"{path}: found {_found(value)}, expected text")
    return printable(value, limit)


def _first_text(document: dict[str, Any], path: str, limit: int) -> str:
    """The first of a list of texts, "" where there is none."""
    value = field(document, path)
    if value is None or value == []:
        return ""
    if not isinstance(value, list) or not isinstance(value[0], str):
        raise ValueError(f"{path}: found {_found(value)}, expected a list of texts")
    return printable(value[0], limit)


def _one_of(document: dict[str, Any], path: str, expected: tuple[str, ...]) -> str:
    value = field(document, path)
    if value not in expected:
        raise ValueError(f"{path}: found {_found(value)}, expected one of {', '.join(expected)}")
    return str(value)


def _count(document: dict[str, Any], path: str) -> int:
    value = field(document, path)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f"{path}: found {_found(value)}, expected a whole number from 0")
    return value


def _percent(document: dict[str, Any], path: str) -> int:
    value = _count(document, path)
    if value > 100:
        raise ValueError(f"{path}: found {value}, expected at most 100")
    return value


def _flag(document: dict[str, Any], path: str) -> bool:
    value = field(document, path)
    if not isinstance(value, bool):
        raise ValueError(f"{path}: found {_found(value)}, expected true or false")
    return value


def _number(document: Mapping[str, Any], path: str) -> float | None:
    value = field(document, path)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{path}: found {_found(value)}, expected a number")


def _risk(document: dict[str, Any]) -> float:
    value = _number(document, "event.risk_score")
    if value is None or not 0 <= value <= 100:
        raise ValueError(f"event.risk_score: found {_found(value)}, expected 0 to 100")
    return value


def _time_us(document: dict[str, Any], path: str) -> int:
    value = field(document, path)
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: found {_found(value)}, expected an RFC 3339 time") from error


def _side(document: dict[str, Any], name: str) -> Side:
    value = field(document, f"{name}.ip")
    try:
        ip = str(ip_address(value)) if isinstance(value, str) and "%" not in value else ""
    except ValueError:
        ip = ""
    if not ip:
        raise ValueError(f"{name}.ip: found {_found(value)}, expected an IP address")
    port = None if field(document, f"{name}.port") is None else _count(document, f"{name}.port")
    if port is not None and port > 65535:
        raise ValueError(f"{name}.port: found {port}, expected at most 65535")
    return Side(ip, port, _count(document, f"{name}.bytes"), _count(document, f"{name}.packets"))


def _protocol(document: dict[str, Any]) -> int:
    value = field(document, "network.iana_number")
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 3 or int(value) > 255:
        raise ValueError(f"network.iana_number: found {_found(value)}, expected an IP protocol's number as text")
    return int(value)


def _technique(document: dict[str, Any]) -> tuple[str, str, str]:
    """Id and name of the most exact technique, and the id of the one it belongs to."""
    parent = _first_text(document, "threat.technique.id", 16)
    below = _first_text(document, "threat.technique.subtechnique.id", 16)
    where = "threat.technique.subtechnique.name" if below else "threat.technique.name"
    return below or parent, _first_text(document, where, 64), parent


def _scores(document: dict[str, Any]) -> dict[str, float | None]:
    scores = field(document, "flowvigil.scores")
    if not isinstance(scores, dict):
        raise ValueError(f"flowvigil.scores: found {_found(scores)}, expected numbers by name")
    return {printable(name, 24): _number({"score": scores[name]}, "score") for name in list(scores)[:8]}


def _reasons(document: dict[str, Any]) -> tuple[Reason, ...]:
    features = field(document, "flowvigil.features")
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise ValueError(f"flowvigil.features: found {_found(features)}, expected a list of contrasts")
    return tuple(
        Reason(
            name=_text(feature, "name", 40),
            unit=_text(feature, "unit", 16, ""),
            value=_number(feature, "value"),
            median=_number(feature, "normal_median"),
            p99=_number(feature, "normal_p99"),
        )
        for feature in features[:5]
    )
