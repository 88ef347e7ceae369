"""`flowvigil flows --independent`: one flow table of many captures, each metered by a process of its own."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from sensor import log
from sensor.cli.flow_metering import progress_text, summary
from sensor.cli.island_run import Islands
from sensor.cli.kernels import METERING, METERING_AS, cached
from sensor.cli.signals import stopped_by_signals
from sensor.cli.stdout import stdout_stream
from sensor.errors import INPUT, INTERRUPTED, OK
from sensor.jobs.run_directory import Capture

if TYPE_CHECKING:
    from sensor.flow_tables.parts import JoinedTable


def flows_of_islands(islands: Islands, output: Path | None, *, show_progress: bool) -> int:
    """Meter captures, each for itself, into one table, in their order; the exit code. output: None is stdout."""
    assert islands.table is not None  # noqa: S101  # a table is what is made
    program = islands.table.compat
    cached(METERING_AS[program] if program else METERING)  # chosen before what follows loads kernels
    if output is not None:
        from sensor.flow_tables.table import refuse_unwritable

        refuse_unwritable(output)
    from sensor.progress.hints import hints
    from sensor.progress.words import first_problems
    from sensor.terminal.progress_line import ProgressLine

    screen = ProgressLine(sys.stderr if show_progress else None, progress_text)
    remarks: list[str] = []
    started_s = time.monotonic()
    called_off = Event()
    with islands.begun() as run:
        with _joined(output, islands.table.dialect, called_off.is_set) as table:

            def take(capture: Capture, result: dict[str, Any]) -> None:
                table.add(run.run.part(capture), capture.name, result["account"].get("flows", 0))

            with stopped_by_signals(run, called_off.set):
                run.carry(take, remarks.append, lambda progress: screen.update(progress, ()))
            if not run.stopping:
                run.refuse_nothing_read()
            screen.finish(run.progress)
        if not islands.quiet:
            log.info(summary(run.progress, table.written, time.monotonic() - started_s))
            for remark in (*remarks, *(hint.message for hint in hints(run.progress))):
                log.warning(remark)
        for problem in first_problems(run.problems):
            log.warning(problem)
        if run.given_up is not None:
            return run.given_up.exit_code
        if run.stopping:
            return INTERRUPTED
        return INPUT if run.failed else OK


@contextmanager
def _joined(output: Path | None, name: str, called_off: Callable[[], bool]) -> "Iterator[JoinedTable]":
    """The table: a file that gets its name when it is whole, or CSV on stdout for no path.

    called_off: whether to wait for no reader any more that takes nothing.
    """
    from flows.dialects import DIALECTS
    from sensor.flow_tables.parts import join_in_file, join_on_stream

    dialect = next(dialect for dialect in DIALECTS if dialect.name == name)
    if output is not None:
        with join_in_file(output, dialect, called_off) as table:
            yield table
    else:
        with stdout_stream(called_off) as stream, join_on_stream(stream, "stdout", dialect) as table:
            yield table
