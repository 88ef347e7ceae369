"""When flows begin, end and are reported while they run.

A flow ends by idle timeout, by active timeout, a short linger after it was closed (so that late ACKs and resets stay in
it), when the SYN of another connection reuses its ports, or when the table is full. Whether a packet still belongs to a
flow is decided when the packet arrives; the wheel only brings out records that no packet asks for, in the order they
fell due. A closed flow is reported within a tick of its close, and again at its end with the stragglers.
"""

import numpy as np

from flows.batch import (
    ACTIVE_TIMEOUT,
    END_DETECTED,
    FORCED_END,
    IDLE_TIMEOUT,
    LACK_OF_RESOURCES,
    SNAPSHOT,
    Identity,
    Values,
)
from flows.block import Int64s
from flows.layout import (
    CLOSED,
    D_PACKETS,
    ESTABLISHED,
    HELLO_SAID,
    ISN_BACKWARD,
    ISN_FORWARD,
    M_ACTIVE_TIMEOUT,
    M_CLOSED_LINGER,
    M_DRAINING,
    M_EVICTED,
    M_FIRST_SNAPSHOT,
    M_FLOWS,
    M_IDLE_TIMEOUT,
    M_NEWS_ONLY,
    M_RECORDS,
    M_REPORTED_NS,
    M_SNAPSHOT_INTERVAL,
    M_TICK,
    P_FLAGS,
    P_ICMP,
    P_SENDER,
    P_SEQUENCE,
    P_STAMP_NS,
    P_TIME_NS,
    R_A_HIGH,
    R_A_LOW,
    R_ACTIVE_SINCE,
    R_B_HIGH,
    R_B_LOW,
    R_BACKWARD,
    R_CLOSED_AT,
    R_CONNECTION_START,
    R_FIRST_STAMP_NS,
    R_FORWARD,
    R_ICMP,
    R_INITIAL_SEQUENCES,
    R_LAST,
    R_LAST_STAMP_NS,
    R_NEXT_SNAPSHOT,
    R_ORIGINATOR,
    R_PORTS,
    R_REPORTED_PACKETS,
    R_START,
    R_START_NS,
    R_STATE,
    ROW_WORDS,
    UNSET,
)
from flows.lists import QUEUE, Heads, Links, append, remove
from flows.record import syn_seen, write_record
from flows.table import (
    ESTABLISHED_QUEUE,
    LOW32,
    UNESTABLISHED_QUEUE,
    add_row,
    eviction_candidate,
    find,
    free_row,
    has_room,
)
from flows.update import ACK, SYN
from flows.wheel import TICK_US, WHEEL_SLOTS, schedule, unschedule
from kernels.jit import U, Word, inlined, inner

GOES_ON = -1
EVICTIONS_PER_FLOW = 2  # where the table has become smaller, more go than come
RECORDS_PER_PACKET = 1 + EVICTIONS_PER_FLOW


@inner
def is_new_connection(rows: Int64s, k: Word, fields: Int64s, f: Word) -> Word:
    """Whether a SYN begins another connection than that of the flow, by its initial sequence number (RFC 9293, 3.5).

    In a closed flow it does unless it is that connection's own, recorded late.
    """
    state, flags = rows[U(k + R_STATE)], fields[U(f + P_FLAGS)]
    forward = fields[U(f + P_SENDER)] == rows[U(k + R_ORIGINATOR)]
    known = state & (ISN_FORWARD if forward else ISN_BACKWARD)
    initial = (rows[U(k + R_INITIAL_SEQUENCES)] >> (32 if forward else 0)) & LOW32
    same = initial == (fields[U(f + P_SEQUENCE)] >> 32) & LOW32
    if not state & CLOSED:
        return flags & ACK == 0 and known and not same
    opened, answered = syn_seen(rows, k)
    return flags & ACK != 0 or not known or not same or (opened if forward else answered) != 0


@inlined
def end_reason(rows: Int64s, k: Word, registers: Int64s, time: Word, fields: Int64s, f: Word) -> Word:
    """Why the flow cannot take a packet of this time, or GOES_ON."""
    syn = fields[U(f + P_FLAGS)] & SYN
    if rows[U(k + R_STATE)] & CLOSED:
        if time - rows[U(k + R_CLOSED_AT)] > registers[U(M_CLOSED_LINGER)]:
            return END_DETECTED
        return END_DETECTED if syn and is_new_connection(rows, k, fields, f) else GOES_ON
    if time - rows[U(k + R_LAST)] > registers[U(M_IDLE_TIMEOUT)]:
        return IDLE_TIMEOUT
    if syn and is_new_connection(rows, k, fields, f):
        return END_DETECTED
    if time - rows[U(k + R_START)] > registers[U(M_ACTIVE_TIMEOUT)]:
        return ACTIVE_TIMEOUT
    return GOES_ON


