"""Small tables of pairs for kernels: a key and its value, one behind the other in one array."""

from flows.block import Int64s
from flows.jit import U, inner


@inner
def found_at(table: Int64s, key: int, absent: int) -> int:
    """Value of a key in a table of pairs (key, value), one behind the other; `absent` when it has none."""
    for at in range(0, len(table), 2):
        if table[U(at)] == key:
            return int(table[U(at + 1)])
    return absent
