"""The metering process as a kernel (RFC 7011): packets of a block into the flow table, records out.

Packets are decoded in groups. What it reports and in which order is a function of the packets alone, whatever blocks
and groups they come in. It keeps nothing: table, registers and output are its caller's.
"""

from flows.batch import Identity, Values
from flows.block import Bytes, Int64s
from flows.clock import LATEST_STAMP_NS, clamp_time
from flows.decode import DECODED, OUTSIDE, decode, holds_tunnel
from flows.fragments import resolve_fragment
from flows.layout import (
    M_BYTES,
    M_CLOCK_NS,
    M_DECAPSULATE,
    M_DECODED,
    M_MARKS,
    M_MASK,
    M_METERED,
    M_NAMES,
    M_NEXT_PACKET,
    M_PACKETS,
    M_RECORDS,
    M_SAMPLE,
    M_SHED,
    M_TICK,
    M_TUNNELLED,
    M_UNDECODED,
    M_UPDATED,
    M_VLAN_IN_KEY,
    P_HASH,
    P_PORTS,
    P_STAMP_NS,
    P_TIME_NS,
    P_VLAN,
    PACKET_FIELDS,
    R_STATE,
    ROW_WORDS,
    UNSET,
)
from flows.lifecycle import GOES_ON, RECORDS_PER_PACKET, end_reason, follow_state, replace_flow, turn_wheel
from flows.lists import Heads, Links
from flows.names.layout import MARK_WORDS
from flows.names.marking import mark_names
from flows.table import LOW32, find, hash_key
from flows.tunnels import may_be_tunnel
from flows.update import update_row
from flows.wheel import TICK_US
from kernels.jit import U, Word, entry, inner, prefetch

# Packets decoded before any is counted: their slots and rows are fetched meanwhile. Cache misses, not arithmetic,
# bound the meter from about 100,000 concurrent flows on.
GROUP = 64
FRAMES_AHEAD = 16  # asked for while one is decoded: a capture's blocks may have waited
SAMPLE_SHIFT = 26  # the top bits of a hash say which sample a flow is in; those below say where in the table it stands
CACHE_LINE_WORDS = 8


@inner
def decode_group(
    buffer: Bytes,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
    clock_ns: Int64s,
    linktype: Int64s,
    fields: Int64s,
    keys: Int64s,
    slots: Int64s,
    fragments: Int64s,
    registers: Int64s,
) -> None:
    """Decode up to GROUP packets and ask for the slots they hash to; counts those that cannot be decoded."""
    mask = registers[U(M_MASK)]
    decapsulate = registers[U(M_DECAPSULATE)]
    sample = registers[U(M_SAMPLE)]
    i = registers[U(M_NEXT_PACKET)]
    decoded = 0
    while i < len(offset) and decoded < GROUP:
        ahead = min(i + FRAMES_AHEAD, len(offset) - 1)
        prefetch(buffer, offset[U(ahead)])
        f = decoded * PACKET_FIELDS
        start = offset[U(i)]
        end, wire_end, link = start + caplen[U(i)], start + wirelen[U(i)], linktype[U(i)]
        reason = decode(buffer, start, end, wire_end, link, decapsulate, fields, f)
        fields[U(f + P_TIME_NS)] = clamp_time(registers, clock_ns[U(i)])
        fields[U(f + P_STAMP_NS)] = min(max(ts_ns[U(i)], 0), LATEST_STAMP_NS)
        if registers[U(M_VLAN_IN_KEY)] == 0:
            fields[U(f + P_VLAN)] = 0
        if reason < DECODED:
            reason = resolve_fragment(buffer, start, end, wire_end, link, fragments, registers, fields, f, keys, reason)
        registers[U(M_PACKETS)] += 1
        registers[U(M_BYTES)] += wirelen[U(i)]
        i += 1
        if reason != DECODED:
            registers[U(M_UNDECODED + reason)] += 1
            continue
        if decapsulate == OUTSIDE and may_be_tunnel(fields[U(f + P_PORTS)]):
            registers[U(M_TUNNELLED)] += holds_tunnel(buffer, start, end, wire_end, link)
        hashed = hash_key(fields, f, keys)
        if (hashed >> SAMPLE_SHIFT) & sample:
            registers[U(M_SHED)] += 1
            continue
        fields[U(f + P_HASH)] = hashed
        prefetch(slots, hashed & mask)
        decoded += 1
    registers[U(M_NEXT_PACKET)] = i
    registers[U(M_DECODED)] = decoded
    registers[U(M_UPDATED)] = 0


@inner
def prefetch_rows(fields: Int64s, slots: Int64s, rows: Int64s, registers: Int64s) -> None:
    """Ask for the rows that the group's slots point at; a wrong guess costs nothing but bandwidth."""
    mask = registers[U(M_MASK)]
    for p in range(registers[U(M_DECODED)]):
        found = slots[U(fields[U(p * PACKET_FIELDS + P_HASH)] & mask)]
        if found:
            k = ((found & LOW32) - 1) * ROW_WORDS
            for line in range(0, ROW_WORDS, CACHE_LINE_WORDS):
                prefetch(rows, k + line)


@entry
def run_meter(
    buffer: Bytes,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
    clock_ns: Int64s,
    linktype: Int64s,
    until: Word,
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
) -> bool:
    """Meter the block from where the registers stand, then play time on to `until` (µs; UNSET: to its last packet).

    True when all is done, False when the output or the marks filled up: empty it and call again with the same block.
    """
    room = len(identity) - RECORDS_PER_PACKET
    room_for_marks = len(marks) // MARK_WORDS
    names = registers[U(M_NAMES)]
    while True:
        while registers[U(M_UPDATED)] < registers[U(M_DECODED)]:
            f = registers[U(M_UPDATED)] * PACKET_FIELDS
            time = fields[U(f + P_TIME_NS)] // 1000
            if time // TICK_US > registers[U(M_TICK)] and not turn_wheel(
                rows, slots, links, wheel, queues, registers, identity, values, time
            ):
                return False
            if registers[U(M_RECORDS)] > room or registers[U(M_MARKS)] >= room_for_marks:
                return False
            hashed = fields[U(f + P_HASH)]
            slot = find(slots, rows, registers, fields, f, hashed)
            row, reason = UNSET, GOES_ON
            if slot >= 0:
                row = (slots[U(slot)] & LOW32) - 1
                reason = end_reason(rows, row * ROW_WORDS, registers, time, fields, f)
            if slot < 0 or reason != GOES_ON:
                row = replace_flow(
                    rows, slots, links, wheel, queues, registers, identity, values, fields, f, hashed, slot, reason
                )
            if names:
                mark_names(buffer, fields, f, rows, row * ROW_WORDS, marks, registers)
            before = rows[U(row * ROW_WORDS + R_STATE)]
            update_row(rows, row * ROW_WORDS, fields, f)
            if rows[U(row * ROW_WORDS + R_STATE)] != before:
                follow_state(rows, links, wheel, queues, registers, row, before)
            registers[U(M_METERED)] += 1
            registers[U(M_UPDATED)] += 1
        if registers[U(M_NEXT_PACKET)] >= len(offset):
            break
        decode_group(
            buffer, offset, caplen, wirelen, ts_ns, clock_ns, linktype, fields, keys, slots, fragments, registers
        )
        prefetch_rows(fields, slots, rows, registers)
    if until == UNSET:  # what is not metered has moved the clock as well
        until = registers[U(M_CLOCK_NS)] // 1000
    return turn_wheel(rows, slots, links, wheel, queues, registers, identity, values, until)
