"""Digests of files as they lie on disk."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1 << 20


def sha256_of(path: str | Path, moved: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file's bytes, hexadecimal. moved: called after each piece of it. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            moved()
    return digest.hexdigest()
