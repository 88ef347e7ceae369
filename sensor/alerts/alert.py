"""The alert: one line of an episode, as a record and as JSON.

Field names are those of the Elastic Common Schema 9.4; everything that it has no name for stands under `flowvigil`.
The record carries what was found; this module formats it and takes no decision.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

from sensor.alerts.deviation import Deviation
from sensor.alerts.packet_filters import display_filter
from sensor.alerts.playbook import playbook_of
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import Technique
from sensor.printable import printable

SCHEMA = "alert/1"
LINE_LIMIT_BYTES = 8192
# With these and the bounds of the strings below, four bytes a letter and every field at its longest stay within a line.
FEATURES_SHOWN, SCORES_SHOWN, TARGETS_SHOWN, PORTS_SHOWN = 5, 8, 8, 16
SENTENCE_BYTES = 640

Action = Literal["opened", "updated", "closed"]
Verdict = Literal["attack", "uncertain"]
Lane = Literal["known", "novel", "both"]

_TRANSPORT = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "ipv6-icmp", 132: "sctp"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of the flow shown: ip as text; port None where the protocol has none; payload bytes and packets sent."""

    ip: str
    port: int | None
    bytes: int
    packets: int


@dataclass(frozen=True, slots=True)
class Observer:
    """The sensor that speaks."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The bundle that judged: its name and the sha256 of its weights, 64 hexadecimal digits."""

    id: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One line about an episode.

    time_ns: traffic time at which this line became true. start_ns, end_ns: first and last packet of the flagged flows.
    severity: 0..100, how bad if true. risk: 0..100, severity weighed with the evidence. p_known, p_novel, scores,
    deviations, source, destination and community_id are those of the flow that speaks strongest (smallest p-value
    against its lane's cut, known lane first, the first of equals). label: what the known lane most often said, None
    where it was silent. hosts_merged: alerts of single hosts that this one tells as one (sensor.episodes.storms), 0
    for an alert of one host; source is then the one that speaks strongest. target_ips, target_ports: the first
    distinct ones. packets_file: name of the capture that gets its packets.
    """

    time_ns: int
    action: Action
    id: str
    sequence: int
    severity: int
    risk: float
    start_ns: int
    end_ns: int
    reason: str
    source: Endpoint
    destination: Endpoint
    ip_version: int
    protocol: int
    community_id: str
    technique: Technique | None
    verdict: Verdict
    lane: Lane
    label: str | None
    p_known: float
    p_novel: float
    scores: Mapping[str, float]
    deviations: tuple[Deviation, ...]
    spread: Spread
    model: ModelIdentity
    observer: Observer
    dropped: int
    hosts_merged: int = 0
    target_ips: tuple[str, ...] = ()
    target_ports: tuple[int, ...] = ()
    packets_file: str | None = None

    @property
    def title(self) -> str:
        """What it is called: the technique's name or id, or the label, or that it is only unusual."""
        technique = self.technique
        named = "" if technique is None else technique.name or technique.id
        return named or self.label or "Unusual traffic"

    @property
    def origin(self) -> str:
        """Who did it: the source's address, or of a storm how many hosts."""
        return f"{self.hosts_merged:,} host{'s' * (self.hosts_merged != 1)}" if self.hosts_merged else self.source.ip

    @property
    def transport(self) -> str:
        """Name of the protocol, its number where it has none here."""
        return _TRANSPORT.get(self.protocol, str(self.protocol))


def alert_line(alert: Alert) -> bytes:
    """The alert as one line of JSON with its newline, at most LINE_LIMIT_BYTES."""
    return orjson.dumps(alert_document(alert), option=orjson.OPT_APPEND_NEWLINE)


def alert_document(alert: Alert) -> dict[str, Any]:
    """The alert as the nested mapping that is written. Every string in it is bounded and printable."""
    document: dict[str, Any] = {
        "@timestamp": timestamp(alert.time_ns),
        "message": _sentence(_message(alert), 640),
        "ecs": {"version": "9.4.0"},
        "event": {
            "kind": "alert",
            "category": ["network", "intrusion_detection"],
            "type": ["info"],
            "dataset": "flowvigil.alert",
            "action": alert.action,
            "id": alert.id,
            "sequence": alert.sequence,
            "severity": alert.severity,
            "risk_score": alert.risk,
            "start": timestamp(alert.start_ns),
            "end": timestamp(alert.end_ns),
            "reason": _sentence(alert.reason, 480),
        },
        "source": side_fields(alert.source),
        "destination": side_fields(alert.destination),
        "network": network_fields(alert.ip_version, alert.protocol, alert.community_id),
        "observer": observer_fields(alert.observer),
    }
    if alert.technique is not None:
        document["threat"] = _threat(alert.technique)
    document["flowvigil"] = _own(alert)
    return document


def timestamp(time_ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 in UTC, cut to microseconds."""
    try:
        moment = _EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:  # int64 nanoseconds end in 2262 and never get here; a test may hand in anything
        moment = _EPOCH
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def network_fields(ip_version: int, protocol: int, community_id: str) -> dict[str, Any]:
    """`network` of a record. protocol: IP number."""
    return {
        "type": f"ipv{ip_version}",
        "transport": _TRANSPORT.get(protocol, str(protocol)),
        "iana_number": str(protocol),
        "community_id": community_id,
    }


def observer_fields(observer: Observer) -> dict[str, Any]:
    """`observer` of a record."""
    return {"name": printable(observer.name, 64), "type": "ids", "version": printable(observer.version, 24)}


def side_fields(endpoint: Endpoint) -> dict[str, Any]:
    """`source` or `destination` of a record."""
    port = {} if endpoint.port is None else {"port": endpoint.port}
    return {"ip": endpoint.ip, **port, "bytes": endpoint.bytes, "packets": endpoint.packets}


def _sentence(text: str, limit: int) -> str:
    """Printable text of at most so many letters and SENTENCE_BYTES."""
    return printable(text, limit).encode()[:SENTENCE_BYTES].decode(errors="ignore")


def _message(alert: Alert) -> str:
    """Who did what to whom, how sure that is and why, in one sentence."""
    spread = alert.spread
    target = alert.destination.ip if spread.targets <= 1 else f"{spread.targets:,}{'+' * spread.targets_more} hosts"
    lane = "both lanes" if alert.lane == "both" else f"the {alert.lane} lane"
    sure = f"{alert.verdict} by {lane}, risk {alert.risk:g} of 100"
    return f"{alert.title}: {alert.origin} to {target}, {sure}: {alert.reason}"


def _threat(technique: Technique) -> dict[str, Any]:
    """ECS keeps a sub-technique beside its parent."""
    parent, _, below = technique.id.partition(".")
    threat: dict[str, Any] = {"framework": "MITRE ATT&CK", "technique": {"id": [printable(parent, 16)]}}
    if below:
        threat["technique"]["subtechnique"] = {"id": [printable(technique.id, 16)]}
    if technique.name:
        named = threat["technique"]["subtechnique"] if below else threat["technique"]
        named["name"] = [printable(technique.name, 64)]
    if technique.tactic:
        threat["tactic"] = {"name": [technique.tactic]}
    return threat


def _own(alert: Alert) -> dict[str, Any]:
    spread = alert.spread
    return {
        "schema": SCHEMA,
        "verdict": alert.verdict,
        "lane": alert.lane,
        "label": None if alert.label is None else printable(alert.label, 64),
        "p": {"known": number(alert.p_known), "novel": number(alert.p_novel)},
        "scores": {printable(name, 24): number(score) for name, score in list(alert.scores.items())[:SCORES_SHOWN]},
        "features": [
            {
                "name": printable(deviation.name, 40),
                "unit": printable(deviation.unit, 16),
                "value": number(deviation.value),
                "normal_p01": number(deviation.p01),
                "normal_median": number(deviation.median),
                "normal_p99": number(deviation.p99),
            }
            for deviation in alert.deviations[:FEATURES_SHOWN]
        ],
        "sources": max(1, alert.hosts_merged),
        "storm": alert.hosts_merged > 0,
        "flows": spread.flows,
        "packets": spread.packets,
        "failed": spread.failed,
        "targets": spread.targets,
        "targets_more": spread.targets_more,
        "target_ips": alert.target_ips[:TARGETS_SHOWN],
        "ports": spread.ports,
        "ports_more": spread.ports_more,
        "target_ports": alert.target_ports[:PORTS_SHOWN],
        "next": playbook_of(alert.technique).steps,
        "packets_filter": display_filter(alert),
        "model": {"id": printable(alert.model.id, 64), "sha256": printable(alert.model.sha256, 64)},
        "quality": {"dropped": alert.dropped},
        **({} if alert.packets_file is None else {"packets_file": printable(alert.packets_file, 40)}),
    }


def number(value: float) -> float | int | None:
    """A whole number without its `.0`, any other with 6 significant digits; None for what JSON has no number for."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else float(f"{value:.6g}")
