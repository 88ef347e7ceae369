"""Networks that are ours: which side of an alert is inside, and so which way its traffic goes.

Source: RFC 1918, 4193, 3927, 4291; directions as the Elastic Common Schema names them.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from sensor.alerts.alert import Direction

Address = IPv4Address | IPv6Address
address_of = lru_cache(4096)(ip_address)  # of one alert thousands of rules ask for the same
Network = IPv4Network | IPv6Network
Networks = tuple[Network, ...]

# Where the notes name none: the private (RFC 1918) and the unique-local (RFC 4193) ranges.
DEFAULT_HOME: Final[Networks] = tuple(
    ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
# What never leaves a network is inside of ours: groups, broadcast, link-local, loopback, "this host".
_ALWAYS: Final[Networks] = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"),
        *("::/127", "fe80::/10", "ff00::/8"),
    )
)
_DIRECTIONS: Final[dict[tuple[bool, bool], Direction]] = {
    (True, True): "internal",
    (True, False): "outbound",
    (False, True): "inbound",
    (False, False): "external",
}


def within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of the networks holds the address."""
    return any(address in network for network in networks)  # of another version: not in it


def inside(ip: str, home: Sequence[Network]) -> bool:
    """Whether an address is ours."""
    address = address_of(ip)
    return within(address, home) or within(address, _ALWAYS)


def direction_of(source: str, destination: str, home: Sequence[Network]) -> Direction:
    """Which way traffic goes between two addresses: inbound, outbound, internal or external."""
    return _DIRECTIONS[inside(source, home), inside(destination, home)]
