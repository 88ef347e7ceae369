"""Link-layer headers: where the IP header of a frame begins, and its VLAN tags.

Numbers are LINKTYPE_ values of tcpdump.org. Refuses to guess: a link type that is not listed is counted. What follows
the first header is in flows.layers, wireless headers are in flows.wireless. Sources: RFC 1661 and 1662 (PPP), RFC 2427
(Frame Relay), RFC 2684 (ATM), RFC 1051 and 1201 (ARCnet).
"""

from numpy import int64

from flows.block import Bytes
from flows.byte_order import be16, be32, le16
from flows.layers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    FOUND,
    FRAME,
    LLC,
    MAX_LAYERS,
    NLPID,
    NOT_IP,
    PADDED_WLAN,
    PPP_FRAME,
    TRUNCATED,
    TYPED,
    WLAN,
    walk_layers,
)
from flows.wireless import after_avs, after_prism, after_radiotap, pads_header
from kernels.jit import U, Word, inner

NULL, ETHERNET, TOKEN_RING, SLIP, PPP, FDDI, RAW_BSD, RAW_OPENBSD = 0, 1, 6, 8, 9, 10, 12, 14
PPP_HDLC, PPP_ETHER, ATM_RFC1483, RAW, C_HDLC, IEEE802_11, ATM_CLIP, FRELAY = 50, 51, 100, 101, 104, 105, 106, 107
LOOP, LINUX_SLL, IEEE802_11_PRISM, SUNATM, IEEE802_11_RADIO, ARCNET_LINUX = 108, 113, 119, 123, 127, 129
PKTAP_USER, IEEE802_11_AVS, PPP_PPPD, JUNIPER_ETHER, PPI, IPNET = 149, 163, 166, 178, 192, 226
IPV4_ONLY, IPV6_ONLY, NFLOG, IPOIB, PKTAP, LINUX_SLL2 = 228, 229, 239, 242, 258, 276

UNKNOWN_LINKTYPE = 3  # a reason, as in flows.decode


@inner
def is_ip_family(buffer: Bytes, at: Word) -> bool:
    """BSD loopback family: 2 for IPv4, 24, 28 or 30 for IPv6 by system, in the byte order of the writing host."""
    value = be32(buffer, at)
    if value > 0xFFFFFF:
        value >>= 24
    return value in (2, 10, 24, 28, 30)


