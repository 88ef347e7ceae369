"""Which flows belong to whom: what every user and every episode of a scenario may have on the network, and when.

It reads no packet and no clock.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, ip_address, ip_network
from itertools import combinations
from typing import Final

from flows.truth import BENIGN
from training.lab.actions import ACTIONS
from training.lab.attacks.tool import Networks, Order, Reach
from training.lab.scenario import Scenario
from training.lab.services import SERVICES
from training.lab.traffic import ICMPV6, Ports

GRACE_S: Final = 5.0
GRACE_NS: Final = int(GRACE_S * 1e9)  # after its process has ended, the last answers of an attack come in


@dataclass(frozen=True, slots=True)
class Claim:
    """Flows that belong to a user or to an episode."""

    name: str
    technique: str
    reach: Reach
    start_ns: int = 0
    end_ns: int = 1 << 62
    own_ports: frozenset[int] = frozenset()  # of the initiator, where the reach is about those alone


@dataclass(frozen=True, slots=True)
class Ends:
    """Initiator and target of a flow."""

    protocol: int
    initiator: int  # address
    initiator_port: int
    target: int
    target_port: int

    def turned(self) -> "Ends":
        """The same flow, begun by the other side."""
        return Ends(self.protocol, self.target, self.target_port, self.initiator, self.initiator_port)

    def text(self, address: int) -> str:
        """One of its addresses as people write it. IPv4's are the numbers of 32 bits, save with ICMPv6."""
        return str(IPv6Address(address) if self.protocol == ICMPV6 else ip_address(address))


@dataclass(slots=True)
class Claims:
    """All claims of a run; attacks go before users."""

    claims: Sequence[Claim]
    hosts: frozenset[int]  # addresses that hosts of the site or the router have
    _sources: list[list[tuple[int, int]] | None] = field(init=False)
    _targets: list[list[tuple[int, int]]] = field(init=False)

    def __post_init__(self) -> None:
        self._sources = [None if c.reach.sources is None else _spans(c.reach.sources) for c in self.claims]
        self._targets = [_spans(claim.reach.targets) for claim in self.claims]

    def of(self, ends: Ends, now_ns: int) -> Claim | None:
        """Whose flow this is, None where nobody's."""
        for number, claim in enumerate(self.claims):
            if not claim.start_ns <= now_ns <= claim.end_ns + GRACE_NS:
                continue
            if not any(ports.has(ends.protocol, ends.target_port) for ports in claim.reach.ports):
                continue
            if claim.reach.own_ports and ends.initiator_port not in claim.own_ports:
                continue
            sources = self._sources[number]
            known = ends.initiator not in self.hosts if sources is None else _within(ends.initiator, sources)
            if known and _within(ends.target, self._targets[number]):
                return claim
        return None


def _spans(networks: Networks) -> list[tuple[int, int]]:
    return [(int(network.network_address), int(network.broadcast_address)) for network in networks]


def _within(address: int, spans: list[tuple[int, int]]) -> bool:
    return any(low <= address <= high for low, high in spans)


def host_addresses(scenario: Scenario) -> frozenset[int]:
    """All addresses that hosts and the router have."""
    hosts = [address for host in scenario.hosts.values() for address in (host.address, host.address6)]
    gateways = [address for each in scenario.segments.values() for address in (each.gateway, each.gateway6)]
    return frozenset(int(address) for address in (*hosts, *gateways) if address is not None)


def benign_claims(scenario: Scenario) -> list[Claim]:
    """What users, and the programs that serve them, may do at any time."""
    found = [
        Claim(f"{host}/{name}/{action}", BENIGN, Reach(_one(scenario, host), _some(scenario, targets), ports))
        for host, name, action, targets, ports in uses(scenario)
    ]
    everyone = _some(scenario, tuple(scenario.hosts))
    found += [*_among(scenario), *_shouts(scenario)]
    found.append(Claim("lookups", BENIGN, Reach(everyone, _one(scenario, scenario.resolver), SERVICES["dns"].ports)))
    for host, parts in scenario.hosts.items():
        for service in parts.services:
            for asked in SERVICES[service].asks:
                owners = tuple(
                    name for name, other in scenario.hosts.items() if asked in other.services and name != host
                )
                if owners:
                    reach = Reach(_one(scenario, host), _some(scenario, owners), SERVICES[asked].ports)
                    found.append(Claim(f"{host}/{service}/{asked}", BENIGN, reach))
    return found


