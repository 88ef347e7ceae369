"""Open Cybersecurity Schema Framework 1.5.0, class 2004 Detection Finding.

An episode is a finding: opened creates it, updated updates it, closed closes it, all under one `finding_info.uid`.
Source: github.com/ocsf/ocsf-schema, events/findings/detection_finding.json and the objects it names.
What has no place there stands under `unmapped`.
"""

from typing import Any, Final

import orjson

from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.alert_record import alert_of, is_alert
from sensor.alerts.kinds import number, timestamp
from sensor.alerts.techniques import Technique, technique_of
from sensor.alerts.words import severity_word

VERSION: Final = "1.5.0"
LINE_LIMIT_BYTES: Final = 8192
CATEGORY, CLASS = 2, 2004
ACTIVITIES: Final = {"opened": (1, "Create"), "updated": (2, "Update"), "closed": (3, "Close")}
# Our severity, and OCSF's number and word.
SEVERITIES: Final = {"high": (4, "High"), "medium": (3, "Medium"), "low": (2, "Low")}
CONFIDENCES: Final = {"attack": (3, "High"), "uncertain": (1, "Low")}
# To be looked at by people, who alone change it; or they have said that it need not be.
STATUSES: Final = {False: (1, "New"), True: (3, "Suppressed")}
LEARNING: Final = 4  # analytic.type_id
# Our direction, and OCSF's number and word; it has none for traffic between two others.
DIRECTIONS: Final = {
    "inbound": (1, "Inbound"), "outbound": (2, "Outbound"), "internal": (3, "Lateral"), "external": (99, "External"),
}  # fmt: skip
DIRECTION_UNKNOWN: Final = 0
IP_ADDRESS: Final = 2  # observable.type_id


def ocsf_line(document: dict[str, Any]) -> bytes:
    """An alert as one OCSF event; nothing for any other record. Raises ValueError for a damaged alert."""
    if not is_alert(document):
        return b""
    found = ocsf_document(alert_of(document))
    line = orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
    if len(line) > LINE_LIMIT_BYTES:
        # Only where every text is as long and wide as can be, which no sensor writes: the numbers behind it go first.
        del found["evidences"][0]["data"]
        line = orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
    return line


def ocsf_document(alert: Alert) -> dict[str, Any]:
    """The mapping that is written. Times are milliseconds since 1970."""
    activity, activity_name = ACTIVITIES[alert.action]
    severity, severity_name = SEVERITIES[severity_word(alert.severity)]
    confidence, confidence_name = CONFIDENCES[alert.verdict]
    status, status_name = STATUSES[alert.muted is not None]
    return {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {activity_name}",
        "time": alert.time_ns // 1_000_000,
        "start_time": alert.start_ns // 1_000_000,
        "end_time": alert.end_ns // 1_000_000,
        "duration": max(0, alert.end_ns - alert.start_ns) // 1_000_000,
        "count": alert.spread.flows,
        "severity_id": severity,
        "severity": severity_name,
        "confidence_id": confidence,
        "confidence": confidence_name,
        "risk_score": round(alert.risk),
        "status_id": status,
        "status": status_name,
        "message": alert.reason,
        "metadata": _metadata(alert),
        "finding_info": _finding(alert),
        "evidences": [_evidence(alert)],
        "observables": [
            {"name": f"evidences[].{side}.ip", "type_id": IP_ADDRESS, "type": "IP Address", "value": endpoint.ip}
            for side, endpoint in (("src_endpoint", alert.source), ("dst_endpoint", alert.destination))
        ],
        "unmapped": _unmapped(alert),
    }


def _metadata(alert: Alert) -> dict[str, Any]:
    return {
        "version": VERSION,
        "product": {"name": "flowvigil", "vendor_name": "flowvigil", "version": alert.observer.version},
        "uid": f"{alert.id}-{alert.sequence}",
        "sequence": alert.sequence,
        "log_name": "flowvigil.alert",
        "log_provider": alert.observer.name,
        "original_time": timestamp(alert.time_ns),
    }


