"""One frame into the fields the meter needs: endpoints, ports, payload and header lengths, TCP flags and window.

Lengths come from the IP header, never from the captured length: Ethernet pads to 60 bytes and captures are cut.
Nothing is read outside the captured bytes. What cannot be decoded is told by a reason, never by an exception.
RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 9260, RFC 792, RFC 4443.
"""

from numpy import int64

from flows.block import Bytes, Int64s
from flows.byte_order import be16, be32, be64
from flows.layout import (
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
    P_VLAN,
    P_WINDOW,
    WRONG_FRAGMENT,
)
from flows.linktypes import ip_offset
from flows.tunnels import inside
from kernels.jit import U, Word, inner

# Why a frame is not metered; index 0 is "decoded".
REASONS: tuple[str, ...] = (
    "decoded",
    "not IP",
    "headers cut short",
    "unknown link type",
    "malformed IP header",
    "malformed layer-4 header",
    "later fragment without its first",
    "too many IPv6 extension headers",
    "encrypted 802.11 frame",
    "tunnels nested too deep",
    "not IPv4",  # where flows.compat reads IPv4 only
    "later fragment of a tunnel's packet",  # which its first one has counted
)
(
    DECODED,
    NOT_IP,
    TRUNCATED,
    UNKNOWN_LINKTYPE,
    BAD_IP,
    BAD_LAYER4,
    LOST_FRAGMENT,
    EXTENSIONS,
    ENCRYPTED,
    NESTED,
    NOT_IPV4,
    TUNNEL_FRAGMENT,
) = range(12)

# Decoded, but a fragment: flows.fragments completes it. A first one has its ports, a later one only its length. One
# whose tunnel is to be looked into is decoded as it is on the outside, to be remembered and decoded again.
FIRST_FRAGMENT, LATER_FRAGMENT, FIRST_OF_TUNNEL = -1, -2, -3

# How far `decode` looks into tunnels: not, unless the packet that a tunnel is in is a fragment, or into first ones too.
OUTSIDE, INSIDE, INSIDE_FIRST = range(3)

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY, HIP, SHIM6 = 0, 43, 44, 51, 60, 135, 139, 140
SCTP_HEADER = 12  # bytes of the common header, RFC 9260 3.1
TCP_HEADER = 20  # bytes without options
LEAST_FRAGMENT = 8  # bytes of a first fragment, which has the ports
MAX_EXTENSIONS = 256  # more than a frame of 1,500 bytes has room for: hosts take any number
MAX_TUNNELS = 4
MAX_LENGTH = 1 << 19  # bytes of a packet whose IP header states none: Linux builds no larger ones
MORE_FRAGMENTS, FRAGMENT_OFFSET = 0x2000, 0x1FFF  # of IPv4's half-word


@inner
def comes_first(high: Word, low: Word, port: Word, other_high: Word, other_low: Word, other_port: Word) -> Word:
    """Whether an endpoint is the smaller one; any total order serves, so words compare as signed."""
    if high != other_high:
        return high < other_high
    if low != other_low:
        return low < other_low
    return port <= other_port


