"""What a DNS answer says of addresses: the name that was asked for, or the one that a reverse lookup gave.

Only answers to one question, without an error; what was asked stays the name though it is an alias of others (CNAME).
The message may be cut and its counts, lengths and pointers wrong: nothing is read outside of it, no loop is without
bound, and reading ends where it makes no sense. RFC 1035, 3596 (AAAA and ip6.arpa), 2317.
"""

from numpy import int64

from flows.block import Bytes
from flows.byte_order import be16, be32, be64
from flows.names.layout import (
    ASKED,
    K_A_HIGH,
    K_A_LOW,
    K_B_HIGH,
    K_B_LOW,
    K_PORTS,
    K_SENDER,
    K_STAMP_NS,
    K_TIME_NS,
    NAME_BYTES,
    REVERSE,
    S_A_HIGH,
    S_A_LOW,
    S_B_HIGH,
    S_B_LOW,
    S_DIGEST,
    S_FROM,
    S_KIND,
    S_LENGTH,
    S_PORTS,
    S_STAMP_NS,
    S_TIME_NS,
    S_VLAN,
    Marks,
    Words,
)
from flows.names.text import DOT, digest_of, lower, put_byte, put_name
from kernels.jit import U, Word, inner

A, CNAME, PTR, AAAA, INTERNET = 1, 5, 12, 28, 1
HEADER = 12
FLAGS, ANSWER = 0xF80F, 0x8000  # QR, opcode and error of the flags; those of an answer to a query, without an error
MAX_LABELS, MAX_OCTETS = 128, 255
MAX_POINTERS = 16  # one after the other, and labels of a name that are pointed at
MAX_RECORDS = 64  # of a message that are looked at
MAX_SIGHTINGS = 16  # of a message
NIBBLES = 32  # of an IPv6 address


@inner
def label_at(buffer: Bytes, begin: Word, end: Word, at: Word) -> Word:
    """Offset of the label that stands or is pointed at there, -1 where none is."""
    for _ in range(MAX_POINTERS):
        if at >= end:
            return int64(-1)
        size = int64(buffer[U(at)])
        if size < 64:
            return at if at + 1 + size <= end else int64(-1)
        if size < 192 or at + 2 > end:
            return int64(-1)
        at = begin + (((size & 63) << 8) | int64(buffer[U(at + 1)]))
    return int64(-1)


@inner
def after_name(buffer: Bytes, at: Word, end: Word) -> Word:
    """Offset of what follows the name that begins there, -1 where it does not end."""
    for _ in range(MAX_LABELS):
        if at >= end:
            return int64(-1)
        size = int64(buffer[U(at)])
        if size == 0:
            return at + 1
        if size >= 64:
            return at + 2 if size >= 192 and at + 2 <= end else int64(-1)
        at += 1 + size
    return int64(-1)


@inner
def same_name(buffer: Bytes, begin: Word, end: Word, one: Word, other: Word) -> bool:
    """Whether two names are the same but for the case of letters; no longer than a name may be are compared."""
    octets = pointed = other_pointed = int64(0)
    for _ in range(MAX_LABELS):
        place, other_place = label_at(buffer, begin, end, one), label_at(buffer, begin, end, other)
        pointed += place != one
        other_pointed += other_place != other
        if place < 0 or other_place < 0 or max(pointed, other_pointed) > MAX_POINTERS:
            return False
        if place == other_place:
            return True
        one, other = place, other_place
        size = int64(buffer[U(one)])
        if size != int64(buffer[U(other)]):
            return False
        if size == 0:
            return True
        octets += 1 + size
        if octets >= MAX_OCTETS:
            return False
        for i in range(1, size + 1):
            if lower(int64(buffer[U(one + i)])) != lower(int64(buffer[U(other + i)])):
                return False
        one += 1 + size
        other += 1 + size
    return False


@inner
def read_name(buffer: Bytes, begin: Word, end: Word, at: Word, out: Bytes) -> Word:
    """Write a name as text; returns its length, 0 for the root and for what is no name."""
    length, octets, pointed = int64(0), int64(0), int64(0)
    for _ in range(MAX_LABELS):
        place = label_at(buffer, begin, end, at)
        pointed += place != at
        if place < 0 or pointed > MAX_POINTERS:
            return int64(0)
        at = place
        size = int64(buffer[U(at)])
        if size == 0:
            return length
        octets += 1 + size
        if octets >= MAX_OCTETS:
            return int64(0)
        if length:
            out[U(length)] = DOT
            length += 1
        for i in range(1, size + 1):
            length = put_byte(int64(buffer[U(at + i)]), out, length)
        at += 1 + size
    return int64(0)


@inner
def ends_with(name: Bytes, length: Word, suffix: tuple[int, ...]) -> bool:
    """Whether a name ends with these bytes."""
    if length < len(suffix):
        return False
    for i in range(len(suffix)):  # noqa: SIM110  a generator expression does not compile
        if int64(name[U(length - len(suffix) + i)]) != suffix[i]:
            return False
    return True


IN_ADDR: tuple[int, ...] = tuple(b".in-addr.arpa")
IP6: tuple[int, ...] = tuple(b".ip6.arpa")


@inner
def reversed_ipv4(name: Bytes, length: Word) -> Word:
    """The address that four numbers spell, the last one first; -1 where it is none."""
    address, number, digits, shift = int64(0), int64(0), int64(0), int64(0)
    for i in range(length + 1):
        byte = int64(name[U(i)]) if i < length else int64(DOT)
        if byte == DOT:
            if digits == 0 or number > 255 or shift > 24:
                return int64(-1)
            address |= number << shift
            shift += 8
            number = digits = int64(0)
        elif 0x30 <= byte <= 0x39 and digits < 3:
            number = number * 10 + byte - 0x30
            digits += 1
        else:
            return int64(-1)
    return address if shift == 32 else int64(-1)


