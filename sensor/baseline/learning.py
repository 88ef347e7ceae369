"""A bundle fitted to a site: from the records of a learning period to a bundle with the site's own normal and budget.

The records are gone through several times: once judged by the bundle as it is, once by the site's forest, and once for
each threshold that is tried. An attack within the period is not learnt as normal: flows of what was told of are left
out, as are all of a host's while it attacked.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from flows.matching import KEY
from models.detector import FlowSteps, Vector
from models.fusion import Hybrid
from models.site import BUDGET, CALIBRATION, Habit, Learned, SiteProfile
from models.support import Group, counted_groups, has_groups
from sensor.alerts.alert_flow import AlertFlow
from sensor.alerts.spread import span_in_words
from sensor.baseline.budget import PARTS, UNUSUAL, Budget, Period, choose
from sensor.baseline.habits import habits_of
from sensor.baseline.judged import (
    DESTINATION,
    SAMPLE,
    SOURCE,
    Column,
    Empty,
    Hashes,
    Keeper,
    Kept,
    Mask,
    RecordPart,
    Records,
    different,
    drawn,
    hashes,
    parts,
    picked,
    pieces,
)
from sensor.baseline.lanes import (
    FEWEST_ROWS,
    FitForest,
    SiteForest,
    enough,
    fit_half_forest,
    fit_site_forest,
    rising,
    seen_by_detectors,
    site_hybrid,
)
from sensor.baseline.networks import inside_networks
from sensor.baseline.talk import Talk, TalkCounter
from sensor.episodes.candidates import Candidate, CandidateEpisodes
from sensor.episodes.habits import Subject
from sensor.episodes.learned_site import alerts_a_day
from sensor.episodes.settings import FLOWS_BETWEEN_FALSE_OPENINGS
from sensor.judging.judge import RowMaker, steps_of
from sensor.site.networks import DEFAULT_HOME, Networks

DAY_NS: Final = 86_400_000_000_000
STARTED_EACH: Final = 3  # parts of the period, after which a sensor is started anew to fit to
HOLE_NS: Final = 600_000_000_000  # a longer silence: nobody was listening
SHORTEST_NS: Final = 1_000_000_000  # of a period, from which on there are alerts a day
AROUND_NS: Final = 60_000_000_000  # of an attack, in which its host is not learnt from
Report = Callable[[str], None]


class TooLittleError(Exception):
    """A learning period that holds nothing to learn from: one line."""


class LearningSensor(Protocol):
    """The sensor's judging, by its settings."""

    def row_maker(self, hybrid: Hybrid) -> RowMaker | None:
        """What makes a bundle's rows, a new one for each time through."""

    def episodes(self, hybrid: Hybrid, threshold: float, levels: Mapping[str, float]) -> CandidateEpisodes:
        """Episodes of which no alert is made, at such thresholds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the operator asks for."""

    alerts_per_day: float
    seed: int = 1
    habits: bool = True  # whether what the site always does is learnt as its habit
    home: Networks = DEFAULT_HOME  # networks that are the site's


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """What was learnt."""

    hybrid: Hybrid  # with its site
    before: Sequence[Candidate]  # of the learning period, by the bundle as it was
    budget: Budget
    talk: Talk  # who talks to whom
    period: Period
    attacked: int  # flows that were left out and that no note of the site says are meant to be

    @property
    def site(self) -> SiteProfile:
        """What the bundle knows of the site now."""
        assert self.hybrid.site is not None  # noqa: S101  # it was just learnt
        return self.hybrid.site


@dataclass(frozen=True, slots=True, eq=False)
class ToldFlows:
    """The flows that alerts rest on, each as often as an alert told of it."""

    flow: Hashes  # (n,)
    alert: NDArray[np.int64]  # (n,) number of the alert
    numbers: Mapping[str, int]  # of alerts, by their ids

    def besides(self, ids: Collection[str]) -> Hashes:
        """Flows of all alerts but these, each once and in order."""
        left = np.array([self.numbers[name] for name in ids if name in self.numbers], dtype=np.int64)
        return np.unique(self.flow[~np.isin(self.alert, left)])


