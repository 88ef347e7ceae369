"""Changed frames through the meter: whole blocks beside the same packets one by one, each in a buffer of its own.

A packet alone in its buffer has no byte behind it, so that with NUMBA_BOUNDSCHECK=1 a read past its end raises; in the
whole block every frame stands among others, so that a read past its end shows as a difference. What guides it, since
compiled kernels report no coverage, is the outcome: reason, link type, and the fields that were decoded.
"""

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from flows.batch import FlowBatch
from flows.block import Int64s, PacketBlock, block_of
from flows.meter import COMPATIBLE, NO_PACKETS, Meter, concatenate
from tests.fuzz.connections import WatchedConnections, check_connections
from tests.fuzz.frames import LINKTYPES
from tests.fuzz.meters import drawn_meters
from tests.fuzz.mutation import Corpus, Rows
from tests.fuzz.promises import check_drained, check_equal, check_records, require
from tests.fuzz.singly import feed_singly
from tests.fuzz.times import drawn_times

WIDTH, ROOM = 256, 16_384
ROUND = 8192  # frames through one pair of meters
WITH_CONNECTIONS = 1 / 4  # rounds whose records go on into connection records, which cost as much as all before
LONGEST_BLOCK_S = 5.0  # of CPU; normal is a hundredth, a loop over the ticks of a far jump takes minutes


@dataclass(slots=True)
class Tally:
    """What a run did."""

    frames: int = 0
    decoded: int = 0
    records: int = 0
    evicted: int = 0
    clock_jumps: int = 0
    connections: int = 0
    forgotten_hosts: int = 0


def fuzz_frames(rng: np.random.Generator, corpus: Corpus, frames: int) -> Tally:
    """Meter that many changed frames. Raises BrokenPromiseError, or what a kernel raises."""
    tally = Tally()
    pieces, whole = WatchedConnections(), WatchedConnections()
    for compat in (None, *COMPATIBLE):
        meter = Meter(1, compat=compat)
        feed_singly(meter, block_of([bytes(14)], [0]))
        meter.feed(NO_PACKETS)  # compiles, which must not count as time of a block
    while tally.frames < frames:
        count = min(ROUND, frames - tally.frames)
        play_round(rng, corpus, count, tally, (pieces, whole))
    tally.connections, tally.forgotten_hosts = whole.stats.entered, whole.stats.forgotten_hosts
    return tally


def play_round(
    rng: np.random.Generator,
    corpus: Corpus,
    count: int,
    tally: Tally,
    connections: tuple[WatchedConnections, WatchedConnections],
) -> None:
    rows, lengths, kinds = corpus.draw(rng, count)
    strange = rng.random(count) < 1 / 16
    kinds[strange] = rng.choice(LINKTYPES, int(strange.sum()))
    compat = str(rng.choice(COMPATIBLE)) if rng.random() < 1 / 8 else None
    whole, single, settings = drawn_meters(rng, compat=compat)
    block = block_of_rows(rng, rows, lengths, kinds)
    expected: list[FlowBatch] = []
    got: list[FlowBatch] = []
    cuts = [0, *sorted(rng.integers(1, count, 4).tolist()), count] if count > 1 else [0, 1]
    for first, last in pairwise(cuts):
        part = slice_of(block, first, last)
        began = time.process_time()
        expected.append(whole.feed(part))
        took = time.process_time() - began
        require(took < LONGEST_BLOCK_S, f"a block of {last - first} packets took {took:.1f} s of CPU")
        records, outcomes = feed_singly(single, part)
        got.append(records)
        notice_outcomes(corpus, outcomes, rows[first:last], lengths[first:last], kinds[first:last])
        if rng.random() < 0.25:
            now = whole.now_ns + int(rng.integers(0, 1 << 40))
            expected.append(whole.advance(now))
            got.append(single.advance(now))
    expected.append(whole.drain())
    batch, other = concatenate(expected), concatenate([*got, single.drain()])
    check_drained(whole, batch, count, news_only=settings["news_only"])
    if compat is None:
        check_records(batch)
        if rng.random() < WITH_CONNECTIONS:
            check_connections(*connections, expected)
    check_equal(batch, other)
    tally.frames += count
    tally.decoded += whole.stats.metered
    tally.records += len(batch)
    tally.evicted += whole.stats.evicted
    tally.clock_jumps += whole.stats.clock_jumps


def block_of_rows(rng: np.random.Generator, rows: Rows, lengths: Int64s, kinds: Int64s) -> PacketBlock:
    """Block whose frames stand in rows with other bytes behind them; wire lengths are what a capture may claim."""
    count = len(rows)
    claimed = rng.choice([0, 1, 60, 1500, (1 << 32) - 1], count)
    wirelen = np.where(rng.random(count) < 0.9, lengths, claimed)
    offset = np.arange(count, dtype=np.int64) * rows.shape[1]
    return PacketBlock(rows.reshape(-1), offset, lengths, wirelen, drawn_times(rng, count), kinds)


def slice_of(block: PacketBlock, first: int, last: int) -> PacketBlock:
    """Some packets of a block."""
    part = slice(first, last)
    return PacketBlock(
        block.buffer, block.offset[part], block.caplen[part], block.wirelen[part], block.ts_ns[part],
        block.linktype[part],
    )  # fmt: skip


def notice_outcomes(corpus: Corpus, outcomes: Int64s, rows: Rows, lengths: Int64s, kinds: Int64s) -> None:
    """Keep the inputs whose outcome is new."""
    found, first = np.unique(outcomes, return_index=True)
    for outcome, i in zip(found.tolist(), first.tolist(), strict=True):
        corpus.notice(outcome, rows[i, : lengths[i]], int(kinds[i]))
