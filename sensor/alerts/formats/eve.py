"""Suricata's EVE JSON, event type `alert`, for whatever reads Suricata's log already.

Source: etc/schema.json of Suricata 8.0, which closes every object but `alert.metadata`: there stands, as lists of
texts, what EVE has no field for. The signature is the ATT&CK technique; its number is made from the technique's.
"""

import hashlib
from typing import Any, Final

import orjson

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_of, is_alert
from sensor.alerts.kinds import timestamp
from sensor.alerts.techniques import NO_TECHNIQUE
from sensor.alerts.words import severity_word

# Suricata's own rules are generator 1; another number keeps these apart.
GENERATOR: Final = 1717
REVISION: Final = 1  # of the signatures' meaning
UNNAMED_SIGNATURE: Final = 1
PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "IPv6-ICMP", 132: "SCTP"}
# Our severity, and Suricata's priority for it: 1 is the most urgent.
PRIORITIES: Final = {"high": (1, "Critical"), "medium": (2, "Major"), "low": (3, "Minor")}


def eve_line(document: dict[str, Any]) -> bytes:
    """An alert as one EVE line; nothing for any other record. Raises ValueError for a damaged alert."""
    if not is_alert(document):
        return b""
    return orjson.dumps(eve_document(alert_of(document)), option=orjson.OPT_APPEND_NEWLINE)


def eve_document(alert: Alert) -> dict[str, Any]:
    """The mapping that is written."""
    source, destination = alert.source, alert.destination
    technique = alert.technique or NO_TECHNIQUE
    return {
        "timestamp": _timestamp(alert.time_ns),
        "flow_id": flow_number(alert),
        "event_type": "alert",
        "src_ip": source.ip,
        **({} if source.port is None else {"src_port": source.port}),
        "dest_ip": destination.ip,
        **({} if destination.port is None else {"dest_port": destination.port}),
        "proto": PROTOCOLS.get(alert.protocol, f"{alert.protocol:03}"),
        "community_id": alert.community_id,
        "host": alert.observer.name,
        **({"pcap_filename": alert.capture} if alert.capture else {}),
        "alert": {
            "action": "allowed",
            "gid": GENERATOR,
            "signature_id": signature_number(technique.id),
            "rev": REVISION,
            "signature": f"FLOWVIGIL {alert.title}",
            "category": technique.tactic or "Unusual Traffic",
            "severity": PRIORITIES[severity_word(alert.severity)][0],
            "source": {"ip": source.ip},
            "target": {"ip": destination.ip},
            "metadata": _metadata(alert),
        },
        "flow": {
            "pkts_toserver": source.packets,
            "pkts_toclient": destination.packets,
            "bytes_toserver": source.bytes,
            "bytes_toclient": destination.bytes,
        },
        **({"tls": {"sni": alert.tls.server_name}} if alert.tls.server_name else {}),
    }


def signature_number(technique: str) -> int:
    """T1110.001 gives 1110001, T1046 1046000; UNNAMED_SIGNATURE without a technique's id."""
    parent, _, below = technique.removeprefix("T").partition(".")
    if not (parent.isascii() and parent.isdigit() and len(parent) == 4):
        return UNNAMED_SIGNATURE
    return int(parent) * 1000 + (int(below) if below.isascii() and below.isdigit() and len(below) == 3 else 0)


def flow_number(alert: Alert) -> int:
    """The same for all alerts that show the same flow; 53 bits, which every reader of JSON keeps exact."""
    digest = hashlib.blake2b(alert.community_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 11


def _metadata(alert: Alert) -> dict[str, list[str]]:
    """The first names are those of the ET rules' metadata."""
    technique = alert.technique or NO_TECHNIQUE
    named = {
        "mitre_tactic_name": technique.tactic.replace(" ", "_"),
        "mitre_technique_id": technique.id,
        "mitre_technique_name": technique.name.replace(" ", "_"),
    }
    spread = alert.spread
    own = {
        "action": alert.action,
        "event_id": alert.id,
        "sequence": str(alert.sequence),
        "verdict": alert.verdict,
        "lane": alert.lane,
        "label": alert.label or "",
        "severity": str(alert.severity),
        "risk_score": str(alert.risk),
        "reason": alert.reason,
        "first_seen": timestamp(alert.start_ns),
        "last_seen": timestamp(alert.end_ns),
        "flows": str(spread.flows),
        "origins": f"{spread.origins}{'+' * spread.origins_more}",
        "targets": f"{spread.targets}{'+' * spread.targets_more}",
        "ports": f"{spread.ports}{'+' * spread.ports_more}",
        "model": alert.model.id,
        "direction": alert.direction or "",
        "source_name": alert.source.domain or "",
        "target_name": alert.destination.domain or "",
        "source_names": " ".join(seen.name for seen in alert.source.names),
        "target_names": " ".join(seen.name for seen in alert.destination.names),
        "ja4": alert.tls.ja4 or "",
        "muted_by": alert.muted.by if alert.muted else "",
        "muted_why": alert.muted.why if alert.muted else "",
    }
    _, word = PRIORITIES[severity_word(alert.severity)]
    found = {"signature_severity": word, **named, **{f"flowvigil_{name}": text for name, text in own.items()}}
    return {name: [text] for name, text in found.items() if text}


def _timestamp(time_ns: int) -> str:
    """As Suricata writes it: with an offset and no colon in it."""
    return timestamp(time_ns).removesuffix("Z") + "+0000"
