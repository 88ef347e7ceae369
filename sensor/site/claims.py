"""What a note can say of an alert's claim: a technique's id or a plain word, and the service that it is about.

A word stands for the techniques that the sensor gives a kind of claim (sensor.episodes.shapes): who writes a rule for a
backup need not know ATT&CK.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sensor.alerts.alert import Alert

UNUSUAL: Final = "unusual"
# Each word with the techniques that it stands for, those below them too. Of a label of the known lane there are more.
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "scan": ("T1046", "T1018"),
    "flood": ("T1499.001", "T1498.001", "T1498"),
    "reflection": ("T1498.002",),
    "overload": ("T1499.002", "T1499.003", "T1499"),
    "guessing": ("T1110",),
    "beat": ("T1071.001", "T1571"),  # T1571 is a connection that is kept open too
    "questions": ("T1071.004",),
    "echoes": ("T1095",),
    "upload": ("T1048", "T1041"),
    UNUSUAL: (),  # no technique at all
}
# Ports by the name of their service (IANA), over any transport.
SERVICES: Final[Mapping[str, int]] = {
    "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "dns": 53, "http": 80, "ntp": 123, "snmp": 161, "ldap": 389,
    "https": 443, "smb": 445, "syslog": 514, "rdp": 3389,
}  # fmt: skip
PROTOCOLS: Final[Mapping[str, tuple[int, ...]]] = {
    "tcp": (6,), "udp": (17,), "sctp": (132,), "icmp": (1, 58), "gre": (47,), "esp": (50,),
}  # fmt: skip
WITH_PORTS: Final = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class Claim:
    """The techniques that a note speaks of."""

    text: str  # as written
    techniques: tuple[str, ...]  # ATT&CK ids, () for alerts without a technique

    def holds(self, alert: Alert) -> bool:
        """Whether the alert is of one of them; a technique stands for those below it."""
        technique = alert.technique
        if technique is None or not self.techniques:
            return technique is None and not self.techniques
        return technique.id in self.techniques or technique.parent in self.techniques

    def covers(self, other: "Claim") -> bool:
        """Whether it holds wherever the other does."""
        if not other.techniques:
            return not self.techniques
        return all(id_ in self.techniques or id_.partition(".")[0] in self.techniques for id_ in other.techniques)

    def meets(self, other: "Claim") -> bool:
        """Whether both may hold for one alert."""
        if not (self.techniques and other.techniques):
            return not (self.techniques or other.techniques)
        return any(self.covers(Claim("", (id_,))) for id_ in other.techniques) or any(
            other.covers(Claim("", (id_,))) for id_ in self.techniques
        )


@dataclass(frozen=True, slots=True)
class Service:
    """A protocol, ports, or both."""

    text: str  # as written
    protocols: tuple[int, ...]  # IP numbers, () for any
    first: int  # port, with `last` as a range; 0 to 65535 for any
    last: int

    @property
    def any_port(self) -> bool:
        """Whether it names no port."""
        return (self.first, self.last) == (0, 65535)

    def holds(self, alert: Alert) -> bool:
        """Whether the alert is about nothing else: all of its ports are known to be among these."""
        if self.protocols and alert.protocol not in self.protocols:
            return False
        return self.any_port or ports_within(alert, self.first, self.last)

    def covers(self, other: "Service") -> bool:
        """Whether it holds wherever the other does."""
        protocols = not self.protocols or (bool(other.protocols) and set(other.protocols) <= set(self.protocols))
        return protocols and self.first <= other.first and other.last <= self.last

    def meets(self, other: "Service") -> bool:
        """Whether both may hold for one alert."""
        protocols = not (self.protocols and other.protocols) or bool(set(self.protocols) & set(other.protocols))
        return protocols and self.first <= other.last and other.first <= self.last


def ports_within(alert: Alert, first: int, last: int) -> bool:
    """Whether all destination ports of an alert are known and lie in a range."""
    ports = alert.target_ports
    known = bool(ports) and not alert.spread.ports_more and alert.spread.ports == len(ports)
    return known and all(first <= port <= last for port in ports)


def service_of(text: str) -> Service:
    """Read `tcp/443`, `udp/5000-5100`, `tcp`, `443` or `dns`. Raises ValueError, which says what is expected."""
    name, slash, ports = text.strip().lower().partition("/")
    if not slash and name in SERVICES:
        return Service(text, (), SERVICES[name], SERVICES[name])
    if not slash and name[:1].isdigit():
        name, slash, ports = "", "/", name
    if name and name not in PROTOCOLS:
        raise ValueError(_EXPECTED)
    protocols = PROTOCOLS[name] if name else ()
    if not slash:
        return Service(text, protocols, 0, 65535)
    if ports in SERVICES and name in WITH_PORTS:
        return Service(text, protocols, SERVICES[ports], SERVICES[ports])
    first, dash, last = ports.partition("-")
    numbers = [first, last if dash else first]
    if (name and name not in WITH_PORTS) or not all(_is_port(number) for number in numbers):
        raise ValueError(_EXPECTED)
    low, high = (int(number) for number in numbers)
    if low > high:
        raise ValueError(f"expected the smaller port first, {high}-{low}")
    return Service(text, protocols, low, high)


def claim_of(text: str) -> Claim:
    """Read a word of WORDS or an ATT&CK id such as T1110.001. Raises ValueError, which says what is expected."""
    word = text.strip()
    if word.lower() in WORDS:
        return Claim(word.lower(), WORDS[word.lower()])
    id_ = word.upper()
    parent, dot, below = id_.partition(".")
    digits = parent[1:].isascii() and parent[1:].isdigit() and len(parent) == 5
    if parent[:1] != "T" or not digits or (dot and not (below.isascii() and below.isdigit() and len(below) == 3)):
        raise ValueError(f"expected an ATT&CK technique such as T1046, or one of {', '.join(WORDS)}")
    return Claim(id_, (id_,))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535


_EXPECTED: Final = f"expected a service such as tcp/443, udp/5000-5100, 22, icmp or one of {', '.join(SERVICES)}"
