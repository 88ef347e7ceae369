"""Habits: what a site always did while it was learnt, by whom a claim is about.

A habit is told as any claim, whenever it begins, at a low severity and as what was there before: a controller's beat
that was there all the time looks the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from flows.batch import DST_PORT, PROTOCOL, WITH_PORTS
from models.site import SiteProfile
from sensor.alerts.endpoints import sides_of
from sensor.episodes.episode import Episode
from sensor.episodes.shapes import KIND_NAMES, KINDS, SHAPES

# Kind by its name, source and destination as far as a claim is about them, port of the service, 0 of several or none,
# and protocol.
Subject = tuple[str, str | None, str | None, int, int]
Habits = Mapping[Subject, tuple[float, float]]  # the level that each reached, and its share of the learning period

BEYOND: Final = 2.0  # times that level, from which on a claim is more than the habit
HABIT_SEVERITY: Final = 20  # at most, of what was there before


def sided_of(kind: int) -> str:
    """Whom a kind is about: "source", "target" or "pair"."""
    return "source" if kind == KINDS else SHAPES[kind].sided


def subject_of(kind: int, identity: Sequence[int], *, one_port: bool) -> Subject:
    """What makes two claims the same.

    identity: words of FlowBatch.identity of a flow of theirs. one_port: whether all have the same destination port.
    """
    source, destination = sides_of(identity)
    sided, protocol = sided_of(kind), identity[PROTOCOL]
    return (
        KIND_NAMES[kind],
        source if sided != "target" else None,
        destination if sided != "source" else None,
        identity[DST_PORT] if one_port and protocol in WITH_PORTS else 0,
        protocol,
    )


def habit_of(episode: Episode, habits: Habits) -> float | None:
    """Share of the learning period in which a claim was there, None for what is no habit, or more than it."""
    if episode.attack or episode.alerts or episode.exemplar is None or not habits:
        return None
    subject = subject_of(episode.kind, episode.exemplar.flow.identity, one_port=episode.one_port)
    found = habits.get(subject)
    return found[1] if found is not None and episode.level <= BEYOND * found[0] else None


def habits_of_site(site: SiteProfile | None) -> Habits:
    """The habits that a bundle knows of its site."""
    if site is None:
        return {}
    return {
        (habit.kind, habit.source, habit.destination, habit.port, habit.protocol): (habit.level, habit.share)
        for habit in site.habits
    }
