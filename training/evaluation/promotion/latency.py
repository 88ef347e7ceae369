"""How long two models take for the same records: processor time, taken in turns, as a ratio with an interval.

What else runs on the machine slows both alike, and the median of many ratios does not mind the few that were hit. Its
interval is that of order statistics: of the ratios in order those between which the true median lies with 95 %,
whatever their distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from scipy.stats import binom

ROUNDS: Final = 21
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Latency:
    """Time that judging takes."""

    records: int
    champion_ns: float  # of processor time a record, median of the rounds
    challenger_ns: float
    ratio: float  # challenger's time by the champion's, median
    interval: tuple[float, float]  # 95 %, of that median


def measured(champion_ns: Callable[[], int], challenger_ns: Callable[[], int], records: int) -> Latency:
    """Take the time of both in turns. champion_ns, challenger_ns: judge these records once; ns that it took."""
    champion_ns(), challenger_ns()  # the first time of each has caches to fill
    times: list[tuple[int, int]] = []
    for number in range(ROUNDS):
        if number % 2:  # whoever is first may be slower
            new = challenger_ns()
            times.append((champion_ns(), new))
        else:
            old = champion_ns()
            times.append((old, challenger_ns()))
    ratios = sorted(new / max(1, old) for old, new in times)
    outside = values_outside(len(ratios))
    return Latency(
        records=records,
        champion_ns=median(old for old, _ in times) / max(1, records),
        challenger_ns=median(new for _, new in times) / max(1, records),
        ratio=median(ratios),
        interval=(ratios[outside], ratios[-1 - outside]),
    )


def values_outside(n: int) -> int:
    """How many of n values at either end lie outside of the interval of their median; 0 also where none has 95 %."""
    return max(0, int(binom.ppf((1 - CONFIDENCE) / 2, n, 0.5)) - 1)
