"""A flow row into a flow record: the 85 columns of the column table and the record's identity.

Variances are exact: n Σx² − (Σx)² is formed in 128-bit integers, because in floating point it would lose all digits
where gaps are long and steady.
"""

import numpy as np

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    END_SHIFT_NS,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SEEN,
    SEEN_ACK,
    SEEN_FIN,
    SEEN_FIN_BACK,
    SEEN_RST,
    SEEN_RST_BACK,
    SEEN_SYN,
    SEEN_SYN_BACK,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    VLAN,
    Identity,
    Values,
)
from flows.block import Int64s
from flows.columns import INDEX
from flows.layout import (
    D_BULK_BYTES,
    D_BULK_PACKETS,
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
    M_RECORDS,
    M_REPORTED_NS,
    R_A_HIGH,
    R_A_LOW,
    R_ACTIVE,
    R_B_HIGH,
    R_B_LOW,
    R_BACKWARD,
    R_CONNECTION_START,
    R_CWR_ECE_FLAGS,
    R_FIRST_STAMP_NS,
    R_FORWARD,
    R_GAPS,
    R_IAT_MAX,
    R_IAT_MIN,
    R_IAT_SQUARES,
    R_ICMP,
    R_IDLE,
    R_LAST,
    R_LAST_NS,
    R_LAST_STAMP_NS,
    R_ORIGINATOR,
    R_PORTS,
    R_REPORTED_PACKETS,
    R_REPORTS,
    R_START,
    R_START_NS,
    R_STATE,
    R_VLAN,
    R_WRONG_FRAGMENTS,
    S_COUNT,
    S_MAX,
    S_MIN,
    S_SQUARES,
    S_SUM,
    SYN_BACKWARD,
    SYN_FORWARD,
    UNSET,
)
from flows.table import LOW32
from kernels.jit import U, Word, inner

# Positions of the columns; groups stand in table order behind their first.
C_PROTOCOL = INDEX["protocol"]
C_DURATION = INDEX["flow_duration"]
C_FWD_LENGTH, C_BWD_LENGTH = INDEX["fwd_packet_length_max"], INDEX["bwd_packet_length_max"]
C_BYTES_PER_S, C_PACKETS_PER_S = INDEX["flow_bytes_per_s"], INDEX["flow_packets_per_s"]
C_FLOW_IAT, C_FWD_IAT, C_BWD_IAT = INDEX["flow_iat_mean"], INDEX["fwd_iat_total"], INDEX["bwd_iat_total"]
C_PSH_URG = INDEX["fwd_psh_flags"]
C_HEADERS = INDEX["fwd_header_length"]
C_FWD_PACKETS_PER_S = INDEX["fwd_packets_per_s"]
C_LENGTH = INDEX["packet_length_min"]
C_FLAGS = INDEX["fin_flag_count"]
C_RATIO = INDEX["down_up_ratio"]
C_FWD_BULK, C_BWD_BULK = INDEX["fwd_bulk_bytes_avg"], INDEX["bwd_bulk_bytes_avg"]
C_SUBFLOW = INDEX["subflow_fwd_packets"]
C_INIT_WINDOW = INDEX["fwd_init_win_bytes"]
C_ACTIVE, C_IDLE = INDEX["active_mean"], INDEX["idle_mean"]
C_RST = INDEX["fwd_rst_flags"]
C_BWD_DATA = INDEX["bwd_act_data_packets"]
C_ICMP_CODE = INDEX["icmp_code"]
C_CONNECTION = INDEX["connection_duration"]
C_LAST_WINDOW = INDEX["bwd_last_win_bytes"]

TWO_64 = 18446744073709551616.0


