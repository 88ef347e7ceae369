"""The comparison of a challenger with the champion, and why it may not take its place.

Recall: of each class of attack, the share of episodes that the challenger misses and the champion finds, less the
reverse, is shown to be at most RECALL_MARGIN; the same of episodes that are rightly named, of those called an attack,
and of those of whose flows the model itself flags half by the champion's cuts, as shapes find much whatever it says.
Classes of the fixed set must show it. A class that only the given data have may be too small to show anything; then the
challenger may not lose more of it than it gains. False alarms: the share of hours with more of them, less that of hours
with fewer, is shown to be at most FALSE_MARGIN. In each given collection alone no more may be lost than chance would
lose, so that the fixed set cannot outvote a site, and in none may there be more false alerts than chance would add. All
must hold, so that many tests let no more through than one (intersection-union; Berger 1982).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from training.evaluation.promotion.latency import Latency
from training.evaluation.promotion.paired import Pairs, more_than_chance, of_counts, of_flags
from training.evaluation.promotion.trials import Trial, TriedEpisode, families

RECALL_MARGIN: Final = 0.10
FALSE_MARGIN: Final = 0.02
LATENCY_MARGIN: Final = 1.25  # times the champion's processor time
# What is asked of each episode (TriedEpisode), and how it is called.
MEASURES: Final = {"found": "found", "named": "rightly named", "sure": "called an attack", "flagged": "flagged by half"}


@dataclass(frozen=True, slots=True)
class ClassResult:
    """One class of attack over all trials."""

    family: str
    episodes: tuple[TriedEpisode, ...]
    in_fixed_set: bool

    def refusals(self) -> Iterator[str]:
        """Why it speaks against the challenger."""
        for measure, what in MEASURES.items():
            pairs = of_flags(results(self.episodes, measure))
            unshown = not pairs.no_worse_by(RECALL_MARGIN)
            if unshown and (self.in_fixed_set or pairs.worse > pairs.better):
                yield f"{lost(self.family, what, pairs)}, expected {points(-RECALL_MARGIN)} at least"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All results of champion and challenger side by side."""

    fixed: Trial
    given: tuple[Trial, ...]
    latency: Latency

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The fixed set first."""
        return self.fixed, *self.given

    @property
    def classes(self) -> list[ClassResult]:
        """The classes of attack, in the order of their names."""
        in_fixed_set = families([self.fixed])
        return [
            ClassResult(
                family, tuple(own for trial in self.trials for own in trial.of_family(family)), family in in_fixed_set
            )
            for family in families(self.trials)
        ]

    @property
    def hours(self) -> Pairs:
        """Hours with more or fewer false alerts, of all trials."""
        return of_counts(pair for trial in self.trials for pair in trial.hours)

    def refusals(self) -> list[str]:
        """Why the challenger may not take the champion's place, a line each; none where it may."""
        lines = [line for own in self.classes for line in own.refusals()]
        lines += [line for trial in self.given for line in _lost_in(trial)]
        lines += self._of_false_alerts()
        lines += [line for trial in self.trials for line in _more_false_in(trial)]
        low, high = self.latency.interval
        if high > LATENCY_MARGIN:
            lines.append(
                f"latency: judging takes {self.latency.ratio:.2f} times the champion's processor time ({low:.2f} to "
                f"{high:.2f} with 95 %), expected {LATENCY_MARGIN} at most"
            )
        return lines

    def _of_false_alerts(self) -> list[str]:
        if self.hours.no_worse_by(FALSE_MARGIN):
            return []
        hours = self.hours
        low, high = hours.interval
        return [
            f"false alerts: more of them in {hours.worse:,} and fewer in {hours.better:,} of {hours.n:,} "
            f"hours ({points(-high)} to {points(-low)} with 95 %), expected {points(FALSE_MARGIN)} at most"
        ]


def _lost_in(trial: Trial) -> Iterator[str]:
    """Classes of which a trial has lost more than chance would lose."""
    for family in families([trial]):
        for measure, what in MEASURES.items():
            pairs = of_flags(results(trial.of_family(family), measure))
            if pairs.likely_worse:
                yield f"{lost(f'{family} in {trial.name}', what, pairs)}, more than chance would lose"


def _more_false_in(trial: Trial) -> Iterator[str]:
    """Whether a trial has more false alerts than chance would add."""
    hours, (before, after) = of_counts(trial.hours), trial.false_alerts
    if hours.likely_worse or (after > before and more_than_chance(after, before)):
        yield (
            f"false alerts in {trial.name}: {after:,} instead of {before:,}, more of them in {hours.worse:,} and fewer "
            f"in {hours.better:,} of {hours.n:,} hours, more than chance would add"
        )


def results(episodes: Iterable[TriedEpisode], measure: str) -> list[tuple[bool, bool]]:
    """What champion and challenger made of episodes by one of MEASURES, where that is known."""
    pairs = (getattr(episode, measure) for episode in episodes)
    return [pair for pair in pairs if pair is not None]


def lost(where: str, what: str, pairs: Pairs) -> str:
    """How many episodes are lost and gained, with the interval of the difference."""
    low, high = pairs.interval
    return (
        f"{where}: of {pairs.n:,} episodes {pairs.worse:,} no longer {what} and {pairs.better:,} newly "
        f"({points(low)} to {points(high)} with 95 %)"
    )


def points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * share:+.1f} points"
