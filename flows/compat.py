"""Flow construction of CICFlowMeter V4 (ahlashkari/CICFlowMeter 98a5eba), rule by rule, for who must compare with it.

IPv4 only; ports and lengths for TCP and UDP, all else is protocol 0 between two hosts; VLAN tags are not in the key,
tunnels stay closed, and later fragments are not metered. A flow ends when a packet finds it older than the limit (120
s), with the first backward FIN, or with a RST; a second forward FIN is left out; a flow of one packet is not written.
Nothing ends by silence: there is no inactivity timeout, no sweep and no snapshot, and times are taken as stamped, also
backward. One thing is added: the table is bounded, so when it is full a flow is given up early and counted, by the
policy of flows.table. Records come as flows end; the rest at the end of the capture, flows not yet established first,
each kind in its order.
"""

import numpy as np

from flows.batch import ACTIVE_TIMEOUT, END_DETECTED, FORCED_END, LACK_OF_RESOURCES, Identity, Values
from flows.block import Bytes, Int64s
from flows.compat_row import (
    V_BACKWARD,
    V_FORWARD,
    V_PACKETS,
    V_START_NS,
    Floats,
    is_forward,
    open_row,
    update_row,
    write_record,
)
from flows.decode import BAD_LAYER4, DECODED, LATER_FRAGMENT, LOST_FRAGMENT, NOT_IPV4, TCP, UDP, decode
from flows.layout import (
    ESTABLISHED,
    FIN_FORWARD,
    M_ACTIVE_TIMEOUT,
    M_BYTES,
    M_CLOCK_NS,
    M_DRAINING,
    M_EVICTED,
    M_LEFT_OUT,
    M_METERED,
    M_NEXT_PACKET,
    M_PACKETS,
    M_RECORDS,
    M_UNDECODED,
    P_CAPTURED_END,
    P_FLAGS,
    P_PAYLOAD,
    P_PAYLOAD_AT,
    P_PORTS,
    P_SENDER,
    P_TIME_NS,
    P_VLAN,
    P_WINDOW,
    R_ORIGINATOR,
    R_STATE,
    ROW_WORDS,
    UNSET,
)
from flows.lists import QUEUE, Heads, Links, append, remove
from flows.table import (
    ESTABLISHED_QUEUE,
    LOW32,
    UNESTABLISHED_QUEUE,
    add_row,
    eviction_candidate,
    find,
    free_row,
    has_room,
    hash_key,
)
from flows.update import FIN, RST
from kernels.jit import U, Word, entry, inner

RECORDS_PER_PACKET = 2
IPV4_WITHOUT_PROTOCOL = 4 << 40  # in P_PORTS


@inner
def read_packet(
    buffer: Bytes, offset: Int64s, caplen: Int64s, ts_ns: Int64s, linktype: Int64s, fields: Int64s, i: Word
) -> Word:
    """Decode packet i as V4 sees it into the first fields; returns the reason where it is not metered."""
    start = offset[U(i)]
    # a frame that ends where it starts: without a length in the IP header a packet has none
    reason = decode(buffer, start, start + caplen[U(i)], start, linktype[U(i)], 0, fields, 0)
    if reason == LATER_FRAGMENT:
        return LOST_FRAGMENT
    if reason > DECODED:
        return reason
    ports = fields[U(P_PORTS)]
    if ports >> 40 != 4:
        return NOT_IPV4
    cut = fields[U(P_PAYLOAD_AT)] - fields[U(P_CAPTURED_END)]
    if reason != DECODED and (ports >> 32) & 0xFF == TCP and fields[U(P_PAYLOAD)] == 0 and cut > 0:
        return BAD_LAYER4  # a part of a header, in a fragment
    if (ports >> 32) & 0xFF not in (TCP, UDP):
        fields[U(P_PORTS)] = IPV4_WITHOUT_PROTOCOL
    fields[U(P_VLAN)] = 0
    fields[U(P_WINDOW)] = max(fields[U(P_WINDOW)], 0)
    fields[U(P_TIME_NS)] = ts_ns[U(i)]
    return DECODED


@inner
def end_flow(
    rows: Int64s,
    floats: Floats,
    slots: Int64s,
    links: Links,
    queues: Heads,
    registers: Int64s,
    identity: Identity,
    values: Values,
    row: Word,
    reason: Word,
) -> None:
    """Report a flow, unless it is of one packet, and give its row back."""
    k = row * ROW_WORDS
    if rows[U(k + V_FORWARD + V_PACKETS)] + rows[U(k + V_BACKWARD + V_PACKETS)] > 1:
        write_record(rows, floats, k, registers, identity, values, reason)
    else:
        registers[U(M_LEFT_OUT)] += 1
    queue = ESTABLISHED_QUEUE if rows[U(k + R_STATE)] & ESTABLISHED else UNESTABLISHED_QUEUE
    remove(links, queues, QUEUE, queue, row)
    free_row(slots, rows, registers, row)


@inner
def begin_flow(
    rows: Int64s,
    floats: Floats,
    slots: Int64s,
    links: Links,
    queues: Heads,
    registers: Int64s,
    fields: Int64s,
    hashed: Word,
    originator: Word,
) -> None:
    """Set up a new row from its first packet; the caller has made room."""
    slot = find(slots, rows, registers, fields, 0, hashed)
    row = add_row(slots, rows, registers, fields, 0, -slot - 1, hashed)
    open_row(rows, floats, row * ROW_WORDS, originator, fields, 0)
    append(links, queues, QUEUE, UNESTABLISHED_QUEUE, row)


