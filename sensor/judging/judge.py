"""Packets in, alerts out: meter, detectors, fusion and episodes in one line. No file, socket or terminal.

The clock only measures how long judging takes: no alert depends on it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.batch import NEW_PACKETS, REPORT, SRC_HIGH, SRC_LOW, START_NS, FlowBatch
from flows.block import PacketBlock
from flows.meter import Meter
from models.detector import Steps
from models.fusion import Hybrid
from sensor.alerts.alert import Alert
from sensor.alerts.alert_flow import AlertFlow
from sensor.episodes.episodes import Episodes


@dataclass(slots=True)
class Judge:
    """Flow records in, alerts out.

    rate: nominal false-positive rate, one that the bundle holds thresholds for; None is its default. columns: makes the
    rows that the bundle judges, (n, c) in the order of its contract, of flow records in their order; None where these
    are the records' own values. flows: flows reported for the first time so far. judged: records, with every new report
    of a flow; spent_ns: time that took, by clock_ns.
    """

    hybrid: Hybrid
    episodes: Episodes
    rate: float | None = None
    columns: Callable[[FlowBatch], NDArray[np.float64]] | None = None
    flows: int = 0
    judged: int = 0
    spent_ns: int = 0
    clock_ns: Callable[[], int] = time.perf_counter_ns

    @property
    def merged(self) -> int:
        """Alerts of single hosts that were told by storms so far."""
        return self.episodes.merged

    def judge(self, batch: FlowBatch, dropped: int = 0) -> list[Alert]:
        """Alerts that flow records give rise to. dropped: packets the capture has lost so far."""
        started_ns = self.clock_ns()
        alerts = self._judge(batch, dropped)
        self.spent_ns += self.clock_ns() - started_ns
        return alerts

    def _judge(self, batch: FlowBatch, dropped: int) -> list[Alert]:
        # A final report without new packets was judged when its last snapshot was.
        news = batch.identity[:, NEW_PACKETS] > 0
        batch = FlowBatch(batch.identity[news], batch.values[news])
        if not len(batch):
            return []
        first_reports = batch.identity[:, REPORT] == 0
        self.flows += int(first_reports.sum())
        self.judged += len(batch)
        rows = batch.values if self.columns is None else self.columns(batch)
        steps = Steps(
            values=rows,
            host=np.ascontiguousarray(batch.identity[:, [SRC_HIGH, SRC_LOW]]),
            time_ns=np.ascontiguousarray(batch.identity[:, START_NS]),
            advances=first_reports,
        )
        return self.episodes.observe(batch, rows, self.hybrid.judge(steps, self.rate), dropped)

    def finish(self) -> list[Alert]:
        """The last word on every open episode."""
        return self.episodes.finish()

    def take_flows(self) -> list[AlertFlow]:
        """Flows of the alerts since the last call, where the episodes' settings ask for any."""
        return self.episodes.take_flows()


@dataclass(slots=True)
class Pipeline:
    """One run of the sensor over one source. first_ns: start of the first packet, 0 before it."""

    meter: Meter
    judge: Judge
    first_ns: int = 0

    def feed(self, block: PacketBlock, dropped: int = 0) -> list[Alert]:
        """Alerts that a block of packets gives rise to. dropped: packets the capture has lost so far."""
        if not self.first_ns and len(block):
            self.first_ns = int(block.ts_ns[0])
        return self.judge.judge(self.meter.feed(block), dropped)

    def advance(self, now_ns: int, dropped: int = 0) -> list[Alert]:
        """Alerts that silence up to now_ns (clock of the packets) gives rise to."""
        return self.judge.judge(self.meter.advance(now_ns), dropped)

    def finish(self, dropped: int = 0) -> list[Alert]:
        """Alerts of the flows that were still open, and the last word on every open episode."""
        return self.judge.judge(self.meter.drain(), dropped) + self.judge.finish()
