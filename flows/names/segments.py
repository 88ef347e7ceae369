"""Hellos that go on in the next segments, put together from the few first ones.

As many as there are rows for are kept, each up to ROOM bytes, those begun longest ago out first. What comes twice stays
as it came first, also when its hello has ended; of what comes before its time, one stretch is kept.
"""

from numpy import int64

from flows.block import Bytes, Int64s
from flows.byte_order import be16
from flows.names.hello import CLIENT_HELLO, HANDSHAKE
from flows.names.layout import K_A_HIGH, K_SENDER, K_SEQUENCE, Marks
from kernels.jit import U, Word, inner

ROOM = 4096  # bytes of a hello: with a post-quantum key share they have some 1,800
BEGUN = 256  # hellos that go on
NONE = -1

# A row: whose hello it is, as a mark has it; then
_KEY = K_SENDER + 1 - K_A_HIGH
(
    G_SEQUENCE,  # of its first byte
    G_NEEDED,  # bytes of its record; 0 where the row was never used
    G_HAVE,  # bytes from the first one on
    G_FROM,  # a stretch that came before what stands before it; empty at 0
    G_TO,
    BEGUN_WORDS,
) = range(_KEY, _KEY + 6)


@inner
def row_of(marks: Marks, m: Word, begun: Int64s) -> Word:
    """Where the hello of a mark's sender is, NONE where it has begun none."""
    for row in range(len(begun)):
        same = begun[row, G_NEEDED] > 0
        w = 0
        while same and w < _KEY:
            same = begun[row, w] == marks[m, K_A_HIGH + w]
            w += 1
        if same:
            return int64(row)
    return int64(NONE)


@inner
def add_part(buffer: Bytes, at: Word, end: Word, sequence: Word, begun: Int64s, rooms: Bytes, row: Word) -> bool:
    """Add buffer[at:end] to a hello; returns whether there is more from its first byte on."""
    offset = (sequence - begun[row, G_SEQUENCE]) & 0xFFFFFFFF
    if offset >= 1 << 31:  # from before it on
        offset -= 1 << 32
    have, ahead, ahead_end = begun[row, G_HAVE], begun[row, G_FROM], begun[row, G_TO]
    stop = min(offset + end - at, begun[row, G_NEEDED])
    if stop <= max(offset, have):
        return False
    for b in range(max(offset, have), stop):
        if not ahead <= b < ahead_end:
            rooms[U(row * ROOM + b)] = buffer[U(at + b - offset)]
    if offset <= have:
        if ahead <= stop:
            stop = max(stop, ahead_end)
            begun[row, G_FROM] = begun[row, G_TO] = 0
        begun[row, G_HAVE] = stop
        return True
    if ahead_end == 0:
        begun[row, G_FROM], begun[row, G_TO] = offset, stop
    elif offset <= ahead_end and ahead <= stop:
        begun[row, G_FROM], begun[row, G_TO] = min(offset, ahead), max(stop, ahead_end)
    return False


@inner
def begin_hello(
    buffer: Bytes, at: Word, end: Word, marks: Marks, m: Word, begun: Int64s, rooms: Bytes, hand: Int64s
) -> Word:
    """Keep a hello that begins there and goes on, where there is room for it; returns the row of one that began before
    and is said again, NONE for any other. hand: (1,) the row of the next one.
    """
    if at + 6 > end or buffer[U(at)] != HANDSHAKE or buffer[U(at + 5)] != CLIENT_HELLO:
        return int64(NONE)
    needed = 5 + be16(buffer, at + 3)
    if end - at >= needed or needed > ROOM:
        return int64(NONE)
    row = row_of(marks, m, begun)
    if row == NONE:
        row = hand[0]
        hand[0] = (row + 1) % len(begun)
    elif begun[row, G_SEQUENCE] == marks[m, K_SEQUENCE] and begun[row, G_NEEDED] == needed:
        return row
    for w in range(_KEY):
        begun[row, w] = marks[m, K_A_HIGH + w]
    begun[row, G_SEQUENCE], begun[row, G_NEEDED] = marks[m, K_SEQUENCE], needed
    begun[row, G_HAVE] = begun[row, G_FROM] = begun[row, G_TO] = 0
    add_part(buffer, at, end, marks[m, K_SEQUENCE], begun, rooms, row)
    return int64(NONE)
