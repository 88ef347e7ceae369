"""An alert read back from its line: the inverse of sensor.alerts.alert.alert_document, each field checked once.

A document may come from a file or a socket that anybody writes to: a field that is missing or of another type is named
in the error, every string is cut and made printable here, every list is bounded, and an address is one. It knows native
documents of schema `alert/1` and no other.

What a line does not carry: times below a microsecond, digits beyond the sixth, the 99.9 % of normal traffic (NaN), and
numbers that JSON has none for (NaN). A writer may leave out what came to the schema later.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any, Final, cast

from sensor.alerts.alert import (
    FEATURES_SHOWN,
    PORTS_SHOWN,
    SCHEMA,
    SCORES_SHOWN,
    TARGETS_SHOWN,
    Action,
    Alert,
    Endpoint,
    Lane,
    ModelIdentity,
    Observer,
    Verdict,
)
from sensor.alerts.deviation import Deviation, distance_of
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import Technique
from sensor.printable import printable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_REQUIRED: Final = object()


def alert_of(document: Mapping[str, Any]) -> Alert:
    """The alert that a native document tells. Raises ValueError, which names the field, for any other document."""
    schema = _text(document, "flowvigil.schema", 16)
    if schema != SCHEMA:
        raise ValueError(f"flowvigil.schema: found {schema!r}, expected {SCHEMA!r}")
    source, destination = _endpoint(document, "source"), _endpoint(document, "destination")
    if (":" in source.ip) != (":" in destination.ip):
        raise ValueError(f"destination.ip: found {destination.ip}, expected an address of the source's IP version")
    start_ns, end_ns = _time_ns(document, "event.start"), _time_ns(document, "event.end")
    protocol = _protocol(document)
    return Alert(
        time_ns=_time_ns(document, "@timestamp"),
        action=cast(Action, _one_of(document, "event.action", ("opened", "updated", "closed"))),
        id=_text(document, "event.id", 26),
        sequence=_count(document, "event.sequence"),
        severity=_count(document, "event.severity", most=100),
        risk=_risk(document),
        start_ns=start_ns,
        end_ns=end_ns,
        reason=_text(document, "event.reason", 480),
        source=source,
        destination=destination,
        ip_version=6 if ":" in source.ip else 4,
        protocol=protocol,
        community_id=_text(document, "network.community_id", 32),
        technique=_technique(document),
        verdict=cast(Verdict, _one_of(document, "flowvigil.verdict", ("attack", "uncertain"))),
        lane=cast(Lane, _one_of(document, "flowvigil.lane", ("known", "novel", "both"))),
        label=_text(document, "flowvigil.label", 64, "") or None,
        p_known=_number(document, "flowvigil.p.known"),
        p_novel=_number(document, "flowvigil.p.novel"),
        scores=_scores(document),
        deviations=_deviations(document),
        spread=Spread(
            flows=_count(document, "flowvigil.flows"),
            packets=_count(document, "flowvigil.packets"),
            failed=_count(document, "flowvigil.failed"),
            targets=_count(document, "flowvigil.targets"),
            targets_more=_flag(document, "flowvigil.targets_more"),
            ports=_count(document, "flowvigil.ports"),
            ports_more=_flag(document, "flowvigil.ports_more"),
            span_ns=max(0, end_ns - start_ns),
            protocol=protocol,
            port=destination.port or 0,
        ),
        model=ModelIdentity(_text(document, "flowvigil.model.id", 64), _text(document, "flowvigil.model.sha256", 64)),
        observer=Observer(_text(document, "observer.name", 64), _text(document, "observer.version", 24)),
        dropped=_count(document, "flowvigil.quality.dropped"),
        hosts_merged=_hosts_merged(document),
        target_ips=_addresses(document, "flowvigil.target_ips"),
        target_ports=_ports(document, "flowvigil.target_ports"),
        packets_file=_text(document, "flowvigil.packets_file", 40, "") or None,
    )


def is_alert(document: Mapping[str, Any]) -> bool:
    """Whether a native record is an alert; else it tells of the sensor."""
    schema = field(document, "flowvigil.schema")
    return isinstance(schema, str) and schema.startswith("alert/")


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


def _text(document: Mapping[str, Any], path: str, limit: int, default: object = _REQUIRED) -> str:
    value = field(document, path)
    if value is None and default is not _REQUIRED:
        return str(default)
    if not isinstance(value, str):
        raise ValueError(f"{path}: found {_found(value)}, expected text")
    return printable(value, limit)


def _first_text(document: Mapping[str, Any], path: str, limit: int) -> str:
    """The first of a list of texts, "" where there is none; ECS takes a plain text for a list of one."""
    value = field(document, path)
    if value is None or value == []:
        return ""
    first = value[0] if isinstance(value, list) else value
    if not isinstance(first, str):
        raise ValueError(f"{path}: found {_found(value)}, expected a list of texts")
    return printable(first, limit)


def _one_of(document: Mapping[str, Any], path: str, expected: tuple[str, ...]) -> str:
    value = field(document, path)
    if value not in expected:
        raise ValueError(f"{path}: found {_found(value)}, expected one of {', '.join(expected)}")
    return str(value)


def _count(document: Mapping[str, Any], path: str, most: int = 2**63 - 1) -> int:
    value = field(document, path)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{path}: found {_found(value)}, expected a whole number from 0")
    if value > most:
        raise ValueError(f"{path}: found {value}, expected at most {most}")
    return value


def _flag(document: Mapping[str, Any], path: str) -> bool:
    value = field(document, path)
    if not isinstance(value, bool):
        raise ValueError(f"{path}: found {_found(value)}, expected true or false")
    return value


def _number(document: Mapping[str, Any], path: str) -> float:
    """NaN for what JSON had no number for."""
    value = field(document, path)
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{path}: found {_found(value)}, expected a number")
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.nan


def _risk(document: Mapping[str, Any]) -> float:
    value = _number(document, "event.risk_score")
    if not 0 <= value <= 100:
        found = _found(field(document, "event.risk_score"))
        raise ValueError(f"event.risk_score: found {found}, expected 0 to 100")
    return value


def _time_ns(document: Mapping[str, Any], path: str) -> int:
    value = field(document, path)
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return (moment - _EPOCH) // _MICROSECOND * 1000
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: found {_found(value)}, expected an RFC 3339 time") from error


def _listed(document: Mapping[str, Any], path: str, most: int) -> list[Any]:
    """At most so many of a list that may be left out."""
    value = field(document, path)
    if value is not None and not isinstance(value, list | tuple):
        raise ValueError(f"{path}: found {_found(value)}, expected a list")
    return list(value or ())[:most]


def _addresses(document: Mapping[str, Any], path: str) -> tuple[str, ...]:
    return tuple(_address(value, path) for value in _listed(document, path, TARGETS_SHOWN))


def _ports(document: Mapping[str, Any], path: str) -> tuple[int, ...]:
    return tuple(_count({"port": value}, "port", most=65535) for value in _listed(document, path, PORTS_SHOWN))


def _address(value: Any, path: str) -> str:
    # A zone (fe80::1%eth0) may be any text, and addresses go into filters that people paste into a shell.
    try:
        if isinstance(value, str) and "%" not in value:
            return str(ip_address(value))
    except ValueError:  # told below
        pass
    raise ValueError(f"{path}: found {_found(value)}, expected an IP address")


def _endpoint(document: Mapping[str, Any], name: str) -> Endpoint:
    ip = _address(field(document, f"{name}.ip"), f"{name}.ip")
    port = None if field(document, f"{name}.port") is None else _count(document, f"{name}.port", most=65535)
    return Endpoint(ip, port, _count(document, f"{name}.bytes"), _count(document, f"{name}.packets"))


def _protocol(document: Mapping[str, Any]) -> int:
    value = field(document, "network.iana_number")
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 3 or int(value) > 255:
        raise ValueError(f"network.iana_number: found {_found(value)}, expected an IP protocol's number as text")
    return int(value)


def _technique(document: Mapping[str, Any]) -> Technique | None:
    """The most exact one, None without any."""
    parent = _first_text(document, "threat.technique.id", 16)
    below = _first_text(document, "threat.technique.subtechnique.id", 16)
    if not (below or parent):
        return None
    where = "threat.technique.subtechnique.name" if below else "threat.technique.name"
    return Technique(below or parent, _first_text(document, where, 64), _first_text(document, "threat.tactic.name", 48))


def _scores(document: Mapping[str, Any]) -> dict[str, float]:
    scores = field(document, "flowvigil.scores")
    if not isinstance(scores, dict):
        raise ValueError(f"flowvigil.scores: found {_found(scores)}, expected numbers by name")
    return {printable(name, 24): _number({"score": scores[name]}, "score") for name in list(scores)[:SCORES_SHOWN]}


def _deviations(document: Mapping[str, Any]) -> tuple[Deviation, ...]:
    features = field(document, "flowvigil.features")
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise ValueError(f"flowvigil.features: found {_found(features)}, expected a list of deviations")
    return tuple(_deviation(feature) for feature in features[:FEATURES_SHOWN])


def _deviation(feature: Mapping[str, Any]) -> Deviation:
    value, median = _number(feature, "value"), _number(feature, "normal_median")
    p01, p99 = _number(feature, "normal_p01"), _number(feature, "normal_p99")
    return Deviation(
        name=_text(feature, "name", 40),
        unit=_text(feature, "unit", 16, ""),
        value=value,
        median=median,
        p01=p01,
        p99=p99,
        p999=math.nan,
        distance=distance_of(value, median, p01, p99),
    )


def _hosts_merged(document: Mapping[str, Any]) -> int:
    """As sensor.alerts.alert has it: 0 where the line tells of one host."""
    if field(document, "flowvigil.sources") is None:
        return 0
    sources = _count(document, "flowvigil.sources")
    if sources < 1:
        raise ValueError("flowvigil.sources: found 0, expected a whole number from 1")
    storm = field(document, "flowvigil.storm") is not None and _flag(document, "flowvigil.storm")
    return sources if storm else 0
