"""Definition of a scenario: a name, and a function from a site, a random stream and a span of time to exchanges."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from sensor.synth.site import Site
from sensor.synth.truth import Exchange


@dataclass(frozen=True, slots=True)
class Span:
    """Time span of a scenario, in ns since 1970 UTC."""

    start_ns: int
    end_ns: int  # exclusive


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of traffic."""

    name: str
    summary: str
    begins: float  # its start as a fraction of the whole span
    traffic: Callable[[Site, Random, Span], Iterator[Exchange]]