@inner
def ends_at(rows: Int64s, k: Word, registers: Int64s) -> Word:
    """Moment after which the flow ends if nothing more comes."""
    if rows[U(k + R_STATE)] & CLOSED:
        return rows[U(k + R_CLOSED_AT)] + registers[U(M_CLOSED_LINGER)]
    return rows[U(k + R_LAST)] + registers[U(M_IDLE_TIMEOUT)]


@inner
def end_flow(
    rows: Int64s,
    slots: Int64s,
    links: Links,
    wheel: Heads,
    queues: Heads,
    registers: Int64s,
    identity: Identity,
    values: Values,
    row: Word,
    reason: Word,
) -> None:
    """Report a flow for the last time, unless only news are wanted and there are none; give its row back."""
    k = row * ROW_WORDS
    packets = rows[U(k + R_FORWARD + D_PACKETS)] + rows[U(k + R_BACKWARD + D_PACKETS)]
    if registers[U(M_NEWS_ONLY)] == 0 or packets > rows[U(k + R_REPORTED_PACKETS)]:
        write_record(rows, k, registers, identity, values, reason)
    unschedule(links, wheel, row)
    queue = ESTABLISHED_QUEUE if rows[U(k + R_STATE)] & ESTABLISHED else UNESTABLISHED_QUEUE
    remove(links, queues, QUEUE, queue, row)
    free_row(slots, rows, registers, row)


@inner
def is_one_endpoint(rows: Int64s, k: Word) -> Word:
    """Whether both ends of the flow are the same address and port."""
    ports = rows[U(k + R_PORTS)]
    one_port = ((ports >> 16) & 0xFFFF) == (ports & 0xFFFF)
    one_address = rows[U(k + R_A_HIGH)] == rows[U(k + R_B_HIGH)] and rows[U(k + R_A_LOW)] == rows[U(k + R_B_LOW)]
    return one_port and one_address


@inner
def begin_flow(
    rows: Int64s, registers: Int64s, links: Links, wheel: Heads, queues: Heads, row: Word, fields: Int64s, f: Word
) -> None:
    """Set up a new row from its first packet: a SYN comes from the originator, a SYN+ACK from the responder."""
    k = row * ROW_WORDS
    time_ns = fields[U(f + P_TIME_NS)]
    time = time_ns // 1000
    flags = fields[U(f + P_FLAGS)]
    # an endpoint that talks to itself (a "land" packet) is never its own responder
    answers = (flags & (SYN | ACK)) == (SYN | ACK) and not is_one_endpoint(rows, k)
    sender = fields[U(f + P_SENDER)]
    rows[U(k + R_ORIGINATOR)] = 1 - sender if answers else sender
    rows[U(k + R_START)] = time
    rows[U(k + R_LAST)] = time
    rows[U(k + R_ACTIVE_SINCE)] = time
    rows[U(k + R_CONNECTION_START)] = time
    rows[U(k + R_START_NS)] = time_ns
    rows[U(k + R_FIRST_STAMP_NS)] = rows[U(k + R_LAST_STAMP_NS)] = fields[U(f + P_STAMP_NS)]
    rows[U(k + R_ICMP)] = fields[U(f + P_ICMP)]
    rows[U(k + R_NEXT_SNAPSHOT)] = time + registers[U(M_FIRST_SNAPSHOT)]
    due = min(rows[U(k + R_NEXT_SNAPSHOT)], time + registers[U(M_IDLE_TIMEOUT)])
    schedule(links, wheel, registers, row, due)
    append(links, queues, QUEUE, UNESTABLISHED_QUEUE, row)


@inner
def replace_flow(
    rows: Int64s,
    slots: Int64s,
    links: Links,
    wheel: Heads,
    queues: Heads,
    registers: Int64s,
    identity: Identity,
    values: Values,
    fields: Int64s,
    f: Word,
    hashed: Word,
    slot: Word,
    reason: Word,
) -> Word:
    """Row for a packet whose flow is not in the table, or is (in `slot`) but ends for `reason`.

    Reports at most RECORDS_PER_PACKET flows: the one that ends and those that are evicted.
    """
    originator, connection_start, state, sequences = UNSET, UNSET, 0, 0
    registers[U(M_REPORTED_NS)] = max(registers[U(M_REPORTED_NS)], fields[U(f + P_TIME_NS)])
    if slot >= 0:
        row = (slots[U(slot)] & LOW32) - 1
        k = row * ROW_WORDS
        if reason == ACTIVE_TIMEOUT:
            originator, connection_start = rows[U(k + R_ORIGINATOR)], rows[U(k + R_CONNECTION_START)]
            opened, answered = syn_seen(rows, k)
            state = opened | answered | (rows[U(k + R_STATE)] & (ISN_FORWARD | ISN_BACKWARD | HELLO_SAID))
            sequences = rows[U(k + R_INITIAL_SEQUENCES)]
        end_flow(rows, slots, links, wheel, queues, registers, identity, values, row, reason)
    for _ in range(EVICTIONS_PER_FLOW):
        if not has_room(registers):
            registers[U(M_EVICTED)] += 1
            victim = eviction_candidate(queues)
            end_flow(rows, slots, links, wheel, queues, registers, identity, values, victim, LACK_OF_RESOURCES)
    # both ends may have moved entries: look for the free slot anew
    slot = find(slots, rows, registers, fields, f, hashed)
    row = add_row(slots, rows, registers, fields, f, -slot - 1, hashed)
    begin_flow(rows, registers, links, wheel, queues, row, fields, f)
    if originator != UNSET:
        k = row * ROW_WORDS
        rows[U(k + R_ORIGINATOR)] = originator
        rows[U(k + R_CONNECTION_START)] = connection_start
        rows[U(k + R_STATE)] |= state
        rows[U(k + R_INITIAL_SEQUENCES)] = sequences
    return row


