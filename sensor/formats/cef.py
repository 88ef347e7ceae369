"""ArcSight Common Event Format, version 0: a header of seven fields between bars, then pairs of key and value.

ArcSight's document on the format was not at hand: escaping is as its users describe it alike, names and lengths of
the keys are those that collectors know. In the header `\\` and `|` are escaped, in a value `\\`, `=` and line ends; a
bar in a value and an equals sign in the header stay as they are.
"""

from typing import Any, Final

from sensor.formats.facts import Facts, facts_of, is_alert

UNNAMED_CLASS: Final = "unusual"
# The dictionary's `src` and `dst` are IPv4 addresses; it gives IPv6 ones these keys and labels.
IPV6_KEYS: Final = (("c6a2", "Source IPv6 Address"), ("c6a3", "Destination IPv6 Address"))
# As the dictionary's `proto` wants them.
PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "IPv6-ICMP", 132: "SCTP"}

_HEADER: Final = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "\r": " "})
_VALUE: Final = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})


def cef_line(document: dict[str, Any]) -> bytes:
    """An alert as one CEF line; nothing for any other record. Raises ValueError for a damaged alert."""
    if not is_alert(document):
        return b""
    facts = facts_of(document)
    header = ("flowvigil", "flowvigil", facts.version, facts.technique or UNNAMED_CLASS, facts.title)
    # CEF counts severity from 0 to 10.
    parts = ["CEF:0", *(header_text(text) for text in header), str((facts.severity + 5) // 10), _extension(facts)]
    return ("|".join(parts) + "\n").encode()


def header_text(text: str) -> str:
    """A header field: its bars and backslashes escaped, no line end."""
    return text.translate(_HEADER)


def value_text(text: str) -> str:
    """A value: its equals signs, backslashes and line ends escaped."""
    return text.translate(_VALUE)


def _extension(facts: Facts) -> str:
    return " ".join(f"{key}={value_text(text)}" for key, text in _pairs(facts) if text)


def _pairs(facts: Facts) -> list[tuple[str, str]]:
    """Keys of the dictionary only; a custom field stands behind its label. Times are milliseconds since 1970."""
    return [
        ("rt", str(facts.time_us // 1000)),
        ("start", str(facts.start_us // 1000)),
        ("end", str(facts.end_us // 1000)),
        *_addresses(facts),
        ("spt", _port(facts.source.port)),
        ("dpt", _port(facts.destination.port)),
        ("proto", PROTOCOLS.get(facts.protocol, str(facts.protocol))),
        ("in", str(facts.source.bytes)),
        ("out", str(facts.destination.bytes)),
        ("cnt", str(facts.flows)),
        ("act", facts.action),
        ("cat", facts.tactic),
        ("externalId", facts.id),
        ("dvchost", facts.observer),
        ("msg", facts.reason),
        *_custom("cs1", "verdict", facts.verdict),
        *_custom("cs2", "lane", facts.lane),
        *_custom("cs3", "label", facts.label),
        *_custom("cs4", "communityId", facts.community_id),
        *_custom("cs5", "model", facts.model),
        *_custom("cfp1", "riskScore", f"{facts.risk:.1f}"),
        *_custom("cn1", "targets", str(facts.targets)),
        *_custom("cn2", "ports", str(facts.ports)),
        *_custom("cn3", "sequence", str(facts.sequence)),
    ]


def _addresses(facts: Facts) -> list[tuple[str, str]]:
    addresses = (facts.source.ip, facts.destination.ip)
    if facts.ip_version == 4:
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
