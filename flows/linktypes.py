"""Link-layer headers: where the IP header of a frame begins, and its VLAN tags.

Numbers are LINKTYPE_ values of tcpdump.org. Refuses to guess: a link type that is not listed is counted.
"""

from numpy import int64

from flows.block import Bytes
from flows.jit import U, Word, inner

NULL, ETHERNET, RAW_BSD, RAW_OPENBSD, RAW, LOOP, LINUX_SLL = 0, 1, 12, 14, 101, 108, 113
IPV4_ONLY, IPV6_ONLY, LINUX_SLL2 = 228, 229, 276

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
MAX_VLAN_TAGS = 4

# Results below zero are reasons, as in flows.decode.
NOT_IP, TRUNCATED, UNKNOWN_LINKTYPE = 1, 2, 3


@inner
def be16(buffer: Bytes, at: Word) -> Word:
    """Unsigned 16-bit number in network order."""
    return (int64(buffer[U(at)]) << 8) | int64(buffer[U(at + 1)])


@inner
def be32(buffer: Bytes, at: Word) -> Word:
    """Unsigned 32-bit number in network order."""
    return (be16(buffer, at) << 16) | be16(buffer, at + 2)


@inner
def is_vlan(ethertype: Word) -> bool:
    """802.1Q, 802.1ad and the two older Q-in-Q numbers."""
    return ethertype in (0x8100, 0x88A8, 0x9100, 0x9200)


@inner
def after_ethertype(buffer: Bytes, at: Word, end: Word, ethertype: Word) -> tuple[Word, Word]:
    """Skip VLAN tags that follow an EtherType whose payload is at `at`: (offset of IP or -reason, VLAN tags)."""
    vlan = 0
    tags = 0
    while is_vlan(ethertype):
        if at + 4 > end:
            return -TRUNCATED, vlan
        if tags == MAX_VLAN_TAGS:
            return -NOT_IP, vlan
        if tags < 2:
            vlan = (vlan << 12) | (be16(buffer, at) & 0xFFF)
        ethertype = be16(buffer, at + 2)
        at += 4
        tags += 1
    if ethertype not in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
        return -NOT_IP, vlan
    return at, vlan


@inner
def is_ip_family(buffer: Bytes, at: Word) -> bool:
    """BSD loopback family: 2 for IPv4, 24, 28 or 30 for IPv6 by system, in the byte order of the writing host."""
    value = be32(buffer, at)
    if value > 0xFFFFFF:
        value >>= 24
    return value in (2, 10, 24, 28, 30)


@inner
def ip_offset(buffer: Bytes, start: Word, end: Word, linktype: Word) -> tuple[Word, Word]:
    """Where the IP header begins: (offset, VLAN tags), or (-reason, 0).

    buffer: (b,) uint8; the frame is buffer[start:end].
    """
    if linktype == ETHERNET:
        if start + 14 > end:
            return -TRUNCATED, 0
        return after_ethertype(buffer, start + 14, end, be16(buffer, start + 12))
    if linktype in (RAW, RAW_BSD, RAW_OPENBSD, IPV4_ONLY, IPV6_ONLY):
        return start, 0
    if linktype == LINUX_SLL:
        if start + 16 > end:
            return -TRUNCATED, 0
        return after_ethertype(buffer, start + 16, end, be16(buffer, start + 14))
    if linktype == LINUX_SLL2:
        if start + 20 > end:
            return -TRUNCATED, 0
        return after_ethertype(buffer, start + 20, end, be16(buffer, start))
    if linktype in (NULL, LOOP):
        if start + 4 > end:
            return -TRUNCATED, 0
        return (start + 4, 0) if is_ip_family(buffer, start) else (-NOT_IP, 0)
    return -UNKNOWN_LINKTYPE, 0
