"""Bounded tables of counts that fade exponentially: rows by key, cells that a caller lays out, a bitmap a row.

It does not know what is counted. Which row gives way when a table is full is that of kernels.hosts, and how many did is
counted there.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hosts import ABSENT, admit, find, home_slot, host_table, mixed, touch
from kernels.jit import Word, inner, prefetch

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]
Bits = NDArray[np.uint64]  # (capacity,) a bitmap a row

AT = 0  # the cell that says when its row was last brought up to date, in all tables
_BITS = 64
_CACHE_LINE_WORDS = 8


class Rows(NamedTuple):
    """A bounded table: rows by key (kernels.hosts), cells that fade, and a bitmap a row."""

    slots: NDArray[np.int32]
    keys: Int64s
    links: Int64s
    ends: Int64s
    seed: NDArray[np.uint64]
    cells: Floats  # (capacity, cells of the table)
    bits: Bits  # addresses seen, hashed to 64 bits


def table_rows(capacity: int, cells: int, seed: int) -> Rows:
    """An empty table of so many rows and cells a row."""
    table = host_table(capacity, seed)
    zeros, bits = np.zeros((capacity, cells)), np.zeros(capacity, dtype=np.uint64)
    return Rows(table.slots, table.keys, table.links, table.ends, table.seed, zeros, bits)


@inner
def row_of(high: Word, low: Word, now: float, table: Rows) -> Word:
    """Row of a key as the newest, given anew where it had none."""
    row = find(high, low, table.slots, table.keys, table.seed)
    if row == ABSENT:
        row = admit(high, low, table.slots, table.keys, table.links, table.ends, table.seed)
        table.cells[row, :] = 0.0
        table.cells[row, AT] = now
        table.bits[row] = np.uint64(0)
    else:
        touch(row, table.links, table.ends)
    return row


@inner
def fetch_slot(high: Word, low: Word, table: Rows) -> None:
    """Ask for the slot that a key hashes to, some records before its row is wanted."""
    prefetch(table.slots, home_slot(high, low, table.slots, table.seed))


@inner
def fetch_row(high: Word, low: Word, table: Rows) -> None:
    """Ask for the row that a key's slot points at, once that has come; a wrong guess costs nothing but bandwidth."""
    row = np.int64(table.slots[home_slot(high, low, table.slots, table.seed)])
    if row != ABSENT:
        prefetch(table.keys[row], 0)
        prefetch(table.links[row], 0)
        cells = table.cells[row]
        for word in range(0, cells.shape[0], _CACHE_LINE_WORDS):
            prefetch(cells, word)


@inner
def fade(cells: Floats, row: int, first: int, end: int, times: float) -> None:
    """Let counts fade by so many times their memory."""
    factor = math.exp(-times)
    for column in range(first, end):
        cells[row, column] *= factor


@inner
def see(high: Word, low: Word, row: int, now: float, window_s: float, column: int, cells: Floats, bits: Bits) -> None:
    """Count 128 bits among those of a row in a window: linear counting over 64 bits (Whang et al. 1990).

    column: of the window's begin; the next two hold how many bits are set in it, and were in the one before.
    """
    if now - cells[row, column] >= window_s:
        cells[row, column + 2] = cells[row, column + 1] if now - cells[row, column] < 2 * window_s else 0.0
        cells[row, column + 1], cells[row, column] = 0.0, now
        bits[row] = np.uint64(0)
    # Not keyed: what is told must be the same in every run.
    word = mixed(mixed(np.uint64(high)) + np.uint64(low))
    bit = np.uint64(1) << (word & np.uint64(_BITS - 1))
    if bits[row] & bit == 0:
        bits[row] |= bit
        cells[row, column + 1] += 1


@inner
def seen(row: int, column: int, cells: Floats) -> float:
    """About how many a row had in this window or the one before, at most some 270."""
    bits = max(cells[row, column + 1], cells[row, column + 2])
    return -_BITS * math.log(max(1 - bits / _BITS, 1 / _BITS))
