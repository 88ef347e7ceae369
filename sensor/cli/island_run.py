"""A run over captures that have nothing to do with one another: each by a process of its own, and what came of it."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import typer

from sensor.cli.beforehand import tell_skipped
from sensor.cli.build import geo_databases, load_model, observer, site_notes
from sensor.cli.capture_list import captures_of
from sensor.cli.cluster_carrier import checked_scheduler, cluster_of
from sensor.cli.island_options import IslandOptions
from sensor.cli.kept_of_captures import KeptOfCaptures
from sensor.cli.reading_pool import COMMAND, UNJUDGED, TableOptions, judged_by
from sensor.errors import OK, OUTPUT, InputError, OutputError, SensorError
from sensor.files.unfinished import scratch_directory
from sensor.jobs.accounts import sum_of
from sensor.jobs.local import LocalPool
from sensor.jobs.run_directory import Capture, Identity, RunDirectory
from sensor.jobs.schedule import Carrier, CarrierError, Schedule, State
from sensor.printable import printable
from sensor.process.cores import usable_cores
from sensor.progress.progress import Progress
from sensor.version import VERSION

if TYPE_CHECKING:
    from sensor.settings.config import Config

LOOK_S: Final = 0.1  # between two looks at how far all are, unless one has ended
_OF_PROCESS: Final = re.compile(r"/dev/(stdin$|fd/)|/proc/(thread-)?self/fd/")  # open in this process alone


@dataclass(frozen=True, slots=True)
class Islands:
    """What is to be done with which captures."""

    config: "Config"
    captures: Sequence[str]  # as they were named
    options: IslandOptions
    quiet: bool
    table: TableOptions | None = None  # flow tables are made, None: alerts
    count_hosts: bool = False  # whether the addresses of each are counted
    keeps: bool = False  # whether packets and flow logs are kept, where the settings want them

    def check(self) -> None:
        """Raise typer.BadParameter, ConfigError and the like for what cannot be; kernels' cache is chosen by now."""
        from sensor.sources.captures.files import STDIN
        from sensor.sources.captures.stream import packet_filter

        config, options = self._settings, self.options
        for name in self.captures:
            if name == STDIN or _OF_PROCESS.match(name):
                raise typer.BadParameter(
                    f"found {printable(name, 100)}, which is one stream, expected files or directories",
                    param_hint="--independent",
                )
        if options.resume and options.run is None:
            raise typer.BadParameter(
                "expected --run DIR with it, the directory of the run that is to go on", param_hint="--resume"
            )
        if options.scheduler is not None:
            if options.workers is not None:
                raise typer.BadParameter(
                    "found --scheduler, whose cluster has workers of its own", param_hint="--workers"
                )
            if config.keep_packets.directory is not None or config.flow_log.directory is not None:
                raise typer.BadParameter(
                    "found --keep-packets or --flows, whose files would be on its workers, expected neither",
                    param_hint="--scheduler",
                )
            checked_scheduler(options.scheduler, config)
        if config.capture.filter:
            packet_filter(config.capture.filter)  # so that an invalid one is told once, before anything is read

    @contextmanager
    def begun(self) -> Iterator["IslandRun"]:
        """The run, whose reader is there and whose directory nobody else uses. Raises what check does, and more."""
        self.check()
        found = captures_of(self.captures)
        if not self.quiet:
            tell_skipped(self.captures)
        options, settings = self.options, self._settings.model_dump(mode="json", exclude={"output"})
        table = None if self.table is None else asdict(self.table)
        workers = min(options.workers or usable_cores(), max(1, len(found)))
        with ExitStack() as stack:
            kept = stack.enter_context(KeptOfCaptures(self._settings, found).held())
            carrier, ready = self._carrier(stack, settings, table, workers)
            # Below: the scratch has a lock itself.
            own = options.run or stack.enter_context(scratch_directory()) / "run"
            # A run may go on with more patience.
            judging = json.dumps({**settings, "jobs": None, "table": table}, sort_keys=True)
            settings_sha256 = hashlib.sha256(judging.encode()).hexdigest()
            identity = Identity(VERSION, ready["sha256"], settings_sha256, ready["files"])
            run = stack.enter_context(RunDirectory(own).held(identity, resume=options.resume))
            run.make_room(found)
            keep = options.run is not None
            yield IslandRun(found, carrier, run, kept, ready["bundle"], keep=keep, count_hosts=self.count_hosts)

    @property
    def _settings(self) -> "Config":
        if self.keeps:
            return self.config
        keep_packets = self.config.keep_packets.model_copy(update={"directory": None})
        flow_log = self.config.flow_log.model_copy(update={"directory": None})
        return self.config.model_copy(update={"keep_packets": keep_packets, "flow_log": flow_log})

    def _carrier(
        self, stack: ExitStack, settings: dict[str, Any], table: dict[str, Any] | None, workers: int
    ) -> tuple[Carrier, dict[str, Any]]:
        """Whoever reads, and what it says of itself. settings: as JSON has them."""
        jobs = self.config.jobs
        limits = {"slots": workers, "patience_s": jobs.patience_s, "memory_bytes": jobs.memory_bytes}
        told = {
            "config": settings,
            "sensor": observer(self.config).name,  # a worker has another one
            "limits": limits,
            "quiet": self.quiet,
            "table": table,
            "count_hosts": self.count_hosts,
        }
        if self.options.scheduler is None:
            pool = stack.enter_context(LocalPool([*COMMAND, str(os.getpid())], told, workers))
            return pool, _started(pool)
        ready = UNJUDGED if table is not None else judged_by(self.config, load_model(self.config))
        site_notes(self.config)  # so that what is wrong with them is told here, and not of each worker
        if (geo := geo_databases(self.config)) is not None:
            geo.close()
        carrier = cluster_of(self.config, self.options.scheduler, told, ready)
        return stack.enter_context(carrier), ready


