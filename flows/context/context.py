"""Context: of each flow record, what its source, its target and their services did before it, in bounded memory.

What a record sees: records are taken in the order in which they come, which is that of their reports (FlowBatch). Those
that follow one another and end at the same moment (the meter's clock at the last packet, END_NS + END_SHIFT_NS, to the
ns) are peers: none sees another, whatever their order. A record sees all that came before its peers, and nothing that
comes after them. What it sees is weighed by the time between the ends of flows, not by when they were reported: a
timeout or the end of a capture, which bring many records at once, make no rate. Where a later end was seen in a row
already, the row is seen as it was then.

The columns are a function of the records alone, in whatever batches they come, and of the capacity once rows give way:
those that were touched longest ago do first, and are counted (evicted); no hash has a part in that. Whether one side
of conversations is out of view is not asked: in such a view nearly all flows are without an answer.
"""

import secrets
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flows.batch import END_NS, END_SHIFT_NS, FlowBatch, Values
from flows.context.cells import L_CELLS, P_CELLS, S_CELLS, T_CELLS, V_CELLS, fetch_rows, fetch_slots
from flows.context.counting import count
from flows.context.facts import (
    AMOUNT_WORDS,
    KEY_WORDS,
    NEW,
    NEWS,
    PORT,
    SOURCE,
    START,
    TARGET,
    Amounts,
    Keys,
    write_facts,
)
from flows.context.rows import CONTEXT_WIDTH, write_row
from kernels.fading import Bits, Int64s, Rows, table_rows
from kernels.hosts import EVICTED
from kernels.jit import entry

MOST_PEERS = 65_536  # of a run; the next one takes those that follow as coming later
DAY_NS = 86_400 * 1_000_000_000
SLOTS_AHEAD, ROWS_AHEAD = 12, 6  # records, for which slots and then rows are asked from memory


class Context:
    """The columns of records of one run, in their order."""

    def __init__(self, capacity: int, seed: int | None = None) -> None:
        """capacity: sources, as many targets, twice as many services, four times as many links and pairs.

        seed: 128 bits of the keys that addresses are hashed with, random unless given; nothing depends on it.
        """
        seed = secrets.randbits(128) if seed is None else seed
        self._sources = table_rows(capacity, S_CELLS, seed)
        self._targets = table_rows(capacity, T_CELLS, seed)
        self._links = table_rows(4 * capacity, L_CELLS, seed)
        self._pairs = table_rows(4 * capacity, P_CELLS, seed)
        self._services = table_rows(2 * capacity, V_CELLS, seed)
        self._ports = np.zeros(capacity, dtype=np.uint64)
        self._base_ns: int | None = None
        # The peers that are not counted yet: their ends, keys and amounts.
        self._ends = np.empty(0, dtype=np.int64)
        self._keys = np.empty((0, KEY_WORDS), dtype=np.int64)
        self._amounts = np.empty((0, AMOUNT_WORDS))

    @property
    def evicted(self) -> int:
        """Rows of all tables that gave way to others so far."""
        return sum(int(table.ends[EVICTED]) for table in self._tables)

    @property
    def size_bytes(self) -> int:
        """Memory of the tables, whether filled or not."""
        return self._ports.nbytes + sum(array.nbytes for table in self._tables for array in table)

    @property
    def _tables(self) -> tuple[Rows, Rows, Rows, Rows, Rows]:
        return self._sources, self._targets, self._links, self._pairs, self._services

    def columns(self, batch: FlowBatch) -> Values:
        """Values of the records, and their context after them: (n, columns of context_contract) float64, finite."""
        width = batch.values.shape[1]
        out = np.empty((len(batch), width + CONTEXT_WIDTH))
        out[:, :width] = batch.values
        self._observe(batch, out, width)
        return out

    def observe(self, batch: FlowBatch) -> Values:
        """The context of the next records, (n, len(CONTEXT_COLUMNS)) float64."""
        out = np.empty((len(batch), CONTEXT_WIDTH))
        self._observe(batch, out, 0)
        return out

    def _observe(self, batch: FlowBatch, out: Values, first: int) -> None:
        """Write the context of the next records into the columns of out from the first on."""
        if not len(batch):
            return
        identity, values = np.ascontiguousarray(batch.identity), np.ascontiguousarray(batch.values)
        waiting, n = len(self._ends), len(self._ends) + len(batch)
        ends, keys, amounts = (
            np.empty(n, dtype=np.int64),
            np.empty((n, KEY_WORDS), dtype=np.int64),
            np.empty((n, AMOUNT_WORDS)),
        )
        ends[:waiting], keys[:waiting], amounts[:waiting] = self._ends, self._keys, self._amounts
        np.add(identity[:, END_NS], identity[:, END_SHIFT_NS], out=ends[waiting:])
        if self._base_ns is None:
            self._base_ns = int(ends[0]) - DAY_NS  # so that no window begins at 0
        with np.errstate(over="ignore"):  # the hash wraps around; only interpreted kernels notice
            write_facts(identity, values, self._base_ns, self._sources.seed, keys[waiting:], amounts[waiting:])
            runs = _runs(ends)
            order = _order(runs, keys, amounts)
            complete = len(runs) - 1 - (runs[-1] - runs[-2] < MOST_PEERS)
            _observe(
                keys, amounts, runs, order, complete, waiting, *self._tables, self._ports, out, first
            )  # fmt: skip
        last = runs[complete]
        self._ends, self._keys, self._amounts = ends[last:].copy(), keys[last:].copy(), amounts[last:].copy()


