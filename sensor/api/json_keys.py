"""Counts the keys of a JSON text, repeated ones too, of which parsers silently return the last.

A colon outside strings stands after a key and nowhere else (RFC 8259). The text must be valid JSON; that is not
checked here.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import entry

QUOTE, COLON, BACKSLASH = 0x22, 0x3A, 0x5C


def count_keys(text: bytes) -> int:
    """Number of keys of all objects in a JSON text."""
    return int(_count_colons(np.frombuffer(text, dtype=np.uint8)))


@entry
def _count_colons(text: NDArray[np.uint8]) -> int:
    """Colons outside strings. text: (n,)."""
    count = 0
    quoted = False
    at = 0
    end = text.shape[0]
    while at < end:
        byte = text[at]
        if quoted:
            if byte == BACKSLASH:
                at += 1  # whatever comes next is part of the string
            elif byte == QUOTE:
                quoted = False
        elif byte == QUOTE:
            quoted = True
        elif byte == COLON:
            count += 1
        at += 1
    return count