@inner
def multiply_high(a: Word, b: Word) -> Word:
    """High 64 bits of the product of two unsigned 64-bit numbers."""
    mask, half = np.uint64(LOW32), np.uint64(32)
    a_low, a_high, b_low, b_high = a & mask, a >> half, b & mask, b >> half
    middle = a_high * b_low + ((a_low * b_low) >> half)
    carry = (a_low * b_high + (middle & mask)) >> half
    return a_high * b_high + (middle >> half) + carry


@inner
def sample_std(n: Word, total: Word, squares: Word) -> Word:
    """Standard deviation with n − 1 of n integers given their sum and sum of squares; 0 for fewer than two."""
    if n < 2:
        return 0.0
    count, s, ss = np.uint64(n), np.uint64(total), np.uint64(squares)
    low, low_square = count * ss, s * s
    high = multiply_high(count, ss) - multiply_high(s, s)
    if low < low_square:
        high -= np.uint64(1)
    return np.sqrt((float(high) * TWO_64 + float(low - low_square)) / (float(n) * float(n - 1)))


@inner
def ratio(a: Word, b: Word) -> Word:
    """a / b, and 0 where b is 0."""
    return a / b if b else 0.0


@inner
def write_lengths(rows: Int64s, d: Word, values: Values, row: Word, c: Word) -> None:
    """Largest, smallest, mean and deviation of one direction's payloads."""
    n = rows[U(d + D_PACKETS)]
    values[row, c] = rows[U(d + D_BYTES_MAX)]
    values[row, c + 1] = rows[U(d + D_BYTES_MIN)] if n else 0
    values[row, c + 2] = ratio(rows[U(d + D_BYTES)], n)
    values[row, c + 3] = sample_std(n, rows[U(d + D_BYTES)], rows[U(d + D_BYTES_SQUARES)])


@inner
def write_direction_gaps(rows: Int64s, d: Word, values: Values, row: Word, c: Word) -> None:
    """Total, mean, deviation, largest and smallest gap of one direction; all 0 below two packets."""
    gaps = rows[U(d + D_PACKETS)] - 1
    if gaps < 1:
        for j in range(5):
            values[row, c + j] = 0.0
        return
    total = rows[U(d + D_LAST)] - rows[U(d + D_FIRST)]
    values[row, c] = total
    values[row, c + 1] = total / gaps
    values[row, c + 2] = sample_std(gaps, total, rows[U(d + D_IAT_SQUARES)])
    values[row, c + 3] = rows[U(d + D_IAT_MAX)]
    values[row, c + 4] = rows[U(d + D_IAT_MIN)]


@inner
def write_bulks(rows: Int64s, d: Word, values: Values, row: Word, c: Word) -> None:
    """Payload and packets per bulk, and bytes per second in bulks."""
    bulks = rows[U(d + D_BULKS)]
    values[row, c] = ratio(rows[U(d + D_BULK_BYTES)], bulks)
    values[row, c + 1] = ratio(rows[U(d + D_BULK_PACKETS)], bulks)
    values[row, c + 2] = ratio(rows[U(d + D_BULK_BYTES)], rows[U(d + D_BULK_TIME)] / 1e6)


@inner
def write_series(rows: Int64s, s: Word, values: Values, row: Word, c: Word) -> None:
    """Mean, deviation, largest and smallest of a series; all 0 when it is empty."""
    n = rows[U(s + S_COUNT)]
    values[row, c] = ratio(rows[U(s + S_SUM)], n)
    values[row, c + 1] = sample_std(n, rows[U(s + S_SUM)], rows[U(s + S_SQUARES)])
    values[row, c + 2] = rows[U(s + S_MAX)]
    values[row, c + 3] = rows[U(s + S_MIN)] if n else 0


