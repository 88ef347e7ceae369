"""A flow as CICFlowMeter V4 remembers and writes it (ahlashkari/CICFlowMeter 98a5eba), errors included.

The Java program's values, operation by operation: running means and variances are updated in its order (Welford), so
that even the last digit agrees. Its published errors are kept on purpose: the first packet's length counts twice, PSH
and URG are the opening packet's alone, bulks of both directions are written as backward ones, averages of bulks and
sub-flows are whole numbers, the backward window is the last one, sub-flows are gaps, and rates over no time are
infinite or no number. For the correct values see flows.update and flows.record.
"""

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    END_NS,
    END_REASON,
    END_SHIFT_NS,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SEEN,
    START_NS,
    START_SHIFT_NS,
    Identity,
    Values,
)
from flows.block import Int64s
from flows.layout import (
    M_CLOCK_NS,
    M_RECORDS,
    P_FLAGS,
    P_HEADER,
    P_PAYLOAD,
    P_SENDER,
    P_TIME_NS,
    P_WINDOW,
    R_A_HIGH,
    R_A_LOW,
    R_B_HIGH,
    R_B_LOW,
    R_ORIGINATOR,
    R_STATE,
    ROW_WORDS,
)
from flows.record import (
    C_ACTIVE,
    C_BWD_BULK,
    C_BWD_IAT,
    C_BWD_LENGTH,
    C_BYTES_PER_S,
    C_DURATION,
    C_FLAGS,
    C_FLOW_IAT,
    C_FWD_IAT,
    C_FWD_LENGTH,
    C_FWD_PACKETS_PER_S,
    C_HEADERS,
    C_IDLE,
    C_INIT_WINDOW,
    C_LAST_WINDOW,
    C_LENGTH,
    C_PACKETS_PER_S,
    C_PROTOCOL,
    C_PSH_URG,
    C_RATIO,
    C_SUBFLOW,
    write_endpoints,
)
from flows.table import LOW32
from flows.update import ACTIVITY_GAP_US, BULK_GAP_US, BULK_PACKETS, PSH, SUBFLOW_GAP_US, URG
from kernels.jit import U, Word, inner

Floats = NDArray[np.float64]  # (words,) the rows once more, for the words that hold a float

# Words of a series: how often, running mean, sum of squared deviations (both floats), smallest, largest.
N_COUNT, N_MEAN, N_DEVIATIONS, N_MIN, N_MAX, SERIES_WORDS = range(6)

# Words of a direction.
(
    V_PACKETS,
    V_BYTES,
    V_HEADERS,
    V_WINDOW,
    V_FIRST,  # µs, as V_LAST
    V_LAST,
    V_LENGTHS,
    V_GAPS,
    V_DIRECTION_WORDS,
) = (*range(7), 6 + SERIES_WORDS, 6 + 2 * SERIES_WORDS)

# Words of a V4 row. Key, hash, originator and state stand where flows.layout has them.
(
    V_START_NS,
    V_SEEN_NS,  # last packet
    V_OPENING_BYTES,
    V_OPENING_FLAGS,
    V_DATA_PACKETS,
    V_HEADER_MIN,
    V_SUBFLOW_GAPS,
    V_ACTIVE_SINCE,
    V_BULK_START,
    V_BULK_LAST,
    V_BULK_RUN,
    V_BULK_RUN_BYTES,
    V_BULKS,
    V_BULK_PACKETS,
    V_BULK_BYTES,
    V_BULK_TIME,
) = range(R_STATE + 1, R_STATE + 17)
V_FLAGS = V_BULK_TIME + 1  # packets with SYN << 32 | with FIN, then PSH and RST, URG and ACK, CWR and ECE
V_LENGTH = V_FLAGS + 4
V_IAT = V_LENGTH + SERIES_WORDS
V_ACTIVE = V_IAT + SERIES_WORDS
V_IDLE = V_ACTIVE + SERIES_WORDS
V_FORWARD = V_IDLE + SERIES_WORDS
V_BACKWARD = V_FORWARD + V_DIRECTION_WORDS
V_WORDS = V_BACKWARD + V_DIRECTION_WORDS

if V_WORDS > ROW_WORDS:
    raise ImportError(f"a V4 row takes {V_WORDS} words of {ROW_WORDS}")


@inner
def add_value(rows: Int64s, floats: Floats, s: Word, value: Word) -> None:
    """Count a value in the series at word s, in the order of Apache Commons Math's SecondMoment."""
    n = rows[U(s + N_COUNT)] + 1
    deviation = value - floats[U(s + N_MEAN)]
    step = deviation / n
    floats[U(s + N_MEAN)] += step
    floats[U(s + N_DEVIATIONS)] += (n - 1.0) * deviation * step
    rows[U(s + N_COUNT)] = n
    rows[U(s + N_MIN)] = value if n == 1 else min(rows[U(s + N_MIN)], value)
    rows[U(s + N_MAX)] = value if n == 1 else max(rows[U(s + N_MAX)], value)


