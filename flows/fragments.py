"""Fragments: later ones carry no ports, so the table remembers those of the first fragments for a while.

A later fragment joins the flow of its first one: all its bytes are payload of TCP or UDP, and it has no layer-4 header
(length 0) and no flags. Where the first one ended within the TCP header, which no sender needs and scanners do, the
rest of that is header, and the fragment behind the first 8 bytes has the flags. One that comes before its first one,
more than EXPIRY_NS after it, or after the table has forgotten it, is counted and not metered. One that overlaps its
first one or the one before it, or reaches beyond what a datagram can hold, is metered and told as wrong. Where tunnels
are looked into, the first fragment of a tunnel's packet shows the headers inside, and the IP header there states the
length of the whole: the packet inside is counted with it, and the later fragments of the tunnel's packet by a reason of
their own. The table is a ring, the oldest entry giving way, with hash chains over it. RFC 791, RFC 8200 4.5: a packet's
fragments share addresses, identification and, in IPv4, protocol. RFC 1858, RFC 5722: they do not overlap.
"""

import numpy as np
from numpy import int64

from flows.block import Bytes, Int64s
from flows.byte_order import be16, be32
from flows.decode import (
    DECODED,
    FIRST_OF_TUNNEL,
    INSIDE_FIRST,
    LATER_FRAGMENT,
    LOST_FRAGMENT,
    TCP,
    TCP_HEADER,
    TUNNEL_FRAGMENT,
    UDP,
    comes_first,
    decode,
)
from flows.layout import (
    M_FRAGMENTS,
    M_VLAN_IN_KEY,
    P_A_HIGH,
    P_A_LOW,
    P_B_HIGH,
    P_B_LOW,
    P_CAPTURED_END,
    P_FLAGS,
    P_FRAGMENT,
    P_HEADER,
    P_ICMP,
    P_PAYLOAD,
    P_PAYLOAD_AT,
    P_PORTS,
    P_SENDER,
    P_SEQUENCE,
    P_TIME_NS,
    P_VLAN,
    P_WINDOW,
    UNSET,
    WRONG_FRAGMENT,
)
from flows.table import LOW32, hash_key
from kernels.jit import U, Word, inner

EXPIRY_NS = 30_000_000_000
ENTRIES = 1024
BUCKETS = 2048

# Words of an entry: a packet's six key words, P_PORTS holding sender << 48 | version << 40 | P_FRAGMENT without its
# offset instead; P_PORTS of the first fragment, with OF_TUNNEL where its packet is a tunnel's. Bytes of the datagram:
# where its first fragment ended, where the latest later one began and ended. Of a TCP header in fragments: its length
# (0: it is whole, UNSET: not seen yet), and its sequence number in the upper half.
E_PORTS, E_TIME_NS, E_BUCKET, E_NEXT, E_FIRST_END, E_BEGIN, E_END, E_HEADER, E_SEQUENCE, ENTRY_WORDS = range(6, 16)
FRAGMENT_KEY = (1 << 40) - 1
OF_TUNNEL = 1 << 48
MAX_DATAGRAM = 65535
HEADS = ENTRIES * ENTRY_WORDS  # chains' heads follow the entries; a link is entry + 1, 0 ends a chain


def fragment_table() -> Int64s:
    """Empty table."""
    return np.zeros(HEADS + BUCKETS, dtype=np.int64)


@inner
def find_entry(table: Int64s, fields: Int64s, f: Word, bucket: Word) -> Word:
    """Word where the entry with a packet's key begins, or -1."""
    link = table[U(HEADS + bucket)]
    while link:
        e = (link - 1) * ENTRY_WORDS
        same = True
        for w in range(P_VLAN + 1):
            same = same and table[U(e + w)] == fields[U(f + w)]
        if same:
            return e
        link = table[U(e + E_NEXT)]
    return -1


@inner
def unlink(table: Int64s, entry: Word) -> None:
    """Take an entry out of its chain."""
    at = HEADS + table[U(entry * ENTRY_WORDS + E_BUCKET)]
    while table[U(at)] != entry + 1:
        at = (table[U(at)] - 1) * ENTRY_WORDS + E_NEXT
    table[U(at)] = table[U(entry * ENTRY_WORDS + E_NEXT)]


