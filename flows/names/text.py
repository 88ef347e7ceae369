"""Names of packets as text: printable ASCII in lower case, whatever stands there (RFC 1035 5.1, RFC 4343).

A byte that is no letter, digit or sign, and a dot or backslash within a label, becomes a backslash and three digits.
"""

import numpy as np
from numpy import int64

from flows.block import Bytes
from flows.byte_order import be64
from flows.names.layout import ELLIPSIS, NAME_BYTES
from kernels.jit import U, Word, inner

BACKSLASH, DOT, DIGIT = 0x5C, 0x2E, 0x30
FNV_BASIS, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@inner
def lower(byte: Word) -> Word:
    """A letter of ASCII in lower case, any other byte as it is."""
    return byte + 32 if 0x41 <= byte <= 0x5A else byte


@inner
def put_byte(byte: Word, out: Bytes, at: Word) -> Word:
    """Write one byte of a label; returns where the next one goes."""
    if 0x21 <= byte <= 0x7E and byte not in (DOT, BACKSLASH):
        out[U(at)] = lower(byte)
        return at + 1
    out[U(at)] = BACKSLASH
    out[U(at + 1)] = DIGIT + byte // 100
    out[U(at + 2)] = DIGIT + byte // 10 % 10
    out[U(at + 3)] = DIGIT + byte % 10
    return at + 4


@inner
def put_name(name: Bytes, length: Word, out: Bytes, at: Word) -> Word:
    """Copy a name, or of a long one the end behind dots; returns where what follows goes."""
    first = int64(0)
    if length > NAME_BYTES:
        for _ in range(ELLIPSIS):
            out[U(at)] = DOT
            at += 1
        first = length - (NAME_BYTES - ELLIPSIS)
    for i in range(first, length):
        out[U(at)] = name[U(i)]
        at += 1
    return at


@inner
def digest_of(text: Bytes, begin: Word, end: Word) -> Word:
    """FNV-1a of a text, eight bytes at a time; not keyed, as what is told must be the same in every run."""
    digest = FNV_BASIS
    while begin + 8 <= end:
        digest = (digest ^ np.uint64(be64(text, begin))) * FNV_PRIME
        begin += 8
    for i in range(begin, end):
        digest = (digest ^ np.uint64(text[U(i)])) * FNV_PRIME
    return int64(digest)
