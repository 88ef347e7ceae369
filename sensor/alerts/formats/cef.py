"""ArcSight Common Event Format, version 0: a header of seven fields between bars, then pairs of key and value.

ArcSight's document on the format was not at hand: escaping is as its users describe it alike, names and lengths of
the keys are those that collectors know. In the header `\\` and `|` are escaped, in a value `\\`, `=` and line ends; a
bar in a value and an equals sign in the header stay as they are.
"""

from typing import Any, Final

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_of, is_alert
from sensor.alerts.techniques import NO_TECHNIQUE

UNNAMED_CLASS: Final = "unusual"
# The dictionary's `src` and `dst` are IPv4 addresses; it gives IPv6 ones these keys and labels.
IPV6_KEYS: Final = (("c6a2", "Source IPv6 Address"), ("c6a3", "Destination IPv6 Address"))
# As the dictionary's `proto` wants them.
PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "IPv6-ICMP", 132: "SCTP"}
DIRECTIONS: Final = {"inbound": "0", "outbound": "1"}  # the dictionary has no other

_HEADER: Final = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "\r": " "})
_VALUE: Final = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})


def cef_line(document: dict[str, Any]) -> bytes:
    """An alert as one CEF line; nothing for any other record. Raises ValueError for a damaged alert."""
    if not is_alert(document):
        return b""
    alert = alert_of(document)
    technique = alert.technique or NO_TECHNIQUE
    header = ("flowvigil", "flowvigil", alert.observer.version, technique.id or UNNAMED_CLASS, alert.title)
    # CEF counts severity from 0 to 10.
    parts = ["CEF:0", *(header_text(text) for text in header), str((alert.severity + 5) // 10), _extension(alert)]
    return ("|".join(parts) + "\n").encode()


def header_text(text: str) -> str:
    """A header field: its bars and backslashes escaped, no line end."""
    return text.translate(_HEADER)


def value_text(text: str) -> str:
    """A value: its equals signs, backslashes and line ends escaped."""
    return text.translate(_VALUE)


def _extension(alert: Alert) -> str:
    return " ".join(f"{key}={value_text(text)}" for key, text in _pairs(alert) if text)


def _pairs(alert: Alert) -> list[tuple[str, str]]:
    """Keys of the dictionary only; a custom field stands behind its label. Times are milliseconds since 1970."""
    return [
        ("rt", str(alert.time_ns // 1_000_000)),
        ("start", str(alert.start_ns // 1_000_000)),
        ("end", str(alert.end_ns // 1_000_000)),
        *_addresses(alert),
        ("shost", alert.source.domain or ""),
        ("dhost", alert.destination.domain or ""),
        ("deviceDirection", DIRECTIONS.get(alert.direction or "", "")),
        ("spt", _port(alert.source.port)),
        ("dpt", _port(alert.destination.port)),
        ("proto", PROTOCOLS.get(alert.protocol, str(alert.protocol))),
        ("in", str(alert.source.bytes)),
        ("out", str(alert.destination.bytes)),
        ("cnt", str(alert.spread.flows)),
        ("act", alert.action),
        ("cat", (alert.technique or NO_TECHNIQUE).tactic),
        ("externalId", alert.id),
        ("dvchost", alert.observer.name),
        ("fname", alert.capture or ""),
        ("msg", alert.reason),
        *_custom("cs1", "verdict", alert.verdict),
        *_custom("cs2", "lane", alert.lane),
        *_custom("cs3", "label", alert.label or ""),
        *_custom("cs4", "communityId", alert.community_id),
        *_custom("cs5", "model", alert.model.id),
        *_custom("cfp1", "riskScore", f"{alert.risk:.1f}"),
        *_custom("cn1", "targets", str(alert.spread.targets)),
        *_custom("cn2", "ports", str(alert.spread.ports)),
        *_custom("cn3", "sequence", str(alert.sequence)),
        *_custom("cs6", "mutedBy", f"{alert.muted.by}: {alert.muted.why}" if alert.muted else ""),
        *_custom("flexString1", "tlsServerName", alert.tls.server_name or ""),
        *_custom("flexString2", "destinationNames", " ".join(seen.name for seen in alert.destination.names)),
        *_custom("flexNumber1", "origins", str(alert.spread.origins) if alert.spread.origins > 1 else ""),
    ]


def _addresses(alert: Alert) -> list[tuple[str, str]]:
    addresses = (alert.source.ip, alert.destination.ip)
    if alert.ip_version == 4:
        return list(zip(("src", "dst"), addresses, strict=True))
    return [
        pair
        for (key, label), address in zip(IPV6_KEYS, addresses, strict=True)
        for pair in _custom(key, label, address)
    ]


def _custom(key: str, label: str, text: str) -> list[tuple[str, str]]:
    """A field that gets its meaning from a label; nothing where it is empty."""
    return [(f"{key}Label", label), (key, text)] if text else []


def _port(port: int | None) -> str:
    return "" if port is None else str(port)