@inner
def add_entry(table: Int64s, registers: Int64s, fields: Int64s, f: Word, bucket: Word) -> Word:
    """Entry with a packet's key in place of the oldest one: word where it begins."""
    entry = registers[U(M_FRAGMENTS)] % ENTRIES
    if registers[U(M_FRAGMENTS)] >= ENTRIES:
        unlink(table, entry)
    registers[U(M_FRAGMENTS)] += 1
    e = entry * ENTRY_WORDS
    for w in range(P_VLAN + 1):
        table[U(e + w)] = fields[U(f + w)]
    table[U(e + E_BUCKET)] = bucket
    table[U(e + E_NEXT)] = table[U(HEADS + bucket)]
    table[U(HEADS + bucket)] = entry + 1
    return e


@inner
def is_wrong(table: Int64s, e: Word, fields: Int64s, f: Word) -> Word:
    """Whether a later fragment does not fit those that came; remembers where it stood."""
    begin = fields[U(f + P_FRAGMENT)] >> 40
    end = begin + fields[U(f + P_PAYLOAD)]
    overlaps = begin < table[U(e + E_FIRST_END)] or (begin < table[U(e + E_END)] and end > table[U(e + E_BEGIN)])
    table[U(e + E_BEGIN)] = begin
    table[U(e + E_END)] = end
    return overlaps or end > MAX_DATAGRAM


@inner
def first_end(fields: Int64s, f: Word) -> Word:
    """Where a first fragment ends in its datagram; 0 where its protocol's length is not kept."""
    if fields[U(f + P_ICMP)] >= 0:
        return fields[U(f + P_ICMP)] >> 16
    return fields[U(f + P_HEADER)] + fields[U(f + P_PAYLOAD)]


@inner
def length_of_header(fields: Int64s, f: Word) -> Word:
    """E_HEADER of a first fragment."""
    if (fields[U(f + P_PORTS)] >> 32) & 0xFF != TCP or fields[U(f + P_PAYLOAD)] > 0:
        return 0
    if fields[U(f + P_WINDOW)] == UNSET:
        return UNSET
    missing = fields[U(f + P_PAYLOAD_AT)] - fields[U(f + P_CAPTURED_END)]
    return fields[U(f + P_HEADER)] + missing if missing > 0 else 0


@inner
def take_header(buffer: Bytes, table: Int64s, e: Word, fields: Int64s, f: Word) -> None:
    """Divide a later fragment into the rest of the TCP header and payload, and read the flags if it has them."""
    begin = fields[U(f + P_FRAGMENT)] >> 40
    end = begin + fields[U(f + P_PAYLOAD)]
    header = fields[U(f + P_PAYLOAD_AT)] - begin
    if table[U(e + E_HEADER)] == UNSET and begin == 8 and end >= 16 and header + 16 <= fields[U(f + P_CAPTURED_END)]:
        table[U(e + E_HEADER)] = (int64(buffer[U(header + 12)]) >> 4) << 2
        fields[U(f + P_FLAGS)] = int64(buffer[U(header + 13)])
        fields[U(f + P_WINDOW)] = be16(buffer, header + 14)
        fields[U(f + P_SEQUENCE)] = table[U(e + E_SEQUENCE)] | be32(buffer, header + 8)
    rest = int64(max(0, min(end, max(table[U(e + E_HEADER)], TCP_HEADER)) - begin))
    fields[U(f + P_HEADER)] = rest
    fields[U(f + P_PAYLOAD)] -= rest


