"""Where a run's alerts go: counted, written to every output, shown on the screen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from sensor.alerts.alert import Alert, alert_line
from sensor.progress.progress import OutputState, Progress
from sensor.terminal.screen import Screen

if TYPE_CHECKING:  # arrays, which a screen elsewhere has no need of
    from sensor.alerts.alert_flow import AlertFlow
    from sensor.alerts.flow_record import FlowRecords
    from sensor.outputs.outputs import Outputs


class LineTaker(Protocol):
    """Whoever is told the lines of a run: its outputs, and who looks at it from elsewhere."""

    def write(self, lines: Iterable[bytes]) -> None:
        """Take lines, each with its newline. Never raises."""


@dataclass(slots=True)
class Outlet:
    """Outputs and screen of one run, and what was counted on the way."""

    # Who gets the lines beside the outputs.
    takers: Sequence[LineTaker]
    screen: Screen
    # Inputs that could not be read to their end, one line each.
    problems: list[str] = field(default_factory=list)
    # Opened so far.
    alerts: int = 0
    # Of those, that were called an attack at some time.
    attacks: int = 0
    outputs: "Outputs | None" = None
    # Makes records of the flows of alerts; None where nobody asked for them.
    flow_records: "FlowRecords | None" = None
    _open_uncertain: set[str] = field(default_factory=set)

    def publish(self, alerts: Sequence[Alert], flows: "Sequence[AlertFlow]" = (), step_ns: int = 0) -> None:
        """Count alerts and write them to every output, and their flows where records of them are wanted.

        step_ns: what the wall clock was set forward by since the flows' times were taken.
        """
        for alert in alerts:
            self._count(alert)
        self.write(self._lines(alerts, flows, step_ns))

    def write(self, lines: Sequence[bytes]) -> None:
        """Hand lines to every output and taker."""
        if lines:
            for taker in (*self.takers, *((self.outputs,) if self.outputs is not None else ())):
                taker.write(lines)

    def stop_waiting(self) -> None:
        """Wait for no output from now on. For a signal handler."""
        if self.outputs is not None:
            self.outputs.stop_waiting()

    def close(self) -> None:
        """Let the outputs deliver what waits; they take no more."""
        if self.outputs is not None:
            self.outputs.close()

    def finish(self, progress: Progress) -> None:
        """Let the outputs deliver what waits, and tell how the run ended."""
        self.close()
        told = self.problems
        if self.outputs is not None:
            told = [*told, *self.outputs.problems]
            progress = replace(progress, outputs=self.states(), lost_lines=self.lost_lines)
        self.screen.finish(progress, "; ".join(told) or None)

    @property
    def failed(self) -> bool:
        """Whether an output takes no more; the others still get all there is."""
        return self.outputs is not None and self.outputs.failed

    @property
    def lost_output(self) -> bool:
        """Whether an output failed or has lost lines."""
        return self.failed or self.lost_lines > 0

    @property
    def lost_lines(self) -> int:
        """Lines that did not get out, over all outputs."""
        return 0 if self.outputs is None else self.outputs.lost

    @property
    def reader_gone(self) -> bool:
        """Whether nobody reads stdout any more."""
        return self.outputs is not None and self.outputs.broken_pipe

    def states(self) -> tuple[OutputState, ...]:
        """The account of the outputs that the settings list."""
        return () if self.outputs is None else self.outputs.states()

    def _lines(self, alerts: Sequence[Alert], flows: "Sequence[AlertFlow]", step_ns: int) -> list[bytes]:
        """Lines of alerts, each followed by the flows that came after it, so that no order depends on batches."""
        records = self.flow_records
        if records is None:
            return [alert_line(alert) for alert in alerts]
        lines = [(alert.sequence, alert_line(alert)) for alert in alerts]
        lines += [(flow.after, records.line(flow, step_ns)) for flow in flows if records.wants(flow)]
        return [line for _, line in sorted(lines, key=lambda numbered: numbered[0])]

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
