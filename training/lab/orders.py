"""Episodes of a scenario as their tools are told of them, and what flows they make."""

from pathlib import Path
from random import Random

from training.lab.attacks import ATTACKS
from training.lab.attacks.tool import Order, Reach
from training.lab.place import Place, Site
from training.lab.scenario import Attack, Scenario


def site_of(scenario: Scenario, shared: Path) -> Site:
    """What all hosts know of each other. shared: directory of what all may read."""
    return Site(
        domain=scenario.domain,
        addresses={name: str(host.address) for name, host in scenario.hosts.items()},
        addresses6={name: str(host.address6) for name, host in scenario.hosts.items() if host.address6 is not None},
        networks={name: scenario.segments[host.segment].network for name, host in scenario.hosts.items()},
        resolver=scenario.resolver,
        services={name: host.services for name, host in scenario.hosts.items()},
        shared=shared,
    )


def order_of(attack: Attack, scenario: Scenario) -> Order:
    """An episode as its tool is told of it: what the scenario leaves open is drawn, the same at its seed."""
    draw = Random(f"{scenario.seed} {attack.name}")
    seed = draw.getrandbits(31)
    at_s, for_s, rate = (draw.uniform(*span) for span in (attack.at_s, attack.for_s, attack.rate))
    by_ipv6 = draw.random() < scenario.ipv6_share and scenario.by_ipv6(attack)
    version = attack.ip or (6 if by_ipv6 else 4)
    return Order(attack.name, attack.targets, attack.through, at_s, for_s, attack.packets, rate, seed, version)


def orders_of(scenario: Scenario) -> dict[str, Order]:
    """All episodes, by their names."""
    return {attack.name: order_of(attack, scenario) for attack in scenario.attacks}


def reaches_of(scenario: Scenario) -> dict[str, list[Reach]]:
    """Flows that each episode may make, by its name."""
    site, found = site_of(scenario, Path()), {}
    orders = orders_of(scenario)
    for attack in scenario.attacks:
        order = orders[attack.name]
        place = Place(attack.source, site.by(order.ip), Path())
        found[attack.name] = ATTACKS[attack.tool].reaches(place, order)
    return found
