"""What a stretch of judged traffic looked like: columns, p-values and scores, counted as one bundle has them.

It knows no time.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.fusion import Hybrid, Judgement, Member
from sensor.drift.table import ColumnCounts, QuantileCounts, Rows

P_UNITS = 2.0**32
BUFFERED_ROWS = 512  # counted at once: a batch of a few rows costs about what one of hundreds does


@dataclass(slots=True)
class TrafficCounts:
    """The counts of one stretch."""

    columns: ColumnCounts  # used by the bundle, and last whether the flow was not judged, 1 or 0
    p_values: ColumnCounts  # of each detector, of flows that were judged
    scores: ColumnCounts  # likewise
    bundle: QuantileCounts  # of the columns used, against the bundle's normal traffic
    p_sum: NDArray[np.int64]  # (d,) of the p-values in units of 2**-32, so that no sum depends on its order

    @property
    def mean_p(self) -> NDArray[np.float64]:
        """Mean p-value of each detector, (d,); there must be rows."""
        return np.asarray(self.p_sum / (P_UNITS * self.p_values.rows))

    def merge(self, other: "TrafficCounts") -> None:
        """Add another stretch."""
        self.columns.merge(other.columns)
        self.p_values.merge(other.p_values)
        self.scores.merge(other.scores)
        self.bundle.merge(other.bundle)
        self.p_sum += other.p_sum


@dataclass(frozen=True, slots=True, eq=False)
class BundleView:
    """What of rows and judgements is counted for a bundle."""

    hybrid: Hybrid
    members: tuple[Member, ...] = field(init=False)
    used: NDArray[np.int64] = field(init=False)  # positions of the columns used
    columns: tuple[str, ...] = field(init=False)  # their names
    detectors: tuple[str, ...] = field(init=False)  # names
    quantiles: NDArray[np.float64] = field(init=False)  # (c, 4) of the bundle's normal traffic

    def __post_init__(self) -> None:
        normal, members = self.hybrid.normal, (*self.hybrid.known, *self.hybrid.novel)
        used = np.flatnonzero(normal.used)
        quantiles = np.stack([normal.p01, normal.median, normal.p99, normal.p999], axis=1)
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "used", used)
        object.__setattr__(self, "columns", tuple(normal.columns[i] for i in used))
        object.__setattr__(self, "detectors", tuple(member.detector.name for member in members))
        object.__setattr__(self, "quantiles", quantiles[used])

    def empty(self) -> TrafficCounts:
        """Counts of no flow."""
        width = len(self.members)
        return TrafficCounts(
            ColumnCounts(len(self.used) + 1),
            ColumnCounts(width),
            ColumnCounts(width),
            QuantileCounts(self.quantiles),
            np.zeros(width, dtype=np.int64),
        )


@dataclass(slots=True, eq=False)
class RowBuffer:
    """Flows on their way into counts."""

    view: BundleView
    rows: int = 0
    _values: list[Rows] = field(default_factory=list)
    _scores: list[Rows] = field(default_factory=list)
    _judged: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, rows: Rows, judgement: Judgement, picked: NDArray[np.int64], counts: TrafficCounts) -> None:
        """Buffer these of the judged rows; into the counts when there are enough."""
        self._values.append(rows[np.ix_(picked, self.view.used)])
        self._scores.append(np.stack([judgement.scores[name][picked] for name in self.view.detectors], axis=1))
        self._judged.append(judgement.judged[picked])
        self.rows += len(picked)
        if self.rows >= BUFFERED_ROWS:
            self.flush(counts)

    def flush(self, counts: TrafficCounts) -> None:
        """Count what is buffered."""
        if not self.rows:
            return
        values, judged = np.concatenate(self._values), np.concatenate(self._judged)
        scores = np.concatenate(self._scores)[judged]
        self.rows, self._values, self._scores, self._judged = 0, [], [], []
        p_values = np.stack(
            [member.calibration.p_value(scores[:, i]) for i, member in enumerate(self.view.members)], axis=1
        )
        counts.columns.add(np.column_stack((values, ~judged)))
        counts.bundle.add(values)
        counts.p_values.add(p_values)
        counts.scores.add(scores)
        counts.p_sum += np.rint(p_values * P_UNITS).astype(np.int64).sum(axis=0)
