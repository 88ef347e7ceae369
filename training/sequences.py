"""Flows as the sensor would meet them: one sequence per source host, in the order in which flows become known.

It knows nothing of networks to fit or of files. The causes for re-homing and for stretching gaps are in `rehomed` and
`Lanes`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flows.columns import INDEX
from training.arrays import Float32s, Int64s, Mask

# The meter's own delays: first and later reports of a running flow, linger of a closed one, idle timeout.
SNAPSHOT_NS = 10_000_000_000
SNAPSHOT_EVERY_NS = 60_000_000_000
LINGER_NS = 2_000_000_000
IDLE_NS = 120_000_000_000
MOST_SNAPSHOTS = 60  # of a flow, an hour of them: a table may say of one that it goes on for a century


@dataclass(frozen=True, slots=True)
class FlowReports:
    """When the meter reports flows, in the order in which it does."""

    row: Int64s  # (m,) int64, the flow's row in its table
    known_ns: Int64s  # (m,) int64
    advances: Mask  # (m,) bool, the flow's first report, which alone moves its host's state on
    # (m, c) float64, what each report held; None where a dataset has nothing but the finished flow
    values: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.row)

    def first(self) -> "FlowReports":
        """The first report of each flow."""
        return self.take(self.advances)

    def take(self, chosen: slice | Mask | Int64s) -> "FlowReports":
        """The chosen reports, of the same flows."""
        values = None if self.values is None else self.values[chosen]
        return FlowReports(self.row[chosen], self.known_ns[chosen], self.advances[chosen], values)


def reports(values: NDArray[np.float64], start_ns: Int64s, end_ns: Int64s) -> FlowReports:
    """All reports of each flow that has packets the report before had not.

    A flow is first reported by its snapshot or its end, whichever comes first: closed (a reset, or FIN both ways) after
    the linger, any other after the idle timeout. A longer one is reported again while it runs, for an hour, and at its
    end. values: (n, c) in the order of flows.columns.COLUMNS. What a running flow's report would have held is not in a
    table of finished flows; of captures it is (training.datasets.captures).
    """
    closed = (values[:, INDEX["rst_flag_count"]] >= 1) | (values[:, INDEX["fin_flag_count"]] >= 2)
    ended = end_ns + np.where(closed, LINGER_NS, IDLE_NS)
    every = np.arange(len(values))
    rows, known, advances = [every], [np.minimum(start_ns + SNAPSHOT_NS, ended)], [np.ones(len(every), dtype=np.bool_)]
    snapshot = start_ns + SNAPSHOT_NS
    more = every[end_ns > snapshot]
    for _ in range(MOST_SNAPSHOTS):
        if not len(more):
            break
        snapshot = snapshot + SNAPSHOT_EVERY_NS
        rows.append(more)
        known.append(np.minimum(snapshot[more], ended[more]))
        advances.append(np.zeros(len(more), dtype=np.bool_))
        more = more[end_ns[more] > snapshot[more]]
    rows.append(more)
    known.append(ended[more])
    advances.append(np.zeros(len(more), dtype=np.bool_))
    row, time, first = np.concatenate(rows), np.concatenate(known), np.concatenate(advances)
    order = np.lexsort((row, start_ns[row], time))
    return FlowReports(row[order], time[order], first[order])


def rehomed(n: int, hosts: int, rng: np.random.Generator) -> Int64s:
    """Hosts drawn at random for n flows, (n, 2) int64: everybody behind one of a few shared addresses.

    An attacking host of a lab sends nothing normal, so a state per host learns the host; behind a shared address it has
    to judge the flow and its neighbours.
    """
    shared = np.zeros((n, 2), dtype=np.int64)
    shared[:, 1] = 10 << 24 | rng.integers(1, hosts + 1, size=n)
    return shared


@dataclass(frozen=True, slots=True)
class Sequences:
    """Reports that advance, grouped by host, each host's in the order of time, host after host."""

    row: Int64s  # (m,) int64, the flow's row in its table
    first: Mask  # (m,) bool, starts a host's sequence
    # (m,) float64, seconds from the latest start of the host's earlier flows, at least 0; 0 on a first
    gap_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: Int64s) -> "Sequences":
        """The chosen steps, in the order given."""
        return Sequences(self.row[index], self.first[index], self.gap_s[index])


