"""What a scenario needs of the system: programs, with the Debian packages that they come in."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from training.lab.actions import ACTIONS
from training.lab.attacks import ATTACKS
from training.lab.scenario import Scenario
from training.lab.services import SERVICES

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games"
_ALWAYS: Final = (
    (("iproute2",), ("ip",)),
    (("util-linux",), ("unshare",)),
    (("hostname",), ("hostname",)),
    (("openssl",), ("openssl",)),
    (("openssh-client",), ("ssh-keygen",)),
)


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a scenario uses and that is not installed."""

    what: str  # such as "attack nmap-syn"
    programs: tuple[str, ...]  # that are missing
    packages: tuple[str, ...]  # of Debian


def missing_programs(scenario: Scenario) -> list[Missing]:
    """What is not installed, each once, in the order of the scenario."""
    found = []
    for what, packages, programs in dict.fromkeys(_needs(scenario)):
        lacking = tuple(program for program in programs if shutil.which(program, path=PATH) is None)
        if lacking:
            found.append(Missing(what, lacking, packages))
    return found


def packages_of(missing: list[Missing]) -> list[str]:
    """The Debian packages that would bring it, sorted."""
    return sorted({package for each in missing for package in each.packages})


def packages_used(scenario: Scenario) -> list[str]:
    """The Debian packages that a scenario uses, sorted."""
    return sorted({package for _, packages, _ in _needs(scenario) for package in packages})


def _needs(scenario: Scenario) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    for packages, programs in _ALWAYS:
        yield "the lab", packages, programs
    if any(segment.masquerades for segment in scenario.segments.values()):
        yield "address translation", ("nftables",), ("nft",)
    for host in scenario.hosts.values():
        for service in map(SERVICES.__getitem__, host.services):
            yield f"service {service.name}", service.packages, service.programs
    for habit in scenario.habits.values():
        for action in map(ACTIONS.__getitem__, habit.actions):
            yield f"action {action.name}", action.packages, action.programs
    for attack in scenario.attacks:
        tool = ATTACKS[attack.tool]
        yield f"attack {tool.name}", tool.packages, tool.programs
