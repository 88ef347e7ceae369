"""Measures a JSON text before anything is made of it: its keys, repeated ones too, its depth, and its largest parts.

A colon outside strings stands after a key and nowhere else (RFC 8259). The text need not be valid JSON; what is found
of one that is not says no more than that it is small enough to be parsed.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import entry, inner

DEEPEST: Final = 16  # objects and lists in one another; a text that goes deeper is measured no further
QUOTE, COLON, BACKSLASH, COMMA = 0x22, 0x3A, 0x5C, 0x2C
OPENING_LIST, CLOSING_LIST, OPENING_OBJECT, CLOSING_OBJECT = 0x5B, 0x5D, 0x7B, 0x7D

KEYS, DEPTH, COMMAS, ROWS, WIDEST, NUMBER, OPENED = range(7)  # fields of a JsonShape

Counts = NDArray[np.int64]  # by field, or by level


class JsonShape(NamedTuple):
    """The measures of a JSON text."""

    keys: int  # of all objects
    depth: int  # DEEPEST + 1 for any beyond
    commas: int  # between values and between pairs
    rows: int  # commas in lists, or pairs in objects, of the second level: one less than a list there has elements
    widest: int  # keys of one object
    number: int  # characters of the longest number, or of what looks like one
    opened: int  # objects and lists


def json_shape(text: bytes) -> JsonShape:
    """The measures of a text."""
    measured = np.zeros(len(JsonShape._fields), dtype=np.int64)
    _measure(np.frombuffer(text, dtype=np.uint8), measured, np.zeros(DEEPEST + 2, dtype=np.int64))
    return JsonShape(*measured.tolist())


@inner
def _in_number(byte: int) -> bool:
    """Whether a byte may be one of a number: a digit, or one of .-+Ee."""
    return 0x30 <= byte <= 0x39 or byte in (0x2E, 0x2D, 0x2B, 0x45, 0x65)


@inner
def _count(byte: int, depth: int, measured: Counts, wide: Counts) -> int:
    """Count a byte outside of strings and numbers; the depth behind it."""
    if byte == COLON:
        measured[KEYS] += 1
        wide[depth] += 1
        measured[WIDEST] = max(measured[WIDEST], wide[depth])
    elif byte == COMMA:
        measured[COMMAS] += 1
        measured[ROWS] += depth == 2
    elif byte in (OPENING_LIST, OPENING_OBJECT):
        depth += 1
        wide[depth] = 0
        measured[OPENED] += 1
        measured[DEPTH] = max(measured[DEPTH], depth)
    elif byte in (CLOSING_LIST, CLOSING_OBJECT):
        depth = max(depth - 1, 0)
    return depth


@entry
def _measure(text: NDArray[np.uint8], measured: Counts, wide: Counts) -> None:
    """Fill in the fields of a JsonShape. text: (n,). wide: (DEEPEST + 2,) keys of the open object of each level."""
    depth = number = at = 0
    quoted = False
    end = text.shape[0]
    while at < end and depth <= DEEPEST:
        byte = int(text[at])
        if quoted:
            if byte == BACKSLASH:
                at += 1  # whatever comes next is part of the string
            elif byte == QUOTE:
                quoted = False
        elif _in_number(byte):
            number += 1
            measured[NUMBER] = max(measured[NUMBER], number)
        else:
            number = 0
            if byte == QUOTE:
                quoted = True
            else:
                depth = _count(byte, depth, measured, wide)
        at += 1
