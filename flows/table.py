"""The flow table: fixed rows, a keyed hash over them, and the two queues that say whom to evict.

The hash is multilinear over 32-bit words with random 64-bit keys and its high half kept, strongly universal (Lemire and
Kaser 2014): whoever does not know the keys cannot craft colliding addresses. That alone does not suffice for linear
probing: consecutive addresses give an arithmetic progression, which clusters under unlucky keys (measured: one key in
fifteen costs more than twice, the worst nine times what random addresses cost). So a fixed bijection, the beginning of
MurmurHash3's finaliser, scatters the hash afterwards; it keeps the collision bound. Slots hold hash << 32 | row + 1 in
open addressing with backward-shift deletion, so a lookup touches one row. Nothing here depends on the keys but speed.
"""

import numpy as np

from flows.block import Int64s
from flows.layout import (
    D_BYTES_MIN,
    D_HEADER_MIN,
    D_IAT_MIN,
    D_INIT_WINDOW,
    D_LAST_WINDOW,
    DIRECTION_WORDS,
    HUGE,
    M_CAPACITY,
    M_FLOWS,
    M_FREE,
    M_FRESH,
    M_MASK,
    P_A_HIGH,
    P_PORTS,
    P_VLAN,
    R_ACTIVE,
    R_FORWARD,
    R_HASH,
    R_IAT_MIN,
    R_ICMP,
    R_IDLE,
    R_STATE,
    ROW_WORDS,
    S_MIN,
    UNSET,
)
from flows.lists import Heads
from kernels.jit import U, Word, inlined, inner

UNESTABLISHED_QUEUE, ESTABLISHED_QUEUE = 0, 1

LOW32 = 0xFFFFFFFF
HASH_KEYS = 13
SCATTER = 0x85EBCA6B  # odd, so the multiplication can be undone


@inner
def hash_key(fields: Int64s, f: Word, keys: Int64s) -> Word:
    """32-bit hash of the six key words of a packet."""
    total = keys[U(0)]
    for w in range(P_VLAN + 1):
        word = fields[U(f + w)]
        total += keys[U(2 * w + 1)] * (word & LOW32) + keys[U(2 * w + 2)] * ((word >> 32) & LOW32)
    hashed = (total >> 32) & LOW32
    hashed = ((hashed ^ (hashed >> 16)) * SCATTER) & LOW32
    return hashed ^ (hashed >> 13)


@inlined
def same_key(rows: Int64s, k: Word, fields: Int64s, f: Word) -> bool:
    """Whether row word k starts the flow that a packet belongs to."""
    for w in range(P_VLAN + 1):  # noqa: SIM110  a generator expression does not compile
        if rows[U(k + w)] != fields[U(f + w)]:
            return False
    return True


@inlined
def find(slots: Int64s, rows: Int64s, registers: Int64s, fields: Int64s, f: Word, hashed: Word) -> Word:
    """Slot of a packet's flow, or -(slot where it would go) - 1."""
    mask = registers[U(M_MASK)]
    slot = hashed & mask
    while True:
        entry = slots[U(slot)]
        if entry == 0:
            return -slot - 1
        if ((entry >> 32) & LOW32) == hashed and same_key(rows, ((entry & LOW32) - 1) * ROW_WORDS, fields, f):
            return slot
        slot = (slot + 1) & mask


@inner
def slot_of_row(slots: Int64s, registers: Int64s, row: Word, hashed: Word) -> Word:
    """Slot that holds a row known to be in the table."""
    mask = registers[U(M_MASK)]
    slot = hashed & mask
    while (slots[U(slot)] & LOW32) != row + 1:
        slot = (slot + 1) & mask
    return slot


@inner
def erase_slot(slots: Int64s, registers: Int64s, slot: Word) -> None:
    """Empty a slot and pull later entries of its run forward."""
    mask = registers[U(M_MASK)]
    hole = slot
    probe = slot
    while True:
        probe = (probe + 1) & mask
        entry = slots[U(probe)]
        if entry == 0:
            break
        home = (entry >> 32) & mask
        if ((probe - home) & mask) >= ((probe - hole) & mask):
            slots[U(hole)] = entry
            hole = probe
    slots[U(hole)] = 0


@inner
def eviction_candidate(queues: Heads) -> Word:
    """Row to give up when the table is full: the oldest not established, else the one established first."""
    row = queues[U(2 * UNESTABLISHED_QUEUE)]
    if row == UNSET:
        row = queues[U(2 * ESTABLISHED_QUEUE)]
    return np.int64(row)


@inner
def has_room(registers: Int64s) -> Word:
    """Whether a flow can be added without evicting one."""
    return registers[U(M_FLOWS)] < registers[U(M_CAPACITY)]


@inner
def add_row(slots: Int64s, rows: Int64s, registers: Int64s, fields: Int64s, f: Word, slot: Word, hashed: Word) -> Word:
    """Row for a new flow, zeroed, its key and hash set and its minima ready; the caller has made room."""
    row = registers[U(M_FREE)]
    if row == UNSET:
        row = registers[U(M_FRESH)]
        registers[U(M_FRESH)] = row + 1
    else:
        registers[U(M_FREE)] = rows[U(row * ROW_WORDS)]
    registers[U(M_FLOWS)] += 1
    k = row * ROW_WORDS
    for w in range(ROW_WORDS):
        rows[U(k + w)] = 0
    for w in range(P_A_HIGH, P_VLAN + 1):
        rows[U(k + w)] = fields[U(f + w)]
    rows[U(k + R_HASH)] = hashed
    rows[U(k + R_IAT_MIN)] = HUGE
    rows[U(k + R_ACTIVE + S_MIN)] = HUGE
    rows[U(k + R_IDLE + S_MIN)] = HUGE
    rows[U(k + R_ICMP)] = UNSET
    for d in (k + R_FORWARD, k + R_FORWARD + DIRECTION_WORDS):
        rows[U(d + D_BYTES_MIN)] = HUGE
        rows[U(d + D_IAT_MIN)] = HUGE
        rows[U(d + D_HEADER_MIN)] = HUGE
        rows[U(d + D_INIT_WINDOW)] = UNSET
        rows[U(d + D_LAST_WINDOW)] = UNSET
    slots[U(slot)] = (hashed << 32) | (row + 1)
    return np.int64(row)


@inner
def free_row(slots: Int64s, rows: Int64s, registers: Int64s, row: Word) -> None:
    """Give a row back; it is in no wheel slot and no queue any more."""
    k = row * ROW_WORDS
    erase_slot(slots, registers, slot_of_row(slots, registers, row, rows[U(k + R_HASH)]))
    rows[U(k)] = registers[U(M_FREE)]
    rows[U(k + P_PORTS)] = 0
    rows[U(k + R_STATE)] = 0
    registers[U(M_FREE)] = row
    registers[U(M_FLOWS)] -= 1
