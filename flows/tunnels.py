"""Decapsulation: where the IP header inside a tunnel begins.

A packet whose tunnel carries no IP, or less of it than was captured, stays what it is on the outside. Tunnel
identifiers (keys, VNIs, TEIDs) are no part of a flow's key.
Sources: RFC 2784 and 2890 (GRE), RFC 2637 (PPTP's GRE), draft-foschiano-erspan-03, RFC 7348 (VXLAN), RFC 8926
(Geneve), 3GPP TS 29.281 (GTP-U), RFC 2003, 2473 and 4213 (IP in IP); TZSP has no standard: as routers that mirror write
it and Wireshark reads it (packet-tzsp.c).
"""

from numpy import int64

from flows.block import Bytes
from flows.byte_order import be16
from flows.layers import FOUND, FRAME, PPP_FRAME, TYPED, WLAN, walk_layers
from flows.wireless import after_avs, after_prism
from kernels.jit import U, Word, inner

IP_IN_IP, UDP, IPV6_IN_IP, GRE = 4, 17, 41, 47
VXLAN_PORT, VXLAN_LINUX_PORT, GENEVE_PORT, GTP_PORT, TZSP_PORT = 4789, 8472, 6081, 2152, 37008

# GRE's first half-word
CHECKSUM, ROUTE, KEY, SEQUENCE, ACKNOWLEDGEMENT = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
PPTP, ERSPAN_2, ERSPAN_3 = 0x880B, 0x88BE, 0x22EB

MAX_GTP_EXTENSIONS = 8

# TZSP: the types that hold a packet, two tags without a length, and what is encapsulated
TZSP_RECEIVED, TZSP_TO_SEND, TZSP_PADDING, TZSP_END = 0, 1, 0, 1
TZSP_ETHERNET, TZSP_IP, TZSP_WLAN, TZSP_PRISM, TZSP_AVS = 1, 7, 18, 119, 127
MAX_TZSP_TAGS = 32

# What begins where: as in flows.layers; no tunnel is FOUND at 0.
NO_TUNNEL = (FOUND, 0, 0)


