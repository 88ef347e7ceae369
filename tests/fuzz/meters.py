"""Pairs of equal meters with settings drawn anew, among them full tables and every optional behaviour there is."""

import inspect
from typing import Any

import numpy as np

from flows.meter import Meter

CAPACITIES = (1, 2, 7, 64, 1024, 4096)
SECOND_NS = 10**9
# A jump costs each flow a snapshot check for every interval up to its idle timeout, so the two are kept in proportion.
TIMEOUTS: dict[str, tuple[int, ...]] = {
    "idle_timeout_ns": (SECOND_NS, 120 * SECOND_NS, 3600 * SECOND_NS),
    "active_timeout_ns": (SECOND_NS, 120 * SECOND_NS, 3000 * SECOND_NS),
    "closed_linger_ns": (0, 2 * SECOND_NS, 60 * SECOND_NS),
    "first_snapshot_ns": (SECOND_NS, 10 * SECOND_NS),
    "snapshot_interval_ns": (10 * SECOND_NS, 60 * SECOND_NS),
}
PARAMETERS = inspect.signature(Meter.__init__).parameters
SWITCHES = tuple(name for name, parameter in PARAMETERS.items() if parameter.default is False)


def drawn_meters(rng: np.random.Generator, *, compat: str | None = None) -> tuple[Meter, Meter, dict[str, Any]]:
    """Two meters of the same settings, and these. compat: a program whose rules they follow."""
    settings: dict[str, Any] = {name: choices[int(rng.integers(0, len(choices)))] for name, choices in TIMEOUTS.items()}
    if rng.random() < 0.5:
        settings = {}
    settings |= {name: bool(rng.integers(0, 2)) for name in SWITCHES}
    if compat is not None:
        settings["compat"] = compat
    capacity = CAPACITIES[int(rng.integers(0, len(CAPACITIES)))]
    meters = Meter(capacity, **settings), Meter(capacity, **settings)
    for meter in meters:  # keys of its own each, from the seed: what is reported does not depend on them
        meter._keys[:] = rng.integers(-(2**63), 2**63 - 1, len(meter._keys))
    return *meters, settings
