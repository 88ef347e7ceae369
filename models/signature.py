"""Signatures of bundles in the format of minisign: Ed25519 over the BLAKE2b-512 of a manifest, which names the hashes.

Only what `minisign -S` makes is taken: the older signatures over whole files (-l) are refused, as one kind is enough.
The trusted comment is signed as well. Nothing here makes a signature or holds a secret key.
https://jedisct1.github.io/minisign/ (formats); Bernstein et al., "High-speed high-security signatures", 2011.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.manifest import refuse

SUFFIX: Final = ".minisig"  # behind the name of the file that is signed
MAX_SIGNATURE: Final = 4096  # bytes of the file
PUBLIC, HASHED, WHOLE = b"Ed", b"ED", b"Ed"  # algorithms: of a public key, of a signature over the hash, over the file
UNTRUSTED, TRUSTED = b"untrusted comment:", b"trusted comment: "


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of minisign."""

    number: bytes  # 8 bytes, by which a signature names its key
    key: bytes  # 32 bytes

    @property
    def name(self) -> str:
        """The number as minisign prints it."""
        return self.number[::-1].hex().upper()


def public_key(text: str) -> PublicKey:
    """The key that minisign prints as one word, such as RWQf6LRCGA9i53ml…. Raises ValueError for what is none."""
    content = _decoded(text.encode("utf-8", "replace"), 42)
    if content is None or content[:2] != PUBLIC:
        raise ValueError(f"found {text!r:.70}, expected a public key of minisign: 56 letters and digits from RW on")
    return PublicKey(content[2:10], content[10:])


def check_signature(content: bytes, signature: bytes, keys: Sequence[PublicKey], name: str) -> None:
    """Raise BundleError unless one of these keys has signed the content of the file name.

    signature: content of the file beside it.
    """
    file = name + SUFFIX
    lines = signature.split(b"\n")
    if lines[-1:] == [b""]:
        lines.pop()
    lines = [line.removesuffix(b"\r") for line in lines]
    if len(lines) != 4 or not lines[0].startswith(UNTRUSTED) or not lines[2].startswith(TRUSTED):
        refuse(f"{file} is no signature of minisign, expected four lines")
    signed, comment_signed = _decoded(lines[1], 74), _decoded(lines[3], 64)
    if signed is None or comment_signed is None or signed[:2] not in (HASHED, WHOLE):
        refuse(f"{file} is no signature of minisign")
    if signed[:2] == WHOLE:
        refuse(
            f"{file} is an old kind of signature, over the whole file; expected one over its hash (minisign -S, not -l)"
        )
    key = next((key for key in keys if key.number == signed[2:10]), None)
    if key is None:
        known = ", ".join(key.name for key in keys)
        refuse(f"{file} is by key {signed[2:10][::-1].hex().upper()}, expected {known}")
    if not _is_signed(key, signed[10:], hashlib.blake2b(content).digest()):
        refuse(f"{file} is no signature of this {name} by key {key.name}")
    if not _is_signed(key, comment_signed, signed[10:] + lines[2].removeprefix(TRUSTED)):
        refuse(f"{file} has a trusted comment that key {key.name} has not signed")


def _decoded(text: bytes, size: int) -> bytes | None:
    """The bytes of a word in base64, None where it is none of so many bytes, or has another way to write the same."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if len(content) == size and base64.b64encode(content) == text else None


def _is_signed(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        refuse(f"its signature cannot be checked: {error}; expected the package cryptography (flowvigil[signed])")
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
