"""SSH-2 as seen on the wire: banners and key exchange in the clear, then encrypted packets of the correct size.

RFC 4253 (transport), 4252 (authentication), 5656 (ECDH), and OpenSSH's chacha20-poly1305.
"""

import struct
from random import Random

from sensor.synth.protocols.opaque import opaque

_KEXINIT, _NEWKEYS, _KEX_INIT, _KEX_REPLY = 20, 21, 30, 31
_TAG = 16

_KEX = "curve25519-sha256,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512"
_HOST_KEYS = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"
_CIPHERS = (
    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com"
)
_MACS = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512"
_COMPRESSION = "none,zlib@openssh.com"


def banner(software: str) -> bytes:
    """Identification line."""
    return f"SSH-2.0-{software}\r\n".encode()


def key_exchange_init(rng: Random) -> bytes:
    """SSH_MSG_KEXINIT with the usual algorithms."""
    lists = (_KEX, _HOST_KEYS, _CIPHERS, _CIPHERS, _MACS, _MACS, _COMPRESSION, _COMPRESSION, "", "")
    return _packet(bytes((_KEXINIT,)) + rng.randbytes(16) + b"".join(_string(x.encode()) for x in lists) + bytes(5))


def ecdh_init(rng: Random) -> bytes:
    """The initiator's ephemeral key."""
    return _packet(bytes((_KEX_INIT,)) + _string(rng.randbytes(32)))


def ecdh_reply(rng: Random) -> bytes:
    """Host key, ephemeral key and signature, followed by NEWKEYS and the encrypted extension list."""
    host_key = _string(_string(b"ssh-ed25519") + _string(rng.randbytes(32)))
    signature = _string(_string(b"ssh-ed25519") + _string(rng.randbytes(64)))
    return _packet(bytes((_KEX_REPLY,)) + host_key + _string(rng.randbytes(32)) + signature) + new_keys() + sealed(150)


def new_keys() -> bytes:
    """SSH_MSG_NEWKEYS."""
    return _packet(bytes((_NEWKEYS,)))


def service_request() -> bytes:
    """Encrypted service request for ssh-userauth."""
    return sealed(1 + 4 + len("ssh-userauth"))


def service_accept() -> bytes:
    """Encrypted service accept for ssh-userauth."""
    return sealed(1 + 4 + len("ssh-userauth"))


def password_request(user: int, password: int) -> bytes:
    """Encrypted password authentication; user and password are lengths in bytes."""
    return sealed(1 + 4 + user + 4 + len("ssh-connection") + 4 + len("password") + 1 + 4 + password)


def authentication_failure() -> bytes:
    """Encrypted authentication failure with the methods that can continue."""
    return sealed(1 + 4 + len("publickey,password") + 1)


def authentication_success() -> bytes:
    """Encrypted authentication success."""
    return sealed(1)


def too_many_failures() -> bytes:
    """Encrypted disconnect after the last attempt that the server allows."""
    return sealed(1 + 4 + 4 + len("Too many authentication failures") + 4)


def sealed(payload: int) -> bytes:
    """Packet of `payload` bytes under chacha20-poly1305: padded to eight, with four bytes of length and a tag."""
    padding = 8 - (1 + payload) % 8
    return opaque(4 + 1 + payload + (padding if padding >= 4 else padding + 8) + _TAG)


def _string(octets: bytes) -> bytes:
    return struct.pack("!I", len(octets)) + octets


def _packet(payload: bytes) -> bytes:
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack("!IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