@inner
def after_gre(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """GRE of version 0, and of version 1, which is PPTP's."""
    if at + 4 > end:
        return NO_TUNNEL
    flags, protocol = be16(buffer, at), be16(buffer, at + 2)
    version = flags & 7
    if version > 1 or flags & ROUTE:
        return NO_TUNNEL
    at += 4
    if flags & CHECKSUM:
        at += 4
    if flags & KEY:
        at += 4
    if flags & SEQUENCE:
        at += 4
    if version == 1:
        if protocol != PPTP:
            return NO_TUNNEL
        return PPP_FRAME, at + 4 if flags & ACKNOWLEDGEMENT else at, 0
    if protocol == ERSPAN_2:  # type I has neither sequence number nor header
        return FRAME, at + 8 if flags & SEQUENCE else at, 0
    if protocol == ERSPAN_3:
        if at + 12 > end:
            return NO_TUNNEL
        return FRAME, at + 20 if int64(buffer[U(at + 11)]) & 1 else at + 12, 0
    return TYPED, at, protocol


@inner
def after_gtp(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """GTP-U version 1, a user's packet, behind its extension headers."""
    if at + 8 > end or int64(buffer[U(at)]) & 0xF0 != 0x30 or buffer[U(at + 1)] != 255:
        return NO_TUNNEL
    flags = int64(buffer[U(at)])
    at += 8
    if flags & 7:
        at += 4
    if not flags & 4:
        return FOUND, at, 0
    for _ in range(MAX_GTP_EXTENSIONS):
        if at + 1 > end:
            return NO_TUNNEL
        if buffer[U(at - 1)] == 0:
            return FOUND, at, 0
        if buffer[U(at)] == 0:
            return NO_TUNNEL
        at += int64(buffer[U(at)]) << 2
        if at > end:
            return NO_TUNNEL
    return NO_TUNNEL


@inner
def after_tzsp(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """TZSP version 1, a packet's, behind its tagged fields."""
    if at + 5 > end or buffer[U(at)] != 1 or int64(buffer[U(at + 1)]) > TZSP_TO_SEND:
        return NO_TUNNEL
    encapsulated = be16(buffer, at + 2)
    at += 4
    ended = False
    for _ in range(MAX_TZSP_TAGS):
        if at + 2 > end:
            return NO_TUNNEL
        tag = int64(buffer[U(at)])
        ended = tag == TZSP_END
        at += 1 if ended or tag == TZSP_PADDING else 2 + int64(buffer[U(at + 1)])
        if ended:
            break
    if not ended:
        return NO_TUNNEL
    if encapsulated == TZSP_ETHERNET:
        return FRAME, at, 0
    if encapsulated == TZSP_IP:
        return FOUND, at, 0
    if encapsulated == TZSP_PRISM:
        at = after_prism(buffer, at, end)
    elif encapsulated == TZSP_AVS:
        at = after_avs(buffer, at, end)
    elif encapsulated != TZSP_WLAN:
        return NO_TUNNEL
    if at < 0:
        return NO_TUNNEL
    return WLAN, at, 0


@inner
def after_udp(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Tunnels over UDP, told by their ports and by what their headers must be."""
    if at + 16 > end:
        return NO_TUNNEL
    port = be16(buffer, at + 2)
    if port in (VXLAN_PORT, VXLAN_LINUX_PORT):
        if int64(buffer[U(at + 8)]) & 0x08:  # the VNI is valid
            return FRAME, at + 16, 0
        return NO_TUNNEL
    if port == GENEVE_PORT:
        if int64(buffer[U(at + 8)]) >> 6:
            return NO_TUNNEL
        return TYPED, at + 16 + ((int64(buffer[U(at + 8)]) & 63) << 2), be16(buffer, at + 10)
    if port == TZSP_PORT:
        return after_tzsp(buffer, at + 8, end)
    if GTP_PORT in (port, be16(buffer, at)):
        return after_gtp(buffer, at + 8, end)
    return NO_TUNNEL


@inner
def is_tunnel_port(port: Word) -> bool:
    """Whether tunnels over UDP use a port."""
    return port in (VXLAN_PORT, VXLAN_LINUX_PORT, GENEVE_PORT, GTP_PORT, TZSP_PORT)


@inner
def may_be_tunnel(ports: Word) -> bool:
    """Whether a packet could be a tunnel's, by its P_PORTS alone: spares all others a second look."""
    protocol = (ports >> 32) & 0xFF
    if protocol == UDP:
        return is_tunnel_port((ports >> 16) & 0xFFFF) or is_tunnel_port(ports & 0xFFFF)
    return protocol in (GRE, IP_IN_IP, IPV6_IN_IP)


@inner
def is_whole_header(buffer: Bytes, at: Word, end: Word) -> bool:
    """Whether an IP header begins at `at` and was captured."""
    if at >= end:
        return False
    version = int64(buffer[U(at)]) >> 4
    return bool((version == 4 and at + 20 <= end) or (version == 6 and at + 40 <= end))


@inner
def inside(buffer: Bytes, at: Word, end: Word, length: Word, protocol: Word) -> tuple[Word, Word]:
    """Offset of the IP header inside the tunnel whose header is at `at`, and VLAN tags; (0, 0) when there is none.

    length: bytes from `at` on by the outer IP header.
    """
    end = min(end, at + length)
    if protocol == UDP:
        what, at, number = after_udp(buffer, at, end)
    elif protocol == GRE:
        what, at, number = after_gre(buffer, at, end)
    elif protocol in (IP_IN_IP, IPV6_IN_IP):
        what, number = FOUND, 0
    else:
        return 0, 0
    vlan = 0
    if what != FOUND:
        at, vlan = walk_layers(buffer, at, end, what, number)
    if at <= 0 or not is_whole_header(buffer, at, end):
        return 0, 0
    return at, vlan
