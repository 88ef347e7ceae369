"""Filler bytes for ciphertext and file contents, of which only the size matters."""

import hashlib
from functools import cache


def opaque(count: int) -> bytes:
    """`count` bytes without structure. They repeat every 256, so that a capture of them compresses."""
    return (_tape() * (count // 256 + 1))[:count]


@cache
def _tape() -> bytes:
    return b"".join(hashlib.sha256(bytes((i,))).digest() for i in range(8))
