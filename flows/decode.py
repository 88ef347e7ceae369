"""One frame into the fields the meter needs: endpoints, ports, payload and header lengths, TCP flags and window.

Lengths come from the IP header, never from the captured length: Ethernet pads to 60 bytes and captures are cut.
Nothing is read outside the captured bytes. What cannot be decoded is told by a reason, never by an exception.
RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 792, RFC 4443.
"""

from numpy import int64

from flows.block import Bytes, Int64s
from flows.jit import U, Word, inner
from flows.layout import (
    P_A_HIGH,
    P_A_LOW,
    P_B_HIGH,
    P_B_LOW,
    P_FLAGS,
    P_HEADER,
    P_ICMP,
    P_PAYLOAD,
    P_PORTS,
    P_SENDER,
    P_VLAN,
    P_WINDOW,
)
from flows.linktypes import be16, be32, ip_offset

# Why a frame is not metered; index 0 is "decoded".
REASONS: tuple[str, ...] = (
    "decoded",
    "not IP",
    "headers cut short",
    "unknown link type",
    "malformed IP header",
    "malformed layer-4 header",
    "later fragment",
    "too many IPv6 extension headers",
)
DECODED, NOT_IP, TRUNCATED, UNKNOWN_LINKTYPE, BAD_IP, BAD_LAYER4, LATER_FRAGMENT, EXTENSIONS = range(8)

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY, HIP, SHIM6 = 0, 43, 44, 51, 60, 135, 139, 140
MAX_EXTENSIONS = 8


@inner
def be64(buffer: Bytes, at: Word) -> Word:
    """64-bit number in network order, as two's complement."""
    return int64((be32(buffer, at) << 32) | be32(buffer, at + 4))


@inner
def comes_first(high: Word, low: Word, port: Word, other_high: Word, other_low: Word, other_port: Word) -> Word:
    """Whether an endpoint is the smaller one; any total order serves, so words compare as signed."""
    if high != other_high:
        return high < other_high
    if low != other_low:
        return low < other_low
    return port <= other_port


@inner
def layer4(
    buffer: Bytes, at: Word, end: Word, length: Word, protocol: Word, fields: Int64s, f: Word
) -> tuple[Word, Word, Word]:
    """Ports of a packet and its lengths into fields: (reason, source port, destination port).

    length: bytes from `at` on by the IP header. In the CIC columns only TCP and UDP have headers and payload.
    """
    fields[U(f + P_FLAGS)] = 0
    fields[U(f + P_WINDOW)] = -1
    fields[U(f + P_ICMP)] = -1
    fields[U(f + P_HEADER)] = 0
    fields[U(f + P_PAYLOAD)] = 0
    if protocol == TCP:
        if at + 20 > end:
            return TRUNCATED, 0, 0
        header: Word = (int64(buffer[U(at + 12)]) >> 4) << 2
        if header < 20 or header > length:
            return BAD_LAYER4, 0, 0
        fields[U(f + P_FLAGS)] = int64(buffer[U(at + 13)])
        fields[U(f + P_WINDOW)] = be16(buffer, at + 14)
    elif protocol == UDP:
        if at + 8 > end:
            return TRUNCATED, 0, 0
        header = 8
        if header > length:
            return BAD_LAYER4, 0, 0
    elif protocol in (ICMP, ICMPV6):
        if at + 2 > end:
            return TRUNCATED, 0, 0
        fields[U(f + P_ICMP)] = be16(buffer, at)
        return DECODED, 0, 0
    else:
        return DECODED, 0, 0
    fields[U(f + P_HEADER)] = header
    fields[U(f + P_PAYLOAD)] = length - header
    return DECODED, be16(buffer, at), be16(buffer, at + 2)


@inner
def skip_extensions(buffer: Bytes, at: Word, end: Word, length: Word, protocol: Word) -> tuple[Word, Word, Word, Word]:
    """Walk IPv6 extension headers: (reason, offset of layer 4, its length, its protocol)."""
    for _ in range(MAX_EXTENSIONS):
        if protocol == FRAGMENT:
            if at + 8 > end:
                return TRUNCATED, at, length, protocol
            if be16(buffer, at + 2) & 0xFFF8:
                return LATER_FRAGMENT, at, length, protocol
            size: Word = 8
        elif protocol in (HOP_BY_HOP, ROUTING, DESTINATION, MOBILITY, HIP, SHIM6):
            if at + 8 > end:
                return TRUNCATED, at, length, protocol
            size = (int64(buffer[U(at + 1)]) + 1) << 3
        elif protocol == AUTHENTICATION:
            if at + 8 > end:
                return TRUNCATED, at, length, protocol
            size = (int64(buffer[U(at + 1)]) + 2) << 2
        else:
            return DECODED, at, length, protocol
        protocol = int64(buffer[U(at)])
        at += size
        length -= size
        if length < 0:
            return BAD_IP, at, length, protocol
    return EXTENSIONS, at, length, protocol


@inner
def decode(buffer: Bytes, start: Word, end: Word, linktype: Word, fields: Int64s, f: Word) -> Word:
    """Decode the frame buffer[start:end] into fields[f : f + PACKET_FIELDS]; returns the reason, 0 when decoded."""
    at, vlan = ip_offset(buffer, start, end, linktype)
    if at < 0:
        return -at
    if at + 1 > end:
        return TRUNCATED
    version = int64(buffer[U(at)]) >> 4
    source_high, source_low, target_high, target_low = int64(0), int64(0), int64(0), int64(0)
    if version == 4:
        if at + 20 > end:
            return TRUNCATED
        header = (int64(buffer[U(at)]) & 15) << 2
        length = be16(buffer, at + 2) - header
        if header < 20 or length < 0:
            return BAD_IP
        # RFC 791: the low 13 bits are the fragment offset
        if be16(buffer, at + 6) & 0x1FFF:
            return LATER_FRAGMENT
        protocol = int64(buffer[U(at + 9)])
        source_low, target_low = be32(buffer, at + 12), be32(buffer, at + 16)
        at += header
        # a cap shorter than the options fails in layer 4, which checks its own bytes
    elif version == 6:
        if at + 40 > end:
            return TRUNCATED
        length = be16(buffer, at + 4)
        source_high, source_low = be64(buffer, at + 8), be64(buffer, at + 16)
        target_high, target_low = be64(buffer, at + 24), be64(buffer, at + 32)
        reason, at, length, protocol = skip_extensions(buffer, at + 40, end, length, int64(buffer[U(at + 6)]))
        if reason != DECODED:
            return reason
    else:
        return BAD_IP
    reason, source_port, target_port = layer4(buffer, at, end, length, protocol, fields, f)
    if reason != DECODED:
        return reason
    sent_by_a = comes_first(source_high, source_low, source_port, target_high, target_low, target_port)
    if not sent_by_a:
        source_high, target_high = target_high, source_high
        source_low, target_low = target_low, source_low
        source_port, target_port = target_port, source_port
    fields[U(f + P_A_HIGH)] = source_high
    fields[U(f + P_A_LOW)] = source_low
    fields[U(f + P_B_HIGH)] = target_high
    fields[U(f + P_B_LOW)] = target_low
    fields[U(f + P_PORTS)] = (version << 40) | (protocol << 32) | (source_port << 16) | target_port
    fields[U(f + P_VLAN)] = vlan
    fields[U(f + P_SENDER)] = 0 if sent_by_a else 1
    return DECODED