def _finding(alert: Alert) -> dict[str, Any]:
    return {
        "uid": alert.id,
        "title": alert.title,
        "desc": alert.reason,
        "first_seen_time": alert.start_ns // 1_000_000,
        "last_seen_time": alert.end_ns // 1_000_000,
        "modified_time": alert.time_ns // 1_000_000,
        "data_sources": ["network flows"],
        "types": [alert.verdict],
        "analytic": {
            "name": alert.model.id,
            "uid": alert.model.sha256,
            "type_id": LEARNING,
            "type": "Learning (ML/DL)",
            "category": f"{alert.lane} lane",
        },
        **({"attacks": [_attack(alert.technique)]} if alert.technique else {}),
    }


def _attack(technique: Technique) -> dict[str, Any]:
    """A sub-technique stands beside the technique it belongs to, which the alert names by its id alone."""
    if technique.id == technique.parent:
        attack = {"technique": _named(technique.id, technique.name)}
    else:
        parent = technique_of(technique.parent)
        attack = {
            "technique": _named(technique.parent, parent.name if parent else ""),
            "sub_technique": _named(technique.id, technique.name),
        }
    return {**attack, **({"tactic": {"name": technique.tactic}} if technique.tactic else {})}


def _named(uid: str, name: str) -> dict[str, str]:
    return {"uid": uid, "name": name or uid}


def _evidence(alert: Alert) -> dict[str, Any]:
    return {
        "src_endpoint": _endpoint(alert.source),
        "dst_endpoint": _endpoint(alert.destination),
        "connection_info": {
            **_direction(alert),
            "protocol_num": alert.protocol,
            "protocol_name": alert.transport,
            "protocol_ver_id": alert.ip_version,
            "community_uid": alert.community_id,
        },
        "data": {
            "scores": {name: number(score) for name, score in alert.scores.items()},
            "features": [
                {
                    "name": deviation.name,
                    "unit": deviation.unit,
                    "value": number(deviation.value),
                    "normal_median": number(deviation.median),
                    "normal_p99": number(deviation.p99),
                }
                for deviation in alert.deviations
            ],
        },
    }


def _direction(alert: Alert) -> dict[str, Any]:
    if alert.direction is None:
        return {"direction_id": DIRECTION_UNKNOWN}
    number_, name = DIRECTIONS[alert.direction]
    return {"direction_id": number_, "direction": name}


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    parts = {
        "ip": endpoint.ip,
        "port": endpoint.port,
        "name": endpoint.domain,
        "location": _known({"city": endpoint.city, "country": endpoint.country}),
        "autonomous_system": _known({"name": endpoint.as_organization, "number": endpoint.as_number}),
    }
    return _known(parts) or {}


def _known(parts: dict[str, Any]) -> dict[str, Any] | None:
    """Those that have a value, None for none."""
    return {name: value for name, value in parts.items() if value is not None} or None


def _unmapped(alert: Alert) -> dict[str, Any]:
    return {
        "flowvigil": {
            "severity": alert.severity,
            "risk_score": float(alert.risk),
            "verdict": alert.verdict,
            "lane": alert.lane,
            "label": alert.label,
            "p": {"known": number(alert.p_known), "novel": number(alert.p_novel)},
            "flows": alert.spread.flows,
            "packets": alert.spread.packets,
            "failed": alert.spread.failed,
            "origins": alert.spread.origins,
            "origins_more": alert.spread.origins_more,
            "targets": alert.spread.targets,
            "targets_more": alert.spread.targets_more,
            "ports": alert.spread.ports,
            "ports_more": alert.spread.ports_more,
            "dropped": alert.dropped,
            **_said(alert),
            **_noted(alert),
        }
    }


def _said(alert: Alert) -> dict[str, Any]:
    """What traffic said of the flow shown, and which capture it is of; OCSF's `file` is one that was acted upon.

    The object `tls` wants the version and certificate that were agreed on.
    """
    sides = (("source_names", alert.source), ("destination_names", alert.destination))
    names = {where: [seen.name for seen in end.names] for where, end in sides if end.names}
    said = {"tls_server_name": alert.tls.server_name, "ja4": alert.tls.ja4}
    return names | {name: text for name, text in (said | {"capture": alert.capture}).items() if text}


def _noted(alert: Alert) -> dict[str, Any]:
    """What the site's notes made of it, where there are any."""
    muted = {"muted": {"by": alert.muted.by, "why": alert.muted.why}} if alert.muted else {}
    before = alert.before_notes
    return {**muted, **({"before_notes": {"severity": before.severity, "risk_score": before.risk}} if before else {})}
