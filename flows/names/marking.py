"""Which packets are worth reading for names: DNS answers to those who asked, and what begins as a TLS hello does.

Only the first data packets of a direction are looked at, so that the bytes of others need not be fetched: after a few
words in the clear (STARTTLS, a proxy's CONNECT) a hello is still among them. An answer counts where it goes against its
flow's direction: nobody is told names who has not asked.
"""

from flows.block import Bytes, Int64s
from flows.layout import (
    D_DATA_PACKETS,
    M_MARKS,
    P_A_HIGH,
    P_CAPTURED_END,
    P_HEADER,
    P_PAYLOAD,
    P_PAYLOAD_AT,
    P_PORTS,
    P_SENDER,
    P_STAMP_NS,
    P_TIME_NS,
    P_VLAN,
    R_BACKWARD,
    R_FORWARD,
    R_ORIGINATOR,
)
from flows.names.layout import (
    DNS_ANSWER,
    HELLO,
    K_A_HIGH,
    K_AT,
    K_END,
    K_KIND,
    K_SENDER,
    K_STAMP_NS,
    K_TIME_NS,
    MARK_WORDS,
)
from kernels.jit import U, Word, inlined, inner

TCP, UDP = 6, 17
DNS_PORT = 53
FIRST_DATA = 4  # data packets of a direction that are looked at
LEAST_ANSWER, LEAST_HELLO = 12, 44  # bytes of what can be read


@inlined
def mark_names(buffer: Bytes, fields: Int64s, f: Word, rows: Int64s, k: Word, marks: Int64s, registers: Int64s) -> None:
    """Mark a packet that is worth reading; its row, from word k on, has not counted it yet."""
    ports = fields[U(f + P_PORTS)]
    protocol = (ports >> 32) & 0xFF
    # a later fragment has no layer-4 header
    if fields[U(f + P_PAYLOAD)] >= LEAST_ANSWER and fields[U(f + P_HEADER)] > 0:
        if protocol == UDP:
            port = ports & 0xFFFF if fields[U(f + P_SENDER)] else (ports >> 16) & 0xFFFF
            if port == DNS_PORT and fields[U(f + P_SENDER)] != rows[U(k + R_ORIGINATOR)]:
                mark(fields, f, DNS_ANSWER, marks, registers)
        elif protocol == TCP and is_hello(buffer, fields, f, rows, k):
            mark(fields, f, HELLO, marks, registers)


@inner
def is_hello(buffer: Bytes, fields: Int64s, f: Word, rows: Int64s, k: Word) -> bool:
    """Whether one of the first data packets begins with the header of a record, and in it that of a ClientHello."""
    forward = fields[U(f + P_SENDER)] == rows[U(k + R_ORIGINATOR)]
    d = k + R_FORWARD if forward else k + R_BACKWARD
    at = fields[U(f + P_PAYLOAD_AT)]
    if rows[U(d + D_DATA_PACKETS)] >= FIRST_DATA or at + LEAST_HELLO > fields[U(f + P_CAPTURED_END)]:
        return False
    return bool(buffer[U(at)] == 22 and buffer[U(at + 1)] == 3 and buffer[U(at + 5)] == 1)


@inner
def mark(fields: Int64s, f: Word, kind: Word, marks: Int64s, registers: Int64s) -> None:
    """Note a packet; there is room for it."""
    m = registers[U(M_MARKS)] * MARK_WORDS
    registers[U(M_MARKS)] += 1
    marks[U(m + K_TIME_NS)] = fields[U(f + P_TIME_NS)]
    marks[U(m + K_STAMP_NS)] = fields[U(f + P_STAMP_NS)]
    marks[U(m + K_KIND)] = kind
    for w in range(P_VLAN + 1):
        marks[U(m + K_A_HIGH + w)] = fields[U(f + P_A_HIGH + w)]
    marks[U(m + K_SENDER)] = fields[U(f + P_SENDER)]
    marks[U(m + K_AT)] = fields[U(f + P_PAYLOAD_AT)]
    marks[U(m + K_END)] = fields[U(f + P_CAPTURED_END)]
