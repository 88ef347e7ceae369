"""Screens for runs whose stdout carries JSON lines: one closing line on stderr, or only what went wrong."""

from collections.abc import Sequence
from typing import TextIO

from sensor.alerts import Alert
from sensor.escape import printable
from sensor.stats import Progress


class Silent:
    """Tells nothing but a problem."""

    def __init__(self, stream: TextIO) -> None:
        """stream: where to."""
        self._stream = stream

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Nothing to show."""

    def finish(self, _progress: Progress, problem: str | None = None) -> None:
        """Write a line for a problem."""
        _tell(self._stream, problem)


class SummaryLine:
    """Tells at the end, in one line, what was read, found and left out."""

    def __init__(self, stream: TextIO, mode: str, source: str) -> None:
        """stream: where to, mode: "read" or "watch", source: name of the input."""
        self._stream = stream
        self._mode = mode
        self._source = printable(source, 60)

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Nothing to show before the end."""

    def finish(self, progress: Progress, problem: str | None = None) -> None:
        """Write the line, and one for a problem."""
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in progress.undecoded.items()) or "none"
        self._stream.write(
            f"flowvigil: {self._mode} {self._source}: {progress.packets:,} packets, {progress.flows:,} flows, "
            f"{progress.attacks:,} attack and {progress.uncertain:,} uncertain alerts, not decoded: {left_out}, "
            f"dropped: {progress.dropped:,}, evicted: {progress.evicted:,}, late: {progress.late:,}, "
            f"clock jumps: {progress.clock_jumps:,}, {progress.elapsed_s:.1f} s\n"
        )
        _tell(self._stream, problem)


def _tell(stream: TextIO, problem: str | None) -> None:
    if problem:
        stream.write(f"flowvigil: {printable(problem, 400)}\n")
    stream.flush()
