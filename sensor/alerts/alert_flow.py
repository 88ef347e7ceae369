"""The flows that an alert rests on: linked to it by its id, for records and for whoever keeps their packets.

It holds what was found of each flow and decides nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AlertFlow:
    """One report of a flagged flow of an open episode."""

    # `event.id` of the alert.
    alert_id: str
    # `event.sequence` of the alert's line that it follows.
    after: int
    # Among the flows of this alert, from 1.
    number: int
    # Words of FlowBatch.identity.
    identity: list[int]
    # (len(COLUMNS),) a copy of its columns.
    values: NDArray[np.float64]
    # P-value of the known lane.
    p_known: float
    # P-value of the novel lane.
    p_novel: float
    # What the known lane said of it, None where it was silent.
    label: str | None
