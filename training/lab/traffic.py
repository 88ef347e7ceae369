"""What traffic something makes, in the terms that a capture has: protocol and ports. It knows no host."""

from dataclasses import dataclass
from typing import Final

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
NEIGHBOURS: Final = (133, 137)  # types of ICMPv6 by which hosts of a link find each other; RFC 4861


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of one protocol, at the side that is asked; ICMP's are those of ICMPv6 too."""

    protocol: int
    low: int = 0
    high: int = 65_535

    def has(self, protocol: int, port: int) -> bool:
        """Whether a packet to this port is meant."""
        if protocol in (ICMP, ICMPV6):
            return self.protocol == ICMP
        return protocol == self.protocol and self.low <= port <= self.high


@dataclass(frozen=True, slots=True)
class Shout:
    """Datagrams to all of a segment, or to all who listen to an address of several."""

    ports: Ports
    address: str | None = None  # None: the segment's own broadcast address


def tcp(low: int, high: int | None = None) -> Ports:
    """A TCP port, or those from low to high."""
    return Ports(TCP, low, low if high is None else high)


def udp(low: int, high: int | None = None) -> Ports:
    """A UDP port, or those from low to high."""
    return Ports(UDP, low, low if high is None else high)


ECHO: Final = Ports(ICMP)
ANY_TCP: Final = Ports(TCP)
ANY_UDP: Final = Ports(UDP)
