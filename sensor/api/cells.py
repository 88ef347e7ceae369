"""Columns of many JSON objects at once: all with the same names, numbers where numbers belong.

Each check looks at all rows in one pass of C; which row is wrong is only looked for once something is.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.api.body import kind
from sensor.api.problems import Flaw, unprocessable

Row = dict[str, Any]
NUMBERS = {int, float}  # exactly: True is no number
SCALARS = {int, float, str, bool, type(None)}


def check_names(rows: Sequence[Row]) -> None:
    """Raise Problem unless every row has the names of the first."""
    expected = rows[0].keys()
    width = len(expected)
    if all(len(row) == width for row in rows) and all(row.keys() == expected for row in rows):
        return
    flaws: list[Flaw] = []
    for i, row in enumerate(rows):
        flaws += [Flaw("missing, and the first row has it", i, name) for name in expected if name not in row]
        flaws += [Flaw("unknown: the first row does not have it", i, name) for name in row if name not in expected]
        if flaws:
            raise unprocessable(flaws, "rows differ in their columns")


def numbers(rows: Sequence[Row], names: Sequence[str]) -> NDArray[np.float64]:
    """Columns of numbers, (n, len(names)). The rows have the names. Raises Problem for anything else than a number."""
    cells = list(_cells(rows, names))
    if not set(map(type, cells)) <= NUMBERS:
        flaws = [
            Flaw(f"{kind(cell)}, expected a number", i // len(names), names[i % len(names)])
            for i, cell in enumerate(cells)
            if type(cell) not in NUMBERS
        ]
        raise unprocessable(flaws, "a column holds no number")
    return np.array(cells, dtype=np.float64).reshape(len(rows), len(names))


def column(rows: Sequence[Row], name: str) -> list[Any]:
    """One column as it is."""
    return [row[name] for row in rows]


def check_scalars(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Raise Problem where columns that nobody reads hold an object or a list."""
    for name in names:
        if not set(map(type, column(rows, name))) <= SCALARS:
            flaws = [
                Flaw(f"{kind(row[name])}, expected one value", i, name)
                for i, row in enumerate(rows)
                if type(row[name]) not in SCALARS
            ]
            raise unprocessable(flaws, "a column is nested")


def _cells(rows: Sequence[Row], names: Sequence[str]) -> Iterable[Any]:
    if len(names) == 1:
        return column(rows, names[0])
    return chain.from_iterable(map(itemgetter(*names), rows))