@inner
def update_bulk(rows: Int64s, k: Word, time: Word, payload: Word) -> None:
    """A data packet of either direction: V4 takes every one for a backward packet (B7), so none interrupts a run."""
    since_last = time - rows[U(k + V_BULK_LAST)]
    run = rows[U(k + V_BULK_RUN)] + 1
    if run == 1 or since_last > BULK_GAP_US:
        rows[U(k + V_BULK_START)] = time
        rows[U(k + V_BULK_RUN_BYTES)] = payload
        run = 1
    else:
        rows[U(k + V_BULK_RUN_BYTES)] += payload
        if run == BULK_PACKETS:
            rows[U(k + V_BULKS)] += 1
            rows[U(k + V_BULK_PACKETS)] += BULK_PACKETS
            rows[U(k + V_BULK_BYTES)] += rows[U(k + V_BULK_RUN_BYTES)]
            rows[U(k + V_BULK_TIME)] += time - rows[U(k + V_BULK_START)]
        elif run > BULK_PACKETS:
            rows[U(k + V_BULK_PACKETS)] += 1
            rows[U(k + V_BULK_BYTES)] += payload
            rows[U(k + V_BULK_TIME)] += since_last
    rows[U(k + V_BULK_RUN)] = run
    rows[U(k + V_BULK_LAST)] = time


@inner
def count_packet(rows: Int64s, floats: Floats, k: Word, d: Word, fields: Int64s, f: Word) -> None:
    """What an opening and a later packet have in common."""
    payload = fields[U(f + P_PAYLOAD)]
    time = fields[U(f + P_TIME_NS)] // 1000
    if payload > 0:
        update_bulk(rows, k, time, payload)
    flags = fields[U(f + P_FLAGS)]
    for pair in range(4):
        rows[U(k + V_FLAGS + pair)] += (((flags >> (2 * pair + 1)) & 1) << 32) | ((flags >> (2 * pair)) & 1)
    add_value(rows, floats, k + V_LENGTH, payload)
    add_value(rows, floats, d + V_LENGTHS, payload)
    rows[U(d + V_PACKETS)] += 1
    rows[U(d + V_BYTES)] += payload
    rows[U(d + V_HEADERS)] += fields[U(f + P_HEADER)]
    rows[U(d + V_LAST)] = time
    rows[U(k + V_SEEN_NS)] = fields[U(f + P_TIME_NS)]


@inner
def open_row(rows: Int64s, floats: Floats, k: Word, originator: Word, fields: Int64s, f: Word) -> None:
    """A flow's first packet: always forward, even where the other side sent it (B13), and its length twice (B3)."""
    for w in range(R_STATE, V_WORDS):
        rows[U(k + w)] = 0
    time_ns = fields[U(f + P_TIME_NS)]
    forward = k + V_FORWARD
    rows[U(k + R_ORIGINATOR)] = originator
    rows[U(k + V_ACTIVE_SINCE)] = rows[U(forward + V_FIRST)] = time_ns // 1000
    rows[U(k + V_START_NS)] = time_ns
    rows[U(k + V_OPENING_BYTES)] = fields[U(f + P_PAYLOAD)]
    rows[U(k + V_OPENING_FLAGS)] = fields[U(f + P_FLAGS)]
    rows[U(k + V_HEADER_MIN)] = fields[U(f + P_HEADER)]
    rows[U(forward + V_WINDOW)] = fields[U(f + P_WINDOW)]
    add_value(rows, floats, k + V_LENGTH, fields[U(f + P_PAYLOAD)])
    count_packet(rows, floats, k, forward, fields, f)


@inner
def is_forward(rows: Int64s, k: Word, fields: Int64s, f: Word) -> Word:
    """Whether the packet's source address is the flow's; ports do not matter (B12)."""
    one_host = rows[U(k + R_A_LOW)] == rows[U(k + R_B_LOW)] and rows[U(k + R_A_HIGH)] == rows[U(k + R_B_HIGH)]
    return one_host or fields[U(f + P_SENDER)] == rows[U(k + R_ORIGINATOR)]


