"""What a stretch of judged traffic looked like: columns, p-values and scores, counted as one bundle has them.

It knows no time.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.columns import INDEX
from flows.context.columns import CONTEXT_NAMES
from models.fusion import Hybrid, Judgement, Member
from sensor.drift.table import MOST_ROWS, ColumnCounts, QuantileCounts, Rows

Draws = NDArray[np.uint64]  # (n,)

NEVER: Final = 1 << 32  # days
CONTEXT_DAYS: Final = 3
DETECTOR_DAYS: Final = 7  # of detectors that see context, also such as remembers long
BRIEF: Final = ("_1s", "_10s", "_1m", "_10m", "_surge")  # ends of names of context that remembers minutes at most
P_UNITS: Final = 2.0**32
SAMPLE_ROWS: Final = 512
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio
_HIGHEST: Final = np.uint64(2**64 - 1)


def settled_on(column: str) -> int:
    """Day of a run, counted from 0, from which on a column's values no longer tell how long the run has gone on.

    A flow's own columns never do. In those of its context nobody was seen before on the first day, whoever comes, which
    fades within days. Days are not compared at all in what remembers a day, or a pair for as long as it goes on: that
    tells for weeks how long ago the run began, and what changes in it shows in other columns, too.
    """
    if column not in CONTEXT_NAMES:
        return 0
    return CONTEXT_DAYS if column.endswith(BRIEF) else NEVER


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
    settled: NDArray[np.int64] = field(init=False)  # (c,) day, counted from 0, from which on days may be compared in it
    detectors_settled: int = field(init=False)  # the same of what detectors say
    of_flow: NDArray[np.bool_] = field(init=False)  # (c,) columns that tell of a flow alone; all where none does

    def __post_init__(self) -> None:
        normal, members = self.hybrid.normal, (*self.hybrid.known, *self.hybrid.novel)
        used = np.flatnonzero(normal.used)
        quantiles = np.stack([normal.p01, normal.median, normal.p99, normal.p999], axis=1)
        names = tuple(normal.columns[i] for i in used)
        of_flow = np.array([name in INDEX for name in names])
        settled = np.array([settled_on(name) for name in names], dtype=np.int64)
        object.__setattr__(self, "settled", settled)
        object.__setattr__(self, "detectors_settled", DETECTOR_DAYS if settled.any() else 0)
        object.__setattr__(self, "of_flow", of_flow if of_flow.any() else ~of_flow)
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "used", used)
        object.__setattr__(self, "columns", names)
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
class FlowSample:
    """At most SAMPLE_ROWS of the flows of a stretch: all where there are no more, else as if drawn at random.

    A flow is drawn by its number, whose multiples of the golden ratio are spread evenly and keep step with no rhythm of
    the traffic. Those with the smallest are kept (bottom-k: Cohen, Kaplan, "Summarizing Data using Bottom-k Sketches",
    2007), so that which ones are does not depend on how many come at once.
    """

    view: BundleView
    _limit: np.uint64 = _HIGHEST  # draws above it are too many
    _held: int = 0
    _parts: list[tuple[Draws, Rows, Rows, NDArray[np.bool_]]] = field(default_factory=list)

    def add(self, rows: Rows, judgement: Judgement, picked: NDArray[np.int64], first: int) -> None:
        """Take in flows: positions among the judged rows. first: the number of the first of them."""
        draws = np.arange(first, first + len(picked), dtype=np.uint64) * _GOLDEN
        if self._held >= SAMPLE_ROWS:
            among = draws <= self._limit
            draws, picked = draws[among], picked[among]
        if not len(picked):
            return
        scores = np.stack([judgement.scores[name][picked] for name in self.view.detectors], axis=1)
        self._parts.append((draws, rows[np.ix_(picked, self.view.used)], scores, judgement.judged[picked]))
        self._held += len(picked)
        if self._held >= 2 * SAMPLE_ROWS:
            self._prune()

    def drain(self, counts: TrafficCounts) -> None:
        """Count what was drawn, and begin anew."""
        if self._held > SAMPLE_ROWS:
            self._prune()
        if self._parts:
            _, values, scores, judged = self._whole()
            for first in range(0, len(values), MOST_ROWS):
                part = slice(first, first + MOST_ROWS)
                self._count(values[part], scores[part][judged[part]], judged[part], counts)
        self._limit, self._held, self._parts = _HIGHEST, 0, []

    @property
    def empty(self) -> bool:
        """Whether nothing came since the last time."""
        return not self._held

    def _whole(self) -> tuple[Draws, Rows, Rows, NDArray[np.bool_]]:
        draws, values, scores, judged = zip(*self._parts, strict=True)
        return np.concatenate(draws), np.concatenate(values), np.concatenate(scores), np.concatenate(judged)

    def _prune(self) -> None:
        draws, values, scores, judged = self._whole()
        kept = np.argpartition(draws, SAMPLE_ROWS - 1)[:SAMPLE_ROWS]
        self._parts = [(draws[kept], values[kept], scores[kept], judged[kept])]
        self._limit, self._held = draws[kept].max(), SAMPLE_ROWS

    def _count(self, values: Rows, scores: Rows, judged: NDArray[np.bool_], counts: TrafficCounts) -> None:
        """Count at most MOST_ROWS. scores: of those that were judged."""
        p_values = np.stack(
            [member.calibration.p_value(scores[:, i]) for i, member in enumerate(self.view.members)], axis=1
        )
        counts.columns.add(np.column_stack((values, ~judged)))
        counts.bundle.add(values)
        counts.p_values.add(p_values)
        counts.scores.add(scores)
        counts.p_sum += np.rint(p_values * P_UNITS).astype(np.int64).sum(axis=0)
