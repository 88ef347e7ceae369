"""Which packets are worth reading for names: DNS answers to those who asked, what begins as a TLS hello does, and what
follows a hello that goes on.

Only the first data packets of a direction are looked at, so that the bytes of others need not be fetched: after a few
words in the clear (STARTTLS, a proxy's CONNECT) a hello is still among them. That of a flow's originator counts before
what the other side says in such words. An answer counts where it goes against its flow's direction, one for each
question: nobody is told names who has not asked, or is answered again.
"""

from numpy import int64

from flows.block import Bytes, Int64s
from flows.byte_order import be16
from flows.layout import (
    D_DATA_PACKETS,
    HELLO_BACKWARD,
    HELLO_FORWARD,
    HELLO_SAID,
    M_MARKS,
    P_A_HIGH,
    P_CAPTURED_END,
    P_FLAGS,
    P_HEADER,
    P_PAYLOAD,
    P_PAYLOAD_AT,
    P_PORTS,
    P_SENDER,
    P_SEQUENCE,
    P_STAMP_NS,
    P_TIME_NS,
    P_VLAN,
    R_BACKWARD,
    R_FORWARD,
    R_INITIAL_SEQUENCES,
    R_ORIGINATOR,
    R_STATE,
)
from flows.names.layout import (
    DNS_ANSWER,
    HELLO,
    HELLO_PART,
    K_A_HIGH,
    K_AT,
    K_END,
    K_KIND,
    K_SENDER,
    K_SEQUENCE,
    K_STAMP_NS,
    K_TIME_NS,
    MARK_WORDS,
)
from kernels.jit import U, Word, inlined, inner

TCP, UDP = 6, 17
DNS_PORT = 53
FIRST_DATA = 4  # data packets of a direction, one of which may begin a hello
LAST_DATA = 8  # data packets of a direction, among which it must end
LEAST_HELLO = 6  # bytes by which it is known
UNMARKED = -1


@inlined
def mark_names(buffer: Bytes, fields: Int64s, f: Word, rows: Int64s, k: Word, marks: Int64s, registers: Int64s) -> None:
    """Mark a packet that is worth reading; its row, from word k on, has not counted it yet."""
    ports = fields[U(f + P_PORTS)]
    protocol = (ports >> 32) & 0xFF
    # a later fragment has no layer-4 header
    if fields[U(f + P_PAYLOAD)] > 0 and fields[U(f + P_HEADER)] > 0:
        if protocol == UDP:
            originator = rows[U(k + R_ORIGINATOR)]
            if ((ports >> 16) & 0xFFFF if originator else ports & 0xFFFF) == DNS_PORT:
                if fields[U(f + P_SENDER)] == originator:
                    rows[U(k + R_INITIAL_SEQUENCES)] += 1
                elif rows[U(k + R_INITIAL_SEQUENCES)] > 0:
                    rows[U(k + R_INITIAL_SEQUENCES)] -= 1
                    mark(fields, f, DNS_ANSWER, marks, registers)
        elif protocol == TCP:
            kind = part_of_hello(buffer, fields, f, rows, k)
            if kind != UNMARKED:
                mark(fields, f, kind, marks, registers)


@inner
def part_of_hello(buffer: Bytes, fields: Int64s, f: Word, rows: Int64s, k: Word) -> Word:
    """HELLO: one of the first data packets begins with the header of a record, and in it that of a ClientHello.
    HELLO_PART: such a one went before, and goes on. UNMARKED: neither.
    """
    forward = fields[U(f + P_SENDER)] == rows[U(k + R_ORIGINATOR)]
    data_packets = rows[U((k + R_FORWARD if forward else k + R_BACKWARD) + D_DATA_PACKETS)]
    if data_packets >= LAST_DATA or (not forward and rows[U(k + R_STATE)] & HELLO_SAID):
        return int64(UNMARKED)
    goes_on = HELLO_FORWARD if forward else HELLO_BACKWARD
    at, end = fields[U(f + P_PAYLOAD_AT)], fields[U(f + P_CAPTURED_END)]
    if data_packets < FIRST_DATA and at + LEAST_HELLO <= end and begins_hello(buffer, at):
        # what was not captured whole never ends
        if at + 5 + be16(buffer, at + 3) > end and end - at == fields[U(f + P_PAYLOAD)]:
            rows[U(k + R_STATE)] |= goes_on
        if forward:
            rows[U(k + R_STATE)] |= HELLO_SAID
        return int64(HELLO)
    return int64(HELLO_PART if rows[U(k + R_STATE)] & goes_on else UNMARKED)


@inner
def begins_hello(buffer: Bytes, at: Word) -> bool:
    """Whether a record of TLS stands there, and in it a ClientHello; LEAST_HELLO bytes are there."""
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
    # a SYN counts as a byte before its data (RFC 9293 3.4, RFC 7413)
    syn = (fields[U(f + P_FLAGS)] >> 1) & 1
    marks[U(m + K_SEQUENCE)] = ((fields[U(f + P_SEQUENCE)] >> 32) + syn) & 0xFFFFFFFF
    marks[U(m + K_AT)] = fields[U(f + P_PAYLOAD_AT)]
    marks[U(m + K_END)] = fields[U(f + P_CAPTURED_END)]
