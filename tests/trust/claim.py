"""What the product promises under attack, as something that anyone can try again.

A claim is tried so often, and each try that shows it wrong is a failure with its reason. `make trust` runs them and
prints a line each; `--record` keeps the figures in docs/reliability/ and the table of docs/reliability.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class NotTriedError(Exception):
    """A claim that cannot be tried here, such as without root: one line of what is missing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tries of a claim have shown."""

    tries: int
    failures: Sequence[str] = ()  # a line for each try that failed
    figure: str = ""  # what was measured beside, with its unit: "peak 312 MB"


@dataclass(frozen=True, slots=True)
class Claim:
    """A promise, and how it is tried."""

    name: str  # a word or two with hyphens, unique: "torn-tails"
    promise: str  # one sentence for an operator
    unit: str  # of a try, in the plural: "kills"
    run: Callable[[float], Outcome] = field(repr=False)  # tries it; its argument scales the number of tries, 1 as usual
    minutes: float = 1.0  # that it takes at scale 1 on a quiet core
    alone: bool = False  # whether it measures time, or fills every core: nothing else is tried beside it
    long: bool = False  # tried by `make trust-long` alone
    needs: str = ""  # such as "root", said on the page
