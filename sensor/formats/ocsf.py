"""Open Cybersecurity Schema Framework 1.5.0, class 2004 Detection Finding.

An episode is a finding: opened creates it, updated updates it, closed closes it, all under one `finding_info.uid`.
Source: github.com/ocsf/ocsf-schema, events/findings/detection_finding.json and the objects it names.
What has no place there stands under `unmapped`.
"""

from typing import Any, Final

import orjson

from sensor.formats.facts import Facts, facts_of, is_alert, rfc3339
from sensor.techniques import technique_of

VERSION: Final = "1.5.0"
LINE_LIMIT_BYTES: Final = 8192
CATEGORY, CLASS = 2, 2004
ACTIVITIES: Final = {"opened": (1, "Create"), "updated": (2, "Update"), "closed": (3, "Close")}
# Smallest severity of ours, and OCSF's number and word.
SEVERITIES: Final = ((70, 4, "High"), (40, 3, "Medium"), (0, 2, "Low"))
CONFIDENCES: Final = {"attack": (3, "High"), "uncertain": (1, "Low")}
STATUS_NEW: Final = 1  # to be looked at by people, who alone change it
LEARNING: Final = 4  # analytic.type_id
DIRECTION_UNKNOWN: Final = 0
IP_ADDRESS: Final = 2  # observable.type_id


def ocsf_line(document: dict[str, Any]) -> bytes:
    """An alert as one OCSF event; nothing for any other record. Raises ValueError for a damaged alert."""
    if not is_alert(document):
        return b""
    found = ocsf_document(facts_of(document))
    line = orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
    if len(line) > LINE_LIMIT_BYTES:
        # Only where every text is as long and wide as can be, which no sensor writes: the numbers behind it go first.
        del found["evidences"][0]["data"]
        line = orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
    return line


def ocsf_document(facts: Facts) -> dict[str, Any]:
    """The mapping that is written. Times are milliseconds since 1970."""
    activity, activity_name = ACTIVITIES[facts.action]
    severity, severity_name = next((number, word) for least, number, word in SEVERITIES if facts.severity >= least)
    confidence, confidence_name = CONFIDENCES[facts.verdict]
    return {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {activity_name}",
        "time": facts.time_us // 1000,
        "start_time": facts.start_us // 1000,
        "end_time": facts.end_us // 1000,
        "duration": max(0, facts.end_us - facts.start_us) // 1000,
        "count": facts.flows,
        "severity_id": severity,
        "severity": severity_name,
        "confidence_id": confidence,
        "confidence": confidence_name,
        "risk_score": round(facts.risk),
        "status_id": STATUS_NEW,
        "status": "New",
        "message": facts.reason,
        "metadata": _metadata(facts),
        "finding_info": _finding(facts),
        "evidences": [_evidence(facts)],
        "observables": [
            {"name": f"evidences[].{side}.ip", "type_id": IP_ADDRESS, "type": "IP Address", "value": endpoint.ip}
            for side, endpoint in (("src_endpoint", facts.source), ("dst_endpoint", facts.destination))
        ],
        "unmapped": _unmapped(facts),
    }


def _metadata(facts: Facts) -> dict[str, Any]:
    return {
        "version": VERSION,
        "product": {"name": "flowvigil", "vendor_name": "flowvigil", "version": facts.version},
        "uid": f"{facts.id}-{facts.sequence}",
        "sequence": facts.sequence,
        "log_name": "flowvigil.alert",
        "log_provider": facts.observer,
        "original_time": rfc3339(facts.time_us),
    }


def _finding(facts: Facts) -> dict[str, Any]:
    return {
        "uid": facts.id,
        "title": facts.title,
        "desc": facts.reason,
        "first_seen_time": facts.start_us // 1000,
        "last_seen_time": facts.end_us // 1000,
        "modified_time": facts.time_us // 1000,
        "data_sources": ["network flows"],
        "types": [facts.verdict],
        "analytic": {
            "name": facts.model,
            "uid": facts.sha256,
            "type_id": LEARNING,
            "type": "Learning (ML/DL)",
            "category": f"{facts.lane} lane",
        },
        **({"attacks": [_attack(facts)]} if facts.technique else {}),
    }


def _attack(facts: Facts) -> dict[str, Any]:
    """A sub-technique stands beside the technique it belongs to, which the alert names by its id alone."""
    if facts.technique == facts.parent:
        attack = {"technique": _named(facts.technique, facts.technique_name)}
    else:
        parent = technique_of(facts.parent)
        attack = {
            "technique": _named(facts.parent, parent.name if parent else ""),
            "sub_technique": _named(facts.technique, facts.technique_name),
        }
    return {**attack, **({"tactic": {"name": facts.tactic}} if facts.tactic else {})}


def _named(uid: str, name: str) -> dict[str, str]:
    return {"uid": uid, "name": name or uid}


def _evidence(facts: Facts) -> dict[str, Any]:
    return {
        "src_endpoint": _endpoint(facts.source.ip, facts.source.port),
        "dst_endpoint": _endpoint(facts.destination.ip, facts.destination.port),
        "connection_info": {
            "direction_id": DIRECTION_UNKNOWN,
            "protocol_num": facts.protocol,
            "protocol_name": facts.transport,
            "protocol_ver_id": facts.ip_version,
            "community_uid": facts.community_id,
        },
        "data": {
            "scores": dict(facts.scores),
            "features": [
                {
                    "name": reason.name,
                    "unit": reason.unit,
                    "value": reason.value,
                    "normal_median": reason.median,
                    "normal_p99": reason.p99,
                }
                for reason in facts.reasons
            ],
        },
    }


def _endpoint(ip: str, port: int | None) -> dict[str, Any]:
    return {"ip": ip} if port is None else {"ip": ip, "port": port}


def _unmapped(facts: Facts) -> dict[str, Any]:
    return {
        "flowvigil": {
            "severity": facts.severity,
            "risk_score": facts.risk,
            "verdict": facts.verdict,
            "lane": facts.lane,
            "label": facts.label or None,
            "p": {"known": facts.p_known, "novel": facts.p_novel},
            "flows": facts.flows,
            "packets": facts.packets,
            "failed": facts.failed,
            "targets": facts.targets,
            "targets_more": facts.targets_more,
            "ports": facts.ports,
            "ports_more": facts.ports_more,
            "dropped": facts.dropped,
        }
    }
