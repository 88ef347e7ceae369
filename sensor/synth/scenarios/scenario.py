"""Definition of a scenario: a name, and a function from a site, a random stream and a span of time to exchanges."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from sensor.synth.randomness import SECOND
from sensor.synth.site import Site
from sensor.synth.truth import Exchange


@dataclass(frozen=True, slots=True)
class Span:
    """Time span of a scenario, in ns since 1970 UTC."""

    start_ns: int
    end_ns: int  # exclusive

    def first(self, seconds: float) -> "Span":
        """The first seconds of the span, or all of it where it is shorter."""
        return Span(self.start_ns, min(self.end_ns, self.start_ns + int(seconds * SECOND)))

    def ticks(self, rng: Random, every_s: float, jitter: float = 0.0) -> Iterator[int]:
        """Times in ns, each every_s seconds after the one before, give or take the share `jitter` of that.

        The first lies somewhere in the first interval, as what repeats began before anybody looked.
        """
        at_ns = self.start_ns + int(rng.random() * every_s * SECOND)
        while at_ns < self.end_ns:
            yield at_ns
            at_ns += int(every_s * rng.uniform(1 - jitter, 1 + jitter) * SECOND)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of traffic."""

    name: str
    summary: str
    begins: float  # its start as a fraction of the whole span
    traffic: Callable[[Site, Random, Span], Iterator[Exchange]]
    minutes: float = 7.0  # length of a span that holds all of it