def learn(
    hybrid: Hybrid,
    records: Records,
    sensor: LearningSensor,
    asked: Asked,
    fit: FitForest,
    report: Report,
    empty: Empty = np.empty,
) -> Learning:
    """Fit a bundle to a site's traffic. empty: where numbers of each record are kept. Raises TooLittleError."""
    report("judging the site's traffic by the bundle as it is")
    kept, before, told, talk = _judged(hybrid, records, sensor, empty)
    period = _period(kept, empty)
    habits = habits_of(before, period) if asked.habits else []
    habit_subjects = {_subject(habit) for habit in habits}
    left_out = _left_out(kept, before, told, habit_subjects)
    normal = ~left_out
    length = span_in_words(round(period.days * DAY_NS))
    report(f"{int(kept.first.sum()):,} flows in {length}, {int(left_out.sum()):,} records left out")
    warming: list[str] = []
    shipped = shipped_cuts(hybrid)
    site, p_novel, judged = hybrid, kept.p_novel, kept.judged
    if enough(int(normal.sum())):
        sample = drawn(_with_starts(hybrid, records, sensor, period), normal, asked.seed)
        report(f"fitting the site's forest to {len(sample.rows):,} rows")
        odd = _odd(normal)
        forest = fit_site_forest(hybrid, sample.rows, odd[sample.number], fit, asked.seed)
        scores = empty((len(kept),), np.float64)
        groups = _scored(hybrid, forest, _with_starts(hybrid, records, sensor, period), odd, normal, scores)
        p_known = picked(normal, lambda own: np.where(kept.judged[own], kept.p_known[own], 1.0), empty)
        of_normal = picked(normal, lambda own: scores[own], empty)
        site = site_hybrid(replace(hybrid, thresholds=shipped), forest.whole, of_normal, p_known, sample.rows, groups)
        p_novel = scores
        for piece in pieces(len(kept)):
            p_novel[piece] = site.novel[0].calibration.p_value(scores[piece])
        judged = _judged_by(site, hybrid, kept, records)
    else:
        warming.append(CALIBRATION)
    report(f"choosing thresholds for {alerts_a_day(asked.alerts_per_day)}")

    def simulate(threshold: float, levels: Mapping[str, float]) -> list[Candidate]:
        return _simulated(records, kept, p_novel, judged, sensor.episodes(site, threshold, levels))

    budget = choose(simulate, period, asked.alerts_per_day, habit_subjects)
    if not budget.shown:
        warming.append(BUDGET)
    known = Learned(
        from_ns=period.from_ns,
        to_ns=period.to_ns,
        days=period.days,
        flows=int(kept.first.sum()),
        hosts=different(kept.source),
        left_out=int((left_out & kept.first).sum()),
        networks=inside_networks(talk.links, asked.home),
    )
    own = SiteProfile(
        alerts_per_day=asked.alerts_per_day,
        expected_alerts_per_day=budget.expected,
        flows_between_false_openings=budget.flows_between_false_openings,
        levels=budget.levels,
        warming=tuple(warming),
        learned=known,
        habits=tuple(_weighed(habit, budget.flows_between_false_openings) for habit in habits),
        shipped=shipped,
    )
    attacked = int((left_out & kept.first & ~_meant(kept, before)).sum())
    return Learning(replace(site, site=own), before, budget, talk, period, attacked)


def shipped_cuts(hybrid: Hybrid) -> Mapping[float, tuple[float, float]]:
    """Cuts of both lanes before any site, by nominal rate: what one baseline after the other makes would add up."""
    known = {} if hybrid.site is None else hybrid.site.shipped
    return rising({rate: known.get(rate, cuts) for rate, cuts in hybrid.thresholds.items()})


