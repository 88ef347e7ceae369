"""The flows that an alert rests on: linked to it by its id, for records and for whoever keeps their packets.

It holds what was found of each flow and decides nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class AlertFlow:
    """One report of a flagged flow of an open episode.

    alert_id: `event.id` of the alert. after: `event.sequence` of the alert's line that it follows. number: 1 for
    the first of this alert. identity: words of FlowBatch.identity. values: (len(COLUMNS),) a copy of its columns.
    p_known, p_novel: of the two lanes. label: what the known lane said of it, None where it was silent.
    """

    alert_id: str
    after: int
    number: int
    identity: list[int]
    values: NDArray[np.float64]
    p_known: float
    p_novel: float
    label: str | None