def _runs(ends: Int64s) -> Int64s:
    """Where each run of peers begins, and where the last one ends."""
    between = np.flatnonzero(ends[1:] != ends[:-1])
    begins = np.empty(len(between) + 2, dtype=np.int64)
    begins[0], begins[-1] = 0, len(ends)
    np.add(between, 1, out=begins[1:-1])
    if len(ends) > MOST_PEERS and np.diff(begins).max() > MOST_PEERS:
        parts = [np.arange(first, end, MOST_PEERS) for first, end in pairwise(begins)]
        begins = np.concatenate([*parts, begins[-1:]])
    return begins


def _order(runs: Int64s, keys: Keys, amounts: Amounts) -> Int64s:
    """The order in which records are counted: runs as they come; peers by what they say, new flows first, by start."""
    n = len(keys)
    if len(runs) == n + 1:
        return np.arange(n)
    run = np.repeat(np.arange(len(runs) - 1), np.diff(runs))
    plain = keys[:, [SOURCE, SOURCE + 1, TARGET, TARGET + 1, PORT]]  # the others are hashed
    return np.lexsort([*plain.T, *amounts.T, amounts[:, START], -amounts[:, NEW], run])


@entry
def _observe(
    keys: Keys, amounts: Amounts, runs: Int64s, order: Int64s, complete: int, waiting: int, sources: Rows,
    targets: Rows, links: Rows, pairs: Rows, services: Rows, ports: Bits, out: NDArray[np.float64], column: int,
) -> None:  # fmt: skip
    """Write the rows of the records after those that waited to be counted, and count the runs that are complete.

    Rows are written into the columns of out from this column on.
    """
    context = out[:, column:]
    for run in range(len(runs) - 1):
        first, end = runs[run], runs[run + 1]
        for i in range(max(first, waiting), end):
            if i + SLOTS_AHEAD < len(keys):
                fetch_slots(keys, i + SLOTS_AHEAD, sources, targets, links, pairs, services)
            if i + ROWS_AHEAD < len(keys):
                fetch_rows(keys, i + ROWS_AHEAD, sources, targets, links, pairs, services)
            write_row(keys, amounts, i, sources, targets, links, pairs, services, context, i - waiting)
        if run < complete:
            for k in range(first, end):
                if amounts[order[k], NEWS] > 0:
                    count(keys, amounts, order[k], sources, targets, links, pairs, services, ports)
