"""`flowvigil read --independent`: many captures, each read by a process of its own, their alerts in one order."""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from sensor.cli.assembly import READ_QUEUE_WAIT_S, DisplayOptions, prepared_for, screen_of_reading
from sensor.cli.beforehand import tell_skipped
from sensor.cli.build import load_model
from sensor.cli.capture_list import captures_of
from sensor.cli.cluster_carrier import checked_scheduler, cluster_of
from sensor.cli.exit_code import FailOn, code_of_findings
from sensor.cli.kernels import JUDGING, cached
from sensor.cli.reading_pool import COMMAND
from sensor.cli.signals import stopped_by_signals
from sensor.errors import INTERRUPTED, OK, OUTPUT, SensorError
from sensor.files.unfinished import scratch_directory, whole_file
from sensor.jobs.accounts import sum_of
from sensor.jobs.local import LocalPool
from sensor.jobs.run_directory import ALERTS, Capture, Identity, RunDirectory
from sensor.jobs.schedule import Carrier, CarrierError, Schedule, State
from sensor.printable import printable
from sensor.progress.progress import Progress
from sensor.version import VERSION

if TYPE_CHECKING:
    from sensor.run.outlet import Outlet
    from sensor.settings.config import Config
    from sensor.terminal.screen import Screen

LINES_AT_ONCE: Final = 500
# Ours have no blank between, and within a text a quotation mark is escaped.
_SEQUENCE: Final = re.compile(rb'(?<!\\)"sequence":(\d+)')


@dataclass(frozen=True, slots=True)
class IslandOptions:
    """The options of the command line for captures that have nothing to do with one another."""

    workers: int | None  # captures read at once, None: one for each core
    run: Path | None  # directory that the run is kept in, None: nowhere
    resume: bool  # whether the run there is to go on
    scheduler: str | None = None  # address of the cluster that reads them, None: this machine


def read_islands(
    config: "Config",
    captures: Sequence[str],
    display: DisplayOptions,
    options: IslandOptions,
    fail_on: FailOn | None,
) -> int:
    """Read captures, each for itself; the exit code."""
    cached(JUDGING, config)  # chosen before what follows loads kernels
    from sensor.sources.captures.files import STDIN
    from sensor.sources.captures.stream import packet_filter

    if STDIN in captures:
        raise typer.BadParameter(
            "found -, which is one stream, expected files or directories", param_hint="--independent"
        )
    if config.keep_packets.directory is not None or config.flow_log.directory is not None:
        raise typer.BadParameter(
            "found --keep-packets or --flows, whose files are of one run over all captures, expected neither",
            param_hint="--independent",
        )
    if options.resume and options.run is None:
        raise typer.BadParameter(
            "expected --run DIR with it, the directory of the run that is to go on", param_hint="--resume"
        )
    if options.scheduler is not None:
        if options.workers is not None:
            raise typer.BadParameter("found --scheduler, whose cluster has workers of its own", param_hint="--workers")
        checked_scheduler(options.scheduler, config)
    if config.capture.filter:
        packet_filter(config.capture.filter)  # so that an invalid one is told once, before anything is read
    found = captures_of(captures)
    if not display.quiet:
        tell_skipped(captures)
    workers = min(options.workers or os.cpu_count() or 1, max(1, len(found)))
    settings = config.model_dump(mode="json", exclude={"output"})
    with ExitStack() as stack:
        told = _told(config, settings, workers, display)
        carrier: Carrier
        if options.scheduler is not None:
            hybrid = load_model(config)
            ready = {"bundle": hybrid.model_id, "sha256": hybrid.sha256}
            carrier = stack.enter_context(cluster_of(config, options.scheduler, told, hybrid.sha256))
        else:
            carrier = pool = stack.enter_context(LocalPool(COMMAND, told, workers))
            ready = _started(pool)
        own = options.run or stack.enter_context(scratch_directory()) / "run"  # below: the scratch has a lock itself
        judging = json.dumps({**settings, "jobs": None}, sort_keys=True)  # a run may go on with more patience
        identity = Identity(VERSION, ready["sha256"], hashlib.sha256(judging.encode()).hexdigest())
        run = stack.enter_context(RunDirectory(own).held(identity, resume=options.resume))
        return _Reading(config, found, display, run, ready["bundle"]).carried_by(
            carrier, fail_on, keep=options.run is not None
        )


