"""Who a site's hosts are, by what they did in its own traffic: clients, servers, the resolver, and everybody seen.

Inside is what the site's notes say, else what sensor.episodes takes for it, private networks (RFC 1918, link-local),
and of flows between two public addresses, as a hoster has them, the /24 that most are of. IPv4 alone: the attacks that
are rehearsed are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Final

import numpy as np

from flows.batch import DST_LOW, DST_PORT, IP_VERSION, PROTOCOL, SRC_LOW, VLAN, FlowBatch
from flows.columns import INDEX

TCP, UDP = 6, 17
DNS: Final = (UDP, 53)
PRIVATE: Final = tuple(
    IPv4Network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
)
PUBLIC: Final = 0.05  # least share of flows between public addresses that is no stray
_MULTICAST: Final = 0xE0000000  # and above: no host's own address

Service = tuple[int, int]  # IP protocol, port


class HomeGuess:
    """Which networks are inside, by who talks to whom: a site sees no flow between two hosts that are outside."""

    def __init__(self) -> None:
        self._flows = self._private = 0  # all; with a private end
        self._public: Counter[int] = Counter()  # first 24 bits of both ends of flows between public addresses

    def add(self, one: int, other: int, flows: int = 1) -> None:
        """Take flows between two IPv4 addresses, as numbers."""
        self._flows += flows
        if is_in(one, PRIVATE) or is_in(other, PRIVATE):
            self._private += flows
            return
        self._public[one >> 8] += flows
        self._public[other >> 8] += flows

    def networks(self) -> tuple[IPv4Network, ...]:
        """The private ones where there are any, and the /24 that most flows between public addresses are of."""
        has_public = self._flows - self._private >= PUBLIC * self._flows
        public = self._public.most_common(1) if has_public else ()
        return (*(PRIVATE if self._private else ()), *(IPv4Network((network << 8, 24)) for network, _ in public))


@dataclass(frozen=True, slots=True)
class SiteHosts:
    """Hosts of a site, as numbers of their IPv4 addresses, those with most answered flows first."""

    home: tuple[IPv4Network, ...]  # the networks that are inside
    clients: tuple[int, ...]  # inside, whose own flows were answered
    servers: tuple[int, ...]  # inside, that answered flows of others
    services: Mapping[Service, tuple[int, ...]]  # of them by what they answered at
    resolver: int | None  # whoever answered most questions at UDP 53, inside or outside
    seen: frozenset[int]  # every address
    vlans: Mapping[int, int]  # by host inside: its VLAN tags as in FlowBatch.identity, where it has any

    @property
    def inside(self) -> tuple[int, ...]:
        """Hosts inside that took part in answered flows."""
        return tuple(dict.fromkeys((*self.clients, *self.servers)))

    def is_inside(self, address: int) -> bool:
        """Whether an address is in a network that is inside."""
        return is_in(address, self.home)


class SeenHosts:
    """Counts hosts in the records of a site as they pass."""

    def __init__(self) -> None:
        self.records = 0
        self.ipv6 = 0  # records of it
        self.answered = 0  # records in which both sides speak
        self._home = HomeGuess()
        self._began: Counter[int] = Counter()
        self._served: Counter[tuple[int, int, int]] = Counter()  # host, protocol, port
        self._vlan: dict[int, Counter[int]] = defaultdict(Counter)
        self._seen: set[int] = set()

    def all_of(self, batches: Iterator[FlowBatch]) -> Iterator[FlowBatch]:
        """The same records, counted."""
        for batch in batches:
            self._add(batch)
            yield batch

    def hosts(self, noted: Sequence[IPv4Network | IPv6Network] | None = None) -> SiteHosts:
        """The site's hosts by now. noted: networks that the site's notes say are inside, None where it has no notes."""
        own = tuple(network for network in noted or () if isinstance(network, IPv4Network))
        home = own if any(is_in(address, own) for address in self._seen) else self._home.networks()
        services: dict[Service, list[int]] = defaultdict(list)
        servers: Counter[int] = Counter()
        for (host, protocol, port), count in self._served.most_common():
            if is_in(host, home):
                services[protocol, port].append(host)
                servers[host] += count
        resolvers = [host for (host, protocol, port), _ in self._served.most_common() if (protocol, port) == DNS]
        vlans = {host: tags.most_common(1)[0][0] for host, tags in self._vlan.items() if is_in(host, home)}
        return SiteHosts(
            home=home,
            clients=tuple(host for host, _ in self._began.most_common() if is_in(host, home)),
            servers=tuple(host for host, _ in servers.most_common()),
            services={service: tuple(hosts) for service, hosts in services.items()},
            resolver=resolvers[0] if resolvers else None,
            seen=frozenset(self._seen),
            vlans={host: tags for host, tags in vlans.items() if tags},
        )

    def _add(self, batch: FlowBatch) -> None:
        identity = batch.identity
        self.records += len(batch)
        ipv4 = identity[:, IP_VERSION] == 4
        self.ipv6 += int((~ipv4).sum())
        both = (batch.values[:, INDEX["bwd_packets"]] > 0) & (batch.values[:, INDEX["fwd_packets"]] > 0)
        self.answered += int(both.sum())
        self._seen.update(np.unique(identity[ipv4][:, [SRC_LOW, DST_LOW]]).tolist())
        answered = identity[ipv4 & both & (identity[:, DST_LOW] < _MULTICAST)]
        pairs, counts = np.unique(answered[:, [SRC_LOW, DST_LOW]], axis=0, return_counts=True)
        for (source, target), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            self._home.add(source, target, count)
            self._began[source] += count
        with_ports = answered[np.isin(answered[:, PROTOCOL], (TCP, UDP))]
        served, counts = np.unique(with_ports[:, [DST_LOW, PROTOCOL, DST_PORT]], axis=0, return_counts=True)
        for (host, protocol, port), count in zip(served.tolist(), counts.tolist(), strict=True):
            self._served[host, protocol, port] += count
        for side in (SRC_LOW, DST_LOW):
            rows, counts = np.unique(answered[:, [side, VLAN]], axis=0, return_counts=True)
            for (host, tags), count in zip(rows.tolist(), counts.tolist(), strict=True):
                self._vlan[host][tags] += count


def is_in(address: int, networks: tuple[IPv4Network, ...]) -> bool:
    """Whether an IPv4 address, as a number, is of one of some networks."""
    return any(address & mask == network for network, mask in _masks(networks))


@lru_cache(maxsize=8)
def _masks(networks: tuple[IPv4Network, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((int(network.network_address), int(network.netmask)) for network in networks)


def text_of(address: int) -> str:
    """An IPv4 address as text."""
    return str(IPv4Address(address))
