"""Who plays whom: the hosts of an attack that was made elsewhere, replaced by a site's own.

A host inside that only answers becomes a server of the site that answers at the same port, else another server; one
that acts becomes a client of the site; the resolver the site's resolver. Of many that are asked (a sweep) each keeps
its place in its network, which becomes one of the site's. A host outside stays who it is, unless the site has seen that
address: then it becomes one of a range for documentation (RFC 5737, 2544) that nobody has. So whoever attacks, or is
called home to, is new to the site, as such hosts are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_address
from random import Random
from typing import Final

from flows.truth import FlowTruth
from sensor.rehearsal.episode import AttackEpisode
from sensor.rehearsal.hosts import DNS, Service, SiteHosts, is_in

SWEPT: Final = 8  # hosts inside that are asked, from which on they are a network's
_NOBODYS: Final = tuple(
    IPv4Network(network) for network in ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "198.18.0.0/15")
)
_BROADCAST, _MULTICAST = 0xFFFFFFFF, 0xE0000000


def cast(attack: AttackEpisode, site: SiteHosts, rng: Random) -> dict[int, int]:
    """The site's address for each IPv4 address of an attack, as numbers."""
    own = [truth for truth in attack.flows if ":" not in truth.initiator + truth.target]
    return _Casting(_roles(own), attack.home, site, rng).addresses()


@dataclass(slots=True)
class _Role:
    """What an address does in an attack."""

    began: int = 0  # flows
    services: Counter[Service] = field(default_factory=Counter)  # that it was asked for

    @property
    def is_resolver(self) -> bool:
        """Whether it is asked for names above all."""
        return bool(self.services) and self.services.most_common(1)[0][0] == DNS


def _roles(flows: Sequence[FlowTruth]) -> dict[int, _Role]:
    roles: dict[int, _Role] = defaultdict(_Role)
    for truth in flows:
        roles[int(ip_address(truth.initiator))].began += 1
        roles[int(ip_address(truth.target))].services[truth.protocol, truth.target_port] += 1
    return roles


class _Casting:
    def __init__(self, roles: Mapping[int, _Role], home: tuple[IPv4Network, ...], site: SiteHosts, rng: Random) -> None:
        self._roles, self._home, self._site, self._rng = roles, home, site, rng
        self._taken: set[int] = set()
        self._networks: dict[int, int] = {}  # of an attack, by the first 24 bits: the site's
        self._free, self._new = self._newcomers(), self._strangers()

    def addresses(self) -> dict[int, int]:
        inside = [address for address in self._roles if is_in(address, self._home)]
        asked = [address for address in inside if not self._roles[address].began]
        swept = set(asked) if len(asked) > SWEPT else set()
        found: dict[int, int] = {}
        for address, role in self._roles.items():
            if address >= _MULTICAST or address == _BROADCAST:
                continue
            if address not in swept:
                found[address] = self._taking(self._one(address, role))
        for address in sorted(swept):
            found[address] = self._taking(self._in_network(address))
        return found

    def _taking(self, address: int) -> int:
        self._taken.add(address)
        return address

    def _one(self, address: int, role: _Role) -> int:
        site = self._site
        if not is_in(address, self._home):
            known = address in site.seen or site.is_inside(address) or address in self._taken
            return next(self._new) if known else address
        if role.is_resolver and site.resolver is not None and site.resolver not in self._taken:
            return site.resolver
        if role.began:
            return self._drawn(site.clients, site.inside)
        service = role.services.most_common(1)[0][0]
        return self._drawn(site.services.get(service, ()), site.servers, site.inside)

    def _drawn(self, *choices: Sequence[int]) -> int:
        """A host of the first choice that has one left, else an address inside that nobody had."""
        for hosts in choices:
            left = [host for host in hosts if host not in self._taken]
            if left:
                return self._rng.choice(left)
        return next(self._free)

    def _in_network(self, address: int) -> int:
        """The same place in a network of the site, or the next one that is free."""
        network = self._networks.setdefault(address >> 8, self._network(len(self._networks)))
        place = network << 8 | address & 0xFF
        return place if place not in self._taken else next(self._free)

    def _network(self, number: int) -> int:
        """First 24 bits of a network of the site, those with most hosts first; beyond them what comes next to them."""
        counts = Counter(host >> 8 for host in self._site.inside)
        own = [network for network, _ in counts.most_common()]
        return own[number] if number < len(own) else own[-1] + 1 + number - len(own)

    def _newcomers(self) -> Iterator[int]:
        """Addresses of the site's networks that nobody has."""
        number = 0
        while True:
            network = self._network(number)
            for place in range(2, 254):
                address = network << 8 | place
                if address not in self._site.seen and address not in self._taken:
                    yield address
            number += 1

    def _strangers(self) -> Iterator[int]:
        """Addresses that nobody has, neither the site nor the attack."""
        for network in _NOBODYS:
            for number in range(int(network.network_address) + 1, int(network.broadcast_address)):
                if number not in self._site.seen and number not in self._taken and number not in self._roles:
                    yield number
        raise ValueError("found every address of the ranges for documentation in the site's traffic")
