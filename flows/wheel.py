"""When rows are looked at again: a timing wheel of quarter seconds.

A row stands in the slot of the earliest moment at which something may be due and is put back when nothing is, so each
costs a few moves in its life and no sweep passes over the table (Varghese and Lauck 1987, scheme 6). Rows of a slot are
kept in the order they came, which makes the order of records a function of the packets alone.
"""

import numpy as np

from flows.block import Int64s
from flows.layout import M_TICK
from flows.lists import LINK_WORDS, WHEEL, WHEEL_SLOT, Heads, Links, append, remove
from kernels.jit import U, Word, inner

TICK_US = 250_000
WHEEL_SLOTS = 1024  # 256 s; what is due later waits in the last slot and is put back


@inner
def schedule(links: Links, wheel: Heads, registers: Int64s, row: Word, due: Word) -> None:
    """Stand a row in the slot of a moment (µs), never one that has fired."""
    tick = due // TICK_US
    first = registers[U(M_TICK)]
    tick = max(tick, first)
    # one slot short of a full turn, so that a row put back never lands in the slot that is being emptied
    tick = min(tick, first + WHEEL_SLOTS - 2)
    slot = tick & (WHEEL_SLOTS - 1)
    links[U(row * LINK_WORDS + WHEEL_SLOT)] = slot
    append(links, wheel, WHEEL, slot, row)


@inner
def unschedule(links: Links, wheel: Heads, row: Word) -> None:
    """Take a row out of its slot."""
    remove(links, wheel, WHEEL, np.int64(links[U(row * LINK_WORDS + WHEEL_SLOT)]), row)
