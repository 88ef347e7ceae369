"""Inputs worth keeping, and changed copies of them: many at a time, from one seeded generator.

An input is a row of a byte matrix, a length and a kind (the link type of a frame, the form of a capture). It knows
nothing of what the bytes mean, but prefers their beginning, where headers are.
"""

from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from flows.block import Bytes, Int64s

Rows = NDArray[np.uint8]  # (n, w), an input a row

# Numbers at the edges of fields: lengths, header lengths in words, protocol and extension numbers, EtherTypes.
BYTES = np.array(
    [0, 1, 2, 4, 5, 6, 8, 15, 17, 20, 43, 44, 50, 51, 58, 59, 60, 69, 70, 79, 96, 127, 128, 135, 255], np.uint8
)
HALF_WORDS = np.array(
    [0, 1, 4, 8, 19, 20, 40, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x0800, 0x86DD, 0x8100, 0x88A8, 0x8847, 0x8864, 0x6558,
     0x0806, 0x2000, 0x1FFF, 0x0021, 0x0057, 2152, 4789, 6081], np.uint16,
)  # fmt: skip
OPERATIONS = 10
FLIP, ANY_BYTE, EDGE_BYTE, EDGE_HALF_WORD, NUDGE, CUT, DELETE, INSERT, SPLICE, NOTHING = range(OPERATIONS)


class Corpus:
    """Inputs that showed something new, at most `room` of them."""

    def __init__(self, width: int, room: int) -> None:
        self.rows = np.zeros((room, width), dtype=np.uint8)
        self.lengths = np.zeros(room, dtype=np.int64)
        self.kinds = np.zeros(room, dtype=np.int64)
        self.count = 0
        self._seen: set[Hashable] = set()
        self._oldest = 0  # of those that are not seeds, the next to go
        self._seeds = 0

    @property
    def outcomes(self) -> int:
        """Different outcomes seen."""
        return len(self._seen)

    def seed(self, inputs: Iterable[tuple[int, bytes]]) -> None:
        """Begin with these, (kind, bytes), cut to the width; they stay."""
        for kind, content in inputs:
            cut = np.frombuffer(content, dtype=np.uint8)[: self.rows.shape[1]]
            self._add(cut, kind)
        self._seeds = self._oldest = self.count

    def notice(self, outcome: Hashable, content: Bytes, kind: int) -> bool:
        """Keep an input whose outcome is new; whether it is."""
        if outcome in self._seen:
            return False
        self._seen.add(outcome)
        self._add(content, kind)
        return True

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Rows, Int64s, Int64s]:
        """Changed copies of `count` inputs: rows, lengths, kinds."""
        chosen = rng.integers(0, self.count, count)
        rows, lengths = self.rows[chosen], self.lengths[chosen]
        for _ in range(int(rng.integers(1, 5))):
            change_bytes(rng, rows, lengths)
        change_shape(rng, rows, lengths, self.rows[rng.integers(0, self.count, count)])
        return rows, lengths, self.kinds[chosen]

    def _add(self, content: Bytes, kind: int) -> None:
        at = self.count
        if at == len(self.rows):
            at = self._oldest
            self._oldest = at + 1 if at + 1 < len(self.rows) else self._seeds
        else:
            self.count += 1
        self.rows[at, : len(content)] = content
        self.rows[at, len(content) :] = 0
        self.lengths[at], self.kinds[at] = len(content), kind


def places(rng: np.random.Generator, lengths: Int64s) -> Int64s:
    """A place in each input, more often near its beginning."""
    return np.asarray(rng.random(len(lengths)) ** 1.5 * np.maximum(lengths, 1), dtype=np.int64)


def change_bytes(rng: np.random.Generator, rows: Rows, lengths: Int64s) -> None:
    """Overwrite a byte or two of each input, or none."""
    count = len(rows)
    operation = rng.integers(0, OPERATIONS, count)
    at = places(rng, lengths)
    every = np.arange(count)
    old = rows[every, at]
    new = np.select(
        [operation == FLIP, operation == ANY_BYTE, operation == EDGE_BYTE, operation == NUDGE],
        [
            old ^ (1 << rng.integers(0, 8, count)).astype(np.uint8),
            rng.integers(0, 256, count).astype(np.uint8),
            rng.choice(BYTES, count),
            old + rng.integers(-4, 5, count).astype(np.uint8),
        ],
        old,
    )
    rows[every, at] = new
    wide = np.flatnonzero((operation == EDGE_HALF_WORD) & (at + 1 < rows.shape[1]))
    words = rng.choice(HALF_WORDS, len(wide))
    rows[wide, at[wide]], rows[wide, at[wide] + 1] = words >> 8, words & 0xFF


def change_shape(rng: np.random.Generator, rows: Rows, lengths: Int64s, others: Rows) -> None:
    """Cut some inputs, delete or double a few of their bytes, or give them the end of another one."""
    count, width = len(rows), rows.shape[1]
    operation = rng.integers(0, 2 * OPERATIONS, count)
    cut = operation == CUT
    lengths[cut] = places(rng, lengths)[cut]
    moved = np.flatnonzero((operation == DELETE) | (operation == INSERT) | (operation == SPLICE))
    if not len(moved):
        return
    at = places(rng, lengths)[moved][:, None]
    size = rng.choice([1, 2, 4, 8, 14, 20, 40], (len(moved), 1))
    kind = operation[moved][:, None]
    column = np.broadcast_to(np.arange(width), (len(moved), width))
    shift = np.where(kind == DELETE, size, np.where(kind == INSERT, -size, 0)) * (column >= at)
    source = np.clip(column + shift, 0, width - 1)
    own = np.take_along_axis(rows[moved], source, axis=1)
    rows[moved] = np.where((kind == SPLICE) & (column >= at), others[moved], own)
    change = np.where(kind == DELETE, -size, np.where(kind == INSERT, size, rng.integers(-4, 9, kind.shape)))[:, 0]
    lengths[moved] = np.clip(lengths[moved] + change, 0, width)
