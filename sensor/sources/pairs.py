"""Look-up in small tables of pairs for kernels: an array of keys, each followed by its value."""

from flows.block import Int64s
from kernels.jit import U, inner


@inner
def lookup(table: Int64s, key: int, absent: int) -> int:
    """Value of a key in a flat table of (key, value) pairs; `absent` for an unknown key."""
    for at in range(0, len(table), 2):
        if table[U(at)] == key:
            return int(table[U(at + 1)])
    return absent
