"""Lines of CSV from columns: numbers in the fewest digits that read back as the same number.

orjson writes a matrix of numbers faster than anything else at hand; what it spells otherwise, and text, is put in its
place. No field is quoted: none contains a comma. Source: Loitsch, "Printing floating-point numbers quickly and
accurately with integers", 2010 (the shortest digits); a number from 1e10 on, or below 1e-6, has an exponent.
"""

import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from flows.dialects import Field

# Powers of ten: at the first and from there on a number has an exponent; what is below the other has one in JSON.
LARGE, SMALL, TINY = 1e10, 1e-5, 1e-6
_NOT_FINITE: Final = {math.inf: b"Infinity", -math.inf: b"-Infinity"}
_THREE_DIGITS: Final = np.array([b"%03d" % number for number in range(1000)])


def csv_lines(fields: tuple[Field, ...]) -> bytes:
    """A line for each row. NaN and Infinity are spelled as Java does, instants in ISO 8601 with microseconds, UTC."""
    if not len(fields[0]):
        return b""
    numbers = np.empty((len(fields[0]), len(fields)))
    spelled: list[tuple[NDArray[np.bool_], NDArray[Any]]] = []
    for place, field in enumerate(fields):
        column = _iso_times(field) if field.dtype.kind == "M" else field
        where, texts = _texts(column)
        numbers[:, place] = np.where(where, np.nan, 0.0 if column.dtype.kind == "S" else column)
        if where.any():
            spelled.append((where, texts))
    lines = _numbers(orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY))
    if not spelled:
        return lines
    where = np.stack([where for where, _ in spelled], axis=1)
    texts = np.stack([texts for _, texts in spelled], axis=1)[where].tolist()
    return b"".join(chain.from_iterable(_between(lines.split(b"null"), texts)))


def _numbers(rows: bytes) -> bytes:
    """A matrix in JSON, `[[1.0,2.5],[3.0,null]]`, as lines, in which whole numbers have no fraction."""
    letters = np.frombuffer(rows, np.uint8)[2:-1].copy()
    dots, ends = np.flatnonzero(letters == ord(".")), np.flatnonzero(letters == ord("]"))
    behind = letters[dots + 2]
    zeros = dots[(letters[dots + 1] == ord("0")) & ((behind == ord(",")) | (behind == ord("]")))]
    kept = np.ones(len(letters), dtype=np.bool_)
    for dropped in (zeros, zeros + 1, ends[:-1] + 1, ends[:-1] + 2):
        kept[dropped] = False
    letters[ends] = ord("\n")
    return letters[kept].tobytes()


def _between(pieces: list[bytes], texts: list[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Each piece with the text behind it."""
    yield from zip(pieces, texts, strict=False)
    yield (pieces[-1],)


def _texts(column: Field) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Which rows of a column are no numbers of JSON, or are spelled otherwise there, and the text of each of these."""
    texts = np.empty(len(column), dtype=np.object_)
    if column.dtype.kind == "S":
        texts[:] = column.tolist()
        return np.ones(len(column), dtype=np.bool_), texts
    if column.dtype.kind == "i":
        where = (column >= LARGE) | (column <= -LARGE)
        texts[where] = [b"%d" % number for number in column[where].tolist()]
        return where, texts
    size = np.abs(column)
    where = ~(size < LARGE) | ((size >= TINY) & (size < SMALL))
    texts[where] = [_spelled(number) for number in column[where].tolist()]
    return where, texts


def _spelled(number: float) -> bytes:
    """A number from LARGE on, between TINY and SMALL, or none at all."""
    if not math.isfinite(number):
        return _NOT_FINITE.get(number, b"NaN")
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    text, power = "".join(map(str, digits)), len(digits) - 1 + int(exponent)
    fraction = f"0.{'0' * (-power - 1)}{text}"
    scientific = f"{text[0]}{'.' * (len(text) > 1)}{text[1:]}e+{power}"
    return f"{'-' * sign}{fraction if power < 0 else scientific}".encode()


def _iso_times(instants: Field) -> Field:
    """Timestamps in ISO 8601 with microseconds, UTC. Each distinct second is formatted only once."""
    micros = instants.astype(np.int64)
    seconds, which = np.unique(micros // 1_000_000, return_inverse=True)
    text = np.char.add(np.datetime_as_string(seconds.astype("datetime64[s]")).astype(np.bytes_), b".")
    thousands, ones = _THREE_DIGITS[micros // 1000 % 1000], _THREE_DIGITS[micros % 1000]
    return np.char.add(np.char.add(text[which.reshape(-1)], thousands), np.char.add(ones, b"Z"))
