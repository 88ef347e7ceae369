"""Rows that one model judged, in the columns of another: of each column by what it means, not by where it stands."""

import numpy as np
from numpy.typing import NDArray

from flows.columns import feature_contract
from models.contract import Contract

Row = NDArray[np.float64]  # (c,)


class RowTranslation:
    """From rows of one contract to rows of another; a column that is not known is NaN, as in a masked row."""

    def __init__(self, before: Contract, after: Contract) -> None:
        """before: of the rows that there are. after: of those that are wanted."""
        # The columns of the flow itself are at hand whatever was judged of it.
        known = {meaning: place for place, meaning in enumerate(feature_contract().columns.items())}
        known |= {meaning: len(known) + place for place, meaning in enumerate(before.columns.items())}
        self._place = np.array([known.get(meaning, -1) for meaning in after.columns.items()], dtype=np.int64)

    def __call__(self, values: Row, judged: Row) -> Row:
        """The row of a flow. values: its own columns. judged: its row of the contract before."""
        row: Row = np.append(np.concatenate([values, judged]), np.nan)[self._place]
        return row