@inner
def follow_state(
    rows: Int64s, links: Links, wheel: Heads, queues: Heads, registers: Int64s, row: Word, before: Word
) -> None:
    """After a packet changed a row's state from `before`: move it to the queue and the wheel slot it now belongs in."""
    k = row * ROW_WORDS
    gained = rows[U(k + R_STATE)] & ~before
    if gained & ESTABLISHED:
        remove(links, queues, QUEUE, UNESTABLISHED_QUEUE, row)
        append(links, queues, QUEUE, ESTABLISHED_QUEUE, row)
    if gained & CLOSED:
        # told within a tick, not after the linger: whoever waits for alerts need not wait for stragglers
        rows[U(k + R_NEXT_SNAPSHOT)] = rows[U(k + R_CLOSED_AT)]
        unschedule(links, wheel, row)
        schedule(links, wheel, registers, row, min(ends_at(rows, k, registers), rows[U(k + R_NEXT_SNAPSHOT)]))


@inner
def attend(
    rows: Int64s,
    slots: Int64s,
    links: Links,
    wheel: Heads,
    queues: Heads,
    registers: Int64s,
    identity: Identity,
    values: Values,
    row: Word,
    now: Word,
) -> None:
    """A row whose wheel slot has fired at `now`: end it, take a snapshot, or put it back."""
    k = row * ROW_WORDS
    if ends_at(rows, k, registers) < now:
        reason = FORCED_END if registers[U(M_DRAINING)] else IDLE_TIMEOUT
        if rows[U(k + R_STATE)] & CLOSED:
            reason = END_DETECTED
        end_flow(rows, slots, links, wheel, queues, registers, identity, values, row, reason)
        return
    if rows[U(k + R_NEXT_SNAPSHOT)] < now:
        packets = rows[U(k + R_FORWARD + D_PACKETS)] + rows[U(k + R_BACKWARD + D_PACKETS)]
        if packets > rows[U(k + R_REPORTED_PACKETS)]:
            write_record(rows, k, registers, identity, values, SNAPSHOT)
        while rows[U(k + R_NEXT_SNAPSHOT)] < now:
            rows[U(k + R_NEXT_SNAPSHOT)] += registers[U(M_SNAPSHOT_INTERVAL)]
    unschedule(links, wheel, row)
    schedule(links, wheel, registers, row, min(ends_at(rows, k, registers), rows[U(k + R_NEXT_SNAPSHOT)]))


@inner
def turn_wheel(
    rows: Int64s,
    slots: Int64s,
    links: Links,
    wheel: Heads,
    queues: Heads,
    registers: Int64s,
    identity: Identity,
    values: Values,
    now: Word,
) -> bool:
    """Fire every slot that ended by `now` (µs); False when the output filled up first (call again)."""
    target = now // TICK_US
    while registers[U(M_TICK)] < target:
        if registers[U(M_FLOWS)] == 0:
            registers[U(M_TICK)] = target
            break
        tick = registers[U(M_TICK)]
        slot = tick & (WHEEL_SLOTS - 1)
        # What is put back belongs in a later slot, also while this one is emptied.
        registers[U(M_TICK)] = tick + 1
        row = np.int64(wheel[U(2 * slot)])
        while row != UNSET:
            if registers[U(M_RECORDS)] >= len(identity):
                registers[U(M_TICK)] = tick
                return False
            registers[U(M_REPORTED_NS)] = max(registers[U(M_REPORTED_NS)], (tick + 1) * TICK_US * 1000)
            attend(rows, slots, links, wheel, queues, registers, identity, values, row, (tick + 1) * TICK_US)
            row = np.int64(wheel[U(2 * slot)])
    return True
