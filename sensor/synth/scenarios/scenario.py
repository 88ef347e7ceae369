"""What a scenario is: a name, and a function from a site, a random stream and a span of time to exchanges."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from sensor.synth.site import Site
from sensor.synth.truth import Exchange


@dataclass(frozen=True, slots=True)
class Span:
    """When a scenario may act: ns since 1970 UTC, end exclusive."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of traffic. begins is where in the capture it starts, as a fraction of the whole span."""

    name: str
    summary: str
    begins: float
    traffic: Callable[[Site, Random, Span], Iterator[Exchange]]
