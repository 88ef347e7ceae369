"""Screens for runs whose stdout carries JSON lines: one closing line on stderr, or only what went wrong."""

from collections.abc import Sequence
from typing import TextIO

from sensor.alerts.alert import Alert
from sensor.printable import printable
from sensor.progress.progress import Progress


class Silent:
    """Tells nothing but a problem."""

    def __init__(self, stream: TextIO) -> None:
        """stream: where to."""
        self._stream = stream

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Nothing to show."""

    def left_out(self, alerts: int) -> None:
        """Alerts are not shown anyway."""

    def note(self, message: str) -> None:
        """Nothing: events stand in the JSON lines, and who asked for silence can read them there."""

    def finish(self, _progress: Progress, problem: str | None = None) -> None:
        """Write a line for a problem."""
        _tell(self._stream, problem)


class SummaryLine:
    """Tells of events as they come, and at the end, in one line, what was read, found and left out."""

    def __init__(self, stream: TextIO, mode: str, source: str) -> None:
        """stream: where to, mode: "read" or "watch", source: name of the input."""
        self._stream = stream
        self._mode = mode
        self._source = printable(source, 60)

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Nothing to show before the end."""

    def left_out(self, alerts: int) -> None:
        """Alerts are not shown anyway."""

    def note(self, message: str) -> None:
        """Write it as a line."""
        _tell(self._stream, message)

    def finish(self, progress: Progress, problem: str | None = None) -> None:
        """Write the line, and one for a problem."""
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in progress.undecoded.items()) or "none"
        filtered = f"filtered: {progress.filtered:,}, " if progress.filtered else ""
        shed = f"shed: {progress.shed:,}, " if progress.shed else ""
        merged = f"{progress.merged:,} more hosts merged in storms, " if progress.merged else ""
        lost = f"lost lines: {progress.lost_lines:,}, " if progress.lost_lines else ""
        self._stream.write(
            f"flowvigil: {self._mode} {self._source}: {progress.packets:,} packets, {progress.flows:,} flows, "
            f"{progress.attacks:,} attack and {progress.uncertain:,} uncertain alerts, {merged}"
            f"not decoded: {left_out}, {filtered}{shed}dropped: {progress.dropped:,}, "
            f"evicted: {progress.evicted:,}, late: {progress.late:,}, clock jumps: {progress.clock_jumps:,}, "
            f"{lost}{_outputs(progress)}{progress.elapsed_s:.1f} s\n"
        )
        _tell(self._stream, problem)


def _outputs(progress: Progress) -> str:
    """What became of the lines for the outputs of the settings."""
    return "".join(
        f"{printable(output.name, 60)}: {output.written:,} written, {output.queued:,} queued, "
        f"{output.spooled:,} spooled, {output.lost:,} lost, "
        for output in progress.outputs
    )


def _tell(stream: TextIO, problem: str | None) -> None:
    if problem:
        stream.write(f"flowvigil: {printable(problem, 400)}\n")
    stream.flush()
