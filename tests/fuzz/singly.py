"""Packets of a block one by one through a meter, each in a buffer that ends where it ends, in one kernel.

A slice is an array of its own, so that with NUMBA_BOUNDSCHECK=1 a read past the end of a packet raises. A way through
the decoder is told from another by its outcome: why a packet was not decoded, or which fields were.
"""

import numpy as np

from flows.batch import FlowBatch, Identity, Values
from flows.block import Bytes, Int64s, PacketBlock
from flows.compat import run_compat
from flows.decode import REASONS
from flows.layout import (
    M_MARKS,
    M_NEXT_PACKET,
    M_RECORDS,
    M_UNDECODED,
    P_HEADER,
    P_ICMP,
    P_PAYLOAD,
    P_PORTS,
    P_VLAN,
    UNSET,
)
from flows.lists import Heads, Links
from flows.meter import Meter, concatenate
from flows.metering_process import run_meter
from kernels.jit import U, Word, entry, inner

KINDS = len(REASONS)
PRIME = 1_099_511_628_211  # FNV-1a of 64 bits
NOWHERE = np.zeros(1, dtype=np.int64)


@inner
def bit_length(number: Word) -> Word:
    """Bits of a number that is not negative; 0 of one that is."""
    bits = 0
    while number > 0:
        number >>= 1
        bits += 1
    return bits


@inner
def mixed(outcome: Word, part: Word) -> Word:
    """A hash with one number more; it wraps round."""
    return (outcome ^ part) * PRIME


@inner
def outcome_of(fields: Int64s, registers: Int64s, before: Int64s, kind: Word, size: Word) -> Word:
    """What the decoder made of the packet, as far as it tells one way from another; `before` is brought up to now."""
    reason = -1
    for r in range(KINDS):
        if registers[U(M_UNDECODED + r)] != before[U(r)]:
            before[U(r)] = registers[U(M_UNDECODED + r)]
            reason = r
    if reason >= 0:
        return mixed(mixed(mixed(1, kind), reason), bit_length(size))
    ports = fields[U(P_PORTS)]
    outcome = mixed(mixed(2, kind), ports >> 32)  # version and protocol
    outcome = mixed(outcome, bit_length(ports & 0xFFFFFFFF) >> 3)
    outcome = mixed(outcome, fields[U(P_HEADER)])
    outcome = mixed(outcome, bit_length(fields[U(P_PAYLOAD)]))
    outcome = mixed(outcome, bit_length(fields[U(P_VLAN)]) // 12)
    return mixed(outcome, fields[U(P_ICMP)] >= 0)


@entry
def run_singly(
    begin: int,
    again: bool,
    compat: bool,
    outcomes: Int64s,
    before: Int64s,
    nowhere: Int64s,
    buffer: Bytes,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
    clock_ns: Int64s,
    linktype: Int64s,
    rows: Int64s,
    slots: Int64s,
    links: Links,
    wheel: Heads,
    queues: Heads,
    keys: Int64s,
    fields: Int64s,
    fragments: Int64s,
    registers: Int64s,
    identity: Identity,
    values: Values,
    marks: Int64s,
) -> int:
    """Meter the packets from `begin` on; returns the one at which the output filled up, or their number.

    again: whether the first of them was begun before. outcomes: (n,), filled.
    """
    for i in range(begin, len(offset)):
        if not (again and i == begin):
            registers[U(M_NEXT_PACKET)] = 0
        frame = buffer[offset[U(i)] : offset[U(i)] + caplen[U(i)]]
        one = (nowhere, caplen[i : i + 1], wirelen[i : i + 1], ts_ns[i : i + 1], clock_ns[i : i + 1])
        link = linktype[i : i + 1]
        if compat:
            done = run_compat(
                frame, one[0], one[1], one[2], one[3], one[4], link, UNSET, rows, slots, links, wheel, queues, keys,
                fields, fragments, registers, identity, values, marks,
            )  # fmt: skip
        else:
            done = run_meter(
                frame, one[0], one[1], one[2], one[3], one[4], link, UNSET, rows, slots, links, wheel, queues, keys,
                fields, fragments, registers, identity, values, marks,
            )  # fmt: skip
        registers[U(M_MARKS)] = 0  # of a slice that is gone; the whole block's are read
        if not done:
            return i
        outcomes[U(i)] = outcome_of(fields, registers, before, linktype[U(i)], caplen[U(i)])
    return len(offset)


def feed_singly(meter: Meter, block: PacketBlock) -> tuple[FlowBatch, Int64s]:
    """Feed each packet of a block by itself; the records that fell due, and each packet's outcome, (n,)."""
    registers = meter._registers
    outcomes = np.zeros(len(block), dtype=np.int64)
    before = registers[M_UNDECODED : M_UNDECODED + KINDS].copy()
    batches = []
    at, again = 0, False
    while at < len(block):
        registers[M_RECORDS] = 0
        at = run_singly(
            at, again, meter._kernel is run_compat, outcomes, before, NOWHERE,
            block.buffer, block.offset, block.caplen, block.wirelen, block.ts_ns, block.arrival_ns, block.linktype,
            meter._rows, meter._slots, meter._links, meter._wheel, meter._queues, meter._keys, meter._fields,
            meter._fragments, registers, meter._identity, meter._values, meter._reader.marks,
        )  # fmt: skip
        again = True
        if records := int(registers[M_RECORDS]):
            batches.append(FlowBatch(meter._identity[:records].copy(), meter._values[:records].copy()))
    return concatenate(batches), outcomes
