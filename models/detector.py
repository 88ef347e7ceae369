"""What every detector takes and gives."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]  # (n, d), columns in the order the detector was fitted on
Vector = NDArray[np.float64]  # (n,)


@dataclass(frozen=True, slots=True)
class Steps:
    """Flows to be scored, in the order in which they became known.

    values: (n, c) float64, raw flow columns in the order of the feature contract. host: (n, 2) int64, whose sequence a
    flow belongs to (its source address). time_ns: (n,) int64, start of the flow. advances: (n,) bool; a step that does
    not advance (another report of a flow already seen) is scored against the host's state and leaves it as it is.
    """

    values: NDArray[np.float64]
    host: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    advances: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)


class Detector(Protocol):
    """Anything that scores flows. A row's score does not depend on the other rows, but for the state of its own host."""

    name: str

    def score(self, steps: Steps) -> Vector:
        """Anomaly score of each step, (n,) float64, higher is more anomalous."""
        ...