@inner
def layer4(  # noqa: PLR0912  one branch a protocol
    buffer: Bytes, at: Word, end: Word, length: Word, protocol: Word, fields: Int64s, f: Word
) -> tuple[Word, Word, Word]:
    """Ports of a packet and its lengths into fields: (reason, source port, destination port).

    length: bytes from `at` on by the IP header. In the CIC columns only TCP and UDP have headers and payload.
    """
    fields[U(f + P_FLAGS)] = 0
    fields[U(f + P_WINDOW)] = fields[U(f + P_SEQUENCE)] = -1
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
        fields[U(f + P_SEQUENCE)] = (be32(buffer, at + 4) << 32) | be32(buffer, at + 8)
    elif protocol == UDP:
        if at + 8 > end:
            return TRUNCATED, 0, 0
        header = 8
        if header > length:
            return BAD_LAYER4, 0, 0
    elif protocol in (ICMP, ICMPV6):
        if at + 2 > end:
            return TRUNCATED, 0, 0
        if length < 2:
            return BAD_LAYER4, 0, 0
        fields[U(f + P_ICMP)] = (length << 16) | be16(buffer, at)
        return DECODED, 0, 0
    elif protocol == SCTP:
        if at + SCTP_HEADER > end:
            return TRUNCATED, 0, 0
        if length < SCTP_HEADER:
            return BAD_LAYER4, 0, 0
        return DECODED, be16(buffer, at), be16(buffer, at + 2)
    else:
        return DECODED, 0, 0
    fields[U(f + P_HEADER)] = header
    fields[U(f + P_PAYLOAD)] = length - header
    fields[U(f + P_PAYLOAD_AT)] = at + header
    fields[U(f + P_CAPTURED_END)] = min(end, at + length)
    return DECODED, be16(buffer, at), be16(buffer, at + 2)


@inner
def is_cut_in_header(buffer: Bytes, at: Word, end: Word, length: Word, protocol: Word) -> bool:
    """Whether a first fragment of so many bytes ends within its layer-4 header (RFC 1858), as scanners send them."""
    if protocol != TCP:
        return bool(protocol == SCTP and length < SCTP_HEADER)
    return bool(length < TCP_HEADER or (at + TCP_HEADER <= end and (int64(buffer[U(at + 12)]) >> 4) << 2 > length))


@inner
def first_of_header(
    buffer: Bytes, at: Word, end: Word, length: Word, protocol: Word, fields: Int64s, f: Word
) -> tuple[Word, Word, Word]:
    """As layer4, of a first fragment that ends within its header: what is there of it, and no payload."""
    if length < LEAST_FRAGMENT:
        return BAD_LAYER4, 0, 0
    if at + length > end:
        return TRUNCATED, 0, 0
    fields[U(f + P_FLAGS)] = WRONG_FRAGMENT
    fields[U(f + P_WINDOW)] = fields[U(f + P_SEQUENCE)] = -1
    fields[U(f + P_ICMP)] = -1
    fields[U(f + P_HEADER)] = 0
    fields[U(f + P_PAYLOAD)] = 0
    if protocol == TCP:
        header: Word = int64(TCP_HEADER)
        fields[U(f + P_SEQUENCE)] = be32(buffer, at + 4) << 32
        if length >= TCP_HEADER - 4:  # all but checksum and urgent pointer
            header = (int64(buffer[U(at + 12)]) >> 4) << 2
            if header < TCP_HEADER:
                return BAD_LAYER4, 0, 0
            fields[U(f + P_FLAGS)] = int64(buffer[U(at + 13)])
            fields[U(f + P_WINDOW)] = be16(buffer, at + 14)
            fields[U(f + P_SEQUENCE)] |= be32(buffer, at + 8)
        fields[U(f + P_HEADER)] = length
        fields[U(f + P_PAYLOAD_AT)] = at + header  # behind its end
        fields[U(f + P_CAPTURED_END)] = at + length
    return DECODED, be16(buffer, at), be16(buffer, at + 2)


