"""Definition of an attack: a tool of Debian or of the lab's own, what it is told, and which flows are its."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from training.lab.place import Place
from training.lab.traffic import Ports

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One episode, as a tool is told of it; names are those of hosts."""

    name: str
    targets: tuple[str, ...]
    through: str | None
    at_s: float
    for_s: float
    packets: int  # at most, where the tool counts them
    rate: float  # packets, tries or bytes a second, as the tool says
    seed: int
    ip: int = 4  # version of IP


@dataclass(frozen=True, slots=True)
class Reach:
    """Flows that an attack makes: from whom to whom, and to which ports."""

    sources: Networks | None  # None: addresses that no host of the site has
    targets: Networks
    ports: tuple[Ports, ...]
    own_ports: bool = False  # only those from ports that the tool's own sockets have


@dataclass(frozen=True, slots=True)
class Tool:
    """A kind of attack."""

    name: str
    summary: str
    technique: str  # MITRE ATT&CK technique id
    packages: tuple[str, ...]  # of Debian; none where it is the lab's own
    programs: tuple[str, ...]
    commands: Callable[[Place, Order], list[list[str]]]  # one after the other, at the host that it comes from
    reaches: Callable[[Place, Order], list[Reach]]
    service: str | None = None  # that every target must have
    through_service: str | None = None  # that the host must have that it goes through; None: through nobody
    arp: bool = False  # whether it sends ARP of its own, and perhaps nothing else
    ipv6: bool = False  # whether it works by IPv6 too

    def refuse(self, through: str | None, services: dict[str, tuple[str, ...]], targets: tuple[str, ...]) -> None:
        """Raise ValueError where a host lacks what the attack is about. services: of each host."""
        for target in targets:
            if self.service is not None and self.service not in services[target]:
                raise ValueError(f"tool {self.name} needs the service {self.service}, host {target} has none")
        if (through is None) != (self.through_service is None):
            expected = "nothing" if self.through_service is None else f"a host with {self.through_service}"
            raise ValueError(f"tool {self.name} goes through {through or 'nothing'}, expected {expected}")
        if through is not None and self.through_service not in services[through]:
            raise ValueError(f"tool {self.name} needs the service {self.through_service}, host {through} has none")


def only(place: Place, *hosts: str) -> Networks:
    """The addresses of these hosts."""
    return tuple(ip_network(place.site.addresses[host]) for host in hosts)


def straight(*ports: Ports) -> Callable[[Place, Order], list[Reach]]:
    """Flows from the attacker to the targets, to these ports."""

    def reaches(place: Place, order: Order) -> list[Reach]:
        return [Reach(only(place, place.host), only(place, *order.targets), ports)]

    return reaches


def addresses(place: Place, order: Order) -> list[str]:
    """The targets' addresses."""
    return [place.site.addresses[target] for target in order.targets]


def in_urls(place: Place, order: Order) -> list[str]:
    """The targets' addresses as addresses of the web have them."""
    return [place.site.in_url(target) for target in order.targets]
