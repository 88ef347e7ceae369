"""Seeded random streams, one for each purpose: more traffic of one kind leaves the others byte for byte the same."""

import math
from random import Random

SECOND = 1_000_000_000  # nanoseconds


def stream(seed: int, purpose: str) -> Random:
    """The random stream of one purpose under one seed, the same on each platform."""
    return Random(f"{seed}/{purpose}")  # noqa: S311  traffic, not secrets


def child(rng: Random) -> Random:
    """A stream of its own for one actor, whose draws do not move its siblings'."""
    return Random(rng.getrandbits(64))  # noqa: S311  traffic, not secrets


def lognormal(rng: Random, median: float, sigma: float = 0.5) -> float:
    """Log-normal draw, as human pauses and object sizes are distributed. sigma: of the logarithm."""
    return rng.lognormvariate(math.log(median), sigma)


def pause_ns(rng: Random, median_s: float, sigma: float = 0.5) -> int:
    """Log-normal pause in ns with a median in seconds."""
    return int(lognormal(rng, median_s, sigma) * SECOND)
