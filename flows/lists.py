"""Doubly linked lists of rows in one small array, so that list work does not touch the rows themselves.

Each row has LINK_WORDS words: its neighbours in a wheel slot, that slot, and its neighbours in an eviction queue.
`chain` says which pair of neighbours is meant; heads[2 * l] and heads[2 * l + 1] are the first and last row of list l.
"""

import numpy as np
from numpy.typing import NDArray

from flows.layout import UNSET
from kernels.jit import U, Word, inner

Links = NDArray[np.int32]  # (rows * LINK_WORDS,)
Heads = NDArray[np.int32]  # (lists * 2,)

# A chain is where its "next" word is; "previous" follows it.
WHEEL, QUEUE, WHEEL_SLOT, LINK_WORDS = 0, 2, 4, 5


@inner
def append(links: Links, heads: Heads, chain: Word, which: Word, row: Word) -> None:
    """Put a row at the end of list `which`."""
    last = heads[U(2 * which + 1)]
    links[U(row * LINK_WORDS + chain)] = UNSET
    links[U(row * LINK_WORDS + chain + 1)] = last
    if last == UNSET:
        heads[U(2 * which)] = row
    else:
        links[U(last * LINK_WORDS + chain)] = row
    heads[U(2 * which + 1)] = row


@inner
def remove(links: Links, heads: Heads, chain: Word, which: Word, row: Word) -> None:
    """Take a row out of list `which`, which it is in."""
    following = links[U(row * LINK_WORDS + chain)]
    previous = links[U(row * LINK_WORDS + chain + 1)]
    if previous == UNSET:
        heads[U(2 * which)] = following
    else:
        links[U(previous * LINK_WORDS + chain)] = following
    if following == UNSET:
        heads[U(2 * which + 1)] = previous
    else:
        links[U(following * LINK_WORDS + chain + 1)] = previous
