"""Time stamps as no clock should give them."""

import numpy as np

from flows.block import Int64s

SECOND_NS, DAY_NS = 10**9, 86_400 * 10**9
NOW_NS = 1_772_442_000 * SECOND_NS
LATEST_NS = 2**62 - 1  # what a capture can say, in 2116
ERAS_NS = np.array([0, 1, NOW_NS, (2**32 - 1) * SECOND_NS, 2**32 * SECOND_NS, LATEST_NS])  # 1970, now, 2106, 2116
DAYS_NS = np.array([-400, -30, -1, 1, 2, 30, 400]) * DAY_NS


def drawn_times(rng: np.random.Generator, count: int) -> Int64s:
    """(count,) stamps in ns: steady, slow, going back a little, jumping by days or between eras, or any number."""
    return TIMES[int(rng.integers(0, len(TIMES)))](rng, count)


def steady(rng: np.random.Generator, count: int) -> Int64s:
    """Up to 2 ms apart."""
    return NOW_NS + np.cumsum(rng.integers(0, 2_000_000, count))


def slow(rng: np.random.Generator, count: int) -> Int64s:
    """Up to half a minute apart: flows end and are reported while they run."""
    return NOW_NS + np.cumsum(rng.integers(0, 30 * SECOND_NS, count))


def shaky(rng: np.random.Generator, count: int) -> Int64s:
    """Back as often as forward, by up to two minutes."""
    return NOW_NS + np.cumsum(rng.integers(-100 * SECOND_NS, 120 * SECOND_NS, count))


def jumping_days(rng: np.random.Generator, count: int) -> Int64s:
    """A clock that is set again and again, by days."""
    set_to = np.where(rng.random(count) < 0.02, rng.choice(DAYS_NS, count), 0)
    return np.asarray(np.clip(steady(rng, count) + np.cumsum(set_to), 0, LATEST_NS), dtype=np.int64)


def jumping_eras(rng: np.random.Generator, count: int) -> Int64s:
    """1970, now, 2106 and 2116, some packets each."""
    chosen = rng.choice(ERAS_NS, count)
    era = np.maximum.accumulate(np.where(rng.random(count) < 0.03, np.arange(count), 0))
    return np.asarray(np.clip(chosen[era] + np.cumsum(rng.integers(0, SECOND_NS, count)), 0, LATEST_NS), np.int64)


def arbitrary(rng: np.random.Generator, count: int) -> Int64s:
    """Any number that a capture can hold."""
    return rng.integers(0, LATEST_NS, count, endpoint=True)


def impossible(rng: np.random.Generator, count: int) -> Int64s:
    """Any 64 bits: no source gives these, but a caller of the library may."""
    return rng.integers(-(2**63), 2**63 - 1, count, endpoint=True)


TIMES = (steady, slow, shaky, jumping_days, jumping_eras, arbitrary, impossible)