@inner
def write_rates(rows: Int64s, k: Word, values: Values, row: Word) -> None:
    """Duration, rates, gaps and lengths over both directions."""
    forward, backward = k + R_FORWARD, k + R_BACKWARD
    sent, received = rows[U(forward + D_PACKETS)], rows[U(backward + D_PACKETS)]
    sent_bytes, received_bytes = rows[U(forward + D_BYTES)], rows[U(backward + D_BYTES)]
    packets, payload = sent + received, sent_bytes + received_bytes
    duration = rows[U(k + R_LAST)] - rows[U(k + R_START)]
    seconds = duration / 1e6
    values[row, C_DURATION] = duration
    values[row, C_DURATION + 1] = sent
    values[row, C_DURATION + 2] = received
    values[row, C_DURATION + 3] = sent_bytes
    values[row, C_DURATION + 4] = received_bytes
    values[row, C_BYTES_PER_S] = ratio(payload, seconds)
    values[row, C_PACKETS_PER_S] = ratio(packets, seconds)
    values[row, C_FWD_PACKETS_PER_S] = ratio(sent, seconds)
    values[row, C_FWD_PACKETS_PER_S + 1] = ratio(received, seconds)
    gaps = packets - 1
    values[row, C_FLOW_IAT] = ratio(duration, gaps)
    values[row, C_FLOW_IAT + 1] = sample_std(gaps, duration, rows[U(k + R_IAT_SQUARES)])
    values[row, C_FLOW_IAT + 2] = rows[U(k + R_IAT_MAX)]
    values[row, C_FLOW_IAT + 3] = rows[U(k + R_IAT_MIN)] if gaps else 0
    squares = rows[U(forward + D_BYTES_SQUARES)] + rows[U(backward + D_BYTES_SQUARES)]
    deviation = sample_std(packets, payload, squares)
    mean = payload / packets
    values[row, C_LENGTH] = min(rows[U(forward + D_BYTES_MIN)], rows[U(backward + D_BYTES_MIN)])
    values[row, C_LENGTH + 1] = max(rows[U(forward + D_BYTES_MAX)], rows[U(backward + D_BYTES_MAX)])
    values[row, C_LENGTH + 2] = mean
    values[row, C_LENGTH + 3] = deviation
    values[row, C_LENGTH + 4] = deviation * deviation
    values[row, C_RATIO] = ratio(received, sent)
    values[row, C_RATIO + 1] = mean
    values[row, C_RATIO + 2] = ratio(sent_bytes, sent)
    values[row, C_RATIO + 3] = ratio(received_bytes, received)
    subflows = rows[U(k + R_GAPS)] + 1
    values[row, C_SUBFLOW] = sent / subflows
    values[row, C_SUBFLOW + 1] = sent_bytes / subflows
    values[row, C_SUBFLOW + 2] = received / subflows
    values[row, C_SUBFLOW + 3] = received_bytes / subflows