class IslandRun:
    """Captures, each read for itself, and what came of them in their order."""

    def __init__(
        self,
        captures: Sequence[Capture],
        carrier: Carrier,
        run: RunDirectory,
        kept: KeptOfCaptures,
        bundle: str,
        *,
        keep: bool,
        count_hosts: bool,
    ) -> None:
        """keep: whether the run's directory stays. count_hosts: whether what is known of each has to say how many."""
        self.captures, self.run, self.keep, self.bundle = captures, run, keep, bundle
        self.problems: list[str] = []
        self.failed = False  # whether a capture was damaged or set aside
        self.lost = False  # whether packets or flows of one could not be kept
        self.given_up: CarrierError | None = None  # why whoever reads does no more
        self._carrier = carrier
        self._kept = kept
        self._count_hosts = count_hosts
        tasks = [
            {"capture": capture.name, "size": capture.size, "part": str(run.part(capture)), **kept.task(capture)}
            for capture in captures
        ]
        self.schedule = Schedule(tasks, carrier)
        self._began_s = self._looked_s = time.monotonic()
        self._progress = Progress(bundle=bundle)
        self._next = 0  # the first capture that was not taken
        sizes = [capture.size for capture in captures]
        self._size = None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def progress(self) -> Progress:
        """Counts of the captures taken by now, and how far all are."""
        kept = self._progress.kept
        return replace(
            self._progress,
            kept=kept and replace(kept, files_deleted=kept.files_deleted + self._kept.deleted),
            bytes_read=self.schedule.done,
            size=self._size,
            workers=self._carrier.rates(),
            elapsed_s=time.monotonic() - self._began_s,
        )

    @property
    def stopping(self) -> bool:
        """Whether it ends before all is read."""
        return self.schedule.stopping

    def stop(self) -> None:
        """Begin nothing more, and wait for nothing that runs. May be called by a signal handler."""
        self.schedule.stop()

    def carry(
        self,
        take: Callable[[Capture, dict[str, Any]], None],
        note: Callable[[str], None],
        show: Callable[[Progress], None],
    ) -> None:
        """Carry all captures to their ends, or until stopped.

        take: gets each that was read, in order, with what is known of it. note: gets remarks. show: how far all is,
        several times a second. Raises OutputError where the run's directory takes no more.
        """

        def look(*, at_once: bool = False) -> None:
            for remark in self._carrier.remarks():
                note(remark)
            ended = self._next < len(self.captures) and self.schedule.states[self._next].over
            now_s = time.monotonic()
            if ended or at_once or now_s - self._looked_s >= LOOK_S:
                self._looked_s = now_s
                self._take(take, note)
                show(self.progress)

        for number, capture in enumerate(self.captures):
            if self.stopping:
                break
            if (result := self.run.end_of(capture)) is not None and self._suffices(capture, result):
                self.schedule.know(number, result, capture.size or 0)
        look(at_once=True)
        try:
            self.schedule.run(self._ended, look)
        except CarrierError as error:  # what has ended by now is taken, and the run can go on
            self.given_up = error
            self.problems.append(str(error))
            self.schedule.stop()
        look(at_once=True)
        for line in self._carrier.account():
            note(line)

    def refuse_nothing_read(self) -> None:
        """Raise InputError where not one capture could be read, as reading them as one stream does."""
        states = self.schedule.states
        if states and all(state.result is not None and not state.result["account"] for state in states):
            raise InputError(*self.problems)

    def _suffices(self, capture: Capture, result: dict[str, Any]) -> bool:
        """Whether a capture need not be read again for what this run wants of it."""
        return ("hosts" in result or not self._count_hosts) and self._kept.has(capture, result)

    def _ended(self, number: int, state: State) -> None:
        """Note on disk how a capture ended. Raises OutputError."""
        capture, result = self.captures[number], state.result
        self._kept.ended(capture, result)
        if result is None:
            return
        if "unwritten" in result:
            raise OutputError(result["unwritten"])
        # What was not kept is read again, should the run go on, and what could not be opened or read to its end.
        if result["code"] != OUTPUT and not result["may_pass"]:
            self.run.keep_end(capture, result)

    def _take(self, take: Callable[[Capture, dict[str, Any]], None], note: Callable[[str], None]) -> None:
        """Hand over what has ended, in the order of the captures."""
        while self._next < len(self.captures) and self.schedule.states[self._next].over:
            capture, state = self.captures[self._next], self.schedule.states[self._next]
            self._next += 1
            if state.result is None:
                self.failed = True
                why = [*state.failures, *state.losses]
                told = "; ".join(dict.fromkeys(why))
                self.problems.append(f"{printable(capture.name, 200)}: set aside after {len(why)} attempts: {told}")
                continue
            self.problems += state.result["problems"]
            self.lost |= state.result["code"] == OUTPUT
            self.failed |= state.result["code"] not in (OK, OUTPUT)
            self._progress = sum_of([state.result["account"]], self._progress)
            for remark in state.result["remarks"]:
                note(remark)
            take(capture, state.result)
            if not self.keep:
                self.run.discard(capture)


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
