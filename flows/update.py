"""One packet into its row: the running sums behind every CIC column.

Sums and sums of squares are integers; standard deviations come at the end (flows.record). Definitions: CICFlowMeter,
corrected as the column table says. A bulk is four or more data packets of one direction, each at most 1 s after the one
before and not interrupted by data of the other direction.
"""

from flows.block import Int64s
from flows.layout import (
    CLOSED,
    D_BULK_BYTES,
    D_BULK_LAST,
    D_BULK_PACKETS,
    D_BULK_RUN,
    D_BULK_RUN_BYTES,
    D_BULK_START,
    D_BULK_TIME,
    D_BULKS,
    D_BYTES,
    D_BYTES_MAX,
    D_BYTES_MIN,
    D_BYTES_SQUARES,
    D_DATA_PACKETS,
    D_FIRST,
    D_HEADER_MIN,
    D_HEADERS,
    D_IAT_MAX,
    D_IAT_MIN,
    D_IAT_SQUARES,
    D_INIT_WINDOW,
    D_LAST,
    D_LAST_WINDOW,
    D_PACKETS,
    D_PSH_URG_FLAGS,
    D_RST_FIN_FLAGS,
    D_SYN_ACK_FLAGS,
    ESTABLISHED,
    FIN_BACKWARD,
    FIN_FORWARD,
    ISN_BACKWARD,
    ISN_FORWARD,
    P_FLAGS,
    P_HEADER,
    P_PAYLOAD,
    P_SENDER,
    P_SEQUENCE,
    P_STAMP_NS,
    P_TIME_NS,
    P_WINDOW,
    R_ACTIVE,
    R_ACTIVE_SINCE,
    R_BACKWARD,
    R_CLOSED_AT,
    R_CWR_ECE_FLAGS,
    R_FIRST_STAMP_NS,
    R_FORWARD,
    R_GAPS,
    R_IAT_MAX,
    R_IAT_MIN,
    R_IAT_SQUARES,
    R_IDLE,
    R_INITIAL_SEQUENCES,
    R_LAST,
    R_LAST_NS,
    R_LAST_STAMP_NS,
    R_ORIGINATOR,
    R_STATE,
    R_WRONG_FRAGMENTS,
    S_COUNT,
    S_MAX,
    S_MIN,
    S_SQUARES,
    S_SUM,
    UNSET,
)
from flows.table import LOW32
from kernels.jit import U, Word, inner

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
SUBFLOW_GAP_US, ACTIVITY_GAP_US, BULK_GAP_US, BULK_PACKETS = 1_000_000, 5_000_000, 1_000_000, 4


@inner
def add_to_series(rows: Int64s, s: Word, value: Word) -> None:
    """Count a value in the series at word s."""
    rows[U(s + S_COUNT)] += 1
    rows[U(s + S_SUM)] += value
    rows[U(s + S_SQUARES)] += value * value
    rows[U(s + S_MIN)] = min(rows[U(s + S_MIN)], value)
    rows[U(s + S_MAX)] = max(rows[U(s + S_MAX)], value)


@inner
def update_gap(rows: Int64s, k: Word, time: Word) -> None:
    """Time since the flow's last packet: gaps, sub-flows, activity and idleness."""
    gap = time - rows[U(k + R_LAST)]
    rows[U(k + R_IAT_SQUARES)] += gap * gap
    rows[U(k + R_IAT_MIN)] = min(rows[U(k + R_IAT_MIN)], gap)
    rows[U(k + R_IAT_MAX)] = max(rows[U(k + R_IAT_MAX)], gap)
    if gap <= SUBFLOW_GAP_US:
        return
    rows[U(k + R_GAPS)] += 1
    if gap <= ACTIVITY_GAP_US:
        return
    active = rows[U(k + R_LAST)] - rows[U(k + R_ACTIVE_SINCE)]
    if active > 0:
        add_to_series(rows, k + R_ACTIVE, active)
    add_to_series(rows, k + R_IDLE, gap)
    rows[U(k + R_ACTIVE_SINCE)] = time


