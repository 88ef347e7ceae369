"""A random split of labelled rows, for comparison with published figures.

Neighbouring flows of one attack lie on both sides of it, so what it measures is inflated.
"""

from typing import Protocol

import numpy as np

from training.arrays import Int64s, Strings
from training.datasets.texts import texts_in
from training.labels import BENIGN


class Labelled(Protocol):
    """Rows with a label and a family each, (n,)."""

    @property
    def label(self) -> Strings:
        """As the dataset names them."""
        ...

    @property
    def family(self) -> Strings:
        """As training.labels does."""
        ...

    def __len__(self) -> int: ...


def random_split(
    table: Labelled, test_share: float, held_back_share: float, seed: int
) -> tuple[Int64s, Int64s, Int64s]:
    """Rows to fit on, normal rows to calibrate on, and rows to judge, each ascending; every label in proportion.

    held_back_share: of the normal flows that are not judged.
    """
    rng = np.random.default_rng([seed, 5])
    test = np.zeros(len(table), dtype=np.bool_)
    held_back = np.zeros(len(table), dtype=np.bool_)
    for label in texts_in(table.label):
        own = rng.permutation(np.flatnonzero(table.label == label))
        judged = round(test_share * len(own))
        test[own[:judged]] = True
        if table.family[own[0]] == BENIGN:
            rest = own[judged:]
            held_back[rest[: round(held_back_share * len(rest))]] = True
    return np.flatnonzero(~test & ~held_back), np.flatnonzero(held_back), np.flatnonzero(test)
