"""Context columns of flow records: records per CPU-second on one core, the tables' memory, and the compiler's time.

    python -m tests.bench.context [hosts] [records]

Every host is a source and a target. Most flows go to one of a few dozen targets of their source, some to any host; a
tenth of the flows fails, some go on. Then any host talks to any other, so that nearly every flow makes rows and pushes
out as many; a flood comes from as many forged sources as there are records, and one source sweeps as many targets.
Batches are as large as the meter hands them on under load, and as small as `watch` sees them.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np

from flows.batch import (
    DST_LOW,
    DST_PORT,
    END_NS,
    IDENTITY_WIDTH,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    SEEN,
    SEEN_SYN,
    SEEN_SYN_BACK,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    FlowBatch,
)
from flows.columns import COLUMNS, INDEX
from flows.context.context import Context

CAPACITY = 65_536
BATCHES = (4096, 85)
START = 1_700_000_000 * 1_000_000_000


def traffic(hosts: int, records: int, anywhere: float = 0.05, seed: int = 1) -> FlowBatch:
    """Flows between hosts, 5,000 each second; anywhere: share of those that go to any host."""
    random = np.random.default_rng(seed)
    identity, values = np.zeros((records, IDENTITY_WIDTH), dtype=np.int64), np.zeros((records, len(COLUMNS)))
    source = random.integers(0, hosts, records)
    favourite = np.minimum(random.zipf(1.5, records), 32)  # the first are those of many
    usual = source * 0x9E3779B1 % 2**31 * favourite % (hosts // 4 + 1)
    target = np.where(random.random(records) < anywhere, random.integers(0, hosts, records), usual)
    identity[:, SRC_LOW], identity[:, DST_LOW] = 0x0A000000 + source, 0x0A000000 + target
    identity[:, SRC_PORT] = random.integers(32768, 61000, records)
    identity[:, DST_PORT] = np.array([443, 443, 80, 53, 22, 25, 8080])[target % 7]
    identity[:, PROTOCOL], identity[:, IP_VERSION] = 6, 4
    identity[:, END_NS] = START + np.cumsum(random.exponential(200_000, records)).astype(np.int64)
    duration_us = random.exponential(2e6, records)
    identity[:, START_NS] = identity[:, END_NS] - (duration_us * 1000).astype(np.int64)
    identity[:, REPORT] = random.random(records) < 0.05
    identity[:, NEW_PACKETS] = random.integers(2, 40, records)
    failed = random.random(records) < 0.1
    identity[:, SEEN] = np.where(failed, SEEN_SYN, SEEN_SYN | SEEN_SYN_BACK)
    values[:, INDEX["flow_duration"]] = duration_us
    values[:, INDEX["fwd_packets"]] = np.where(failed, 1, identity[:, NEW_PACKETS])
    values[:, INDEX["bwd_packets"]] = np.where(failed, 0, identity[:, NEW_PACKETS])
    values[:, INDEX["fwd_bytes"]] = np.where(failed, 0, random.lognormal(6, 2, records))
    values[:, INDEX["bwd_bytes"]] = np.where(failed, 0, random.lognormal(8, 2, records))
    return FlowBatch(identity, values)


def aimed(records: int, forged: int, fixed: int) -> FlowBatch:
    """Attempts without an answer, 100,000 each second; forged: the column of addresses that are all different."""
    batch = traffic(2, records)
    identity, values = batch.identity, batch.values
    identity[:, forged], identity[:, fixed] = 0x0B000000 + np.arange(records), 0xC0000001
    identity[:, END_NS] = identity[:, START_NS] = START + np.arange(records) * 10_000
    identity[:, SEEN], identity[:, REPORT], identity[:, NEW_PACKETS] = SEEN_SYN, 0, 1
    values[:] = 0.0
    values[:, INDEX["fwd_packets"]] = 1
    return batch


def measure(batch: FlowBatch, size: int) -> tuple[float, int]:
    """Records per CPU-second in batches of a size, and rows that gave way."""
    context = Context(CAPACITY, 1)
    parts = [
        FlowBatch(batch.identity[first : first + size], batch.values[first : first + size])
        for first in range(0, len(batch), size)
    ]
    before = time.process_time()
    for part in parts:
        context.observe(part)
    return len(batch) / (time.process_time() - before), context.evicted


def context_columns(hosts: int, records: int) -> Iterator[tuple[str, str]]:
    """A line each."""
    before = time.process_time()
    Context(8, 1).observe(traffic(2, 2))
    yield "compiling, or loading what was compiled", f"{time.process_time() - before:.1f} CPU-seconds"
    yield f"tables of {CAPACITY:,} hosts", f"{Context(CAPACITY, 1).size_bytes / 1e6:.0f} MB"
    ordinary = traffic(hosts, records)
    for size in BATCHES:
        yield f"{hosts:,} hosts, {size:,} at a time", in_words(*measure(ordinary, size))
    yield f"{hosts:,} hosts, any with any", in_words(*measure(traffic(hosts, records, anywhere=1.0), BATCHES[0]))
    for name, forged, fixed in (("forged sources", SRC_LOW, DST_LOW), ("swept targets", DST_LOW, SRC_LOW)):
        yield f"{records:,} {name}", in_words(*measure(aimed(records, forged, fixed), BATCHES[0]))


def in_words(rate: float, evicted: int) -> str:
    """Such as `700 k records per CPU-second, 12 rows gave way`."""
    return f"{rate / 1e3:.0f} k records per CPU-second, {evicted:,} rows gave way"


if __name__ == "__main__":
    for line, figure in context_columns(*(int(word) for word in (sys.argv[1:] or ("50000", "1000000")))):
        print(f"{line:<62} {figure}")