class _Reading:
    """One run over islands, with its outputs and its screen."""

    def __init__(
        self, config: "Config", captures: Sequence[Capture], display: DisplayOptions, run: RunDirectory, bundle: str
    ) -> None:
        self._config, self._captures, self._display = config, captures, display
        self._run = run
        self._bundle = bundle
        self._began_s = time.monotonic()
        self._progress = Progress(bundle=bundle)
        self._problems: list[str] = []
        self._failed = False  # whether a capture was damaged or set aside
        self._next = 0  # the first capture whose lines the outputs have not had
        self._delivered, self._sequence = run.delivered  # SHA-256 of lines by capture, and the last alert's number
        sizes = [capture.size for capture in captures]
        self._size = None if None in sizes else sum(size or 0 for size in sizes)

    def carried_by(self, carrier: Carrier, fail_on: FailOn | None, *, keep: bool) -> int:
        """Read all, and the exit code. keep: whether the run's directory stays."""
        from sensor.outputs.outputs import Outputs
        from sensor.run.outlet import Outlet
        from sensor.run.run import CUT_SHORT

        config, display = self._config, self._display
        tasks = [
            {"capture": capture.name, "size": capture.size, "part": str(self._run.part(capture))}
            for capture in self._captures
        ]
        schedule = Schedule(tasks, carrier)
        self._take_over(schedule)
        with ExitStack() as stack:
            outputs = stack.enter_context(Outputs(prepared_for(config, display, None), READ_QUEUE_WAIT_S))
            outlet = Outlet(outputs=outputs)
            names = [capture.name for capture in self._captures]
            screen = screen_of_reading(
                stack,
                config,
                names,
                display,
                self._bundle,
                lambda: bool(self._progress.alerts) and not schedule.stopping,
                None,
            )
            stack.enter_context(stopped_by_signals(schedule, outputs.stop_waiting))
            self._deliver(schedule, outlet, screen)
            given_up: CarrierError | None = None
            try:
                schedule.run(self._ended, lambda: self._look(carrier, schedule, outlet, screen))
            except CarrierError as error:  # what has ended by now is delivered, and the run can go on
                given_up = error
                self._problems.append(str(error))
                schedule.stop()
            self._look(carrier, schedule, outlet, screen)
            for line in carrier.account():
                screen.note(line)
            outputs.close()
            self._run.keep_delivered(self._delivered, self._sequence)
            if keep and not schedule.stopping:
                self._write_all()
            self._problems += [*outlet.problems, *([CUT_SHORT] * schedule.stopping)]
            screen.finish(self._now(), self._problems)
            if outlet.reader_gone:
                raise BrokenPipeError
            if outlet.lost_output:
                return OUTPUT
        if given_up is not None:
            return given_up.exit_code
        if schedule.stopping:
            return INTERRUPTED
        return code_of_findings(self._progress, fail_on, damaged=self._failed)

    def _take_over(self, schedule: Schedule) -> None:
        """Know what is known of an earlier run."""
        for number, capture in enumerate(self._captures):
            result = self._run.end_of(capture)
            if result is not None:
                schedule.know(number, result, capture.size or 0)

    def _ended(self, number: int, state: State) -> None:
        """Note on disk how a capture ended."""
        if state.result is not None:
            self._run.keep_end(self._captures[number], state.result)

    def _look(self, carrier: Carrier, schedule: Schedule, outlet: "Outlet", screen: "Screen") -> None:
        """Say what there is to say of whoever reads, and deliver."""
        for remark in carrier.remarks():
            screen.note(remark)
        self._deliver(schedule, outlet, screen)

    def _deliver(self, schedule: Schedule, outlet: "Outlet", screen: "Screen") -> None:
        """Hand over what has ended, in the order of the captures, and show how far all is."""
        from sensor.alerts.reading import ReadErrors, entries_of

        self._progress = replace(self._progress, bytes_read=schedule.done, size=self._size)
        while self._next < len(self._captures) and schedule.states[self._next].over:
            capture, state = self._captures[self._next], schedule.states[self._next]
            self._next += 1
            name = printable(capture.name, 200)
            if state.result is None:
                self._failed = True
                why = [*state.failures, *state.losses]
                told = "; ".join(dict.fromkeys(why))
                self._problems.append(f"{name}: set aside after {len(why)} attempts: {told}")
                continue
            self._problems += state.result["problems"]
            self._failed |= state.result["code"] != OK
            self._progress = sum_of([state.result["account"]], self._progress)
            for remark in state.result["remarks"]:
                screen.note(remark)
            if self._delivered.get(capture.key) == state.result["sha256"]:  # in an earlier run
                continue
            for lines in _in_batches(self._lines_of(capture)):
                outlet.write(lines)
                screen.update(self._now(), [entry.alert for entry in entries_of(lines, name, ReadErrors())])
            self._delivered[capture.key] = state.result["sha256"]
        screen.update(self._now(), ())

    def _lines_of(self, capture: Capture) -> Iterator[bytes]:
        """The lines of a capture, its alerts numbered after those of the captures before it."""
        first = self._sequence
        with self._run.part(capture).open("rb") as lines:
            for line in lines:
                yield _SEQUENCE.sub(
                    lambda found: b'"sequence":%d' % self._numbered(first + int(found[1])), line, count=1
                )

    def _numbered(self, sequence: int) -> int:
        self._sequence = max(self._sequence, sequence)
        return sequence

    def _write_all(self) -> None:
        """Write all lines into one file, in the order of the captures."""
        self._sequence = 0
        with whole_file(self._run.path / ALERTS) as file:
            for capture in self._captures:
                if os.path.exists(self._run.part(capture)):
                    file.writelines(self._lines_of(capture))

    def _now(self) -> Progress:
        return replace(self._progress, elapsed_s=time.monotonic() - self._began_s)


def _told(config: "Config", settings: dict[str, Any], workers: int, display: DisplayOptions) -> dict[str, Any]:
    """The first line of the process that reads."""
    limits = {"slots": workers, "patience_s": config.jobs.patience_s, "memory_bytes": config.jobs.memory_bytes}
    return {"config": settings, "limits": limits, "quiet": display.quiet}


def _started(pool: LocalPool) -> dict[str, Any]:
    """What the process that reads says of itself. Raises the error that it met."""
    said = pool.start()
    if "refused" in said:
        refused = said["refused"]
        kind = next((kind for kind in _kinds(SensorError) if kind.exit_code == refused["code"]), SensorError)
        refusal = kind(refused["message"])
        refusal.detail = tuple(refused["detail"])
        raise refusal
    return dict(said["ready"])


def _kinds(error: type[SensorError]) -> Iterator[type[SensorError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _in_batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for line in lines:
        batch.append(line)
        if len(batch) >= LINES_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
