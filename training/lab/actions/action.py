"""Definition of an action: what a user's or a machine's program does once, with real clients."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from training.lab.place import Place
from training.lab.traffic import Ports, Shout


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what the user does not do for a while after it."""

    command: list[str]
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Action:
    """Something that is done again and again."""

    name: str
    summary: str
    packages: tuple[str, ...]  # of Debian
    programs: tuple[str, ...]
    service: str | None  # that its target must have; its flows go to that service's ports
    steps: Callable[[Place, str, Random], list[Step]]  # at a host, to a host, as the stream draws
    longest_s: float = 60.0  # of each command, then it is ended
    other: tuple[Ports, ...] = ()  # that its flows go to, beside those of the service
    among: tuple[Ports, ...] = ()  # of all who do this and their targets, among each other
    shouts: tuple[Shout, ...] = ()  # to all of the segment
    ipv6: bool = False  # whether it works by IPv6 too