def _judged(
    hybrid: Hybrid, records: Records, sensor: LearningSensor, empty: Empty
) -> tuple[Kept, list[Candidate], ToldFlows, Talk]:
    """What the bundle says of every record, what would be told, and which flows that rests on.

    Raises TooLittleError.
    """
    keeper, episodes = Keeper(hybrid, empty), sensor.episodes(hybrid, FLOWS_BETWEEN_FALSE_OPENINGS, {})
    talk = TalkCounter(tuple(hybrid.contract.columns))
    told, alerts, numbers = Column(empty, np.uint64), Column(empty, np.int64), dict[str, int]()
    for part in parts(records, lambda: sensor.row_maker(hybrid)):
        judgement = keeper.take(part)
        items = episodes.observe(part.records, part.records.values, judgement)
        flows = [item for item in items if isinstance(item, AlertFlow)]
        if flows:
            told.add(hashes(np.array([flow.identity for flow in flows], dtype=np.int64), KEY))
            alerts.add(np.array([numbers.setdefault(flow.alert_id, len(numbers)) for flow in flows], dtype=np.int64))
        talk.count(part)
    if not keeper.records:
        raise TooLittleError("found no flow in it; expected traffic of the site")
    episodes.finish()
    kept = keeper.kept()
    if kept.time_ns.max() - kept.time_ns.min() <= 0 or not kept.first.any():
        raise TooLittleError("found flows of one moment alone; expected some minutes of the site's traffic")
    return kept, episodes.take(), ToldFlows(told.numbers(), alerts.numbers(), numbers), talk.told()


def _period(kept: Kept, empty: Empty) -> Period:
    """The time that the records cover, silences of up to HOLE_NS included. Raises TooLittleError."""
    times = empty((len(kept),), np.int64)
    for piece in pieces(len(kept)):
        times[piece] = kept.time_ns[piece]
    times.sort()
    holes = []
    for piece in pieces(len(times)):
        own = times[piece.start : piece.stop + 1]
        longer = np.flatnonzero(np.diff(own) > HOLE_NS)
        holes.append(np.column_stack((own[longer], own[longer + 1])))
    whole = Period(int(times[0]), int(times[-1]), 0.0, (), int(kept.first.sum()), np.concatenate(holes))
    if whole.heard_ns < SHORTEST_NS:
        raise TooLittleError(
            f"found {span_in_words(whole.heard_ns)} of traffic, silences of more than "
            f"{span_in_words(HOLE_NS)} left out; expected some minutes"
        )
    found = set[int]()
    for piece in pieces(len(times)):
        found.update(np.unique(whole.parts_at(times[piece])).tolist())
    return replace(whole, days=whole.heard_ns / DAY_NS, parts=tuple(sorted(found)))


def _subject(habit: Habit) -> Subject:
    return habit.kind, habit.source, habit.destination, habit.port, habit.protocol


def _weighed(habit: Habit, threshold: float) -> Habit:
    """The habit by the threshold of unusual traffic that is in force from now on: a level of it is a part of that."""
    if habit.kind != UNUSUAL:
        return habit
    return replace(habit, level=habit.level * math.log(FLOWS_BETWEEN_FALSE_OPENINGS) / math.log(threshold))


def _left_out(kept: Kept, before: Sequence[Candidate], told: ToldFlows, habits: set[Subject]) -> Mask:
    """Records that are not learnt from: those of what was told, habits aside, and all of a host while it attacked."""
    left_out = np.zeros(len(kept), dtype=np.bool_)
    flows = told.besides({one.id for one in before if one.opened and one.subject in habits})
    for piece in pieces(len(kept) if len(flows) else 0):
        own = kept.flow[piece]
        left_out[piece] = flows[np.minimum(np.searchsorted(flows, own), len(flows) - 1)] == own
    for one in before:
        if one.opened and one.attack:
            left_out |= _around(kept, one)
    return left_out


def _around(kept: Kept, one: Candidate) -> Mask:
    """Records of the host that a candidate is about, while it was there and a little around, (n,)."""
    words = np.array([one.identity], dtype=np.int64)
    side = hashes(words, DESTINATION if one.sided == "target" else SOURCE)[0]
    sides = kept.destination if one.sided == "target" else kept.source
    around: Mask = (kept.time_ns >= one.start_ns - AROUND_NS) & (kept.time_ns <= one.end_ns + AROUND_NS)
    its: Mask = sides == side
    return its & around


def _meant(kept: Kept, before: Sequence[Candidate]) -> Mask:
    """Records of hosts while they did what notes of the site say is meant to be, (n,)."""
    meant = np.zeros(len(kept), dtype=np.bool_)
    for one in before:
        if one.opened and one.muted:
            meant |= _around(kept, one)
    return meant


