"""Where a run's alerts go: counted, and written to every output."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.errors import OutputError
from sensor.progress.progress import OutputState

if TYPE_CHECKING:  # arrays, which a screen elsewhere has no need of
    from sensor.alerts.alert_flow import AlertItem
    from sensor.alerts.flow_record import FlowRecords

LAST_LINES_S = 5.0  # for outputs to deliver what waits at the end


class Sink(Protocol):
    """Takes whole lines; raises OutputError when it takes no more."""

    def write(self, lines: Iterable[bytes]) -> None:
        """Write lines, each with its newline."""


class Queues(Protocol):
    """Outputs with queues and threads of their own: sensor.outputs.outputs.Outputs."""

    def write(self, lines: Iterable[bytes]) -> None:
        """Take lines. Never raises."""

    def states(self) -> tuple[OutputState, ...]:
        """The account of each."""

    @property
    def lost(self) -> int:
        """Lines lost."""

    @property
    def broken_pipe(self) -> bool:
        """Whether stdout is one of them and nobody reads it any more."""

    @property
    def problems(self) -> list[str]:
        """One line for each that lost or kept lines."""

    def close(self, timeout_s: float) -> None:
        """Deliver what waits and end."""


@dataclass(slots=True)
class Outlet:
    """Outputs of one run, and what was counted on the way.

    problems: one line for each input that could not be read to its end and each output that failed.
    lost_output: an output took no more; the others still get all there is.
    alerts: opened so far; attacks: of those, that were called an attack at some time. queues: the outputs of the list
    in the settings. flow_records: makes records of the flows of alerts, None where nobody asked for them.
    """

    sinks: Sequence[Sink]
    problems: list[str] = field(default_factory=list)
    lost_output: bool = False
    alerts: int = 0
    attacks: int = 0
    queues: Queues | None = None
    flow_records: "FlowRecords | None" = None
    _open_uncertain: set[str] = field(default_factory=set)

    def publish(self, items: "Sequence[AlertItem]", step_ns: int = 0) -> None:
        """Count alerts and write them to every output, and their flows where records of them are wanted.

        step_ns: what the wall clock was set forward by since the flows' times were taken.
        """
        lines: list[bytes] = []
        unread = not self.sinks and self.queues is None
        for item in items:
            if isinstance(item, Alert):
                self._count(item)
                if not unread:
                    lines.append(alert_line(item))
            elif self.flow_records is not None and self.flow_records.wants(item):
                lines.append(self.flow_records.line(item, step_ns))
        self.write(lines)

    def write(self, lines: Sequence[bytes]) -> None:
        """Write lines to every output; one that fails gets no more."""
        if lines:
            self.sinks = [sink for sink in self.sinks if self._wrote(sink, lines)]
            if self.queues is not None:
                self.queues.write(lines)
                self.lost_output |= self.queues.broken_pipe

    def close(self) -> None:
        """Have the queued outputs deliver what waits."""
        if self.queues is not None:
            self.queues.close(LAST_LINES_S)
            self.lost_output |= self.queues.lost > 0
            self.problems += self.queues.problems

    @property
    def over(self) -> bool:
        """Whether the run has nobody to write for: one of the plain outputs failed, or stdout's reader has gone."""
        return self.lost_output or self.reader_gone

    @property
    def lost_lines(self) -> int:
        """Lines that did not get out, over all outputs."""
        return self.queues.lost if self.queues is not None else 0

    @property
    def reader_gone(self) -> bool:
        """Whether stdout is a queued output and nobody reads it any more."""
        return self.queues is not None and self.queues.broken_pipe

    def states(self) -> tuple[OutputState, ...]:
        """The account of the queued outputs."""
        return () if self.queues is None else self.queues.states()

    def _count(self, alert: Alert) -> None:
        opened = alert.action == "opened"
        self.alerts += opened
        if alert.verdict == "attack":
            self.attacks += opened or alert.id in self._open_uncertain
            self._open_uncertain.discard(alert.id)
        elif opened:
            self._open_uncertain.add(alert.id)
        if alert.action == "closed":
            self._open_uncertain.discard(alert.id)

    def _wrote(self, sink: Sink, lines: Sequence[bytes]) -> bool:
        try:
            sink.write(lines)
        except OutputError as error:
            self.problems.append(str(error))
            self.lost_output = True
            return False
        return True
