"""Screens of runs whose stdout has JSON lines: events and a summary line on stderr, or problems only."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TextIO

from sensor.alerts.alert import Alert
from sensor.alerts.spread import span_in_words
from sensor.printable import printable
from sensor.progress.hints import hints
from sensor.progress.progress import Progress
from sensor.progress.words import drift_in_words, early_in_words, first_problems

_TWO_DAYS_S: Final = 172_800.0


class NoScreen:
    """A screen (sensor.terminal.screen.Screen) of a run of which another process tells: it shows nothing."""

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Write nothing."""

    def left_out(self, alerts: int) -> None:
        """Write nothing."""

    def note(self, message: str) -> None:
        """Write nothing."""

    def finish(self, progress: Progress, problems: Sequence[str] = ()) -> None:
        """Write nothing: who has begun the run tells of its problems."""


class SilentScreen:
    """A screen (sensor.terminal.screen.Screen) that writes problems only."""

    def __init__(self, stream: TextIO) -> None:
        """stream: stderr, as a rule."""
        self._stream = stream

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Write nothing."""

    def left_out(self, alerts: int) -> None:
        """Write nothing, as alerts are not shown."""

    def note(self, message: str) -> None:
        """Write nothing: events are in the JSON lines too."""

    def finish(self, _progress: Progress, problems: Sequence[str] = ()) -> None:
        """Write a line for each problem."""
        _write_problems(self._stream, problems)


class SummaryLine:
    """A screen that writes events as they come, and at the end one line: what was read, found and left out."""

    def __init__(self, stream: TextIO, mode: str, source: str) -> None:
        """mode: "read", "watch" or "report". source: name of the input."""
        self._stream = stream
        self._mode = mode
        self._source = printable(source, 60)

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        """Write nothing before the end."""

    def left_out(self, alerts: int) -> None:
        """Write nothing, as alerts are not shown."""

    def note(self, message: str) -> None:
        """Write the event as a line."""
        _write_line(self._stream, message)

    def finish(self, progress: Progress, problems: Sequence[str] = ()) -> None:
        """Write the summary line, hints, and a line for each problem."""
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in progress.undecoded.items()) or "none"
        filtered = f"filtered: {progress.filtered:,}, " if progress.filtered else ""
        shed = f"shed: {progress.shed:,}, " if progress.shed else ""
        merged = f"{progress.merged:,} more hosts merged in storms, " if progress.merged else ""
        muted = "" if progress.muted is None else f"{progress.muted:,} muted by site notes, "
        unjudged = ", ".join(f"{count:,} {protocol}" for protocol, count in progress.unjudged.items())
        unjudged = f"flows that no model judged: {unjudged}, " if unjudged else ""
        context = f"context evicted: {progress.context_evicted:,}, " if progress.context_evicted else ""
        early = f"{words}, " if (words := early_in_words(progress)) else ""
        drift = f"{words}, " if (words := drift_in_words(progress.drift)) else ""
        lost = f"lost lines: {progress.lost_lines:,}, " if progress.lost_lines else ""
        text = (
            f"flowvigil: {self._mode} {self._source}: {progress.packets:,} packets, {progress.flows:,} flows, "
            f"{progress.attacks:,} attack and {progress.uncertain:,} uncertain alerts, {merged}{muted}"
            f"not decoded: {left_out}, {unjudged}{filtered}{shed}dropped: {progress.dropped:,}, "
            f"evicted: {progress.evicted:,}, {context}{early}late: {progress.late:,}, "
            f"clock jumps: {progress.clock_jumps:,}, {drift}{lost}{_outputs(progress)}{_elapsed(progress.elapsed_s)}"
        )
        _write(self._stream, f"{text}\n")
        for hint in hints(progress):
            _write_line(self._stream, hint.message)
        _write_problems(self._stream, problems)


def _elapsed(elapsed_s: float) -> str:
    """Seconds, from two days on days."""
    return f"{elapsed_s:.1f} s" if elapsed_s < _TWO_DAYS_S else span_in_words(round(elapsed_s * 1e9))


def _outputs(progress: Progress) -> str:
    """Counts of lines, for each output of the settings."""
    return "".join(
        f"{printable(output.name, 60)}: {output.written:,} written, {output.queued:,} queued, "
        f"{output.spooled:,} spooled, {output.lost:,} lost, "
        for output in progress.outputs
    )


def _write_problems(stream: TextIO, problems: Sequence[str]) -> None:
    for problem in first_problems(problems):
        _write_line(stream, problem)


def _write_line(stream: TextIO, line: str) -> None:
    _write(stream, f"flowvigil: {printable(line, 400)}\n")


def _write(stream: TextIO, text: str) -> None:
    """Write what is for people, unless nobody reads it: no run ends for that, and no line of an output is lost."""
    with suppress(OSError, ValueError):  # closed or full
        stream.write(text)
        stream.flush()
