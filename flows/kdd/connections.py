"""The nine columns of a connection itself, from its flow record.

Knows one record at a time. A KDD connection is what the meter calls a flow. Where an active timeout has cut it, the
duration goes back to its beginning and the bytes are those since the cut. ICMP in the data is one connection a
message; here it is one a flow, with the bytes of its first message. Protocols that the data does not have are UNKNOWN,
and end well. How TCP connections began and ended: the states of Bro and its successor Zeek, from the
flags that either side has sent (documentation of conn.log; Paxson, "Bro: A System for Detecting Network Intruders in
Real-Time", Computer Networks 1999).
"""

from flows.batch import (
    ACTIVE_TIMEOUT,
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    END_SHIFT_NS,
    PROTOCOL,
    SEEN,
    SEEN_ACK,
    SEEN_FIN,
    SEEN_FIN_BACK,
    SEEN_RST,
    SEEN_RST_BACK,
    SEEN_SYN,
    SEEN_SYN_BACK,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    Identity,
    Values,
)
from flows.block import Int64s
from flows.columns import INDEX
from flows.decode import ICMP, ICMPV6, TCP, UDP
from flows.kdd.columns import FLAGS, PROTOCOLS, UNKNOWN, kdd_columns
from flows.kdd.services import service_key
from kernels.jit import Word, inner

KDD_INDEX = {column.name: position for position, column in enumerate(kdd_columns(content=False))}

# Positions of the flow's columns and of the connection's.
C_SENT, C_ANSWERS = INDEX["fwd_bytes"], INDEX["bwd_packets"]
C_RECEIVED = INDEX["bwd_bytes"]
C_URGENT = INDEX["urg_flag_count"]
C_ICMP_TYPE, C_ICMP_CODE = INDEX["icmp_type"], INDEX["icmp_code"]
C_DURATION, C_CONNECTION = INDEX["flow_duration"], INDEX["connection_duration"]
K_DURATION, K_PROTOCOL, K_SERVICE, K_FLAG = (KDD_INDEX[n] for n in ("duration", "protocol_type", "service", "flag"))
K_SRC_BYTES, K_DST_BYTES, K_LAND = (KDD_INDEX[name] for name in ("src_bytes", "dst_bytes", "land"))
K_WRONG_FRAGMENT, K_URGENT = KDD_INDEX["wrong_fragment"], KDD_INDEX["urgent"]

OTH, REJ, RSTO, RSTOS0, RSTR, S0, S1, S2, S3, SF, SH = range(len(FLAGS))
AS_ICMP, AS_TCP, AS_UDP = range(len(PROTOCOLS))

# What a connection counts as in the error rates of others and its own.
NO_ERROR, SYN_ERROR, REJECTED = range(3)

UNKNOWN_MESSAGE = 0xFFFF  # type 255 is reserved in ICMP and in ICMPv6


@inner
def reset_state(seen: Word, payload: Word) -> Word:
    """State of a connection that a RST ended; the responder's counts first."""
    opened, answered = seen & SEEN_SYN, seen & SEEN_SYN_BACK
    if seen & SEEN_RST_BACK:
        if opened and not seen & SEEN_FIN and (not answered or (seen & SEEN_RST and payload == 0)):
            return REJ
        # a lone FIN that a closed port resets is a sweep's: in NSL-KDD those are RSTR
        return RSTR if opened or seen & SEEN_FIN else OTH
    if answered:
        return RSTO
    return RSTOS0 if opened and not seen & SEEN_FIN else OTH


@inner
def tcp_state(seen: Word, answers: Word, payload: Word) -> Word:
    """Position in FLAGS. seen: bits of SEEN; answers: packets of the responder; payload: bytes of both sides."""
    opened, answered = seen & SEEN_SYN, seen & SEEN_SYN_BACK
    if seen & (SEEN_RST | SEEN_RST_BACK):
        return reset_state(seen, payload)
    if seen & SEEN_FIN and seen & SEEN_FIN_BACK:
        return SF
    if seen & SEEN_FIN:
        if answered:
            return S2
        return SH if opened or answers == 0 else OTH
    if not opened:
        return OTH
    if seen & SEEN_FIN_BACK:
        return S3 if answered else OTH
    if answered:
        return S1
    return S0 if answers == 0 else OTH


@inner
def error_of(flag: Word, seen: Word, reason: Word) -> Word:
    """SYN errors in the data are S0, S1, S2, S3 and SH, rejections are REJ and every RST.

    A connection that was established and goes on is no error yet: the data has only those that had ended.
    """
    if flag in (REJ, RSTO, RSTOS0, RSTR):
        return REJECTED
    if flag in (S0, SH):
        return SYN_ERROR
    if flag in (S1, S2, S3):
        goes_on = reason in (SNAPSHOT, ACTIVE_TIMEOUT) and seen & SEEN_ACK
        return NO_ERROR if goes_on else SYN_ERROR
    return NO_ERROR


@inner
def protocol_of(number: Word) -> Word:
    """Position in PROTOCOLS."""
    if number == TCP:
        return AS_TCP
    if number == UDP:
        return AS_UDP
    return AS_ICMP if number in (ICMP, ICMPV6) else UNKNOWN


@inner
def write_connection(
    identity: Identity, values: Values, row: Word, services: Int64s, out: Values
) -> tuple[Word, Word, Word]:
    """The nine basic columns of a record; returns (service key, error, start in µs of the whole connection)."""
    number, seen = identity[row, PROTOCOL], identity[row, SEEN]
    icmp = int(values[row, C_ICMP_TYPE]) << 8 | int(values[row, C_ICMP_CODE])
    source_port, target_port = identity[row, SRC_PORT], identity[row, DST_PORT]
    key = service_key(number, source_port, target_port, icmp if icmp >= 0 else UNKNOWN_MESSAGE)
    sent, received = int(values[row, C_SENT]), int(values[row, C_RECEIVED])
    flag = tcp_state(seen, int(values[row, C_ANSWERS]), sent + received) if number == TCP else SF
    one_address = (
        identity[row, SRC_HIGH] == identity[row, DST_HIGH] and identity[row, SRC_LOW] == identity[row, DST_LOW]
    )
    with_ports = number in (TCP, UDP)
    duration = int(values[row, C_CONNECTION])
    out[row, K_DURATION] = duration // 1_000_000
    out[row, K_PROTOCOL] = protocol_of(number)
    out[row, K_SERVICE] = services[key]
    out[row, K_FLAG] = flag
    out[row, K_SRC_BYTES] = sent if with_ports else seen >> 24
    out[row, K_DST_BYTES] = received
    out[row, K_LAND] = 1.0 if with_ports and one_address and source_port == target_port else 0.0
    out[row, K_WRONG_FRAGMENT] = (seen >> 8) & 0xFFFF
    out[row, K_URGENT] = values[row, C_URGENT]
    error = error_of(flag, seen, identity[row, END_REASON])
    return key, error, (identity[row, END_NS] + identity[row, END_SHIFT_NS]) // 1000 - duration
