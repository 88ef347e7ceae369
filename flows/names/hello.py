"""What a TLS ClientHello says of its flow: the server's name (SNI), and what its fingerprint JA4 is made of.

Of a hello that does not end, the name if it is there, and no fingerprint (flows.names.segments puts together what
goes on). Everything may be wrong; nothing is read outside of what is given.
RFC 8446 4.1.2, RFC 6066 3 (server_name), RFC 7301 (ALPN), RFC 8701 (GREASE); JA4 as FoxIO publishes it.
"""

import hashlib
from dataclasses import dataclass

from numpy import int64

from flows.block import Bytes
from flows.byte_order import be16
from flows.names.layout import (
    H_ALPN,
    H_CIPHERS,
    H_EXTENSIONS,
    H_FLAGS,
    H_SIGNATURES,
    H_VERSION,
    HELLO_BYTES,
    HELLO_HEAD,
    NAME_BYTES,
    NAMED,
    WHOLE,
)
from flows.names.text import put_byte, put_name
from kernels.jit import U, Word, inner

HANDSHAKE, CLIENT_HELLO = 22, 1
SERVER_NAME, SIGNATURES, ALPN, VERSIONS = 0, 13, 16, 43
BEFORE_SESSION = 4 + 2 + 32  # handshake header, version, random
MAX_EXTENSIONS = 256
LISTS_END = HELLO_BYTES - NAME_BYTES  # beyond which no list goes
MAX_NAME = 255
_VERSION_NAMES = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}


@inner
def is_grease(value: Word) -> bool:
    """A number that means nothing and is sent so that nobody relies on it: 0x0a0a, 0x1a1a ... 0xfafa."""
    return bool(value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF)


@inner
def put16(value: Word, out: Bytes, at: Word) -> None:
    """Write a number as two bytes."""
    out[U(at)] = value >> 8
    out[U(at + 1)] = value & 0xFF


@inner
def put_list(buffer: Bytes, begin: Word, end: Word, out: Bytes, at: Word) -> Word:
    """Write the numbers of buffer[begin:end] but GREASE; returns where the next goes, -1 without room."""
    while begin + 2 <= end:
        value = be16(buffer, begin)
        begin += 2
        if is_grease(value):
            continue
        if at + 2 > LISTS_END:
            return int64(-1)
        put16(value, out, at)
        at += 2
    return at


@inner
def highest_version(buffer: Bytes, at: Word, end: Word) -> Word:
    """The highest of supported_versions, 0 without any."""
    highest = int64(0)
    if at < end:
        end = min(end, at + 1 + int64(buffer[U(at)]))
        at += 1
        while at + 2 <= end:
            value = be16(buffer, at)
            if not is_grease(value):
                highest = max(highest, value)
            at += 2
    return highest


@inner
def is_alphanumeric(byte: Word) -> bool:
    """A digit or a letter of ASCII."""
    return bool(0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5A or 0x61 <= byte <= 0x7A)


@inner
def hex_digit(nibble: Word) -> Word:
    """Of a number from 0 to 15."""
    return nibble + 0x30 if nibble < 10 else nibble + 0x61 - 10


@inner
def put_alpn(buffer: Bytes, at: Word, end: Word, out: Bytes) -> None:
    """Write the first and last character of the first protocol, or of its hexadecimal digits."""
    if at + 3 > end:
        return
    size = int64(buffer[U(at + 2)])
    if size == 0 or at + 3 + size > end:
        return
    first, last = int64(buffer[U(at + 3)]), int64(buffer[U(at + 2 + size)])
    if not is_alphanumeric(first) or not is_alphanumeric(last):
        first, last = hex_digit(first >> 4), hex_digit(last & 15)
    out[U(H_ALPN)] = first
    out[U(H_ALPN + 1)] = last


@inner
def read_server_name(buffer: Bytes, at: Word, end: Word, name: Bytes) -> Word:
    """Write the first host name of the extension as text; returns its length, 0 where there is none."""
    if at + 5 > end or buffer[U(at + 2)] != 0:
        return int64(0)
    size = be16(buffer, at + 3)
    at += 5
    if size > MAX_NAME or at + size > end:
        return int64(0)
    length = int64(0)
    for i in range(size):
        byte = int64(buffer[U(at + i)])
        if byte == 0x2E:  # the labels of a host name are not apart here
            name[U(length)] = byte
            length += 1
        else:
            length = put_byte(byte, name, length)
    return length


@inner
def put_ciphers(buffer: Bytes, at: Word, end: Word, out: Bytes) -> tuple[Word, Word]:
    """Write the cipher suites, from the session's id on: (where the extensions begin, -1 where it does not go so far;
    where the next list goes, -1 without room).
    """
    at += 1 + int64(buffer[U(at)])
    if at + 2 > end:
        return int64(-1), int64(-1)
    ciphers_end = at + 2 + be16(buffer, at)
    if ciphers_end + 1 > end:
        return int64(-1), int64(-1)
    listed = put_list(buffer, at + 2, ciphers_end, out, int64(HELLO_HEAD))
    return ciphers_end + 1 + int64(buffer[U(ciphers_end)]), listed