@inner
def update_row(rows: Int64s, floats: Floats, k: Word, fields: Int64s, f: Word) -> None:
    """Count a later packet in the row whose words start at k."""
    time = fields[U(f + P_TIME_NS)] // 1000
    seen = rows[U(k + V_SEEN_NS)] // 1000
    gap = time - seen
    add_value(rows, floats, k + V_IAT, gap)
    if gap > SUBFLOW_GAP_US:
        rows[U(k + V_SUBFLOW_GAPS)] += 1
    if gap > ACTIVITY_GAP_US:
        active = seen - rows[U(k + V_ACTIVE_SINCE)]
        if active > 0:
            add_value(rows, floats, k + V_ACTIVE, active)
        add_value(rows, floats, k + V_IDLE, gap)
        rows[U(k + V_ACTIVE_SINCE)] = time
    forward = is_forward(rows, k, fields, f)
    d = k + V_FORWARD if forward else k + V_BACKWARD
    if rows[U(d + V_PACKETS)] == 0:
        rows[U(d + V_FIRST)] = time
    else:
        add_value(rows, floats, d + V_GAPS, time - rows[U(d + V_LAST)])
    if forward:
        if fields[U(f + P_PAYLOAD)] > 0:
            rows[U(k + V_DATA_PACKETS)] += 1
        rows[U(k + V_HEADER_MIN)] = min(rows[U(k + V_HEADER_MIN)], fields[U(f + P_HEADER)])
    else:
        rows[U(d + V_WINDOW)] = fields[U(f + P_WINDOW)]
    count_packet(rows, floats, k, d, fields, f)


@inner
def deviation_of(rows: Int64s, floats: Floats, s: Word) -> Word:
    """Sample standard deviation (n − 1) of a series; 0 for one value."""
    n = rows[U(s + N_COUNT)]
    return np.sqrt(floats[U(s + N_DEVIATIONS)] / (n - 1.0)) if n > 1 else 0.0


@inner
def whole(a: Word, b: Word) -> Word:
    """a / b without its fraction, towards 0 as in Java; 0 where b is not positive."""
    return np.trunc(a / b) if b > 0 else 0.0


@inner
def write_series(rows: Int64s, floats: Floats, s: Word, values: Values, row: Word, c: Word) -> None:
    """Mean, deviation, largest and smallest of a series; all 0 when it is empty."""
    values[row, c] = floats[U(s + N_MEAN)]
    values[row, c + 1] = deviation_of(rows, floats, s)
    values[row, c + 2] = rows[U(s + N_MAX)]
    values[row, c + 3] = rows[U(s + N_MIN)]


@inner
def write_direction(
    rows: Int64s, floats: Floats, d: Word, values: Values, row: Word, lengths: Word, gaps: Word
) -> None:
    """Payloads and gaps of one direction."""
    s = d + V_LENGTHS
    values[row, lengths] = rows[U(s + N_MAX)]
    values[row, lengths + 1] = rows[U(s + N_MIN)]
    values[row, lengths + 2] = floats[U(s + N_MEAN)]
    values[row, lengths + 3] = deviation_of(rows, floats, s)
    values[row, gaps] = rows[U(d + V_LAST)] - rows[U(d + V_FIRST)]
    write_series(rows, floats, d + V_GAPS, values, row, gaps + 1)


@inner
def write_both(rows: Int64s, floats: Floats, k: Word, values: Values, row: Word) -> None:
    """Duration, rates, lengths and averages over both directions."""
    forward, backward = k + V_FORWARD, k + V_BACKWARD
    sent, received = rows[U(forward + V_PACKETS)], rows[U(backward + V_PACKETS)]
    sent_bytes, received_bytes = rows[U(forward + V_BYTES)], rows[U(backward + V_BYTES)]
    packets, payload = sent + received, sent_bytes + received_bytes
    duration = rows[U(k + V_SEEN_NS)] // 1000 - rows[U(k + V_START_NS)] // 1000
    seconds = duration / 1e6
    values[row, C_DURATION] = duration
    values[row, C_DURATION + 1] = sent
    values[row, C_DURATION + 2] = received
    values[row, C_DURATION + 3] = sent_bytes
    values[row, C_DURATION + 4] = received_bytes
    # B5: not checked for a duration of 0
    values[row, C_BYTES_PER_S] = np.float64(payload) / seconds
    values[row, C_PACKETS_PER_S] = np.float64(packets) / seconds
    values[row, C_FWD_PACKETS_PER_S] = sent / seconds if duration > 0 else 0.0
    values[row, C_FWD_PACKETS_PER_S + 1] = received / seconds if duration > 0 else 0.0
    write_series(rows, floats, k + V_IAT, values, row, C_FLOW_IAT)
    s = k + V_LENGTH
    values[row, C_LENGTH] = rows[U(s + N_MIN)]
    values[row, C_LENGTH + 1] = rows[U(s + N_MAX)]
    values[row, C_LENGTH + 2] = floats[U(s + N_MEAN)]
    values[row, C_LENGTH + 3] = deviation_of(rows, floats, s)
    values[row, C_LENGTH + 4] = floats[U(s + N_DEVIATIONS)] / (rows[U(s + N_COUNT)] - 1.0)
    values[row, C_RATIO] = whole(received, sent)
    values[row, C_RATIO + 1] = (payload + rows[U(k + V_OPENING_BYTES)]) / packets
    values[row, C_RATIO + 2] = sent_bytes / sent
    values[row, C_RATIO + 3] = received_bytes / received if received else 0.0
    gaps = rows[U(k + V_SUBFLOW_GAPS)]
    values[row, C_SUBFLOW] = whole(sent, gaps)
    values[row, C_SUBFLOW + 1] = whole(sent_bytes, gaps)
    values[row, C_SUBFLOW + 2] = whole(received, gaps)
    values[row, C_SUBFLOW + 3] = whole(received_bytes, gaps)


