"""Scaling of tables that are larger than memory: fitted some columns at a time, applied some rows at a time."""

from collections.abc import Mapping
from itertools import chain

import numpy as np

from models.scaling import Matrix, Scaling, fit_scaling
from training.arrays import Mask, Values
from training.datasets.rows import blocks, column_blocks, stacked


def scaling_of(values: Values, columns: Mapping[str, int]) -> Scaling:
    """As models.scaling.fit_scaling of the same rows, bit by bit. Raises ValueError as it does."""
    names, places = tuple(columns), tuple(columns.values())
    fitted = [
        fit_scaling(picked, {name: place for place, name in enumerate(names[chosen])})
        for chosen, picked in column_blocks(values, places)
    ]
    return Scaling(
        tuple(chain.from_iterable(part.columns for part in fitted)),
        np.array(places, dtype=np.int64),
        np.concatenate([part.center for part in fitted]),
        np.concatenate([part.scale for part in fitted]),
    )


def moved_rows(scaling: Scaling, values: Values) -> Mask:
    """Where the raw value of a scaled column is not 0, (n, d); where they are many, in a temporary file."""
    parts = (values[rows][:, scaling.index] != 0 for rows in blocks(len(values)))
    return stacked(parts, (len(values), len(scaling.columns)), np.dtype(np.bool_))


def scaled_rows(scaling: Scaling, values: Values) -> Matrix:
    """As scaling.transform(values); where they are many, in a temporary file."""
    parts = (scaling.transform(values[rows]) for rows in blocks(len(values)))
    return stacked(parts, (len(values), len(scaling.columns)), np.dtype(np.float32))
