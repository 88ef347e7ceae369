"""Masking: what stands for columns of which nobody knows anything in a row, as what a host did before a single flow.

Such a row has NaN there. Each of its masked columns gets one fixed value, once, before any detector sees the row: what
was not seen is neither invented nor a sign of anything, and a detector need not know that columns can be missing. Fits
fill their rows by the same values as scoring does, and the bundle keeps them. It does not know what a column means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import MAX_NUMBER, refuse, value_of

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Masking:
    """What stands for columns that may be masked.

    Raises ValueError for other shapes, for no column, a column twice, a negative position and a value not finite.
    """

    columns: tuple[str, ...]  # (k) names
    index: NDArray[np.int64]  # (k,) position of each in the rows
    fill: Values  # (k,) what stands for each

    def __post_init__(self) -> None:
        width = len(self.columns)
        if not width or len(set(self.columns)) != width:
            raise ValueError("masking has no columns, or names one twice")
        if self.index.shape != (width,) or self.fill.shape != (width,):
            raise ValueError(f"masking has shapes {self.index.shape} and {self.fill.shape}, expected ({width},)")
        if self.index.min() < 0 or not (np.abs(self.fill) <= MAX_NUMBER).all():  # false for NaN
            raise ValueError("masking has a negative position, or a value that is not finite")

    def check(self, used: Mapping[str, int]) -> None:
        """Raise ValueError where a column is none of those used, names and positions, or stands elsewhere."""
        for name, place in zip(self.columns, self.index.tolist(), strict=True):
            if used.get(name) != place:
                raise ValueError(f"masked column {name:.80} is none that the model uses, or stands elsewhere")

    def filled(self, values: Values) -> Values:
        """A copy of rows with what stands for each masked column; rows of which all is known are as they were.

        values: (n, c) with NaN in masked columns. NaN of columns that may not be masked stays.
        """
        out = values.copy()
        picked = out[:, self.index]
        out[:, self.index] = np.where(np.isnan(picked), self.fill, picked)
        return out


def fit_masking(values: Values, columns: Mapping[str, int]) -> Masking:
    """What stands for columns where they are masked: the median of those rows of which it is known.

    values: (n, c) training rows. columns: name and position of each column that may be masked. Raises ValueError for a
    column that no row knows.
    """
    index = np.fromiter(columns.values(), dtype=np.int64, count=len(columns))
    unknown = [name for name, place in columns.items() if np.isnan(values[:, place]).all()]
    if unknown:
        raise ValueError(f"no row knows {', '.join(unknown):.200}, expected some that do")
    return Masking(tuple(columns), index, np.nanmedian(values[:, index], axis=0))


def described_masking(masking: Masking) -> dict[str, float]:
    """The section "masked" of a manifest."""
    return dict(zip(masking.columns, masking.fill.tolist(), strict=True))


def read_masking(manifest: dict[str, Any], columns: Sequence[str]) -> Masking | None:
    """Masking by a manifest's section "masked", None where it has none: then no column may be masked.

    columns: of the rows that are judged. Raises BundleError.
    """
    if "masked" not in manifest:
        return None
    section = value_of(manifest, "masked", dict, "manifest")
    place = {name: i for i, name in enumerate(columns)}
    if unknown := sorted(set(section) - place.keys()):
        refuse(f"masked names {', '.join(map(repr, unknown)):.80}, expected columns of the feature contract")
    fill = np.array([value_of(section, name, float, "masked") for name in section])
    try:
        return Masking(tuple(section), np.array([place[name] for name in section], dtype=np.int64), fill)
    except ValueError as error:
        refuse(str(error))