@inner
def write_headers(rows: Int64s, k: Word, values: Values, row: Word) -> None:
    """Flags, headers, windows and bulks."""
    forward, backward = k + V_FORWARD, k + V_BACKWARD
    opening = rows[U(k + V_OPENING_FLAGS)]
    values[row, C_PSH_URG] = 1 if opening & PSH else 0
    values[row, C_PSH_URG + 2] = 1 if opening & URG else 0
    for pair in range(4):
        values[row, C_FLAGS + 2 * pair] = rows[U(k + V_FLAGS + pair)] & LOW32
        values[row, C_FLAGS + 2 * pair + 1] = rows[U(k + V_FLAGS + pair)] >> 32
    # the columns end with CWR, ECE; the octet with ECE, CWR
    values[row, C_FLAGS + 6], values[row, C_FLAGS + 7] = values[row, C_FLAGS + 7], values[row, C_FLAGS + 6]
    values[row, C_HEADERS] = rows[U(forward + V_HEADERS)]
    values[row, C_HEADERS + 1] = rows[U(backward + V_HEADERS)]
    values[row, C_INIT_WINDOW] = rows[U(forward + V_WINDOW)]
    values[row, C_INIT_WINDOW + 1] = values[row, C_LAST_WINDOW] = rows[U(backward + V_WINDOW)]
    values[row, C_INIT_WINDOW + 2] = rows[U(k + V_DATA_PACKETS)]
    values[row, C_INIT_WINDOW + 3] = rows[U(k + V_HEADER_MIN)]
    bulks, bulk_bytes, bulk_time = rows[U(k + V_BULKS)], rows[U(k + V_BULK_BYTES)], rows[U(k + V_BULK_TIME)]
    values[row, C_BWD_BULK] = whole(bulk_bytes, bulks)
    values[row, C_BWD_BULK + 1] = whole(rows[U(k + V_BULK_PACKETS)], bulks)
    values[row, C_BWD_BULK + 2] = np.trunc(bulk_bytes / (bulk_time / 1e6)) if bulk_time else 0.0


@inner
def write_identity(rows: Int64s, k: Word, identity: Identity, row: Word, reason: Word) -> None:
    """Who, when and why it ended; a V4 flow is reported once."""
    write_endpoints(rows, k, identity, row)
    identity[row, START_NS] = rows[U(k + V_START_NS)]
    identity[row, END_NS] = rows[U(k + V_SEEN_NS)]
    identity[row, START_SHIFT_NS] = identity[row, END_SHIFT_NS] = 0
    identity[row, END_REASON] = reason
    identity[row, REPORT] = 0
    identity[row, SEEN] = 0
    identity[row, NEW_PACKETS] = rows[U(k + V_FORWARD + V_PACKETS)] + rows[U(k + V_BACKWARD + V_PACKETS)]


@inner
def write_record(
    rows: Int64s, floats: Floats, k: Word, registers: Int64s, identity: Identity, values: Values, reason: Word
) -> None:
    """Report the flow whose words start at k; columns that V4 does not have are 0, the last window apart."""
    row = registers[U(M_RECORDS)]
    registers[U(M_RECORDS)] = row + 1
    values[row, :] = 0.0
    write_identity(rows, k, identity, row, reason)
    identity[row, REPORTED_NS] = registers[U(M_CLOCK_NS)]
    values[row, C_PROTOCOL] = identity[row, PROTOCOL]
    write_both(rows, floats, k, values, row)
    write_headers(rows, k, values, row)
    write_direction(rows, floats, k + V_FORWARD, values, row, C_FWD_LENGTH, C_FWD_IAT)
    write_direction(rows, floats, k + V_BACKWARD, values, row, C_BWD_LENGTH, C_BWD_IAT)
    write_series(rows, floats, k + V_ACTIVE, values, row, C_ACTIVE)
    write_series(rows, floats, k + V_IDLE, values, row, C_IDLE)
