"""A site's budget of alerts: levels of claims, and how rare unusual traffic must be, for so many alerts a day.

Claims that are attacks by the known lane or beyond doubt are always told. What is left of the budget goes to unusual
traffic and to claims that only their shape speaks for, both of whose thresholds are looked for in both directions:
where the site's own traffic would give too many, more is asked for; who asks for twenty alerts a day gets to see more
of what is rare, and of what comes near a shape, than who asks for one.

No host counts more than the next one does, so that an attacker within the learning period does not raise the thresholds
by much. Where the period is too short to show a rate, the threshold is extrapolated, and never below that of the
e-detector's promise, by which a host reaches a threshold T by chance once in T flows at most (Shin, Ramdas, Rinaldo
2022; it assumes p-values that are independent and calibrated).
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.site import MOST_ALERTS
from sensor.episodes.candidates import Candidate
from sensor.episodes.habits import Subject
from sensor.episodes.settings import FLOWS_BETWEEN_FALSE_OPENINGS
from sensor.episodes.shapes import KIND_NAMES, KINDS, SHAPES

UNUSUAL: Final = KIND_NAMES[KINDS]
PARTS: Final = 12  # of a learning period
GRID: Final[tuple[float, ...]] = tuple(10.0**power for power in (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0))
OFF: Final = 1e11  # a threshold that no evidence reaches (sensor.episodes.evidence.EVIDENCE_LIMIT)
SHOWN: Final = 3.0  # alerts in a learning period from which on their rate is one
SLOPES: Final = (0.2, 1.0)  # of the logarithms of alerts by threshold, as far as they can be
LEAST_LEVEL: Final = 0.35  # of claims: less is a coincidence
HIGHER_LEVELS: Final = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0)  # than of the shapes, that may be asked for
KEPT_BACK: Final = 0.25  # of the budget, at least, for unusual traffic

# What would be told of the learning period at a threshold of unusual traffic, and levels of kinds.
Simulate = Callable[[float, Mapping[str, float]], Sequence[Candidate]]


@dataclass(frozen=True, slots=True, eq=False)
class Period:
    """The time that a site was learnt in, in PARTS parts of as much traffic time each: its holes are part of none."""

    from_ns: int
    to_ns: int
    days: float  # that it covers
    parts: tuple[int, ...]  # numbers of those of its PARTS equal parts in which there was traffic
    flows: int
    # (k, 2) begin and end of each silence in which nobody was listening, ascending
    holes: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    _silent_ns: NDArray[np.int64] = field(init=False)  # (k + 1,) of the first holes together

    def __post_init__(self) -> None:
        silent = np.cumsum(self.holes[:, 1] - self.holes[:, 0])
        object.__setattr__(self, "_silent_ns", np.concatenate((np.zeros(1, dtype=np.int64), silent)))

    @property
    def heard_ns(self) -> int:
        """How long it is, its holes left out."""
        return self.to_ns - self.from_ns - int(self._silent_ns[-1])

    def parts_at(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of the parts that moments of it are in, (n,)."""
        before = np.searchsorted(self.holes[:, 0], times)  # holes that began before each
        left = np.zeros(len(times), dtype=np.int64)  # of the last of them
        inside = before > 0
        left[inside] = np.maximum(self.holes[before[inside] - 1, 1] - times[inside], 0)
        heard = times - self.from_ns - self._silent_ns[before] + left
        parts: NDArray[np.int64] = np.clip(heard // (self.heard_ns // PARTS + 1), 0, PARTS - 1)
        return parts

    def part(self, time_ns: int) -> int:
        """The number of the part that a moment is in."""
        return int(self.parts_at(np.array([time_ns], dtype=np.int64))[0])

    def begin_of(self, part: int) -> int:
        """The moment at which a part begins."""
        heard = part * (self.heard_ns // PARTS + 1)
        begins = self.holes[:, 0] - self.from_ns - self._silent_ns[:-1]
        return self.from_ns + heard + int(self._silent_ns[np.searchsorted(begins, heard)])

    def a_day(self, opened: Sequence[Candidate]) -> float:
        """How many of such alerts there are a day."""
        return self._levelled(opened) / self.days

    def at_least(self, claims: Sequence[Candidate], level: float) -> float:
        """How many claims there surely are a day from a level on: the low end of their 95 % interval."""
        low, _ = poisson_interval(self._levelled([one for one in claims if one.level >= level]))
        return low / self.days

    def interval(self, opened: Sequence[Candidate]) -> tuple[float, float, float]:
        """Alerts a day: 95 % interval of their mean, and it between. Counts of a part may vary more than by chance."""
        counted = Counter(self.part(one.start_ns) for one in opened)
        counts = [counted[part] for part in self.parts]
        mean = sum(counts) / max(len(counts), 1)
        spread = max(1.0, float(np.var(counts, ddof=1)) / mean) if len(counts) > 1 and mean else 1.0
        low, _ = poisson_interval(self._levelled(opened) / spread)
        _, high = poisson_interval(len(opened) / spread)
        a_day = (number / self.days for number in (low * spread, self._levelled(opened), high * spread))
        low, mean, high = (min(number, MOST_ALERTS) for number in a_day)
        return low, mean, high

    def _levelled(self, opened: Sequence[Candidate]) -> int:
        """How many they are where none of their hosts counts more than the next one does."""
        counts = sorted(Counter(host_of(one) for one in opened).values())
        if not counts:
            return 0
        next_one = counts[-2] if len(counts) > 1 else 1
        return sum(counts[:-1]) + min(counts[-1], next_one)


@dataclass(frozen=True, slots=True)
class Budget:
    """What was chosen, and what it gives in the learning period."""

    flows_between_false_openings: float
    levels: Mapping[str, float]  # of kinds of which another one than their shape is asked for
    expected: tuple[float, float, float]  # alerts a day: low, mean, high
    shown: bool  # whether the period is long enough to show the rate that was asked for
    candidates: Sequence[Candidate]  # of the learning period, with these


def poisson_interval(count: float) -> tuple[float, float]:
    """95 % interval of a mean by a count of it. Garwood 1936, by Wilson and Hilferty's cube root of chi-square."""
    low = 0.0
    if count > 0:
        low = count * max(0.0, 1 - 1 / (9 * count) - 1.96 / (3 * math.sqrt(count))) ** 3
    more = count + 1
    return low, more * (1 - 1 / (9 * more) + 1.96 / (3 * math.sqrt(more))) ** 3


def choose(simulate: Simulate, period: Period, alerts_per_day: float, habits: Collection[Subject] = ()) -> Budget:
    """Levels and threshold for so many alerts a day.

    habits: claims that are habits of the site, which are not counted; nor is what its notes mute.
    """
    runs: dict[float, Sequence[Candidate]] = {}

    def fresh(candidates: Iterable[Candidate]) -> list[Candidate]:
        return [one for one in candidates if one.subject not in habits and not one.muted]

    def simulated(threshold: float) -> list[Candidate]:
        if threshold not in runs:
            runs[threshold] = simulate(threshold, {})
        return fresh(runs[threshold])

    def unusual_a_day(threshold: float) -> float:
        return period.a_day([one for one in simulated(threshold) if one.opened and one.kind == UNUSUAL])

    shapes = simulated(FLOWS_BETWEEN_FALSE_OPENINGS)
    sure = [one for one in shapes if one.opened and one.attack]
    claims = [one for one in shapes if not one.attack and one.kind != UNUSUAL]
    left = max(alerts_per_day - period.a_day(sure), KEPT_BACK * alerts_per_day)
    shown = round(left * period.days, 1) >= SHOWN
    told = period.a_day([one for one in claims if one.level >= 1])
    threshold = _threshold(unusual_a_day, max(left - told, KEPT_BACK * left), period)
    left = max(left - unusual_a_day(threshold), (1 - KEPT_BACK) * left)
    levels = _levels(claims, period, left, louder=shown)
    candidates = simulate(threshold, levels) if levels else runs[threshold]
    opened = [one for one in fresh(candidates) if one.opened]
    return Budget(threshold, levels, period.interval(opened), shown, candidates)


def _levels(claims: Sequence[Candidate], period: Period, most_a_day: float, *, louder: bool) -> dict[str, float]:
    """The level from which on claims of each kind are told so that no more than so many are; none for 1.

    What a single host does most of does not count: that is an attacker or an asset with a name, and its kind would be
    lost for all others. louder: whether the period shows enough to ask for less than the shapes, of kinds that came
    near theirs.
    """
    by_kind: dict[str, list[Candidate]] = {}
    for one in claims:
        by_kind.setdefault(one.kind, []).append(one)

    def a_day(counted: Sequence[Candidate], level: float) -> float:
        return period.a_day([one for one in counted if one.level >= level])

    if louder and a_day(claims, 1.0) < most_a_day:
        nearer = sorted({one.level for one in claims if LEAST_LEVEL <= one.level < 1})
        level = next((level for level in nearer if a_day(claims, level) <= most_a_day), 1.0)
        near = {one.kind for one in claims if one.level >= LEAST_LEVEL}
        return {kind: level for kind in sorted(near) if level < 1}
    return _raised({kind: _of_many(own) for kind, own in sorted(by_kind.items())}, period, most_a_day)


def _raised(by_kind: Mapping[str, Sequence[Candidate]], period: Period, most_a_day: float) -> dict[str, float]:
    """Levels above 1 at which there are surely no more than so many, or as high as they may be.

    More is asked for of the kind that there is most of, as long as there is too much: what a stranger does often, such
    as to scan from many addresses, makes no other claim harder to reach.
    """
    levels = dict.fromkeys(by_kind, 1.0)

    def told(kind: str) -> list[Candidate]:
        return [one for one in by_kind[kind] if one.level >= levels[kind]]

    while period.at_least([one for kind in levels for one in told(kind)], 0.0) > most_a_day:
        higher = {kind: [level for level in HIGHER_LEVELS if levels[kind] < level <= _most(kind)] for kind in levels}
        quieter = [kind for kind in levels if higher[kind] and told(kind)]
        loudest = max(quieter, key=lambda kind: len(told(kind)), default=None)
        if loudest is None:
            break
        levels[loudest] = higher[loudest][0]
    return {kind: level for kind, level in levels.items() if level > 1}


def _of_many(claims: Sequence[Candidate]) -> list[Candidate]:
    """Those that are not of the subject that has most of them."""
    counts = Counter(host_of(one) for one in claims)
    most = max(counts, key=lambda own: (counts[own], own))
    return [one for one in claims if host_of(one) != most]


def host_of(one: Candidate) -> str:
    """Whom a candidate is about: its target, else its source."""
    return one.destination if one.sided == "target" else one.source


def _most(kind: str) -> float:
    """The highest level that may be asked for of a kind: beyond doubt is told always."""
    certain = SHAPES[KIND_NAMES.index(kind)].certain
    return HIGHER_LEVELS[-1] if certain is None else certain


def _threshold(rate: Callable[[float], float], wanted: float, period: Period) -> float:
    """Threshold at which unusual traffic gives so many alerts a day."""
    least = SHOWN / period.days  # a rate that the period can show
    promised = min(max(FLOWS_BETWEEN_FALSE_OPENINGS, period.flows / period.days / wanted), OFF)
    goal = max(wanted, least)
    below, above = _bracket(rate, goal)
    found = below
    if below != above:
        low, high = (max(rate(threshold), least / SHOWN / 10) for threshold in (below, above))
        share = float(math.log(low) - math.log(goal)) / max(math.log(low) - math.log(high), 1e-9)
        found = float(below * (above / below) ** min(max(share, 0.0), 1.0))
    if wanted >= least or found == OFF:
        return found
    promised = max(promised, next((threshold for threshold in GRID if rate(threshold) <= wanted), OFF))
    if rate(GRID[0]) < least:  # nothing to extrapolate from
        return promised
    slope = _slope(rate, below)
    further: float = found * (least / wanted) ** (1 / slope)
    return max(promised, min(further, GRID[-1]))


def _bracket(rate: Callable[[float], float], goal: float) -> tuple[float, float]:
    """Neighbours of the grid between which the rate falls to the goal; the same twice at either end."""
    low, high = 0, len(GRID) - 1
    if rate(GRID[low]) <= goal:
        return GRID[low], GRID[low]
    if rate(GRID[high]) > 1.5 * goal:
        return OFF, OFF
    if rate(GRID[high]) >= goal:
        return GRID[high], GRID[high]
    while high - low > 1:
        middle = (low + high) // 2
        if rate(GRID[middle]) > goal:
            low = middle
        else:
            high = middle
    return GRID[low], GRID[high]


def _slope(rate: Callable[[float], float], threshold: float) -> float:
    """How the logarithm of the rate falls with that of the threshold, below this one."""
    place = max(GRID.index(threshold), 1)
    high, low = rate(GRID[place - 1]), rate(GRID[place])
    if low <= 0 or high <= low:
        return SLOPES[1]
    fall = math.log(high / low) / math.log(GRID[place] / GRID[place - 1])
    return min(max(fall, SLOPES[0]), SLOPES[1])
