"""What every detector takes and gives."""

from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.scaling import Logs, Matrix, Scaling, signed_logs

Vector = NDArray[np.float64]  # (n,)
Probabilities = NDArray[np.float64]  # (n, k) of each label
Labels = NDArray[np.int64]  # (n,) index into a tuple of label names, 0 is normal traffic

ANY_ATTACK = ("normal", "attack")  # labels of a classifier that says whether, not what: it has a vote and names nothing


@dataclass(frozen=True, slots=True)
class FlowSteps:
    """Flows to be scored, in the order in which they became known.

    Raises ValueError for other shapes: kernels trust them.
    """

    values: NDArray[np.float64]  # (n, c) float64, raw flow columns in the order of the feature contract
    host: NDArray[np.int64]  # (n, 2) int64, whose sequence a flow belongs to (its source address)
    time_ns: NDArray[np.int64]  # (n,) int64, start of the flow
    # (n,) bool; a step that does not advance (another report of a flow already seen) is scored against the host's state
    # and leaves it as it is
    advances: NDArray[np.bool_]
    masked: bool = False  # whether rows may have NaN in columns that may be masked (models.masking)
    _logs: list[tuple[NDArray[np.int64], Logs]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        rows = len(self.values)
        shapes = (self.values.shape, self.host.shape, self.time_ns.shape, self.advances.shape)
        if self.values.ndim != 2 or shapes[1:] != ((rows, 2), (rows,), (rows,)):
            raise ValueError(f"steps have shapes {shapes}, expected (n, c), (n, 2), (n,) and (n,)")

    def __len__(self) -> int:
        return len(self.values)

    def scaled(self, scaling: Scaling) -> Matrix:
        """As scaling.transform(values), (n, d) float32; logarithms of columns that others picked too are taken once."""
        for index, logs in self._logs:
            if index is scaling.index or np.array_equal(index, scaling.index):
                return scaling.standardised(logs)
            place = np.minimum(np.searchsorted(index, scaling.index), len(index) - 1)
            if (index[place] == scaling.index).all():
                return scaling.standardised(np.take(logs, place, axis=1))
        logs = signed_logs(self.values, scaling.index)
        self._logs.append((scaling.index, logs))
        return scaling.standardised(logs)


class Detector(Protocol):
    """Anything that scores flows. A row's score depends on that row, and on earlier steps of its own host, alone."""

    name: str

    def score(self, steps: FlowSteps) -> Vector:
        """Anomaly score of each step, (n,) finite float64, higher is more anomalous; the hosts' states advance."""
        ...

    def forget(self) -> None:
        """Drop the state of every host, as if no step had been scored."""
        ...


@runtime_checkable
class RememberingDetector(Detector, Protocol):
    """A detector that remembers hosts, of which there may be more than it has room for."""

    @property
    def evicted(self) -> int:
        """Hosts that gave way to others since it remembers anything."""
        ...

    def remember(self, hosts: int) -> None:
        """Forget every host, and have room for so many from now on. Raises ValueError outside of 1 to 2^24."""

    def twin(self) -> Self:
        """The same detector without a host, of which there is room for one; may score while this one does."""
        ...


@runtime_checkable
class ColumnDetector(Detector, Protocol):
    """A detector of scaled columns, as are all that a bundle can hold."""

    scaling: Scaling


@runtime_checkable
class Classifier(Detector, Protocol):
    """A detector that also names the attack."""

    labels: tuple[str, ...]

    def score_labels(self, steps: FlowSteps) -> tuple[Vector, Labels]:
        """As score, and the likeliest attack of each step, index into labels."""
        ...


@runtime_checkable
class ProbabilisticClassifier(Classifier, Protocol):
    """A classifier that gives a probability to each of its labels."""

    def probabilities(self, steps: FlowSteps) -> Probabilities:
        """Of each label at each step, (n, k) float64, each row with the sum 1; the hosts' states advance."""
        ...


def attack_of(probability: Probabilities) -> tuple[Vector, Labels]:
    """What a classifier says by its probabilities, (n, k): that a step is an attack, and the likeliest, never 0."""
    # The sum of the others, not 1 - p(normal), which would round small scores away. It may round to a little over 1.
    score = np.zeros(len(probability))
    for k in range(1, probability.shape[1]):
        score += probability[:, k]
    return np.minimum(score, 1.0), np.argmax(probability[:, 1:], axis=1).astype(np.int64) + 1
