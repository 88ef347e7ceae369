"""Suricata's EVE JSON, event type `alert`, for whatever reads Suricata's log already.

Source: etc/schema.json of Suricata 8.0, which closes every object but `alert.metadata`: there stands, as lists of
texts, what EVE has no field for. The signature is the ATT&CK technique; its number is made from the technique's.
"""

import hashlib
from typing import Any, Final

import orjson

from sensor.formats.facts import Facts, facts_of, is_alert, rfc3339

# Suricata's own rules are generator 1; another number keeps these apart.
GENERATOR: Final = 1717
REVISION: Final = 1  # of the signatures' meaning
UNNAMED_SIGNATURE: Final = 1
PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "IPv6-ICMP", 132: "SCTP"}
# Smallest severity of ours, and Suricata's priority for it: 1 is the most urgent.
PRIORITIES: Final = ((70, 1, "Critical"), (40, 2, "Major"), (0, 3, "Minor"))


def eve_line(document: dict[str, Any]) -> bytes:
    """An alert as one EVE line; nothing for any other record. Raises ValueError for a damaged alert."""
    if not is_alert(document):
        return b""
    return orjson.dumps(eve_document(facts_of(document)), option=orjson.OPT_APPEND_NEWLINE)


def eve_document(facts: Facts) -> dict[str, Any]:
    """The mapping that is written."""
    source, destination = facts.source, facts.destination
    return {
        "timestamp": _timestamp(facts.time_us),
        "flow_id": flow_number(facts),
        "event_type": "alert",
        "src_ip": source.ip,
        **({} if source.port is None else {"src_port": source.port}),
        "dest_ip": destination.ip,
        **({} if destination.port is None else {"dest_port": destination.port}),
        "proto": PROTOCOLS.get(facts.protocol, f"{facts.protocol:03}"),
        "community_id": facts.community_id,
        "host": facts.observer,
        "alert": {
            "action": "allowed",
            "gid": GENERATOR,
            "signature_id": signature_number(facts.technique),
            "rev": REVISION,
            "signature": f"FLOWVIGIL {facts.title}",
            "category": facts.tactic or "Unusual Traffic",
            "severity": next(priority for least, priority, _ in PRIORITIES if facts.severity >= least),
            "source": {"ip": source.ip},
            "target": {"ip": destination.ip},
            "metadata": _metadata(facts),
        },
        "flow": {
            "pkts_toserver": source.packets,
            "pkts_toclient": destination.packets,
            "bytes_toserver": source.bytes,
            "bytes_toclient": destination.bytes,
        },
    }


def signature_number(technique: str) -> int:
    """T1110.001 gives 1110001, T1046 1046000; UNNAMED_SIGNATURE without a technique's id."""
    parent, _, below = technique.removeprefix("T").partition(".")
    if not (parent.isascii() and parent.isdigit() and len(parent) == 4):
        return UNNAMED_SIGNATURE
    return int(parent) * 1000 + (int(below) if below.isascii() and below.isdigit() and len(below) == 3 else 0)


def flow_number(facts: Facts) -> int:
    """The same for all alerts that show the same flow; 53 bits, which every reader of JSON keeps exact."""
    digest = hashlib.blake2b(facts.community_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 11


def _metadata(facts: Facts) -> dict[str, list[str]]:
    """The first names are those of the ET rules' metadata."""
    technique = {
        "mitre_tactic_name": facts.tactic.replace(" ", "_"),
        "mitre_technique_id": facts.technique,
        "mitre_technique_name": facts.technique_name.replace(" ", "_"),
    }
    own = {
        "action": facts.action,
        "event_id": facts.id,
        "sequence": str(facts.sequence),
        "verdict": facts.verdict,
        "lane": facts.lane,
        "label": facts.label,
        "severity": str(facts.severity),
        "risk_score": str(facts.risk),
        "reason": facts.reason,
        "first_seen": rfc3339(facts.start_us),
        "last_seen": rfc3339(facts.end_us),
        "flows": str(facts.flows),
        "targets": f"{facts.targets}{'+' * facts.targets_more}",
        "ports": f"{facts.ports}{'+' * facts.ports_more}",
        "model": facts.model,
    }
    word = next(word for least, _, word in PRIORITIES if facts.severity >= least)
    named = {"signature_severity": word, **technique, **{f"flowvigil_{name}": text for name, text in own.items()}}
    return {name: [text] for name, text in named.items() if text}


def _timestamp(time_us: int) -> str:
    """As Suricata writes it: with an offset and no colon in it."""
    return rfc3339(time_us).removesuffix("Z") + "+0000"