@inner
def update_bulk(rows: Int64s, d: Word, other: Word, time: Word, payload: Word) -> None:
    """A data packet in direction block d; other is the opposite block."""
    if rows[U(other + D_BULK_LAST)] > rows[U(d + D_BULK_START)]:
        rows[U(d + D_BULK_RUN)] = 0
    run = rows[U(d + D_BULK_RUN)] + 1
    since_last = time - rows[U(d + D_BULK_LAST)]
    if run == 1 or since_last > BULK_GAP_US:
        rows[U(d + D_BULK_START)] = time
        rows[U(d + D_BULK_RUN_BYTES)] = payload
        run = 1
    else:
        rows[U(d + D_BULK_RUN_BYTES)] += payload
        if run == BULK_PACKETS:
            rows[U(d + D_BULKS)] += 1
            rows[U(d + D_BULK_PACKETS)] += BULK_PACKETS
            rows[U(d + D_BULK_BYTES)] += rows[U(d + D_BULK_RUN_BYTES)]
            rows[U(d + D_BULK_TIME)] += time - rows[U(d + D_BULK_START)]
        elif run > BULK_PACKETS:
            rows[U(d + D_BULK_PACKETS)] += 1
            rows[U(d + D_BULK_BYTES)] += payload
            rows[U(d + D_BULK_TIME)] += since_last
    rows[U(d + D_BULK_RUN)] = run
    rows[U(d + D_BULK_LAST)] = time


@inner
def update_direction(rows: Int64s, d: Word, time: Word, payload: Word, header: Word) -> None:
    """Counts, lengths and gaps of one direction."""
    packets = rows[U(d + D_PACKETS)]
    rows[U(d + D_PACKETS)] = packets + 1
    rows[U(d + D_BYTES)] += payload
    rows[U(d + D_BYTES_SQUARES)] += payload * payload
    rows[U(d + D_BYTES_MIN)] = min(rows[U(d + D_BYTES_MIN)], payload)
    rows[U(d + D_BYTES_MAX)] = max(rows[U(d + D_BYTES_MAX)], payload)
    rows[U(d + D_HEADERS)] += header
    rows[U(d + D_HEADER_MIN)] = min(rows[U(d + D_HEADER_MIN)], header)
    if packets == 0:
        rows[U(d + D_FIRST)] = time
    else:
        gap = time - rows[U(d + D_LAST)]
        rows[U(d + D_IAT_SQUARES)] += gap * gap
        rows[U(d + D_IAT_MIN)] = min(rows[U(d + D_IAT_MIN)], gap)
        rows[U(d + D_IAT_MAX)] = max(rows[U(d + D_IAT_MAX)], gap)
    rows[U(d + D_LAST)] = time


@inner
def update_tcp(rows: Int64s, k: Word, d: Word, flags: Word, window: Word) -> None:
    """Flag counts, two to a word, and windows."""
    rows[U(d + D_SYN_ACK_FLAGS)] += (((flags >> 1) & 1) << 32) | ((flags >> 4) & 1)
    rows[U(k + R_CWR_ECE_FLAGS)] += (((flags >> 7) & 1) << 32) | ((flags >> 6) & 1)
    rows[U(d + D_PSH_URG_FLAGS)] += (((flags >> 3) & 1) << 32) | ((flags >> 5) & 1)
    rows[U(d + D_RST_FIN_FLAGS)] += (((flags >> 2) & 1) << 32) | (flags & 1)
    if rows[U(d + D_INIT_WINDOW)] == UNSET:
        rows[U(d + D_INIT_WINDOW)] = window
    rows[U(d + D_LAST_WINDOW)] = window


