"""TLS 1.3 as seen on the wire: ClientHello and ServerHello in the clear, then encrypted records. RFC 8446."""

import struct
from random import Random

from sensor.synth.protocols.opaque import opaque

_CHANGE_CIPHER, _HANDSHAKE, _APPLICATION = 20, 22, 23
_RECORD_LIMIT = 16384  # bytes of plaintext
_OVERHEAD = 17  # bytes that content type and tag add
_SUITES = struct.pack("!6H", 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC030)
_SERVER_NAME, _GROUPS, _SIGNATURES, _ALPN, _PADDING, _VERSIONS, _KEY_SHARE = 0, 10, 13, 16, 21, 43, 51
_X25519 = 29


def client_hello(rng: Random, server_name: str) -> bytes:
    """First flight of the client, padded to 517 bytes as browsers do."""
    name = server_name.encode()
    extensions = (
        _extension(_SERVER_NAME, _sized(b"\0" + _sized(name)))
        + _extension(_GROUPS, _sized(struct.pack("!3H", _X25519, 23, 24)))
        + _extension(_SIGNATURES, _sized(struct.pack("!4H", 0x0403, 0x0804, 0x0401, 0x0806)))
        + _extension(_ALPN, _sized(b"\x02h2\x08http/1.1"))
        + _extension(_VERSIONS, b"\x04\x03\x04\x03\x03")
        + _extension(_KEY_SHARE, _sized(struct.pack("!H", _X25519) + _sized(rng.randbytes(32))))
    )
    fixed = b"\x03\x03" + rng.randbytes(32) + b"\x20" + rng.randbytes(32) + _sized(_SUITES) + b"\x01\x00"
    missing = 517 - 5 - 4 - len(fixed) - 2 - len(extensions) - 4
    return _hello(1, fixed, extensions + _extension(_PADDING, bytes(max(0, missing))))


def server_flight(rng: Random, certificate: int) -> bytes:
    """ServerHello, change cipher spec, and the encrypted rest of the handshake with a chain of `certificate` bytes."""
    share = _extension(_KEY_SHARE, struct.pack("!H", _X25519) + _sized(rng.randbytes(32)))
    fixed = b"\x03\x03" + rng.randbytes(32) + b"\x20" + rng.randbytes(32) + b"\x13\x01\x00"
    hello = _hello(2, fixed, _extension(_VERSIONS, b"\x03\x04") + share)
    return hello + _record(_CHANGE_CIPHER, b"\1") + sealed(certificate + 400)


def client_finished() -> bytes:
    """Second flight of the client: change cipher spec and the encrypted Finished."""
    return _record(_CHANGE_CIPHER, b"\1") + sealed(36)


def sealed(count: int) -> bytes:
    """`count` bytes of plaintext as encrypted application data records."""
    whole, rest = divmod(count, _RECORD_LIMIT)
    full = _record(_APPLICATION, opaque(_RECORD_LIMIT + _OVERHEAD)) * whole
    return full + (_record(_APPLICATION, opaque(rest + _OVERHEAD)) if rest else b"")


def _sized(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def _extension(number: int, octets: bytes) -> bytes:
    return number.to_bytes(2, "big") + _sized(octets)


def _record(content_type: int, octets: bytes) -> bytes:
    return bytes((content_type, 3, 1 if content_type == _HANDSHAKE else 3)) + _sized(octets)


def _hello(kind: int, fixed: bytes, extensions: bytes) -> bytes:
    body = fixed + _sized(extensions)
    return _record(_HANDSHAKE, bytes((kind,)) + len(body).to_bytes(3, "big") + body)
