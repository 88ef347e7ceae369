"""Several captures metered at once, a process each, and their tables put together in the order of the captures.

Measured beside handing one capture's packets to several meters, which each would have to decode for themselves: reading
whole captures apart scales with the cores, and the flows of captures that have nothing to do with each other stay the
same. What it costs is that a flow which goes on in the next capture is cut.
"""

import signal
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from sensor.cli.flows import Export, FlowOptions, compiled_meter, table_for
from sensor.errors import InputError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one capture. unopened: nothing of it could be read."""

    packets: int
    written: int
    undecoded: Mapping[str, int]
    problems: Sequence[str]
    unopened: bool = False


def metered_at_once(captures: Sequence[str], output: Path | None, options: FlowOptions, jobs: int) -> list[Outcome]:
    """Meter captures, so many at once, and write one table of them all; what cannot be read is a problem.

    Raises OutputError. An interrupt ends the processes and leaves no table.
    """
    suffix = output.suffix if output else ".csv"
    # beside the output, where there is room for it
    with tempfile.TemporaryDirectory(prefix=".flowvigil-", dir=output.resolve().parent if output else None) as scratch:
        parts = [Path(scratch) / f"{number}{suffix}" for number in range(len(captures))]
        # fresh processes: a copy of this one would carry its threads' locks
        with ProcessPoolExecutor(jobs, get_context("spawn"), _leave_interrupts_to_the_parent) as pool:
            try:
                done = list(pool.map(meter_one, captures, parts, repeat(options)))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in pool._processes.values():  # no other way to end them before 3.14
                    process.terminate()
                raise
        with table_for(output, options.dialect) as table:
            for part, outcome in zip(parts, done, strict=True):
                if part.exists():
                    table.append(part, outcome.written)
    return done


def meter_one(capture: str, part: Path, options: FlowOptions) -> Outcome:
    """Write the table of one capture."""
    meter = compiled_meter(options.config, options.compat, quiet=True)
    run = Export(meter, snapshots=options.snapshots, screen=None)
    try:
        with table_for(part, options.dialect) as table:
            run.read([capture], table)
    except InputError as error:
        return Outcome(0, 0, {}, [str(error)], unopened=True)
    stats = meter.stats
    return Outcome(stats.packets, table.written, stats.undecoded, run.problems)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
