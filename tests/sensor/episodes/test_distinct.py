"""What an episode holds of its flows: each is counted once, in the room that the budget reckons with."""

import random
import tracemalloc
from collections.abc import Iterator

from flows.batch import DST_PORT, END_REASON, REPORT, SNAPSHOT, SRC_HIGH, START_NS
from sensor.episodes.distinct import DistinctBudget, RunningFlows

FLOWS = 4000
BYTES_EACH = 150  # as DISTINCT_IN_ALL has it


def running(seed: int) -> Iterator[list[int]]:
    """Words of flows that go on, each of a host of its own."""
    rng = random.Random(seed)
    for number in range(FLOWS):
        words = [0] * (max(DST_PORT, END_REASON, REPORT, START_NS) + 1)
        words[END_REASON], words[START_NS] = SNAPSHOT, 10**18 + number
        words[SRC_HIGH : DST_PORT + 1] = [rng.getrandbits(62) for _ in range(DST_PORT + 1 - SRC_HIGH)]
        yield words


def test_each_flow_is_counted_once() -> None:
    known = RunningFlows(DistinctBudget())
    assert not any(known.seen_before(words) for words in running(1))
    assert all(known.seen_before(words) for words in running(1))
    assert not any(known.seen_before(words) for words in running(2))


def test_a_flow_takes_no_more_room_than_the_budget_reckons_with() -> None:
    known = RunningFlows(DistinctBudget())
    tracemalloc.start()
    try:
        for words in running(1):
            known.seen_before(words)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(known) == FLOWS
    assert taken < BYTES_EACH * FLOWS
