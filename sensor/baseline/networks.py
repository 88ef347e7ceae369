"""The networks of a site, as far as its traffic shows them: whether another source is of the same place at all."""

from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from models.site import MOST_NETWORKS
from sensor.baseline.talk import HostLink
from sensor.site.networks import Networks, within

PREFIXES = {4: 24, 6: 64}  # by version of IP


def inside_networks(links: Iterable[HostLink], home: Networks, most: int = MOST_NETWORKS) -> tuple[str, ...]:
    """The networks inside whose hosts talked, /24 and /64, the most flows first."""
    hosts: Counter[str] = Counter()
    for link in links:
        hosts.update({link.source: link.flows, link.destination: link.flows})
    flows: Counter[str] = Counter()
    for host, count in hosts.items():
        address = ip_address(host)
        if within(address, home):
            flows[str(ip_network((address, PREFIXES[address.version]), strict=False))] += count
    return tuple(name for name, _ in sorted(flows.items(), key=lambda own: (-own[1], own[0]))[:most])


def of_another_network(before: Iterable[str], now: Iterable[str]) -> bool:
    """Whether both are known and they share no network."""
    earlier, later = set(before), set(now)
    return bool(earlier and later) and not earlier & later
