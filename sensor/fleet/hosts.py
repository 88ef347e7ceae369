"""Which addresses of several sensors are one host.

An address of the world is the same host whoever sees it. One that every network may use for itself (RFC 1918 and its
like) is a host of its site: 10.0.0.5 of two branches is two hosts, unless their sensors are declared to be of one site.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

# Addresses without a meaning beyond their network. Sources: RFC 1918, RFC 6598 (carriers' translation), RFC 3927 and
# RFC 4291 (link-local), RFC 1122 (loopback, this network), RFC 4193 (unique local), RFC 5771 and RFC 4291 (groups),
# RFC 3879 (site-local of old), RFC 8215 (a network's own NAT64), RFC 4291 (IPv4 in IPv6, which belongs on no wire).
_LOCAL: Final = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
        "0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "fc00::/7", "fe80::/10", "::/127", "ff00::/8",
        "fec0::/10", "64:ff9b:1::/48", "::ffff:0:0/96",
    )
)  # fmt: skip


class Host(NamedTuple):
    """One host, whoever sees it."""

    address: str
    site: str  # that the address belongs to, "" where it means the same everywhere

    def __str__(self) -> str:
        return f"{self.address} at {self.site}" if self.site else self.address


@dataclass(frozen=True, slots=True)
class Sites:
    """Which sensors see the same private addresses."""

    by_sensor: Mapping[str, str] = field(default_factory=dict)  # site of each sensor that is declared

    def of(self, sensor: str) -> str:
        """The site of a sensor; one that is not declared is a site by itself."""
        return self.by_sensor.get(sensor, sensor)

    def host(self, sensor: str, address: str) -> Host:
        """The host that a sensor saw under an address."""
        return Host(address, self.of(sensor) if is_local(address) else "")


@lru_cache(maxsize=65536)
def is_local(address: str) -> bool:
    """Whether the address means another host in another network."""
    found = ip_address(address)
    return any(found in network for network in _LOCAL if _same_kind(network, found.version))


def _same_kind(network: IPv4Network | IPv6Network, version: int) -> bool:
    return network.version == version