@inner
def next_state(state: Word, flags: Word, forward: bool) -> Word:
    """State after a packet: closed by RST, or by an ACK once both sides have sent FIN (RFC 9293, 3.6)."""
    both = FIN_FORWARD | FIN_BACKWARD
    if flags & RST or (flags & ACK and (state & both) == both):
        state |= CLOSED
    if flags & FIN:
        state |= FIN_FORWARD if forward else FIN_BACKWARD
    return state


@inner
def follow_sequence(rows: Int64s, k: Word, sequence: Word, flags: Word, forward: bool) -> None:
    """Learn the initial sequence numbers of a connection (RFC 9293, 3.4), which are not there yet.

    A SYN has that of its sender, and with an ACK it acknowledges the other one; else the first segment that was seen
    follows its SYN, as it does unless the capture began later. A reset may have any number.
    """
    if flags & RST:
        return
    own, other = (ISN_FORWARD, ISN_BACKWARD) if forward else (ISN_BACKWARD, ISN_FORWARD)
    state, known = rows[U(k + R_STATE)], rows[U(k + R_INITIAL_SEQUENCES)]
    number = (sequence >> 32) & LOW32
    if not state & own:
        initial = number if flags & SYN else (number - 1) & LOW32
        known |= initial << 32 if forward else initial
        state |= own
    if flags & SYN and flags & ACK and not state & other:
        initial = (sequence - 1) & LOW32
        known |= initial if forward else initial << 32
        state |= other
    rows[U(k + R_STATE)], rows[U(k + R_INITIAL_SEQUENCES)] = state, known


@inner
def update_row(rows: Int64s, k: Word, fields: Int64s, f: Word) -> None:
    """Count a packet in the row whose words start at k."""
    time_ns = fields[U(f + P_TIME_NS)]
    time = time_ns // 1000
    forward = fields[U(f + P_SENDER)] == rows[U(k + R_ORIGINATOR)]
    d, other = (k + R_FORWARD, k + R_BACKWARD) if forward else (k + R_BACKWARD, k + R_FORWARD)
    if rows[U(k + R_FORWARD + D_PACKETS)] + rows[U(k + R_BACKWARD + D_PACKETS)] > 0:
        update_gap(rows, k, time)
    payload = fields[U(f + P_PAYLOAD)]
    update_direction(rows, d, time, payload, fields[U(f + P_HEADER)])
    if payload > 0:
        rows[U(d + D_DATA_PACKETS)] += 1
        update_bulk(rows, d, other, time, payload)
    window = fields[U(f + P_WINDOW)]
    state = rows[U(k + R_STATE)]
    if window != UNSET:
        flags = fields[U(f + P_FLAGS)]
        update_tcp(rows, k, d, flags, window)
        if state & (ISN_FORWARD | ISN_BACKWARD) != ISN_FORWARD | ISN_BACKWARD:
            follow_sequence(rows, k, fields[U(f + P_SEQUENCE)], flags, forward)
            state = rows[U(k + R_STATE)]
        after = next_state(state, flags, forward)
        if after & ~state & CLOSED:
            rows[U(k + R_CLOSED_AT)] = time
        rows[U(k + R_STATE)] = after
    elif fields[U(f + P_FLAGS)]:
        rows[U(k + R_WRONG_FRAGMENTS)] += 1
    # An answer alone does not count: a server answers each SYN of a flood, and its flows would drive out all others.
    if forward and not state & ESTABLISHED and rows[U(other + D_PACKETS)]:
        rows[U(k + R_STATE)] |= ESTABLISHED
    rows[U(k + R_LAST)] = time
    rows[U(k + R_LAST_NS)] = time_ns
    stamp_ns = fields[U(f + P_STAMP_NS)]
    rows[U(k + R_FIRST_STAMP_NS)] = min(rows[U(k + R_FIRST_STAMP_NS)], stamp_ns)
    rows[U(k + R_LAST_STAMP_NS)] = max(rows[U(k + R_LAST_STAMP_NS)], stamp_ns)
