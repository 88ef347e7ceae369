"""IEEE 802.11 headers and what capture programs put before them: where the LLC header of a data frame begins.

Results below zero are reasons, as in flows.decode. Of an aggregate (A-MSDU) the first packet is taken.
Sources: IEEE 802.11-2020, 9.2 and 9.3.2; radiotap.org; the Prism and AVS headers as linux-wlan-ng wrote them.
"""

from numpy import int64

from flows.block import Bytes
from kernels.jit import U, Word, inner

NOT_IP, TRUNCATED, ENCRYPTED = 1, 2, 8

# Frame control: type and subtype in the first byte, flags in the second.
DATA, NO_DATA, QOS = 0x08, 0x40, 0x80
TO_AND_FROM_DS, PROTECTED, HT_CONTROL = 0x03, 0x40, 0x80
AGGREGATE = 0x80  # in the first byte of QoS control
# Radiotap
HAS_TIMER, HAS_FLAGS, MORE_WORDS, PADDED = 0x01, 0x02, 0x80, 0x20


@inner
def after_wlan(buffer: Bytes, at: Word, end: Word, padded: bool) -> Word:
    """Offset of the LLC header in a data frame, or -reason. padded: the header is filled up to 4 bytes."""
    start = at
    if at + 24 > end:
        return -TRUNCATED
    control, flags = int64(buffer[U(at)]), int64(buffer[U(at + 1)])
    if control & 0x0F != DATA or control & NO_DATA:
        return -NOT_IP
    if flags & PROTECTED:
        return -ENCRYPTED
    if int64(buffer[U(at + 22)]) & 0x0F:  # a later fragment of a frame begins in the middle of a packet
        return -NOT_IP
    at += 30 if flags & TO_AND_FROM_DS == TO_AND_FROM_DS else 24
    if not control & QOS:
        return at
    if at + 2 > end:
        return -TRUNCATED
    aggregate = int64(buffer[U(at)]) & AGGREGATE
    at += 6 if flags & HT_CONTROL else 2
    if padded:
        at = start + ((at - start + 3) & ~3)
    return at + 14 if aggregate else at


@inner
def after_radiotap(buffer: Bytes, at: Word, end: Word) -> Word:
    """Offset of the 802.11 header behind a radiotap header, or -reason."""
    if at + 8 > end:
        return -TRUNCATED
    return at + ((int64(buffer[U(at + 3)]) << 8) | int64(buffer[U(at + 2)]))


@inner
def pads_header(buffer: Bytes, at: Word, end: Word) -> bool:
    """Whether a radiotap header says that the 802.11 header is padded; its flags follow the words of presence."""
    if at + 8 > end or not int64(buffer[U(at + 4)]) & HAS_FLAGS:
        return False
    field = at + 4
    while field + 4 <= end and int64(buffer[U(field + 3)]) & MORE_WORDS:
        field += 4
    field += 4
    if int64(buffer[U(at + 4)]) & HAS_TIMER:  # eight bytes, aligned
        field = at + ((field - at + 7) & ~7) + 8
    return bool(field < end and int64(buffer[U(field)]) & PADDED)


@inner
def after_prism(buffer: Bytes, at: Word, end: Word) -> Word:
    """Offset of the 802.11 header behind a Prism header, or behind an AVS header under the same link type."""
    if at + 8 > end:
        return -TRUNCATED
    if int64(buffer[U(at)]) == 0x80:
        return after_avs(buffer, at, end)
    return at + 144


@inner
def after_avs(buffer: Bytes, at: Word, end: Word) -> Word:
    """Offset of the 802.11 header behind an AVS header, which names its length in network order."""
    if at + 8 > end:
        return -TRUNCATED
    return at + ((int64(buffer[U(at + 6)]) << 8) | int64(buffer[U(at + 7)]))
