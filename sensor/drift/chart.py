"""A control chart of counts: does what happens each day still happen as often as it was asked for?

Two one-sided CUSUM charts for Poisson counts, one each way: Lucas, "Counted Data CUSUM's", Technometrics 1985. Each is
built to tell twice, or half, the rate, and its decision limit is the smallest with which a process at the asked rate is
told of once in RUN_LENGTH days in the mean, by the Markov chain of Brook and Evans, "An approach to the probability
distribution of cusum run length", Biometrika 1972. A day counts for at most most of the limit, so one bad day alone is
never a change of the rate. It knows no alert and no clock.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

RUN_LENGTH: Final = 1000.0  # days between two false tellings of either chart, in the mean
ASKED: Final = (1e-6, 1e6)  # events a day, least and most
LEAST_FEWER: Final = 0.1  # events a day, under which nobody can tell within weeks that they have become fewer
DAY_SHARE: Final = 0.75  # of the limit, that one day counts for at most
_STATES: Final = 120  # of the chain, about
FACTOR: Final = 2.0  # times the rate, or a part of it, that the charts are made to tell


@dataclass(slots=True)
class RateChart:
    """Charts of a rate that rises over, or falls under, an asked one. Raises ValueError for a rate that is none."""

    asked: float  # events a day, within ASKED
    _above: "_Cusum" = field(init=False)
    _below: "_Cusum" = field(init=False)

    def __post_init__(self) -> None:
        if not ASKED[0] <= self.asked <= ASKED[1]:
            raise ValueError(f"the asked rate is {self.asked}, expected {ASKED[0]:g} to {ASKED[1]:g} a day")
        self._above = _Cusum.of(self.asked, +1)
        self._below = _Cusum.of(self.asked, -1)

    def add(self, count: int) -> None:
        """The events of one more day."""
        self._above.add(count)
        self._below.add(count)

    @property
    def more(self) -> bool:
        """Whether the rate is over the asked one, until it has made up for that."""
        return self._above.told

    @property
    def fewer(self) -> bool:
        """Whether it is under the asked one, likewise."""
        return self._below.told


@dataclass(slots=True)
class _Cusum:
    """One chart: the sum of what each day has more (or fewer) than the reference value, never under 0."""

    sign: int  # +1 for more, -1 for fewer
    reference: float  # events a day between the asked rate and the one to be told
    limit: float
    total: float = 0.0
    told: bool = False

    @classmethod
    def of(cls, asked: float, sign: int) -> "_Cusum":
        reference = asked * (FACTOR**sign - 1) / (sign * math.log(FACTOR))
        seldom = sign < 0 and asked < LEAST_FEWER
        return cls(sign, reference, math.inf if seldom else decision_limit(asked, reference, sign))

    def add(self, count: int) -> None:
        """Take a day in. Once told it stays so until the total is back at 0."""
        step = min(self.sign * (count - self.reference), DAY_SHARE * self.limit)
        self.total = min(max(0.0, self.total + step), self.limit)
        self.told = self.total >= self.limit or (self.told and self.total > 0)


def decision_limit(asked: float, reference: float, sign: int) -> float:
    """The smallest limit, by steps of a twentieth of the deviation of a day, with RUN_LENGTH days between tellings.

    asked: events a day. reference: of the chart. sign: +1 for more, -1 for fewer.
    """
    step = max(math.sqrt(asked), 0.2) / 20
    low, high = 1, 2
    while _run_length(asked, reference, sign, high * step) < RUN_LENGTH:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if _run_length(asked, reference, sign, middle * step) < RUN_LENGTH:
            low = middle
        else:
            high = middle
    return high * step


def _run_length(asked: float, reference: float, sign: int, limit: float) -> float:
    """Mean days to a telling from 0, of a process at the asked rate: totals in cells, each counted at its middle.

    Infinite where it hardly ever comes.
    """
    cell = limit / (_STATES - 0.5)
    totals = cell * np.arange(_STATES)
    counts, chance = _poisson(asked)
    steps = np.minimum(sign * (counts - reference), DAY_SHARE * limit)
    reached = np.maximum(0.0, totals[:, None] + steps[None, :])
    place = np.minimum(np.rint(reached / cell).astype(np.int64), _STATES - 1)
    place += _STATES * np.arange(_STATES)[:, None]
    weight = np.where(reached < limit, chance, 0.0)  # a day that reaches the limit ends the run
    chain = np.bincount(place.ravel(), weight.ravel(), _STATES**2).reshape(_STATES, _STATES)
    try:
        days = float(np.linalg.solve(np.eye(_STATES) - chain, np.ones(_STATES))[0])
    except np.linalg.LinAlgError:
        return math.inf
    return days if days > 0 else math.inf  # a telling is rarer than numbers of this width can say


def _poisson(mean: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts that matter and the chance of each."""
    reach = 9 * math.sqrt(mean) + 20
    counts = np.arange(max(0, math.floor(mean - reach)), math.ceil(mean + reach) + 1, dtype=np.float64)
    logs = counts * math.log(mean) - mean - np.array([math.lgamma(count + 1) for count in counts])
    chance = np.exp(logs)
    return counts, chance / chance.sum()
