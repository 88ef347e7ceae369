"""Claims: what a flow is part of, and how far its shape is reached."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.jit import inner
from sensor.episodes.tables import Floats, Int64s

C_INDEX, C_KIND, C_ROW, C_CLOCK, CLAIM_WORDS = range(5)
CLAIMS_A_FLOW = 8  # at most
TOLD = 0.3  # flows are told from this level on, so that an alert counts what led to it


@dataclass(frozen=True, slots=True)
class Claims:
    """What the flows of a batch are part of, in their order."""

    # (m, CLAIM_WORDS) int64: row of the batch, kind, row of the subject in the table of that kind (which may have been
    # another's before), traffic time in nanoseconds
    words: Int64s
    levels: Floats  # (m,) 1 where the shape is reached
    befores: Floats  # (m,) packets a second of the target in the ten minutes before, −1 where that is not known
    roles: NDArray[np.int8]  # (n,) of every record, sensor.episodes.roles


@inner
def tell(i: int, kind: int, row: int, level: float, words: Int64s, levels: Floats, found: int) -> int:
    """Write a claim of a flow, from TOLD on."""
    if level < TOLD:
        return found
    words[found, C_INDEX], words[found, C_KIND], words[found, C_ROW] = i, kind, row
    levels[found] = level
    return found + 1