def uses(scenario: Scenario) -> Iterator[tuple[str, str, str, tuple[str, ...], tuple[Ports, ...]]]:
    """Host, habit, action, targets and ports of everything that users do."""
    for host, parts in scenario.hosts.items():
        for name in parts.habits:
            for action, targets in scenario.habits[name].actions.items():
                service = ACTIONS[action].service
                yield (
                    host,
                    name,
                    action,
                    targets,
                    (*ACTIONS[action].other, *(SERVICES[service].ports if service else ())),
                )


def _shouts(scenario: Scenario) -> Iterator[Claim]:
    """What hosts tell or ask all of their segment, and what servers that do so tell each other."""
    for host, parts in scenario.hosts.items():
        actions = {action for habit in parts.habits for action in scenario.habits[habit].actions}
        network = scenario.segments[parts.segment].network
        shouts = {service: SERVICES[service].shouts for service in parts.services}
        shouts |= {action: ACTIONS[action].shouts for action in sorted(actions)}
        for name, shout in ((name, shout) for name, some in shouts.items() for shout in some):
            to = IPv4Network(shout.address or network.broadcast_address)
            yield Claim(f"{host}/{name}", BENIGN, Reach(_one(scenario, host), (to,), (shout.ports,)))
    for name in (name for name, service in SERVICES.items() if service.shouts):
        peers = _some(scenario, [host for host, parts in scenario.hosts.items() if name in parts.services])
        yield Claim(f"peers/{name}", BENIGN, Reach(peers, peers, SERVICES[name].ports))


def _among(scenario: Scenario) -> Iterator[Claim]:
    """Flows of peers: those who do the same, and whom they do it with."""
    peers: dict[str, set[str]] = {}
    for host, _, action, targets, _ in uses(scenario):
        if ACTIONS[action].among:
            peers.setdefault(action, set()).update((host, *targets))
    for action, hosts in peers.items():
        some = _some(scenario, sorted(hosts))
        yield Claim(f"peers/{action}", BENIGN, Reach(some, some, ACTIONS[action].among))


def _one(scenario: Scenario, host: str) -> Networks:
    parts = scenario.hosts[host]
    return tuple(ip_network(address) for address in (parts.address, parts.address6) if address is not None)


def _some(scenario: Scenario, hosts: Sequence[str]) -> Networks:
    return tuple(network for host in hosts for network in _one(scenario, host))


def ambiguities(
    scenario: Scenario, orders: Mapping[str, Order], reaches: Mapping[str, Sequence[Reach]]
) -> Iterator[str]:
    """Where flows of an attack could not be told from those of a user or of another attack at that time, a line each.

    orders and reaches: of the attacks, by name, as the scenario's seed draws them.
    """
    for attack in scenario.attacks:
        for host, name, action, targets, ports in uses(scenario):
            used = Reach(_one(scenario, host), _some(scenario, targets), ports)
            if any(_meet(reach, used) for reach in reaches[attack.name]):
                both = f"attack {attack.name} and {action} of habit {name} of host {host}"
                yield f"{both} cannot be told apart, expected another host or target"
    for one, other in combinations([orders[attack.name] for attack in scenario.attacks], 2):
        together = one.at_s <= other.at_s + other.for_s + GRACE_S and other.at_s <= one.at_s + one.for_s + GRACE_S
        if together and any(_meet(mine, its) for mine in reaches[one.name] for its in reaches[other.name]):
            yield f"attacks {one.name} and {other.name} cannot be told apart, expected one after the other"


def _meet(one: Reach, other: Reach) -> bool:
    """Whether a flow could belong to both."""
    if one.own_ports or other.own_ports:
        return False
    ports = any(
        mine.protocol == its.protocol and mine.low <= its.high and its.low <= mine.high
        for mine in one.ports
        for its in other.ports
    )
    if not ports or not _overlap(one.targets, other.targets):
        return False
    if one.sources is None or other.sources is None:
        return one.sources is other.sources
    return _overlap(one.sources, other.sources)


def _overlap(one: Networks, other: Networks) -> bool:
    return any(mine.version == its.version and mine.overlaps(its) for mine in one for its in other)