@inner
def write_headers(rows: Int64s, k: Word, values: Values, row: Word) -> None:
    """Flags, headers, windows and what belongs to layer 4."""
    forward, backward = k + R_FORWARD, k + R_BACKWARD
    psh_urg, psh_urg_back = rows[U(forward + D_PSH_URG_FLAGS)], rows[U(backward + D_PSH_URG_FLAGS)]
    rst_fin, rst_fin_back = rows[U(forward + D_RST_FIN_FLAGS)], rows[U(backward + D_RST_FIN_FLAGS)]
    # the halves of a word are added at once: neither reaches 2^32 packets
    syn_ack = rows[U(forward + D_SYN_ACK_FLAGS)] + rows[U(backward + D_SYN_ACK_FLAGS)]
    cwr_ece = rows[U(k + R_CWR_ECE_FLAGS)]
    values[row, C_PSH_URG] = psh_urg >> 32
    values[row, C_PSH_URG + 1] = psh_urg_back >> 32
    values[row, C_PSH_URG + 2] = psh_urg & LOW32
    values[row, C_PSH_URG + 3] = psh_urg_back & LOW32
    values[row, C_RST] = rst_fin >> 32
    values[row, C_RST + 1] = rst_fin_back >> 32
    values[row, C_FLAGS] = (rst_fin & LOW32) + (rst_fin_back & LOW32)
    values[row, C_FLAGS + 1] = syn_ack >> 32
    values[row, C_FLAGS + 2] = (rst_fin >> 32) + (rst_fin_back >> 32)
    values[row, C_FLAGS + 3] = (psh_urg >> 32) + (psh_urg_back >> 32)
    values[row, C_FLAGS + 4] = syn_ack & LOW32
    values[row, C_FLAGS + 5] = (psh_urg & LOW32) + (psh_urg_back & LOW32)
    values[row, C_FLAGS + 6] = cwr_ece >> 32
    values[row, C_FLAGS + 7] = cwr_ece & LOW32
    values[row, C_HEADERS] = rows[U(forward + D_HEADERS)]
    values[row, C_HEADERS + 1] = rows[U(backward + D_HEADERS)]
    values[row, C_INIT_WINDOW] = rows[U(forward + D_INIT_WINDOW)]
    values[row, C_INIT_WINDOW + 1] = rows[U(backward + D_INIT_WINDOW)]
    values[row, C_INIT_WINDOW + 2] = rows[U(forward + D_DATA_PACKETS)]
    values[row, C_INIT_WINDOW + 3] = rows[U(forward + D_HEADER_MIN)] if rows[U(forward + D_PACKETS)] else 0
    values[row, C_BWD_DATA] = rows[U(backward + D_DATA_PACKETS)]
    values[row, C_BWD_DATA + 1] = rows[U(backward + D_HEADER_MIN)] if rows[U(backward + D_PACKETS)] else 0
    icmp = rows[U(k + R_ICMP)]
    values[row, C_ICMP_CODE] = icmp & 0xFF if icmp != UNSET else UNSET
    values[row, C_ICMP_CODE + 1] = (icmp >> 8) & 0xFF if icmp != UNSET else UNSET
    values[row, C_CONNECTION] = rows[U(k + R_LAST)] - rows[U(k + R_CONNECTION_START)]
    values[row, C_LAST_WINDOW] = rows[U(backward + D_LAST_WINDOW)]


@inner
def write_endpoints(rows: Int64s, k: Word, identity: Identity, row: Word) -> None:
    """Who talks with whom, the originator first."""
    ports = rows[U(k + R_PORTS)]
    low, high = (ports >> 16) & 0xFFFF, ports & 0xFFFF
    if rows[U(k + R_ORIGINATOR)] == 0:
        identity[row, SRC_HIGH], identity[row, SRC_LOW] = rows[U(k + R_A_HIGH)], rows[U(k + R_A_LOW)]
        identity[row, DST_HIGH], identity[row, DST_LOW] = rows[U(k + R_B_HIGH)], rows[U(k + R_B_LOW)]
        identity[row, SRC_PORT], identity[row, DST_PORT] = low, high
    else:
        identity[row, SRC_HIGH], identity[row, SRC_LOW] = rows[U(k + R_B_HIGH)], rows[U(k + R_B_LOW)]
        identity[row, DST_HIGH], identity[row, DST_LOW] = rows[U(k + R_A_HIGH)], rows[U(k + R_A_LOW)]
        identity[row, SRC_PORT], identity[row, DST_PORT] = high, low
    identity[row, PROTOCOL] = (ports >> 32) & 0xFF
    identity[row, IP_VERSION] = ports >> 40
    identity[row, VLAN] = rows[U(k + R_VLAN)]


@inner
def syn_seen(rows: Int64s, k: Word) -> tuple[Word, Word]:
    """Bits of R_STATE by the SYNs of this flow and of those that active timeouts cut off before it: one a direction."""
    state = rows[U(k + R_STATE)]
    forward = SYN_FORWARD if rows[U(k + R_FORWARD + D_SYN_ACK_FLAGS)] >> 32 else state & SYN_FORWARD
    backward = SYN_BACKWARD if rows[U(k + R_BACKWARD + D_SYN_ACK_FLAGS)] >> 32 else state & SYN_BACKWARD
    return forward, backward


