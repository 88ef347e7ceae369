"""Headers between a frame's first one and IP: VLAN tags, LLC and SNAP, PPP, MPLS labels, pseudowires.

Refuses to guess: what names no IP is a reason. Sources: IEEE 802.1Q, 802.1ad and 802.1ah; IEEE 802.2 with RFC 1042;
RFC 1661 and 1662 (PPP), RFC 2516 (PPPoE), RFC 3032 and 4385 (MPLS and pseudowires), RFC 2427 and 2684 (bridged frames).
"""

from numpy import int64

from flows.block import Bytes
from flows.byte_order import be16, be32
from flows.wireless import after_wlan
from kernels.jit import U, Word, inner

ETHERTYPE_IPV4, ETHERTYPE_IPV6, VN_TAG = 0x0800, 0x86DD, 0x8926

# Headers one after another; every VLAN tag and MPLS label is one.
MAX_LAYERS = 16

# What begins at an offset. The number beside it is the EtherType of what follows a TYPED one.
FOUND, TYPED, FRAME, LLC, SNAP, PPP_FRAME, LABEL, PSEUDOWIRE, WLAN, PADDED_WLAN, NLPID = range(11)

# Results below zero are reasons, as in flows.decode.
NOT_IP, TRUNCATED = 1, 2


@inner
def is_vlan(ethertype: Word) -> bool:
    """802.1Q, 802.1ad and the two older Q-in-Q numbers."""
    return ethertype in (0x8100, 0x88A8, 0x9100, 0x9200)


@inner
def after_ethertype(at: Word, ethertype: Word) -> tuple[Word, Word, Word]:
    """What follows an EtherType other than IP's and VLAN's: (what, offset or -reason, its EtherType)."""
    if ethertype in (0x8847, 0x8848):
        return LABEL, at, 0
    if ethertype == 0x8864:  # PPPoE session; discovery carries no IP
        return PPP_FRAME, at + 6, 0
    if ethertype == 0x880B:
        return PPP_FRAME, at, 0
    if ethertype == 0x6558:
        return FRAME, at, 0
    if ethertype == 0x88E7:  # 802.1ah: an I-tag before the customer's frame
        return FRAME, at + 4, 0
    if ethertype == 0x8903:  # Cisco FabricPath: a tag before the frame
        return FRAME, at + 2, 0
    if ethertype <= 1500:  # a length: IEEE 802.3
        return LLC, at, 0
    return FOUND, -NOT_IP, 0


