"""Reads rows, which are JSON objects, column by column: all with the same names, numbers where numbers belong.

Each check passes over all rows in C; the row that is wrong is only searched for once one is.
"""

import difflib
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.api.body import json_type
from sensor.api.problems import MAX_ERRORS, ErrorDetail, unprocessable

JsonRow = dict[str, Any]  # values by column name
NUMBERS = {int, float}  # exact types: True is no number
SCALARS = {int, float, str, bool, type(None)}
LONGEST_NAME = 128  # characters; no column has so many


def check_names(rows: Sequence[JsonRow]) -> None:
    """Raise Problem 422 unless every row has the names of the first."""
    expected = rows[0].keys()
    width = len(expected)
    if all(len(row) == width for row in rows) and all(row.keys() == expected for row in rows):
        return
    errors: list[ErrorDetail] = []
    for i, row in enumerate(rows):
        errors += [ErrorDetail("missing, and the first row has it", i, name) for name in expected if name not in row]
        errors += [
            ErrorDetail("unknown: the first row does not have it", i, name) for name in row if name not in expected
        ]
        if errors:
            raise unprocessable(errors, "rows differ in their columns")


def numbers(rows: Sequence[JsonRow], names: Sequence[str]) -> NDArray[np.float64]:
    """Values of these columns, (n, len(names)) float64; every row must have them.

    Raises Problem 422 for a value that is no number.
    """
    cells = list(_cells(rows, names))
    if not set(map(type, cells)) <= NUMBERS:
        wrong = [i for i, cell in enumerate(cells) if type(cell) not in NUMBERS]
        errors = [
            ErrorDetail(f"{json_type(cells[i])}, expected a number", i // len(names), names[i % len(names)])
            for i in wrong[:MAX_ERRORS]
        ]
        raise unprocessable(errors, "a column holds no number", len(wrong))
    return np.array(cells, dtype=np.float64).reshape(len(rows), len(names))


def column(rows: Sequence[JsonRow], name: str) -> list[Any]:
    """Values of one column, unchecked."""
    return [row[name] for row in rows]


def check_scalars(rows: Sequence[JsonRow], names: Sequence[str]) -> None:
    """Raise Problem 422 where one of these columns, which are not used, has an object or a list."""
    for name in names:
        if not set(map(type, column(rows, name))) <= SCALARS:
            errors = [
                ErrorDetail(f"{json_type(row[name])}, expected one value", i, name)
                for i, row in enumerate(rows)
                if type(row[name]) not in SCALARS
            ]
            raise unprocessable(errors, "a column is nested")


def meant(name: str, known: Iterable[str], errors: Sequence[ErrorDetail]) -> str:
    """The column that an unknown name may stand for; "" for none, and behind more errors than are told.

    To compare takes memory for each character: what is longer than any name is like none.
    """
    if len(name) > LONGEST_NAME or len(errors) >= MAX_ERRORS:
        return ""
    return next(iter(difflib.get_close_matches(name, known, 1)), "")


def _cells(rows: Sequence[JsonRow], names: Sequence[str]) -> Iterable[Any]:
    if len(names) == 1:
        return column(rows, names[0])
    return chain.from_iterable(map(itemgetter(*names), rows))