@inner
def seen_of(rows: Int64s, k: Word) -> Word:
    """What was seen that no column tells: flags by direction, wrong fragments, the length of an ICMP message."""
    opened, answered = syn_seen(rows, k)
    rst_fin, rst_fin_back = rows[U(k + R_FORWARD + D_RST_FIN_FLAGS)], rows[U(k + R_BACKWARD + D_RST_FIN_FLAGS)]
    seen = SEEN_SYN if opened else 0
    seen |= SEEN_SYN_BACK if answered else 0
    seen |= SEEN_ACK if rows[U(k + R_FORWARD + D_SYN_ACK_FLAGS)] & LOW32 else 0
    seen |= SEEN_FIN if rst_fin & LOW32 else 0
    seen |= SEEN_FIN_BACK if rst_fin_back & LOW32 else 0
    seen |= SEEN_RST if rst_fin >> 32 else 0
    seen |= SEEN_RST_BACK if rst_fin_back >> 32 else 0
    seen |= min(rows[U(k + R_WRONG_FRAGMENTS)], 0xFFFF) << 8
    icmp = rows[U(k + R_ICMP)]
    return seen | ((icmp >> 16) << 24) if icmp != UNSET else seen


@inner
def write_identity(rows: Int64s, k: Word, identity: Identity, row: Word, reason: Word) -> None:
    """Who, when, why it is reported, and how much of it is new."""
    write_endpoints(rows, k, identity, row)
    identity[row, START_NS] = rows[U(k + R_FIRST_STAMP_NS)]
    identity[row, END_NS] = rows[U(k + R_LAST_STAMP_NS)]
    identity[row, START_SHIFT_NS] = rows[U(k + R_START_NS)] - rows[U(k + R_FIRST_STAMP_NS)]
    identity[row, END_SHIFT_NS] = rows[U(k + R_LAST_NS)] - rows[U(k + R_LAST_STAMP_NS)]
    identity[row, END_REASON] = reason
    identity[row, REPORT] = rows[U(k + R_REPORTS)]
    packets = rows[U(k + R_FORWARD + D_PACKETS)] + rows[U(k + R_BACKWARD + D_PACKETS)]
    identity[row, NEW_PACKETS] = packets - rows[U(k + R_REPORTED_PACKETS)]
    identity[row, SEEN] = seen_of(rows, k)
    rows[U(k + R_REPORTS)] += 1
    rows[U(k + R_REPORTED_PACKETS)] = packets


@inner
def write_record(rows: Int64s, k: Word, registers: Int64s, identity: Identity, values: Values, reason: Word) -> None:
    """Report the flow whose words start at k; the caller has made sure that the output has room."""
    row = registers[U(M_RECORDS)]
    registers[U(M_RECORDS)] = row + 1
    write_identity(rows, k, identity, row, reason)
    identity[row, REPORTED_NS] = registers[U(M_REPORTED_NS)]
    values[row, C_PROTOCOL] = identity[row, PROTOCOL]
    write_rates(rows, k, values, row)
    write_headers(rows, k, values, row)
    write_lengths(rows, k + R_FORWARD, values, row, C_FWD_LENGTH)
    write_lengths(rows, k + R_BACKWARD, values, row, C_BWD_LENGTH)
    write_direction_gaps(rows, k + R_FORWARD, values, row, C_FWD_IAT)
    write_direction_gaps(rows, k + R_BACKWARD, values, row, C_BWD_IAT)
    write_bulks(rows, k + R_FORWARD, values, row, C_FWD_BULK)
    write_bulks(rows, k + R_BACKWARD, values, row, C_BWD_BULK)
    write_series(rows, k + R_ACTIVE, values, row, C_ACTIVE)
    write_series(rows, k + R_IDLE, values, row, C_IDLE)
