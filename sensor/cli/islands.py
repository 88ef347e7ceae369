"""`flowvigil read --independent`: the alerts of many captures in one order, out of the lines of each."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from sensor.cli.display import DisplayOptions, prepared_for, screen_of_reading
from sensor.cli.exit_code import FailOn, code_of_findings
from sensor.cli.island_run import IslandRun, Islands
from sensor.cli.kernels import JUDGING, cached
from sensor.cli.reading import READ_QUEUE_WAIT_S
from sensor.cli.signals import stopped_by_signals
from sensor.errors import INTERRUPTED, OUTPUT
from sensor.files.unfinished import whole_file
from sensor.jobs.run_directory import ALERTS, Capture
from sensor.printable import printable
from sensor.progress.words import kept_in_words, logged_in_words

if TYPE_CHECKING:
    from sensor.run.outlet import Outlet
    from sensor.settings.config import Config
    from sensor.terminal.screen import Screen

LINES_AT_ONCE: Final = 500
# Ours have no blank between, and within a text a quotation mark is escaped.
_SEQUENCE: Final = re.compile(rb'(?<!\\)"sequence":(\d+)')


def read_islands(config: "Config", islands: Islands, display: DisplayOptions, fail_on: FailOn | None) -> int:
    """Read captures, each for itself; the exit code."""
    cached(JUDGING, config)  # chosen before what follows loads kernels
    with islands.begun() as run:
        return _Reading(config, display, run).read(fail_on)


class _Reading:
    """One run over captures, with its outputs and its screen."""

    def __init__(self, config: "Config", display: DisplayOptions, run: IslandRun) -> None:
        self._config, self._display, self._run = config, display, run
        self._delivered, self._sequence = run.run.delivered  # SHA-256 of lines by capture, and the last alert's number

    def read(self, fail_on: FailOn | None) -> int:
        """Read all, and the exit code."""
        from sensor.outputs.outputs import Outputs
        from sensor.run.outlet import Outlet
        from sensor.run.run import CUT_SHORT

        config, display, run = self._config, self._display, self._run
        with ExitStack() as stack:
            outputs = stack.enter_context(Outputs(prepared_for(config, display, None), READ_QUEUE_WAIT_S))
            outlet = Outlet(outputs=outputs)
            screen = screen_of_reading(
                stack,
                config,
                [capture.name for capture in run.captures],
                display,
                run.bundle,
                lambda: bool(run.progress.alerts) and not run.stopping,
                None,
            )
            stack.enter_context(stopped_by_signals(run, outputs.stop_waiting))
            run.carry(
                lambda capture, result: self._deliver(capture, result, outlet, screen),
                screen.note,
                lambda progress: screen.update(progress, ()),
            )
            kept, logged = run.progress.kept, run.progress.logged
            if kept is not None:
                screen.note(kept_in_words(kept))
            if logged is not None:
                screen.note(logged_in_words(logged))
            outputs.close()
            if outputs.complete:  # else they get all lines of this run again, should it go on
                run.run.keep_delivered(self._delivered, self._sequence)
            if run.keep and not run.stopping:
                self._write_all()
            screen.finish(
                run.progress,
                [*run.problems, *outlet.problems, *([CUT_SHORT] * (run.stopping and run.given_up is None))],
            )
            if outlet.reader_gone:
                raise BrokenPipeError
            if outlet.lost_output or run.lost:
                return OUTPUT
        if run.given_up is not None:
            return run.given_up.exit_code
        if run.stopping:
            return INTERRUPTED
        return code_of_findings(run.progress, fail_on, damaged=run.failed)

    def _deliver(self, capture: Capture, result: dict[str, Any], outlet: "Outlet", screen: "Screen") -> None:
        """Hand over the lines of a capture, unless an earlier run has."""
        if self._delivered.get(capture.key) == result["sha256"]:
            return
        from sensor.alerts.reading import ReadErrors, entries_of

        shown = self._display.has_view(self._config)
        for lines in _in_batches(self._lines_of(capture)):
            outlet.write(lines)
            if shown:
                entries = entries_of(lines, printable(capture.name, 200), ReadErrors())
                screen.update(self._run.progress, [entry.alert for entry in entries])
        self._delivered[capture.key] = result["sha256"]

    def _lines_of(self, capture: Capture) -> Iterator[bytes]:
        """The lines of a capture, its alerts numbered after those of the captures before it."""
        first = self._sequence
        with self._run.run.part(capture).open("rb") as lines:
            for line in lines:
                yield _SEQUENCE.sub(
                    lambda found: b'"sequence":%d' % self._numbered(first + int(found[1])), line, count=1
                )

    def _numbered(self, sequence: int) -> int:
        self._sequence = max(self._sequence, sequence)
        return sequence

    def _write_all(self) -> None:
        """Write all lines into one file, in the order of the captures. Raises OutputError."""
        self._sequence = 0
        run = self._run.run
        with run.errors_told(ALERTS), whole_file(run.path / ALERTS) as file:
            for state, capture in zip(self._run.schedule.states, self._run.captures, strict=True):
                if state.result is not None:
                    file.writelines(self._lines_of(capture))


def _in_batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for line in lines:
        batch.append(line)
        if len(batch) >= LINES_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