@inner
def follow_up(rows: Int64s, floats: Floats, links: Links, queues: Heads, row: Word, fields: Int64s) -> None:
    """Count a packet in its flow; once the source speaks after an answer, the flow changes its eviction queue."""
    k = row * ROW_WORDS
    answered = rows[U(k + V_BACKWARD + V_PACKETS)] > 0
    update_row(rows, floats, k, fields, 0)
    if answered and not rows[U(k + R_STATE)] & ESTABLISHED and is_forward(rows, k, fields, 0):
        rows[U(k + R_STATE)] |= ESTABLISHED
        remove(links, queues, QUEUE, UNESTABLISHED_QUEUE, row)
        append(links, queues, QUEUE, ESTABLISHED_QUEUE, row)


@inner
def meter_packet(
    rows: Int64s,
    floats: Floats,
    slots: Int64s,
    links: Links,
    queues: Heads,
    registers: Int64s,
    identity: Identity,
    values: Values,
    fields: Int64s,
    hashed: Word,
) -> None:
    """One packet into its flow, which may end before it or with it."""
    time = fields[U(P_TIME_NS)] // 1000
    slot = find(slots, rows, registers, fields, 0, hashed)
    if slot < 0:
        if not has_room(registers):
            registers[U(M_EVICTED)] += 1
            victim = eviction_candidate(queues)
            end_flow(rows, floats, slots, links, queues, registers, identity, values, victim, LACK_OF_RESOURCES)
        begin_flow(rows, floats, slots, links, queues, registers, fields, hashed, fields[U(P_SENDER)])
        return
    row = np.int64((slots[U(slot)] & LOW32) - 1)
    k = row * ROW_WORDS
    if time - rows[U(k + V_START_NS)] // 1000 > registers[U(M_ACTIVE_TIMEOUT)]:
        originator = rows[U(k + R_ORIGINATOR)]
        end_flow(rows, floats, slots, links, queues, registers, identity, values, row, ACTIVE_TIMEOUT)
        begin_flow(rows, floats, slots, links, queues, registers, fields, hashed, originator)
        return
    flags = fields[U(P_FLAGS)]
    ends = flags & RST != 0
    if flags & FIN:
        # a FIN is looked at before a RST
        ends = not is_forward(rows, k, fields, 0)
        if not ends:
            if rows[U(k + R_STATE)] & FIN_FORWARD:
                registers[U(M_LEFT_OUT)] += 1
                return
            rows[U(k + R_STATE)] |= FIN_FORWARD
    follow_up(rows, floats, links, queues, row, fields)
    if ends:
        end_flow(rows, floats, slots, links, queues, registers, identity, values, row, END_DETECTED)


@inner
def end_all(
    rows: Int64s,
    floats: Floats,
    slots: Int64s,
    links: Links,
    queues: Heads,
    registers: Int64s,
    identity: Identity,
    values: Values,
) -> bool:
    """End every flow; False when the output filled up first (call again)."""
    while True:
        row = eviction_candidate(queues)
        if row == UNSET:
            return True
        if registers[U(M_RECORDS)] >= len(identity):
            return False
        end_flow(rows, floats, slots, links, queues, registers, identity, values, row, FORCED_END)


@entry
def run_compat(
    buffer: Bytes,
    offset: Int64s,
    caplen: Int64s,
    wirelen: Int64s,
    ts_ns: Int64s,
    _clock_ns: Int64s,
    linktype: Int64s,
    _until: Word,
    rows: Int64s,
    slots: Int64s,
    links: Links,
    _wheel: Heads,
    queues: Heads,
    keys: Int64s,
    fields: Int64s,
    _fragments: Int64s,
    registers: Int64s,
    identity: Identity,
    values: Values,
    _marks: Int64s,
) -> bool:
    """Meter the block by the rules of V4; takes and returns what flows.metering_process.run_meter does.

    Time alone makes nothing due, so `until` matters only as the end of a capture, when M_DRAINING is set.
    """
    floats = rows.view(np.float64)
    room = len(identity) - RECORDS_PER_PACKET
    for i in range(registers[U(M_NEXT_PACKET)], len(offset)):
        if registers[U(M_RECORDS)] > room:
            return False
        registers[U(M_NEXT_PACKET)] = i + 1
        registers[U(M_PACKETS)] += 1
        registers[U(M_BYTES)] += wirelen[U(i)]
        registers[U(M_CLOCK_NS)] = max(registers[U(M_CLOCK_NS)], ts_ns[U(i)])
        reason = read_packet(buffer, offset, caplen, ts_ns, linktype, fields, i)
        if reason != DECODED:
            registers[U(M_UNDECODED + reason)] += 1
            continue
        registers[U(M_METERED)] += 1
        hashed = hash_key(fields, 0, keys)
        meter_packet(rows, floats, slots, links, queues, registers, identity, values, fields, hashed)
    if registers[U(M_DRAINING)]:
        return end_all(rows, floats, slots, links, queues, registers, identity, values)
    return True