@inner
def skip_extensions(
    buffer: Bytes, at: Word, end: Word, length: Word, protocol: Word
) -> tuple[Word, Word, Word, Word, Word]:
    """Walk IPv6 extension headers: (reason, offset of layer 4, its length, its protocol, identification).

    identification: of a fragment, with its offset, as P_FRAGMENT holds them; -1 when the packet is whole. A later
    fragment ends the walk.
    """
    identification = -1
    for _ in range(MAX_EXTENSIONS):
        later = False
        if protocol == FRAGMENT:
            if at + 8 > end:
                return TRUNCATED, at, length, protocol, identification
            if be16(buffer, at + 2) & 0xFFF9:  # RFC 6946: neither offset nor more to come is no fragment
                offset: Word = be16(buffer, at + 2) & 0xFFF8
                identification = (offset << 40) | be32(buffer, at + 4)
                later = offset != 0
            size: Word = 8
        elif protocol in (HOP_BY_HOP, ROUTING, DESTINATION, MOBILITY, HIP, SHIM6):
            if at + 8 > end:
                return TRUNCATED, at, length, protocol, identification
            size = (int64(buffer[U(at + 1)]) + 1) << 3
        elif protocol == AUTHENTICATION:
            if at + 8 > end:
                return TRUNCATED, at, length, protocol, identification
            size = (int64(buffer[U(at + 1)]) + 2) << 2
        else:
            return DECODED, at, length, protocol, identification
        protocol = int64(buffer[U(at)])
        at += size
        length -= size
        if length < 0:
            return BAD_IP, at, length, protocol, identification
        if later:
            return LATER_FRAGMENT, at, length, protocol, identification
    return EXTENSIONS, at, length, protocol, identification


@inner
def skip_authentication(
    buffer: Bytes, at: Word, end: Word, length: Word, protocol: Word
) -> tuple[Word, Word, Word, Word]:
    """Walk IPsec authentication headers of IPv4 (RFC 4302): (reason, offset of layer 4, its length, its protocol)."""
    for _ in range(MAX_EXTENSIONS):
        if at + 8 > end:
            return TRUNCATED, at, length, protocol
        size = (int64(buffer[U(at + 1)]) + 2) << 2
        protocol = int64(buffer[U(at)])
        at += size
        length -= size
        if length < 0:
            return BAD_IP, at, length, protocol
        if protocol != AUTHENTICATION:
            return DECODED, at, length, protocol
    return EXTENSIONS, at, length, protocol


@inner
def ipv4_header(buffer: Bytes, at: Word, end: Word, wire_end: Word) -> tuple[Word, Word, Word, Word, Word]:
    """RFC 791: as skip_extensions returns."""
    if at + 20 > end:
        return TRUNCATED, at, 0, 0, -1
    header = (int64(buffer[U(at)]) & 15) << 2
    length = be16(buffer, at + 2)
    if length == 0:  # on its way to a network card that cuts it into segments: only the frame knows its length
        length = wire_end - at
    length -= header
    if header < 20 or length < 0 or length > MAX_LENGTH:
        return BAD_IP, at, 0, 0, -1
    protocol = int64(buffer[U(at + 9)])
    fragment = be16(buffer, at + 6) & (MORE_FRAGMENTS | FRAGMENT_OFFSET)
    # a cap shorter than the options fails in layer 4, which checks its own bytes
    if fragment:
        offset: Word = (fragment & FRAGMENT_OFFSET) << 3
        identification = (offset << 40) | (protocol << 32) | be16(buffer, at + 4)
        if offset:
            return LATER_FRAGMENT, at + header, length, protocol, identification
    else:
        identification = -1
    at += header
    if protocol != AUTHENTICATION:
        return DECODED, at, length, protocol, identification
    reason, at, length, protocol = skip_authentication(buffer, at, end, length, protocol)
    return reason, at, length, protocol, identification


@inner
def ipv6_header(buffer: Bytes, at: Word, end: Word, wire_end: Word) -> tuple[Word, Word, Word, Word, Word]:
    """RFC 8200: as skip_extensions returns."""
    if at + 40 > end:
        return TRUNCATED, at, 0, 0, -1
    length = be16(buffer, at + 4)
    protocol = int64(buffer[U(at + 6)])
    at += 40
    if length == 0:  # as in IPv4, or a jumbogram, which fills its frame
        length = wire_end - at
        if length < 0 or length > MAX_LENGTH:
            return BAD_IP, at, 0, 0, -1
    if protocol in (TCP, UDP):  # spares most packets the call
        return DECODED, at, length, protocol, -1
    return skip_extensions(buffer, at, end, length, protocol)