def sequences(host: Int64s, start_ns: Int64s, told: FlowReports) -> Sequences:
    """Group first reports by host. host: (n, 2), start_ns: (n,) nanoseconds, of each flow."""
    told = replace(told, values=None).first()
    owner = host[told.row]
    order = np.lexsort((np.arange(len(told)), owner[:, 1], owner[:, 0]))
    row, owner = told.row[order], owner[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (owner[1:] != owner[:-1]).any(axis=1)
    gap = np.zeros(len(order))
    gap[1:] = np.maximum(start_ns[row][1:] - _latest(start_ns[row], first)[:-1], 0) / 1e9
    gap[first] = 0.0
    return Sequences(row, first, gap)


def _latest(start_ns: Int64s, first: Mask) -> Int64s:
    """Latest start so far within each sequence: flows become known out of order."""
    times, rank = np.unique(start_ns, return_inverse=True)
    # A sequence's ranks lie above those of all sequences before it, so one running maximum serves all.
    sequence = np.cumsum(first) - 1
    lifted = np.maximum.accumulate(rank + sequence * len(times))
    latest: Int64s = times[lifted - sequence * len(times)]
    return latest


def joined(parts: list[Sequences]) -> Sequences:
    """Several sets of sequences over the same table as one."""
    return Sequences(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.gap_s for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """One truncated back-propagation step: lanes side by side, each going on where the chunk before left it."""

    row: Int64s  # (lanes, steps) int64
    reset: Float32s  # (lanes, steps) float32, 1 where the state starts anew before this step
    gap_s: NDArray[np.float64]  # (lanes, steps) float64, NaN where the gap is not known
    weight: Float32s  # (lanes, steps) float32, 0 on filling


@dataclass(frozen=True, slots=True)
class Lanes:
    """How sequences are laid out and disturbed for one epoch of fitting."""

    lanes: int  # streams side by side
    steps: int  # length of a chunk
    # Chance of losing the state at any step, so that the first flows of an unknown host are learnt as well
    state_drop: float
    gap_unknown: float  # chance, per lane and chunk, of hiding all gaps
    # Gaps are shortened by up to so many powers of ten, one draw per lane and chunk: the published sample is thinned,
    # its gaps are stretched (normal hosts' about two hundredfold), and live traffic will not have them
    gap_decades: float
    reset_s: float  # silence that ends a host's state

    def chunks(self, source: Sequences, rng: np.random.Generator) -> Iterator[Chunk]:
        """One epoch: all sequences once, in an order drawn from rng, packed end to end into the lanes."""
        stream = shuffled(source, rng)
        length = -(-len(stream) // (self.lanes * self.steps)) * self.steps
        filling = length * self.lanes - len(stream)
        row = np.pad(stream.row, (0, filling)).reshape(self.lanes, length)
        first = np.pad(stream.first, (0, filling), constant_values=True).reshape(self.lanes, length)
        gap = np.pad(stream.gap_s, (0, filling)).reshape(self.lanes, length)
        weight = np.pad(np.ones(len(stream), dtype=np.float32), (0, filling)).reshape(self.lanes, length)
        first[:, 0] = True
        for at in range(0, length, self.steps):
            span = slice(at, at + self.steps)
            shrink = 10.0 ** -rng.uniform(0.0, self.gap_decades, size=(self.lanes, 1))
            known = rng.random((self.lanes, 1)) >= self.gap_unknown
            gap_s = gap[:, span] * shrink
            drop = rng.random((self.lanes, self.steps)) < self.state_drop
            reset = first[:, span] | drop | (gap_s > self.reset_s)
            yield Chunk(
                row=row[:, span],
                reset=reset.astype(np.float32),
                gap_s=np.where(reset | ~known, np.nan, gap_s),
                weight=weight[:, span],
            )


def of_each_group(source: Sequences, group: Int64s, most: int, rng: np.random.Generator) -> Sequences:
    """At most so many steps of each group: whole sequences drawn at random, of the last one drawn a stretch.

    group: (m,) of each step, the same throughout a sequence.
    """
    starts = np.flatnonzero(source.first)
    ends = np.append(starts[1:], len(source))
    order = rng.permutation(len(starts))
    chosen: list[Int64s] = []
    for own in np.unique(group[starts]):
        left = most
        for i in order[group[starts[order]] == own]:
            length = int(ends[i] - starts[i])
            begin = int(starts[i] + (rng.integers(0, length - left + 1) if length > left else 0))
            chosen.append(np.arange(begin, begin + min(length, left)))
            left -= len(chosen[-1])
            if not left:
                break
    drawn = source.take(np.concatenate(chosen))
    begins = np.zeros(len(drawn), dtype=np.bool_)
    begins[np.cumsum([0, *map(len, chosen[:-1])])] = True
    return Sequences(drawn.row, begins, np.where(begins, 0.0, drawn.gap_s))


def shuffled(source: Sequences, rng: np.random.Generator) -> Sequences:
    """The same sequences in another order."""
    starts = np.flatnonzero(source.first)
    ends = np.append(starts[1:], len(source))
    order = rng.permutation(len(starts))
    index = np.concatenate([np.arange(starts[i], ends[i]) for i in order])
    return source.take(index)
