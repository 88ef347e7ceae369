"""The flows that an alert rests on: linked to it by its id, for records and for whoever keeps their packets.

It holds what was found of each flow and decides nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.alert import Alert


@dataclass(frozen=True, slots=True)
class AlertFlow:
    """One report of a flagged flow of an open episode."""

    alert_id: str  # `event.id` of its alert
    number: int  # 1 for the first flow of this alert
    identity: list[int]  # words of FlowBatch.identity
    values: NDArray[np.float64]  # (len(COLUMNS),) a copy of its columns
    p_known: float  # p-value in the known lane
    p_novel: float  # p-value in the novel lane
    label: str | None  # what the known lane said of it, None where it was silent


AlertItem = Alert | AlertFlow  # what episodes give, in order: an alert, then the flows handed on with it