def _odd(normal: Mask) -> Mask:
    """Whether each record is of an odd one of PARTS stretches with as many normal records each, (n,).

    By records, not by time: a packet of last month would leave one half with nothing to fit on.
    """
    odd, before, all_normal = np.empty(len(normal), dtype=np.bool_), 0, max(int(normal.sum()), 1)
    for piece in pieces(len(normal)):
        until = before + np.cumsum(normal[piece])
        odd[piece] = np.minimum(until * PARTS // all_normal, PARTS - 1) % 2 == 1
        before = int(until[-1])
    return odd


def _with_starts(hybrid: Hybrid, records: Records, sensor: LearningSensor, period: Period) -> Iterator[RecordPart]:
    """The records with rows as of a sensor that was started a few times within the period.

    What is new to a sensor that has just been started is most of a site's traffic, and of a long period such a start
    would be a small part.
    """
    anew_ns = [period.begin_of(part) for part in range(STARTED_EACH, PARTS, STARTED_EACH)]
    return parts(records, lambda: sensor.row_maker(hybrid), anew_ns)


def _scored(
    hybrid: Hybrid, forest: SiteForest, through: Iterator[RecordPart], odd: Mask, normal: Mask, scores: Vector
) -> dict[Group, int] | None:
    """Have scores, (n,), be what the site's forest says of every record; normal flows of each support group."""
    groups: dict[Group, int] | None = {} if has_groups(hybrid.contract.columns) else None
    names = tuple(hybrid.contract.columns)
    for part in through:
        steps = steps_of(part.records, part.rows)
        seen = replace(steps, values=seen_by_detectors(hybrid, part.rows))
        scores[part.numbers] = forest.score(seen, odd[part.numbers])
        if groups is not None:
            for group, flows in counted_groups(part.rows[normal[part.numbers] & steps.advances], names).items():
                groups[group] = groups.get(group, 0) + flows
    return groups


def _judged_by(site: Hybrid, hybrid: Hybrid, kept: Kept, records: Records) -> Mask:
    """Which records the site's support judges, (n,)."""
    if site.support is None or site.support is hybrid.support:
        return kept.judged
    judged = np.empty(len(kept), dtype=np.bool_)
    for part in parts(records):  # groups are told by columns of the record itself
        judged[part.numbers] = site.support.judges(part.rows)
    return judged


def _simulated(
    records: Records, kept: Kept, p_novel: Vector, judged: Mask, episodes: CandidateEpisodes
) -> list[Candidate]:
    """What ended of the episodes over the learning period."""
    for part in parts(records):
        judgement = kept.judgement(part.numbers, kept.p_known, p_novel, judged)
        episodes.observe(part.records, part.records.values, judgement)
    episodes.finish()
    return episodes.take()


@dataclass(frozen=True, slots=True, eq=False)
class LearntRows:
    """A bundle fitted to a table of rows."""

    hybrid: Hybrid
    rows: int


def learn_rows(hybrid: Hybrid, steps: FlowSteps, asked: Asked, fit: FitForest) -> LearntRows:
    """Fit the lanes of a bundle to a table of normal rows, as NSL-KDD's, which tell of no packets: it has no budget.

    steps: (n) rows in the order of the bundle's contract. Raises TooLittleError.
    """
    n = len(steps)
    if not enough(n):
        raise TooLittleError(f"found {n:,} normal rows; expected {FEWEST_ROWS:,} or more")
    hybrid.forget()
    told = replace(hybrid, support=None).judge(steps)
    hybrid.forget()
    rng = np.random.default_rng([asked.seed, 18])
    odd = rng.permutation(n) % 2 == 1
    drawn = np.sort(rng.permutation(n)[:SAMPLE])
    forest = fit_half_forest(hybrid, steps.values[drawn[~odd[drawn]]], fit, asked.seed)
    scores = forest.score(replace(steps, values=seen_by_detectors(hybrid, steps.values)))[odd]
    groups = None
    if has_groups(hybrid.contract.columns):
        groups = counted_groups(steps.values, tuple(hybrid.contract.columns))
    known = told.p_known[odd]
    return LearntRows(site_hybrid(hybrid, forest, scores, known, steps.values[drawn], groups, exact=True), n)
