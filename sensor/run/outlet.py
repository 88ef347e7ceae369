"""Where a run's alerts go: counted, and written to every output."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.progress.progress import OutputState

if TYPE_CHECKING:  # arrays, which a screen elsewhere has no need of
    from sensor.alerts.alert_flow import AlertItem
    from sensor.alerts.flow_record import FlowRecords
    from sensor.outputs.outputs import Outputs


class LineTaker(Protocol):
    """Whoever is told the lines of a run: its outputs, and who looks at it from elsewhere."""

    def write(self, lines: Iterable[bytes]) -> None:
        """Take lines, each with its newline."""


@dataclass(slots=True)
class Outlet:
    """Outputs of one run, and what was counted on the way."""

    takers: Sequence[LineTaker] = ()  # who gets the lines beside the outputs
    outputs: "Outputs | None" = None
    flow_records: "FlowRecords | None" = None  # makes records of the flows of alerts; None: nobody asked for them
    alerts: int = 0  # opened so far, without those that are muted
    attacks: int = 0  # of those, that were called an attack at some time
    muted: int = 0  # opened, but muted by a note of the site for as long as they were told of: none counts twice
    # For counters, which must not go back: with those that became attacks, and those that went beyond their note.
    opened_uncertain: int = 0
    opened_muted: int = 0
    _open_uncertain: set[str] = field(default_factory=set)
    _open_muted: set[str] = field(default_factory=set)

    def publish(self, items: "Sequence[AlertItem]", step_ns: int = 0) -> None:
        """Count alerts and write them to every output, and their flows where records of them are wanted.

        step_ns: what the wall clock was set forward by since the flows' times were taken.
        """
        lines: list[bytes] = []
        unread = not self.takers and not self.outputs
        for item in items:
            if isinstance(item, Alert):
                self._count(item)
                if not unread:
                    lines.append(alert_line(item))
            elif self.flow_records is not None and self.flow_records.wants(item):
                lines.append(self.flow_records.line(item, step_ns))
        self.write(lines)

    def write(self, lines: Sequence[bytes]) -> None:
        """Hand lines to everybody who takes them. Raises BrokenPipeError as the outputs do."""
        if not lines:
            return
        for taker in self.takers:
            taker.write(lines)
        if self.outputs is not None:
            self.outputs.write(lines)

    def news(self) -> list[tuple[str, str]]:
        """Action and message of an event for each output that began to refuse or lose lines, or goes on after that."""
        return [] if self.outputs is None else self.outputs.news()

    def close(self) -> None:
        """Have the outputs deliver what waits. Raises BrokenPipeError as the outputs do."""
        if self.outputs is not None:
            self.outputs.close()

    @property
    def over(self) -> bool:
        """Whether no output takes anything any more, and so the run ends."""
        return self.outputs is not None and self.outputs.over

    @property
    def problems(self) -> list[str]:
        """One line for each output that failed, lost or spooled lines."""
        return [] if self.outputs is None else self.outputs.problems

    @property
    def lost_output(self) -> bool:
        """Whether an output failed or has lost lines."""
        return self.outputs is not None and (self.outputs.failed or self.outputs.lost > 0)

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

    def _count(self, alert: Alert) -> None:
        opened = alert.action == "opened"
        if alert.muted is not None:
            self._count_muted(alert, opened=opened)
            return
        if alert.id in self._open_muted:  # it has gone beyond its note
            self._open_muted.discard(alert.id)
            self.muted -= 1
            opened = True
        self.alerts += opened
        if alert.verdict == "attack":
            self.attacks += opened or alert.id in self._open_uncertain
            self._open_uncertain.discard(alert.id)
        elif opened:
            self.opened_uncertain += 1
            self._open_uncertain.add(alert.id)
        if alert.action == "closed":
            self._open_uncertain.discard(alert.id)

    def _count_muted(self, alert: Alert, *, opened: bool) -> None:
        self.muted += opened
        self.opened_muted += opened
        if opened:
            self._open_muted.add(alert.id)
        if alert.action == "closed":
            self._open_muted.discard(alert.id)
            self._open_uncertain.discard(alert.id)