@inner
def join_first(buffer: Bytes, table: Int64s, e: Word, fields: Int64s, f: Word) -> Word:
    """Give a later fragment the ports and the protocol of its first one; returns its reason."""
    if e < 0 or abs(fields[U(f + P_TIME_NS)] - table[U(e + E_TIME_NS)]) > EXPIRY_NS:
        return LOST_FRAGMENT
    ports = table[U(e + E_PORTS)]
    if ports & OF_TUNNEL:
        return TUNNEL_FRAGMENT
    fields[U(f + P_FLAGS)] = WRONG_FRAGMENT if is_wrong(table, e, fields, f) else 0
    source_port, target_port = (ports >> 16) & 0xFFFF, ports & 0xFFFF
    a_high, a_low = fields[U(f + P_A_HIGH)], fields[U(f + P_A_LOW)]
    b_high, b_low = fields[U(f + P_B_HIGH)], fields[U(f + P_B_LOW)]
    a_port, b_port = (source_port, target_port) if fields[U(f + P_SENDER)] == 0 else (target_port, source_port)
    # with equal addresses the ports decide who is A
    if not comes_first(a_high, a_low, a_port, b_high, b_low, b_port):
        a_port, b_port = b_port, a_port
        fields[U(f + P_SENDER)] = 1 - fields[U(f + P_SENDER)]
    fields[U(f + P_PORTS)] = (ports & ~0xFFFFFFFF) | (a_port << 16) | b_port
    if (ports >> 32) & 0xFF not in (TCP, UDP):
        fields[U(f + P_PAYLOAD)] = 0
    fields[U(f + P_HEADER)] = 0
    fields[U(f + P_WINDOW)] = fields[U(f + P_SEQUENCE)] = -1
    fields[U(f + P_ICMP)] = -1
    if table[U(e + E_HEADER)] != 0:
        take_header(buffer, table, e, fields, f)
    return DECODED


@inner
def follow_fragment(
    buffer: Bytes, table: Int64s, registers: Int64s, fields: Int64s, f: Word, keys: Int64s, kind: Word
) -> Word:
    """Remember a first fragment, or complete a later one from it; returns the packet's reason.

    kind: FIRST_FRAGMENT, FIRST_OF_TUNNEL or LATER_FRAGMENT, as flows.decode returned it.
    """
    ports = fields[U(f + P_PORTS)]
    sender = fields[U(f + P_SENDER)]
    version = ports >> 40
    by_ports = fields[U(f + P_A_HIGH)] == fields[U(f + P_B_HIGH)] and fields[U(f + P_A_LOW)] == fields[U(f + P_B_LOW)]
    direction = 0 if by_ports else sender
    fields[U(f + P_PORTS)] = (direction << 48) | (version << 40) | (fields[U(f + P_FRAGMENT)] & FRAGMENT_KEY)
    bucket = hash_key(fields, f, keys) & (BUCKETS - 1)
    e = find_entry(table, fields, f, bucket)
    if kind == LATER_FRAGMENT:
        return join_first(buffer, table, e, fields, f)
    if e < 0:
        e = add_entry(table, registers, fields, f, bucket)
    a_port, b_port = (ports >> 16) & 0xFFFF, ports & 0xFFFF
    source_port, target_port = (a_port, b_port) if sender == 0 else (b_port, a_port)
    tunnel = OF_TUNNEL if kind == FIRST_OF_TUNNEL else 0
    table[U(e + E_PORTS)] = tunnel | (ports & ~0xFFFFFFFF) | (source_port << 16) | target_port
    table[U(e + E_TIME_NS)] = fields[U(f + P_TIME_NS)]
    table[U(e + E_FIRST_END)] = first_end(fields, f)
    table[U(e + E_BEGIN)] = table[U(e + E_END)] = 0
    fields[U(f + P_PORTS)] = ports
    table[U(e + E_HEADER)] = length_of_header(fields, f)
    table[U(e + E_SEQUENCE)] = fields[U(f + P_SEQUENCE)] & ~LOW32
    return DECODED


@inner
def resolve_fragment(
    buffer: Bytes,
    start: Word,
    end: Word,
    wire_end: Word,
    linktype: Word,
    table: Int64s,
    registers: Int64s,
    fields: Int64s,
    f: Word,
    keys: Int64s,
    kind: Word,
) -> Word:
    """Follow a fragment, into the tunnel if it is the first one of a tunnel's packet; returns the packet's reason.

    The frame is as flows.decode took it, kind what it returned. The packet inside may be a fragment itself.
    """
    reason = follow_fragment(buffer, table, registers, fields, f, keys, kind)
    if kind != FIRST_OF_TUNNEL:
        return reason
    kind = decode(buffer, start, end, wire_end, linktype, INSIDE_FIRST, fields, f)
    if registers[U(M_VLAN_IN_KEY)] == 0:  # as the caller has it for what is outside
        fields[U(f + P_VLAN)] = 0
    return follow_fragment(buffer, table, registers, fields, f, keys, kind) if kind < DECODED else kind