@inner
def reversed_ipv6(name: Bytes, length: Word) -> tuple[bool, Word, Word]:
    """The address that 32 hexadecimal digits spell, the last one first: (whether it is one, high, low)."""
    high, low = int64(0), int64(0)
    if length != 2 * NIBBLES - 1:
        return False, high, low
    for i in range(NIBBLES):
        byte = int64(name[U(2 * i)])
        if 0x30 <= byte <= 0x39:
            nibble = byte - 0x30
        elif 0x61 <= byte <= 0x66:
            nibble = byte - 0x61 + 10
        else:
            return False, high, low
        if i < NIBBLES - 1 and int64(name[U(2 * i + 1)]) != DOT:
            return False, high, low
        if i < NIBBLES // 2:
            low |= nibble << (4 * i)
        else:
            high |= nibble << (4 * (i - NIBBLES // 2))
    return True, high, low


@inner
def put_sighting(
    mark: Marks, m: Word, kind: Word, version: Word, high: Word, low: Word,
    text: Bytes, begin: Word, end: Word, words: Words, n: Word,
) -> None:  # fmt: skip
    """Write what was seen of an address; its text stands from begin to end. Who asked is whom the answer went to."""
    words[n, S_TIME_NS], words[n, S_STAMP_NS] = mark[m, K_TIME_NS], mark[m, K_STAMP_NS]
    words[n, S_KIND] = kind
    words[n, S_A_HIGH], words[n, S_A_LOW] = high, low
    if mark[m, K_SENDER] == 0:
        words[n, S_B_HIGH], words[n, S_B_LOW] = mark[m, K_B_HIGH], mark[m, K_B_LOW]
    else:
        words[n, S_B_HIGH], words[n, S_B_LOW] = mark[m, K_A_HIGH], mark[m, K_A_LOW]
    words[n, S_PORTS] = (version << 40) | (mark[m, K_PORTS] >> 40)
    words[n, S_VLAN] = 0
    words[n, S_FROM], words[n, S_LENGTH] = begin, end - begin
    words[n, S_DIGEST] = digest_of(text, begin, end)


@inner
def reversed_address(name: Bytes, length: Word) -> tuple[Word, Word, Word]:
    """The address that a reverse lookup asks for by this name: (IP version, high, low), version 0 for none."""
    if ends_with(name, length, IN_ADDR):
        low = reversed_ipv4(name, length - len(IN_ADDR))
        return int64(4 if low >= 0 else 0), int64(0), low
    if ends_with(name, length, IP6):
        found, high, low = reversed_ipv6(name, length - len(IP6))
        return int64(6 if found else 0), high, low
    return int64(0), int64(0), int64(0)


@inner
def read_answer(  # noqa: PLR0912  one branch a kind of record, and where reading ends
    buffer: Bytes, begin: Word, end: Word, mark: Marks, m: Word, name: Bytes,
    words: Words, n: Word, text: Bytes, filled: Word,
) -> tuple[Word, Word]:  # fmt: skip
    """Write what the message buffer[begin:end] says: (sightings by then, bytes of text by then).

    There is room for MAX_SIGHTINGS, and for as many names. name: (NAME_ROOM,) scratch.
    """
    if begin + HEADER > end or be16(buffer, begin + 2) & FLAGS != ANSWER or be16(buffer, begin + 4) != 1:
        return n, filled
    question = target = begin + HEADER
    at = after_name(buffer, question, end)
    if at < 0 or at + 4 > end or be16(buffer, at + 2) != INTERNET:
        return n, filled
    length = read_name(buffer, begin, end, question, name)
    version, high, low = int64(0), int64(0), int64(0)
    if be16(buffer, at) == PTR:
        version, high, low = reversed_address(name, length)
    asked_at, asked_end = filled, filled  # where the text of the question stands, once it is written
    at += 4
    most = n + MAX_SIGHTINGS
    for _ in range(min(be16(buffer, begin + 6), MAX_RECORDS)):
        owner = at
        at = after_name(buffer, at, end)
        if at < 0 or at + 10 > end or n == most or length == 0:
            break
        kind, size, data = be16(buffer, at), be16(buffer, at + 8), at + 10
        internet = be16(buffer, at + 2) == INTERNET
        at = data + size
        if at > end:
            break
        if not internet or not same_name(buffer, begin, end, owner, target):
            continue
        if kind == CNAME:
            target = data
        elif version and kind == PTR:
            told = read_name(buffer, begin, end, data, name)
            if told:
                upto = put_name(name, told, text, filled)
                put_sighting(mark, m, REVERSE, version, high, low, text, filled, upto, words, n)
                filled, n = upto, n + 1
        elif not version and ((kind == A and size == 4) or (kind == AAAA and size == 16)):
            if asked_at == asked_end:
                asked_end = filled = put_name(name, length, text, asked_at)
            if kind == A:
                of, high, low = int64(4), int64(0), be32(buffer, data)
            else:
                of, high, low = int64(6), be64(buffer, data), be64(buffer, data + 8)
            put_sighting(mark, m, ASKED, of, high, low, text, asked_at, asked_end, words, n)
            n += 1
    return n, filled


ROOM_OF_ANSWER = MAX_SIGHTINGS * NAME_BYTES
