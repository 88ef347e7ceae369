"""When users do what: the same at a seed, whichever other users there are. It reads no clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from random import Random
from typing import Final

from training.lab.actions import ACTIONS
from training.lab.scenario import Habit, Scenario

SPREAD: Final = 0.9  # of the logarithm of a person's pauses
MOST_ACTIONS: Final = 20_000  # of one user


@dataclass(frozen=True, slots=True)
class Planned:
    """One action of a user, and how long the user rests before it."""

    at_s: float  # were actions to take no time
    pause_s: float
    action: str
    target: str  # host
    seed: int  # of what the action draws
    ip: int = 4  # version of IP that it goes by


@dataclass(frozen=True, slots=True)
class User:
    """One habit of one host, and all that it will do."""

    host: str
    habit: str
    actions: tuple[Planned, ...]


def users_of(scenario: Scenario) -> list[User]:
    """All users of a scenario with their actions, in the order of the hosts."""
    return [
        User(name, habit, tuple(_actions(scenario.habits[habit], scenario, name, habit)))
        for name, host in scenario.hosts.items()
        for habit in host.habits
    ]


def _actions(habit: Habit, scenario: Scenario, host: str, name: str) -> Iterator[Planned]:
    draw = Random(f"{scenario.seed} {host} {name}")
    names = list(habit.actions)
    weights = [habit.weights.get(action, 1.0) for action in names]
    # Each place has its own favourites: most of what a user does goes to a few hosts.
    favourites = {action: draw.sample(habit.actions[action], len(habit.actions[action])) for action in names}
    at_s, pause_s = 0.0, draw.uniform(0, habit.pace_s)
    for _ in range(MOST_ACTIONS):
        at_s += pause_s
        if at_s >= scenario.duration_s:
            return
        action = draw.choices(names, weights)[0]
        liked = [host_ for host_ in favourites[action] if host_ != host] or favourites[action]
        target = liked[min(int(draw.expovariate(1.0)), len(liked) - 1)]
        seed = draw.getrandbits(31)
        yield Planned(at_s, pause_s, action, target, seed, _version(scenario, host, action, target, seed))
        pause_s = _pause_s(habit, draw)


def _version(scenario: Scenario, host: str, action: str, target: str, seed: int) -> int:
    """The version of IP that an action goes by. It takes nothing from the user's own stream."""
    both = all(scenario.hosts[name].address6 is not None for name in (host, target))
    possible = both and ACTIONS[action].ipv6
    return 6 if possible and Random(f"version {seed}").random() < scenario.ipv6_share else 4


def _pause_s(habit: Habit, draw: Random) -> float:
    if habit.regular:
        return habit.pace_s * draw.uniform(0.99, 1.01)
    return draw.lognormvariate(log(habit.pace_s) - SPREAD**2 / 2, SPREAD)
