"""Flow records in, alerts and their flows out: detectors, fusion and episodes in one line. No file, socket or terminal.

The clock only measures how long judging takes: no alert depends on it.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from flows.batch import REPORT, SRC_HIGH, SRC_LOW, START_NS, START_SHIFT_NS, FlowBatch
from models.detector import FlowSteps
from models.fusion import Hybrid, Judgement, Prepared
from sensor.alerts.alert import transport_of
from sensor.alerts.alert_flow import AlertItem
from sensor.episodes.episodes import Episodes

Rows = NDArray[np.float64]  # (n, c), what a bundle judges of n records, in the order of its contract


class RowMaker(Protocol):
    """Makes of the records of one run, in their order, the rows that a bundle judges."""

    def columns(self, batch: FlowBatch) -> Rows:
        """The rows of the next records."""


@runtime_checkable
class ContextMaker(RowMaker, Protocol):
    """A row maker that remembers what hosts did before, in tables of bounded size (flows.context.context)."""

    @property
    def evicted(self) -> int:
        """Rows of the tables that gave way to others so far."""


@runtime_checkable
class WindowMaker(RowMaker, Protocol):
    """A row maker that remembers the latest connections and destinations (flows.kdd.meter)."""

    @property
    def given_up(self) -> int:
        """Of these, how many gave way to others so far while they still counted."""


@dataclass(frozen=True, slots=True)
class PreparedRows:
    """What is known of flow records before the known lane is asked."""

    rows: Rows  # what the model is asked about
    steps: Prepared  # of the same rows


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a model says of flow records."""

    rows: Rows  # what it was asked about
    judgement: Judgement  # of the same rows


def steps_of(records: FlowBatch, rows: Rows) -> FlowSteps:
    """Flow records as a model judges them, by their sources and the times of their first packets. rows: of each."""
    identity = records.identity
    return FlowSteps(
        values=rows,
        host=np.ascontiguousarray(identity[:, [SRC_HIGH, SRC_LOW]]),
        time_ns=identity[:, START_NS] + identity[:, START_SHIFT_NS],
        advances=identity[:, REPORT] == 0,
    )


class JudgementObserver(Protocol):
    """Whoever looks at what is judged, such as for drift (sensor.drift.drift)."""

    def judged(self, hybrid: Hybrid, records: FlowBatch, rows: Rows, judgement: Judgement) -> None:
        """Take in the next records, the rows that the model judged of them, and what it said."""