@inner
def write_endpoints(
    buffer: Bytes,
    ip: Word,
    version: Word,
    protocol: Word,
    source_port: Word,
    target_port: Word,
    fields: Int64s,
    f: Word,
) -> None:
    """Key of a packet whose whole IP header begins at `ip`, the smaller endpoint first."""
    if version == 4:
        source_high, target_high = int64(0), int64(0)
        source_low, target_low = be32(buffer, ip + 12), be32(buffer, ip + 16)
    else:
        source_high, source_low = be64(buffer, ip + 8), be64(buffer, ip + 16)
        target_high, target_low = be64(buffer, ip + 24), be64(buffer, ip + 32)
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
    fields[U(f + P_SENDER)] = 0 if sent_by_a else 1


@inner
def holds_tunnel(buffer: Bytes, start: Word, end: Word, wire_end: Word, linktype: Word) -> bool:
    """Whether `decode` would find a packet inside the frame's own, were it asked to look."""
    at, _vlan = ip_offset(buffer, start, end, linktype)
    if at < 0 or at >= end:
        return False
    if int64(buffer[U(at)]) >> 4 == 4:
        reason, at, length, protocol, _identification = ipv4_header(buffer, at, end, wire_end)
    else:
        reason, at, length, protocol, _identification = ipv6_header(buffer, at, end, wire_end)
    if reason != DECODED:
        return False
    beneath, _tags = inside(buffer, at, end, length, protocol)
    return bool(beneath != 0)


@inner
def decode(  # noqa: PLR0912  early returns, one a reason
    buffer: Bytes,
    start: Word,
    end: Word,
    wire_end: Word,
    linktype: Word,
    decapsulate: Word,
    fields: Int64s,
    f: Word,
) -> Word:
    """Decode the frame buffer[start:end] into fields[f : f + PACKET_FIELDS].

    wire_end: where the frame would end had it been captured whole. decapsulate: OUTSIDE, INSIDE or INSIDE_FIRST.
    Returns the reason, 0 when decoded, or FIRST_FRAGMENT, LATER_FRAGMENT or, with INSIDE only, FIRST_OF_TUNNEL.
    """
    at, vlan = ip_offset(buffer, start, end, linktype)
    tunnels = 0
    first = FIRST_FRAGMENT
    while True:
        if at < 0:
            return -at
        if at >= end:
            return TRUNCATED
        ip = at
        version = int64(buffer[U(ip)]) >> 4
        if version == 4:
            reason, at, length, protocol, identification = ipv4_header(buffer, ip, end, wire_end)
        elif version == 6:
            reason, at, length, protocol, identification = ipv6_header(buffer, ip, end, wire_end)
        else:
            return BAD_IP
        if reason > DECODED:
            return reason
        if decapsulate == OUTSIDE or reason == LATER_FRAGMENT:
            break
        beneath, tags = inside(buffer, at, end, length, protocol)
        if beneath == 0:
            break
        if identification >= 0 and decapsulate == INSIDE:
            first = FIRST_OF_TUNNEL
            break
        at = beneath
        vlan = tags if tags else vlan
        tunnels += 1
        if tunnels > MAX_TUNNELS:
            return NESTED
    source_port, target_port = int64(0), int64(0)
    fields[U(f + P_PAYLOAD)] = length
    if reason == LATER_FRAGMENT:
        fields[U(f + P_PAYLOAD_AT)] = at
        fields[U(f + P_CAPTURED_END)] = min(end, at + length)
    else:
        if identification >= 0 and is_cut_in_header(buffer, at, end, length, protocol):
            reason, source_port, target_port = first_of_header(buffer, at, end, length, protocol, fields, f)
        else:
            reason, source_port, target_port = layer4(buffer, at, end, length, protocol, fields, f)
        if reason != DECODED:
            return reason
        if identification >= 0:
            reason = first
    fields[U(f + P_FRAGMENT)] = identification
    fields[U(f + P_VLAN)] = vlan
    write_endpoints(buffer, ip, version, protocol, source_port, target_port, fields, f)
    return reason
