"""The hosts whose sequences are remembered: a bounded table, least recently advanced out first.

Flat arrays and open addressing (Knuth, The Art of Computer Programming 3, 6.4: linear probing, algorithm R to delete).
It does not know what is remembered: it gives each host a row number below its capacity. The hash is keyed by a seed
that attackers cannot know; which rows are given, and who is evicted, does not depend on it.

Kernels of other modules compile these into their own cached code, which numba does not renew when only this file
changes: remove their __pycache__ after editing it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.jit import Word, inner

Slots = NDArray[np.int32]  # (s,) a row number or ABSENT, s a power of two
Int64s = NDArray[np.int64]
Seed = NDArray[np.uint64]  # (2,)

ABSENT = -1
NEWEST, OLDEST, COUNT, EVICTED, ENDS_WIDTH = range(5)
OLDER, NEWER, LINKS_WIDTH = range(3)


@dataclass(frozen=True, eq=False)
class HostTable:
    """Arrays of the table, which kernels change in place."""

    slots: Slots  # (s,) int32, a row number or -1, s a power of two
    keys: Int64s  # (capacity, 2) int64
    links: Int64s  # (capacity, 2) int64, rows next older and next newer
    ends: Int64s  # (4,) int64, newest row, oldest row, rows in use, hosts that gave way to others
    seed: Seed  # (2,) uint64

    def clear(self) -> None:
        """Forget every host."""
        self.slots.fill(ABSENT)
        self.ends[:] = (ABSENT, ABSENT, 0, 0)


def host_table(capacity: int, seed: int) -> HostTable:
    """Empty table for that many hosts; seed: 128 random bits. Raises ValueError outside 1..2^24 hosts."""
    if not 1 <= capacity <= 1 << 24:
        raise ValueError(f"host capacity is {capacity}, expected 1..{1 << 24}")
    words = np.array([seed & 0xFFFFFFFFFFFFFFFF, seed >> 64 & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)
    table = HostTable(
        slots=np.empty(1 << (2 * capacity - 1).bit_length(), dtype=np.int32),
        keys=np.zeros((capacity, 2), dtype=np.int64),
        links=np.zeros((capacity, LINKS_WIDTH), dtype=np.int64),
        ends=np.empty(ENDS_WIDTH, dtype=np.int64),
        seed=words,
    )
    table.clear()
    return table


MULTIPLIER_1 = np.uint64(0xD6E8FEB86659FD93)
MULTIPLIER_2 = np.uint64(0xA0761D6478BD642F)
HALF = np.uint64(32)


@inner
def mixed(word: Word) -> Word:
    """A bijection of uint64."""
    word = (word ^ (word >> HALF)) * MULTIPLIER_1
    word = (word ^ (word >> HALF)) * MULTIPLIER_2
    return word ^ (word >> HALF)


@inner
def home_slot(high: Word, low: Word, slots: Slots, seed: Seed) -> Word:
    """First slot to look in."""
    word = mixed(mixed(np.uint64(high) ^ seed[0]) + (np.uint64(low) ^ seed[1]))
    return np.int64(word & np.uint64(slots.shape[0] - 1))


@inner
def find(high: Word, low: Word, slots: Slots, keys: Int64s, seed: Seed) -> Word:
    """Row of a host, ABSENT when it is not remembered."""
    slot = home_slot(high, low, slots, seed)
    while slots[slot] != ABSENT:
        row = np.int64(slots[slot])
        if keys[row, 0] == high and keys[row, 1] == low:
            return row
        slot = (slot + 1) & (slots.shape[0] - 1)
    return np.int64(ABSENT)


@inner
def admit(high: Word, low: Word, slots: Slots, keys: Int64s, links: Int64s, ends: Int64s, seed: Seed) -> Word:
    """Row for a host that has none, as the newest; takes the oldest host's when all are in use."""
    if ends[COUNT] < keys.shape[0]:
        row = ends[COUNT]
        ends[COUNT] += 1
    else:
        row = ends[OLDEST]
        ends[EVICTED] += 1
        _unlink(row, links, ends)
        _delete(row, slots, keys, seed)
    keys[row, 0] = high
    keys[row, 1] = low
    slot = home_slot(high, low, slots, seed)
    while slots[slot] != ABSENT:
        slot = (slot + 1) & (slots.shape[0] - 1)
    slots[slot] = row
    _link(row, links, ends)
    return row


@inner
def touch(row: Word, links: Int64s, ends: Int64s) -> None:
    """Make a row the newest."""
    if ends[NEWEST] != row:
        _unlink(row, links, ends)
        _link(row, links, ends)


@inner
def _link(row: Word, links: Int64s, ends: Int64s) -> None:
    newest = ends[NEWEST]
    links[row, OLDER] = newest
    links[row, NEWER] = ABSENT
    if newest == ABSENT:
        ends[OLDEST] = row
    else:
        links[newest, NEWER] = row
    ends[NEWEST] = row


@inner
def _unlink(row: Word, links: Int64s, ends: Int64s) -> None:
    older, newer = links[row, OLDER], links[row, NEWER]
    if older == ABSENT:
        ends[OLDEST] = newer
    else:
        links[older, NEWER] = newer
    if newer == ABSENT:
        ends[NEWEST] = older
    else:
        links[newer, OLDER] = older


@inner
def _delete(row: Word, slots: Slots, keys: Int64s, seed: Seed) -> None:
    """Empty a row's slot and move up what had been pushed past it, so that no search ends early."""
    mask = slots.shape[0] - 1
    hole = home_slot(keys[row, 0], keys[row, 1], slots, seed)
    while slots[hole] != row:
        hole = (hole + 1) & mask
    slot = hole
    while True:
        slots[hole] = ABSENT
        while True:
            slot = (slot + 1) & mask
            if slots[slot] == ABSENT:
                return
            other = np.int64(slots[slot])
            home = home_slot(keys[other, 0], keys[other, 1], slots, seed)
            # It may move into the hole unless its home lies cyclically in (hole, slot].
            if ((slot - home) & mask) >= ((slot - hole) & mask):
                break
        slots[hole] = slots[slot]
        hole = slot
