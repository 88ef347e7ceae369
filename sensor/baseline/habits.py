"""What a site always does: claims that hold through its learning period, and who talks to whom, how regularly.

A habit is a claim that is no attack and was there in most parts of a period that is long enough to have parts. What is
said of it afterwards, sensor.episodes.habits knows.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from models.site import MOST_HABITS, Habit
from sensor.baseline.budget import PARTS, Period
from sensor.episodes.candidates import Candidate
from sensor.episodes.habits import Subject

SHORTEST_DAYS: Final = 0.25  # of a period in which something may be called a habit
MOST_PARTS: Final = 2 / 3  # of the parts with traffic, in which it must be


def habits_of(candidates: Sequence[Candidate], period: Period) -> list[Habit]:
    """Habits of a learning period, by those that reached their shape and no note speaks of; the most regular first."""
    if period.days < SHORTEST_DAYS:
        return []
    told: dict[Subject, list[Candidate]] = {}
    for one in candidates:
        if one.opened and not one.muted:
            told.setdefault(one.subject, []).append(one)
    found = []
    for (kind, source, destination, port, protocol), own in told.items():
        share = len(_parts_of(own, period)) / max(len(period.parts), 1)
        if share >= MOST_PARTS and not any(one.attack for one in own):
            level = max(one.level for one in own)
            found.append(Habit(kind, source, destination, port, protocol, level, share))
    found.sort(key=lambda habit: (-habit.share, str(habit)))
    return found[:MOST_HABITS]


def _parts_of(own: Iterable[Candidate], period: Period) -> set[int]:
    covered: set[int] = set()
    for one in own:
        covered.update(range(period.part(one.start_ns), min(period.part(one.end_ns) + 1, PARTS)))
    return covered.intersection(period.parts)
