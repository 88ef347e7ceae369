"""Pairs of a champion's and a challenger's result on the same thing, and how sure their difference is.

Of n things the challenger does worse on some and better on others. The difference of the two shares has a 95 % interval
made of their exact ones (Clopper, Pearson 1934): the lower end of the one less the upper end of the other. By
Bonferroni's inequality each end is missed with at most 5 % chance, whatever n is; where nothing differs the interval is
as wide as n is small, so that few things never show that nothing was lost. It takes the things as independent draws,
which attacks of one kind are not quite.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from scipy.stats import binomtest

from training.evaluation.intervals import exact

LIKELY = 0.2  # a chance below which it is taken for no chance that more things speak against the challenger than for it


@dataclass(frozen=True, slots=True)
class Pairs:
    """How a challenger compares with the champion on the same n things."""

    n: int
    worse: int  # things on which the challenger does worse
    better: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share on which it does better less that on which it does worse; -1 to 1 of nothing."""
        better, worse = exact(self.better, self.n), exact(self.worse, self.n)
        if better is None or worse is None:
            return -1.0, 1.0
        return better[0] - worse[1], better[1] - worse[0]

    def no_worse_by(self, margin: float) -> bool:
        """Whether it is shown that the challenger is not worse by more than this share (non-inferiority)."""
        return self.interval[0] >= -margin

    @property
    def likely_worse(self) -> bool:
        """Whether more things speak against the challenger than chance would have (sign test, one-sided, LIKELY)."""
        return more_than_chance(self.worse, self.better)


def more_than_chance(worse: int, better: int) -> bool:
    """Whether so many of one kind against so many of the other are fewer likely than LIKELY, were both as likely."""
    total = worse + better
    return total > 0 and bool(binomtest(worse, total, alternative="greater").pvalue < LIKELY)


def of_flags(pairs: Iterable[tuple[bool, bool]]) -> Pairs:
    """Of what each did right or not: (champion, challenger)."""
    told = list(pairs)
    return Pairs(len(told), sum(old and not new for old, new in told), sum(new and not old for old, new in told))


def of_counts(pairs: Iterable[tuple[int, int]]) -> Pairs:
    """Of counts, of which fewer are better: (champion, challenger)."""
    told = list(pairs)
    return Pairs(len(told), sum(new > old for old, new in told), sum(new < old for old, new in told))
