"""Records of a run written as a table: one row a flow, or also what long flows looked like as they ran."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flows.batch import END_REASON, SNAPSHOT, FlowBatch
from sensor.alerts.alert import Alert
from sensor.flow_tables.background import BackgroundWriter
from sensor.metering.turns import Turn
from sensor.progress.progress import Progress


@dataclass(frozen=True, slots=True)
class Export:
    """Takes the records of a run (sensor.run.run.Consumer) into a table, whose errors it raises."""

    table: BackgroundWriter
    at_once: Callable[[], bool]  # whether somebody may wait for the rows at the other end of a pipe
    snapshots: bool = False  # also reports of flows that went on

    over = False
    problems: Sequence[str] = ()

    def consume(self, turn: Turn) -> Sequence[Alert]:
        """Hand the records of a turn to the table."""
        self.table.write(self._wanted(turn.records), flush=self.at_once())
        return ()

    def finish(self) -> Sequence[Alert]:
        """The table is whole; whoever opened it closes it."""
        return ()

    def close(self) -> None:
        """Nothing waits but in the table."""

    def with_findings(self, progress: Progress) -> Progress:
        """Totals with the rows written by now."""
        return replace(progress, flows=self.table.written)

    def _wanted(self, records: FlowBatch) -> FlowBatch:
        if self.snapshots or not len(records):
            return records
        ended = records.identity[:, END_REASON] != SNAPSHOT
        return FlowBatch(records.identity[ended], records.values[ended])
