"""A bundle and its detectors beside the library that fits such a forest, on as many rows: a line each.

    python -m tests.bench.scoring [BUNDLE]

Of a bundle that uses context, reckoning the context of the records is a part of scoring them.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest

from flows.batch import FlowBatch, Values
from flows.columns import COLUMNS, feature_contract
from flows.context.columns import context_contract
from flows.context.context import Context
from models.bundle import load_bundle
from models.detector import FlowSteps
from tests.bench.context import traffic
from tests.bench.process import REPOSITORY

REPEATS = 3
BATCHES = 85, 1000, 8000  # flows of a turn of a link, of a capture with many small ones, of a meter that is drained
CAPACITY = 16_384  # hosts, as by default
SHIPPED = REPOSITORY / "models" / "pretrained" / "default"


def scoring(bundle: Path = SHIPPED) -> Iterator[tuple[str, str]]:
    """A bundle, its detectors, and the library that fits such a forest, on as many rows."""
    random = np.random.default_rng(1)
    rows = 20_000
    hybrid = load_bundle(bundle, feature_contract(), context_contract())
    in_context = hybrid.contract == context_contract()
    records = FlowBatch(traffic(500, rows).identity, random.lognormal(3, 2, (rows, len(COLUMNS))))
    values = Context(CAPACITY, 1).columns(records) if in_context else records.values
    host = random.integers(0, 500, (rows, 2))
    time_ns = np.sort(random.integers(0, 10**12, rows))

    def steps(part: slice, own: Values | None = None) -> FlowSteps:
        """Made anew each time: what detectors share of steps is kept with them."""
        own = values[part] if own is None else own
        return FlowSteps(own, host[part], time_ns[part], np.ones(len(own), dtype=np.bool_))

    def judge(size: int) -> None:
        context = Context(CAPACITY, 1) if in_context else None
        for part in (slice(at, at + size) for at in range(0, rows, size)):
            batch = FlowBatch(records.identity[part], records.values[part])
            hybrid.judge(steps(part, context.columns(batch) if context else None))

    for size in BATCHES:
        spent = cpu_of(lambda: judge(size)) / rows  # noqa: B023  called at once
        name = f"{'context, ' * in_context}all detectors, calibration and lanes, {size:,} flows at a time"
        yield name, f"{spent * 1e6:.1f} µs a flow, {1 / spent / 1e3:.0f} k flows per CPU-second"
    for member in (*hybrid.known, *hybrid.novel):
        ours = rows / cpu_of(lambda: member.detector.score(steps(slice(None))))  # noqa: B023  called at once
        yield f"{member.detector.name}, {rows:,} flows", f"{ours / 1e3:.0f} k flows per CPU-second"
    trees = len(hybrid.novel[0].detector.forest.roots)
    peer = IsolationForest(n_estimators=trees, max_samples=256, random_state=1).fit(values[:2000])
    parts = np.array_split(values, rows // 64)  # as flows come: a few at a time

    def score_parts() -> None:
        for part in parts:
            peer.score_samples(part)

    theirs = rows / cpu_of(score_parts)
    name = f"scikit-learn, an isolation forest of {trees} trees, 64 at a time"
    yield name, f"{theirs / 1e3:.0f} k; ours is {ours / theirs:.0f} times"


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of a few runs, after one to warm up."""
    work()
    return min(_timed(work) for _ in range(REPEATS))


def _timed(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    for line, figure in scoring(*map(Path, sys.argv[1:2])):
        print(f"{line:<62} {figure}")