@inner
def put_extensions(
    buffer: Bytes, at: Word, end: Word, version: Word, listed: Word, name: Bytes, out: Bytes
) -> tuple[Word, Word, Word, Word, Word]:
    """Write what kinds of extensions there are and what signatures they list: (whether they end where they should,
    where the list of kinds ended, where that of signatures did, bytes of the server's name, version).
    """
    length, signatures_at, signatures_end = int64(0), int64(0), int64(0)
    whole = at == end  # without any
    if at + 2 <= end:
        extensions_end = at + 2 + be16(buffer, at)
        whole = extensions_end <= end
        end = min(end, extensions_end)
        at += 2
    for _ in range(MAX_EXTENSIONS):
        if at + 4 > end or at + 4 + be16(buffer, at + 2) > end:
            break
        kind, size = be16(buffer, at), be16(buffer, at + 2)
        at += 4
        if kind == SERVER_NAME:
            out[U(H_FLAGS)] = NAMED
            length = read_server_name(buffer, at, at + size, name)
        elif kind == SIGNATURES:
            signatures_at, signatures_end = at + 2, at + size
        elif kind == ALPN:
            put_alpn(buffer, at, at + size, out)
        elif kind == VERSIONS:
            version = highest_version(buffer, at, at + size)
        if not is_grease(kind):
            whole = whole and listed + 2 <= LISTS_END
            if listed + 2 <= LISTS_END:
                put16(kind, out, listed)
                listed += 2
        at += size
    signed = put_list(buffer, signatures_at, signatures_end, out, listed)
    return int64(whole and at == end and signed >= 0), listed, max(signed, listed), length, version


@inner
def read_hello(buffer: Bytes, at: Word, end: Word, name: Bytes, text: Bytes, filled: Word) -> Word:
    """Write what is kept of the hello buffer[at:end] (flows.names.layout); returns the bytes of text by then.

    There is room for HELLO_BYTES. name: (NAME_ROOM,) scratch.
    """
    if at + 5 + BEFORE_SESSION + 1 > end or buffer[U(at)] != HANDSHAKE or buffer[U(at + 5)] != CLIENT_HELLO:
        return filled
    out = text[filled : filled + HELLO_BYTES]
    record_end = at + 5 + be16(buffer, at + 3)
    hello_end = at + 9 + ((int64(buffer[U(at + 6)]) << 16) | be16(buffer, at + 7))
    whole = hello_end <= record_end and hello_end <= end
    end = min(end, record_end, hello_end)
    version = be16(buffer, at + 9)
    if at + 5 + BEFORE_SESSION + 1 > end:
        return filled
    for i in range(HELLO_HEAD):
        out[U(i)] = 0
    at, ciphers_end = put_ciphers(buffer, at + 5 + BEFORE_SESSION, end, out)
    if at < 0:
        return filled
    whole = whole and ciphers_end >= 0
    ciphers_end = max(ciphers_end, HELLO_HEAD)
    orderly, kinds_end, signed_end, length, version = put_extensions(buffer, at, end, version, ciphers_end, name, out)
    if not (whole and orderly):
        if length == 0:
            return filled
        ciphers_end = kinds_end = signed_end = int64(HELLO_HEAD)
    else:
        out[U(H_FLAGS)] |= WHOLE
    put16(version, out, H_VERSION)
    put16((ciphers_end - HELLO_HEAD) // 2, out, H_CIPHERS)
    put16((kinds_end - ciphers_end) // 2, out, H_EXTENSIONS)
    put16((signed_end - kinds_end) // 2, out, H_SIGNATURES)
    return filled + put_name(name, length, out, signed_end)


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a hello says."""

    server_name: str | None  # the server that is asked for, in printable ASCII
    ja4: str | None  # None where not all of the hello was seen


def client_hello(kept: bytes) -> ClientHello:
    """A hello from what is kept of it (read_hello)."""
    ciphers, extensions, signatures = (_number(kept, at) for at in (H_CIPHERS, H_EXTENSIONS, H_SIGNATURES))
    numbers = [_number(kept, at) for at in range(HELLO_HEAD, HELLO_HEAD + 2 * (ciphers + extensions + signatures), 2)]
    name = kept[HELLO_HEAD + 2 * len(numbers) :].decode("ascii") or None
    if not kept[H_FLAGS] & WHOLE:
        return ClientHello(name, None)
    kinds = numbers[ciphers : ciphers + extensions]
    hashed = _listed(sorted(kind for kind in kinds if kind not in (SERVER_NAME, ALPN)))
    signed = _listed(numbers[ciphers + extensions :])
    alpn = kept[H_ALPN : H_ALPN + 2].decode("ascii").replace("\0", "0")
    head = "".join(
        (
            "t",
            _VERSION_NAMES.get(_number(kept, H_VERSION), "00"),
            "d" if kept[H_FLAGS] & NAMED else "i",
            f"{min(ciphers, 99):02}{min(extensions, 99):02}",
            alpn,
        )
    )
    return ClientHello(name, f"{head}_{_digest(_listed(sorted(numbers[:ciphers])))}_{_digest(hashed, signed)}")


def _number(kept: bytes, at: int) -> int:
    return int.from_bytes(kept[at : at + 2])


def _listed(numbers: list[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _digest(listed: str, signed: str = "") -> str:
    """The first twelve digits of a list's SHA-256, zeros where nothing is listed."""
    if not listed:
        return "0" * 12
    return hashlib.sha256(f"{listed}_{signed}".encode() if signed else listed.encode()).hexdigest()[:12]