@inner
def after_llc(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """LLC with SNAP, or with the SAP that IPv4 has; only unnumbered information."""
    if at + 3 > end:
        return FOUND, -TRUNCATED, 0
    if int64(buffer[U(at + 2)]) != 3:
        return FOUND, -NOT_IP, 0
    saps = be16(buffer, at)
    if saps == 0xAAAA:
        return SNAP, at + 3, 0
    if saps == 0x0606:
        return TYPED, at + 3, ETHERTYPE_IPV4
    return FOUND, -NOT_IP, 0


@inner
def after_snap(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Organisation and type: EtherTypes (RFC 1042 and bridge tunnels) and bridged frames (RFC 2684)."""
    if at + 5 > end:
        return FOUND, -TRUNCATED, 0
    organisation = be32(buffer, at) >> 8
    kind = be16(buffer, at + 3)
    if organisation in (0, 0xF8):
        return TYPED, at + 5, kind
    if organisation == 0x80C2 and kind in (1, 7):  # Ethernet with and without its check sequence
        return FRAME, at + 5, 0
    return FOUND, -NOT_IP, 0


@inner
def after_ppp(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """PPP, with address and control or without, the protocol in one byte or two."""
    if at + 2 > end:
        return FOUND, -TRUNCATED, 0
    if be16(buffer, at) == 0xFF03:
        at += 2
    if at + 2 > end:
        return FOUND, -TRUNCATED, 0
    protocol = int64(buffer[U(at)])
    at += 1
    if not protocol & 1:
        protocol = (protocol << 8) | int64(buffer[U(at)])
        at += 1
    if protocol == 0x21:
        return TYPED, at, ETHERTYPE_IPV4
    if protocol == 0x57:
        return TYPED, at, ETHERTYPE_IPV6
    if protocol in (0x281, 0x283):
        return LABEL, at, 0
    return FOUND, -NOT_IP, 0


@inner
def after_label(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """An MPLS label. Behind the last one nothing names the payload: its first bits tell (RFC 4928)."""
    if at + 5 > end:
        return FOUND, -TRUNCATED, 0
    if not int64(buffer[U(at + 2)]) & 1:
        return LABEL, at + 4, 0
    version = int64(buffer[U(at + 4)]) >> 4
    if version == 4:
        return TYPED, at + 4, ETHERTYPE_IPV4
    if version == 6:
        return TYPED, at + 4, ETHERTYPE_IPV6
    if version == 0:
        return PSEUDOWIRE, at + 4, 0
    return FOUND, -NOT_IP, 0


@inner
def after_pseudowire(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Ethernet behind a control word, or without one where the type then makes sense."""
    if at + 14 <= end:
        ethertype = be16(buffer, at + 12)
        if ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6) or is_vlan(ethertype):
            return FRAME, at, 0
    return FRAME, at + 4, 0


@inner
def after_nlpid(buffer: Bytes, at: Word, end: Word) -> tuple[Word, Word, Word]:
    """Network layer protocol id (RFC 2427), an optional pad byte before it."""
    if at + 2 > end:
        return FOUND, -TRUNCATED, 0
    if buffer[U(at)] == 0:
        at += 1
    nlpid = int64(buffer[U(at)])
    if nlpid == 0xCC:
        return TYPED, at + 1, ETHERTYPE_IPV4
    if nlpid == 0x8E:
        return TYPED, at + 1, ETHERTYPE_IPV6
    if nlpid == 0x80:
        return SNAP, at + 1, 0
    return FOUND, -NOT_IP, 0


@inner
def walk_layers(  # noqa: PLR0912  one branch a kind of header
    buffer: Bytes, at: Word, end: Word, what: Word, number: Word
) -> tuple[Word, Word]:
    """From what begins at `at` to IP: (offset of its header or -reason, VLAN tags). Nothing is read from `end` on."""
    vlan = 0
    tags = 0
    for _ in range(MAX_LAYERS):
        if what == TYPED:
            if number in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
                return at, vlan
            if is_vlan(number):
                if at + 4 > end:
                    return -TRUNCATED, vlan
                if tags < 2:
                    vlan = (vlan << 12) | (be16(buffer, at) & 0xFFF)
                tags += 1
                number = be16(buffer, at + 2)
                at += 4
            elif number == VN_TAG:
                if at + 6 > end:
                    return -TRUNCATED, vlan
                number = be16(buffer, at + 4)
                at += 6
            else:
                what, at, number = after_ethertype(at, number)
        elif what == FRAME:
            if at + 14 > end:
                return -TRUNCATED, vlan
            what, at, number = TYPED, at + 14, be16(buffer, at + 12)
        elif what == LLC:
            what, at, number = after_llc(buffer, at, end)
        elif what == SNAP:
            what, at, number = after_snap(buffer, at, end)
        elif what == PPP_FRAME:
            what, at, number = after_ppp(buffer, at, end)
        elif what == LABEL:
            what, at, number = after_label(buffer, at, end)
        elif what == PSEUDOWIRE:
            what, at, number = after_pseudowire(buffer, at, end)
        elif what in (WLAN, PADDED_WLAN):
            what, at, number = LLC, after_wlan(buffer, at, end, what == PADDED_WLAN), 0
        elif what == NLPID:
            what, at, number = after_nlpid(buffer, at, end)
        if at < 0 or what == FOUND:
            return at, vlan
    return -NOT_IP, vlan
