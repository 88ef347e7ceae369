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
        networks={name: scenario.segments[host.segment].network for name, host in scenario.hosts.items()},
        resolver=scenario.resolver,
        services={name: host.services for name, host in scenario.hosts.items()},
        shared=shared,
    )


def order_of(attack: Attack, seed: int) -> Order:
    """An episode as its tool is told of it."""
    drawn = Random(f"{seed} {attack.name}").getrandbits(31)
    return Order(attack.name, attack.targets, attack.through, attack.for_s, attack.packets, attack.rate, drawn)


def reaches_of(scenario: Scenario) -> dict[str, list[Reach]]:
    """Flows that each episode may make, by its name."""
    site = site_of(scenario, Path())
    return {
        attack.name: ATTACKS[attack.tool].reaches(Place(attack.source, site, Path()), order_of(attack, scenario.seed))
        for attack in scenario.attacks
    }
