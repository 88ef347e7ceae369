"""Rows that one model judged, in the columns of another: of each column by what it means, not by where it stands."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from flows.columns import feature_contract
from models.contract import Contract
from models.fusion import Hybrid
from sensor.episodes.episode import Episode, Held

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


def translate_exemplars(held: Iterable[Held], before: Hybrid, after: Hybrid) -> None:
    """Put the rows that alerts are explained by in the order of another model's columns; what they lack is NaN."""
    translated = RowTranslation(before.contract, after.contract)
    episodes = [one for one in held if isinstance(one, Episode)]
    exemplars = {id(episode.exemplar): episode.exemplar for episode in episodes}  # a storm's may be another's
    for exemplar in exemplars.values():
        if exemplar is not None:
            exemplar.judged = translated(exemplar.values, exemplar.judged)
            exemplar.top_columns = ()  # the model that judged it has gone