@inner
def after_cisco_hdlc(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Address, control, EtherType."""
    if at + 4 > end:
        return FOUND, -TRUNCATED, 0
    return TYPED, at + 4, be16(buffer, at + 2)


@inner
def after_token_ring(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Two control bytes, two addresses, and a route when the source's first bit says so."""
    if at + 15 > end:
        return FOUND, -TRUNCATED, 0
    route: Word = int64(buffer[U(at + 14)]) & 31 if int64(buffer[U(at + 8)]) & 0x80 else 0
    return LLC, at + 14 + route, 0


@inner
def after_frame_relay(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Address of two to four bytes, the last one odd, then unnumbered information or, from Cisco, an EtherType."""
    for _ in range(4):
        if at + 3 > end:
            return FOUND, -TRUNCATED, 0
        at += 1
        if int64(buffer[U(at - 1)]) & 1:
            if buffer[U(at)] == 3:
                return NLPID, at + 1, 0
            return TYPED, at + 2, be16(buffer, at)
    return FOUND, -NOT_IP, 0


@inner
def after_atm(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Classical IP over ATM: LLC, or IP as it is."""
    if at + 3 > end:
        return FOUND, -TRUNCATED, 0
    if be16(buffer, at) == 0xAAAA:
        return LLC, at, 0
    return FOUND, at, 0


@inner
def after_arcnet(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Linux' ARCnet: two addresses, an offset and a type (RFC 1051, and RFC 1201 with its sequence number)."""
    if at + 5 > end:
        return FOUND, -TRUNCATED, 0
    if buffer[U(at + 4)] == 240:
        return FOUND, at + 5, 0
    if buffer[U(at + 4)] == 212:
        return FOUND, at + 8, 0
    return FOUND, -NOT_IP, 0


@inner
def after_juniper(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Juniper's header before Ethernet: a magic number, flags, and extensions when the first flag says so."""
    if at + 6 > end:
        return FOUND, -TRUNCATED, 0
    flags = int64(buffer[U(at + 3)])
    if be32(buffer, at) >> 8 != 0x4D4743 or flags & 2:
        return FOUND, -NOT_IP, 0
    return FRAME, at + 6 + be16(buffer, at + 4) if flags & 0x80 else at + 4, 0


@inner
def after_nflog(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Attributes as Linux writes them, 4-byte aligned; 9 is the packet. The byte order is taken for little-endian."""
    at += 4
    for _ in range(2 * MAX_LAYERS):
        if at + 4 > end:
            return FOUND, -TRUNCATED, 0
        size = le16(buffer, at)
        if le16(buffer, at + 2) == 9:
            return FOUND, at + 4, 0
        if size < 4:
            return FOUND, -NOT_IP, 0
        at += (size + 3) & ~3
    return FOUND, -NOT_IP, 0


@inner
def after_cooked(buffer: Bytes, at: Word, end: Word, protocol: Word) -> tuple[Word, Word, Word]:
    """Linux' cooked capture: an EtherType, or 4 for LLC."""
    if at > end:
        return FOUND, -TRUNCATED, 0
    if be16(buffer, protocol) == 4:
        return LLC, at, 0
    if be16(buffer, protocol) < 0x600:  # Linux' own numbers
        return FOUND, -NOT_IP, 0
    return TYPED, at, be16(buffer, protocol)


@inner
def inner_linktype(buffer: Bytes, start: Word, end: Word, linktype: Word) -> tuple[Word, Word]:
    """Per-packet headers that name the link type behind them, PPI and PKTAP: (offset or -reason, link type)."""
    if start + 12 > end:
        return -TRUNCATED, linktype
    if linktype == PPI:
        return start + le16(buffer, start + 2), le16(buffer, start + 4)
    return start + le16(buffer, start), le16(buffer, start + 8)


@inner
def after_link(  # noqa: PLR0912  one branch a link type
    buffer: Bytes, start: Word, end: Word, linktype: Word
) -> tuple[Word, Word, Word]:
    """What a frame of a link type begins with: (what, offset or -reason, EtherType)."""
    if linktype == ETHERNET:
        return FRAME, start, 0
    if linktype in (RAW, RAW_BSD, RAW_OPENBSD, IPV4_ONLY, IPV6_ONLY):
        return FOUND, start, 0
    if linktype == LINUX_SLL:
        return after_cooked(buffer, start + 16, end, start + 14)
    if linktype == LINUX_SLL2:
        return after_cooked(buffer, start + 20, end, start)
    if linktype in (NULL, LOOP):
        if start + 4 > end:
            return FOUND, -TRUNCATED, 0
        return FOUND, start + 4 if is_ip_family(buffer, start) else -NOT_IP, 0
    if linktype == IEEE802_11:
        return WLAN, start, 0
    if linktype == IEEE802_11_RADIO:
        padded = pads_header(buffer, start, end)
        return PADDED_WLAN if padded else WLAN, after_radiotap(buffer, start, end), 0
    if linktype == IEEE802_11_PRISM:
        return WLAN, after_prism(buffer, start, end), 0
    if linktype == IEEE802_11_AVS:
        return WLAN, after_avs(buffer, start, end), 0
    if linktype in (PPP, PPP_HDLC):
        # Cisco's framing shares these link types
        if start < end and int64(buffer[U(start)]) in (0x0F, 0x8F):
            return after_cisco_hdlc(buffer, start, end)
        return PPP_FRAME, start, 0
    if linktype == PPP_PPPD:  # direction and control byte
        return PPP_FRAME, start + 2, 0
    if linktype == PPP_ETHER:
        return PPP_FRAME, start + 6, 0
    if linktype == C_HDLC:
        return after_cisco_hdlc(buffer, start, end)
    if linktype == FRELAY:
        return after_frame_relay(buffer, start, end)
    if linktype == FDDI:
        return LLC, start + 13, 0
    if linktype == TOKEN_RING:
        return after_token_ring(buffer, start, end)
    if linktype in (ATM_RFC1483, ATM_CLIP):
        return after_atm(buffer, start, end)
    if linktype == SUNATM:  # flags with the traffic type, and the circuit
        return after_atm(buffer, start + 4, end)
    if linktype == SLIP:
        return FOUND, start + 16, 0
    if linktype == IPNET:
        return FOUND, start + 24, 0
    if linktype == IPOIB:
        if start + 44 > end:
            return FOUND, -TRUNCATED, 0
        return TYPED, start + 44, be16(buffer, start + 40)
    if linktype == ARCNET_LINUX:
        return after_arcnet(buffer, start, end)
    if linktype == JUNIPER_ETHER:
        return after_juniper(buffer, start, end)
    if linktype == NFLOG:
        return after_nflog(buffer, start, end)
    return FOUND, -UNKNOWN_LINKTYPE, 0


@inner
def behind_link(buffer: Bytes, start: Word, end: Word, linktype: Word) -> tuple[Word, Word]:
    """Any link layer but plain Ethernet: (offset of the IP header or -reason, VLAN tags)."""
    if linktype in (PPI, PKTAP, PKTAP_USER):
        start, linktype = inner_linktype(buffer, start, end, linktype)
        if start < 0:
            return start, 0
    what, at, number = after_link(buffer, start, end, linktype)
    if at < 0 or what == FOUND:
        return at, 0
    return walk_layers(buffer, at, end, what, number)


@inner
def ip_offset(buffer: Bytes, start: Word, end: Word, linktype: Word) -> tuple[Word, Word]:
    """Where the IP header begins: (offset, VLAN tags), or (-reason, VLAN tags). The offset may lie beyond `end`.

    buffer: (b,) uint8; the frame is buffer[start:end]. VLAN tags: outer << 12 | inner, or the only one.
    """
    if linktype == ETHERNET and start + 14 <= end:
        ethertype = be16(buffer, start + 12)
        if ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
            return start + 14, 0
    return behind_link(buffer, start, end, linktype)