@dataclass(slots=True)
class Judge:
    """A model and the episodes of what it flags, with counts of what was judged."""

    hybrid: Hybrid
    episodes: Episodes
    rate: float | None = None  # nominal false-positive rate that the bundle holds thresholds for, None: its default
    row_maker: RowMaker | None = None  # None: rows are the records' own values
    observer: JudgementObserver | None = None
    exchanged: bool = False  # whether another model judged before
    flows: int = 0  # flows reported for the first time
    judged: int = 0  # records, with every new report of a flow
    # Time by clock_ns that preparing, judging and what follows took: apart, as all may go on at once (run.ahead).
    preparing_ns: int = 0
    assessing_ns: int = 0
    following_ns: int = 0
    clock_ns: Callable[[], int] = time.perf_counter_ns
    _evicted_before: Counter[str] = field(default_factory=Counter)  # by store, of models that judged before

    @property
    def spent_ns(self) -> int:
        """Time that judging took, by clock_ns."""
        return self.preparing_ns + self.assessing_ns + self.following_ns

    @property
    def merged(self) -> int:
        """Alerts of single hosts that storms stand for so far."""
        return self.episodes.merged

    @property
    def unjudged(self) -> dict[str, int]:
        """Flows that no model judged so far, by the protocol's name."""
        return {transport_of(protocol): count for protocol, count in self.episodes.unjudged.items()}

    @property
    def one_sided(self) -> int:
        """Records that were evidence of nothing so far: one side of a conversation alone is in view."""
        return self.episodes.one_sided

    @property
    def context_evicted(self) -> int | None:
        """Rows of the records' context that gave way to others so far, None for a bundle that uses no context."""
        before = self._evicted_before["context"]
        return before + self.row_maker.evicted if isinstance(self.row_maker, ContextMaker) else before or None

    @property
    def stores_evicted(self) -> dict[str, int]:
        """What its bounded stores let go so far before its time, by store; those that lost nothing are left out.

        Those of the context are counted apart (context_evicted).
        """
        before = self._evicted_before
        counts = {**self.episodes.evicted, "model": before["model"] + self.hybrid.evicted}
        counts["connections"] = before["connections"]
        if isinstance(self.row_maker, WindowMaker):
            counts["connections"] += self.row_maker.given_up
        return {store: count for store, count in sorted(counts.items()) if count}

    def judge(self, records: FlowBatch, dropped: int = 0) -> list[AlertItem]:
        """Alerts that flow records give rise to, each followed by the flows handed on with it.

        records: in the order of their reports, each with new packets (flows.meter.Meter with news_only). dropped:
        packets that the capture has lost so far.
        """
        return self.follow(records, self.assess(records), dropped) if len(records) else []

    def prepare(self, records: FlowBatch) -> PreparedRows:
        """What is known of each flow record, in order, before the known lane is asked.

        The context of the records' hosts advances, and the states that the novel lane has of them.
        """
        started_ns = self.clock_ns()
        rows = records.values if self.row_maker is None else self.row_maker.columns(records)
        prepared = self.hybrid.prepared(steps_of(records, rows))
        self.preparing_ns += self.clock_ns() - started_ns
        return PreparedRows(rows, prepared)

    def assess(self, records: FlowBatch, prepared: PreparedRows | None = None) -> Assessment:
        """What the model says of each flow record, of which there is at least one; the hosts' states advance.

        prepared: as of prepare, where that was done before; another thread may prepare the next records.
        """
        prepared = self.prepare(records) if prepared is None else prepared
        rows, started_ns = prepared.rows, self.clock_ns()
        judgement = self.hybrid.judge_prepared(prepared.steps, self.rate)
        if self.observer is not None:
            self.observer.judged(self.hybrid, records, rows, judgement)
        self.assessing_ns += self.clock_ns() - started_ns
        return Assessment(rows, judgement)

    def follow(self, records: FlowBatch, assessment: Assessment, dropped: int = 0) -> list[AlertItem]:
        """Alerts as of judge, of records that were assessed; another thread may assess those after them."""
        started_ns = self.clock_ns()
        self.flows += int((records.identity[:, REPORT] == 0).sum())
        self.judged += len(records)
        items = self.episodes.observe(records, assessment.rows, assessment.judgement, dropped)
        self.following_ns += self.clock_ns() - started_ns
        return items

    @property
    def bundle(self) -> str:
        """What judges: the model's name, and after an exchange the begin of its hash, as both may have one name."""
        return f"{self.hybrid.model_id} {self.hybrid.manifest_sha256[:8]}" if self.exchanged else self.hybrid.model_id

    def exchange(self, other: "Judge") -> None:
        """Go on with the model of another judge, which has judged nothing.

        Counts and open episodes stay, and what is remembered of hosts where both models take the same rows. The model
        begins without state.
        """
        self.episodes.exchange(self.hybrid, other.hybrid, other.rate)
        self.episodes.adjust(other.episodes.settings)  # what the other's site asks for
        self._evicted_before["model"] += self.hybrid.evicted
        if other.hybrid.contract != self.hybrid.contract:
            if isinstance(self.row_maker, ContextMaker):
                self._evicted_before["context"] += self.row_maker.evicted
            if isinstance(self.row_maker, WindowMaker):
                self._evicted_before["connections"] += self.row_maker.given_up
            self.row_maker = other.row_maker
        self.hybrid, self.rate, self.exchanged = other.hybrid, other.rate, True

    def finish(self) -> list[AlertItem]:
        """The last word on every open episode."""
        return self.episodes.finish()
