"""The process that reads captures one by one, each in a child of its own (sensor.jobs.server).

Its first line says what is to be done with them, and by which settings. What a child makes is a file, of lines or of
rows of a flow table, and an account of its run.
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.cli.build import (
    build_judge,
    build_meter,
    build_table_meter,
    geo_databases,
    make_flow_directory,
    site_notes,
)
from sensor.cli.display import DisplayOptions
from sensor.cli.exit_code import exit_code
from sensor.cli.kept_of_captures import remove_logs, whole_directory
from sensor.cli.kernels import JUDGING, cached
from sensor.cli.options import Color
from sensor.cli.reading import OneOfMany, reading
from sensor.cli.ready_model import ready_model
from sensor.errors import INPUT, INTERNAL, OK, InputError, OutputError, SensorError, reason_of
from sensor.files.digest import sha256_of
from sensor.files.unfinished import whole_file
from sensor.jobs.accounts import account_of
from sensor.jobs.pool import Limits, Page, Pool, Result, Task, Work
from sensor.jobs.server import Lines, say, serve
from sensor.printable import printable
from sensor.process.children import end_with_parent
from sensor.process.preloading import load

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.geoip.databases import GeoDatabases
    from sensor.judging.judge import Judge
    from sensor.metering.turns import Turn
    from sensor.report.coverage import HostCensus
    from sensor.run.run import Run
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes

COMMAND: Final = [sys.executable, "-P", "-m", "sensor.cli.reading_pool"]  # -P: no module of where the captures lie
# What a child runs, loaded before there is one, as loading it would take longer than reading a small capture.
OF_TURNS: Final = (
    "sensor.metering.captures",
    "sensor.metering.names",
    "sensor.run.run",
    "sensor.sources.captures.stream",
    "sensor.terminal.plain_screens",
)
OF_LINES: Final = (
    *OF_TURNS,
    "sensor.alerts.flow_record",
    "sensor.drift.drift",
    "sensor.episodes.learned_site",
    "sensor.flow_log.recorder",
    "sensor.outputs.lines",
    "sensor.outputs.outputs",
    "sensor.run.ahead",
    "sensor.run.detection",
    "sensor.run.looking",
    "sensor.run.output_news",
    "sensor.terminal.screen_thread",
)
OF_TABLES: Final = (
    *OF_TURNS,
    "numpy.char",  # which numpy loads at its first use
    "sensor.flow_tables.background",
    "sensor.flow_tables.table",
    "sensor.run.export",
)

UNJUDGED: Final[dict[str, Any]] = {"bundle": "", "sha256": "", "files": {}}  # see judged_by: nothing is judged


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How the flows of captures are to stand in a table, as JSON has it."""

    dialect: str  # name in flows.dialects
    compat: str | None  # program whose flows and values are reproduced, None: none
    snapshots: bool  # also reports of flows that went on
    parquet: bool  # else CSV


@dataclass(frozen=True, slots=True)
class Site:
    """What is told of addresses beside what is judged."""

    notes: "SiteNotes | None" = None
    geo: "GeoDatabases | None" = None


class Moving:
    """The hook of a run (sensor.run.run.Hook) that tells the process above that it goes on."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def begin(self, _run: "Run") -> None:
        """It has begun."""
        self._page.move(0)

    def before(self, _turn: "Turn", _run: "Run") -> None:
        """Nothing yet."""

    def after(self, _turn: "Turn", run: "Run") -> None:
        """Tell how far it is, in bytes of the capture."""
        self._page.move(run.progress.bytes_read)

    def end(self, run: "Run") -> None:
        """All is read."""
        self._page.move(run.progress.bytes_read)


def main(parent: int | None = None) -> None:
    """Serve by standard input and output until the first is closed.

    parent: id of the process with which it ends, however that one does, also where it would not look at its input.
    """
    if parent is not None:
        end_with_parent(parent)
    told, telling = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what is written to stdout by mistake must not be taken for news
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nor be read by a capture's name what is told to this process
    for number in (signal.SIGINT, signal.SIGHUP):  # meant for the process that began this one
        signal.signal(number, signal.SIG_IGN)
    asked = Lines(told)
    first: list[Any] = []
    while not first and not asked.closed:
        first = asked.read()
    if not first:
        return
    settings = first[0]
    try:
        work, ready = _ready_to_meter(settings) if settings["table"] else _ready_to_judge(settings)
    except SensorError as error:
        say(telling, {"refused": {"message": str(error), "detail": list(error.detail), "code": error.exit_code}})
        return
    gc.collect()
    gc.freeze()
    serve(Pool(work, Limits(**settings["limits"])), told, telling, ready)


def _config_of(settings: dict[str, Any]) -> "Config":
    """The settings of the run, and whose it is: a worker of a cluster is another machine."""
    from sensor.settings.config import Config

    config = Config.model_validate(settings["config"], strict=False)  # no JSON: that has names in UTF-8 alone
    return config.model_copy(update={"sensor": config.sensor.model_copy(update={"name": settings["sensor"]})})


def _ready_to_judge(settings: dict[str, Any]) -> tuple[Work, dict[str, Any]]:
    """What a child does, with the model and every kernel loaded, so that no child has to; and by what it judges."""
    config = _config_of(settings)
    hybrid = ready_model(config, cached(JUDGING, config), lambda: None, quiet=bool(settings["quiet"]))
    load(OF_LINES)  # not before: they load kernels, whose cache is chosen by now
    from sensor.run.warmup import warm_up, warm_up_reading

    warm_up(build_meter(config), build_judge(config, hybrid))
    warm_up_reading()
    make_flow_directory(config)  # which loads what writing there needs
    judge = build_judge(config, hybrid)  # each child has a copy, of whose empty tables it pays for what it fills
    # Read once: what somebody edits meanwhile must not be told of half of the captures.
    site = Site(site_notes(config), geo_databases(config))
    work = partial(_one, partial(read_one, config, judge, site, count_hosts=bool(settings["count_hosts"])))
    return work, judged_by(config, hybrid)


def judged_by(config: "Config", hybrid: "Hybrid") -> dict[str, Any]:
    """By what captures are judged and alerts told: two readers with the same say the same.

    The bundle by its manifest, which also has the thresholds, and names the weights; files of the settings by path, ""
    for one that cannot be read: who reads it says so.
    """
    paths = [config.site.file, config.geoip.location, config.geoip.asn]
    files = {str(path): _content_of(path) for path in paths if path is not None}
    return {"bundle": hybrid.model_id, "sha256": hybrid.manifest_sha256, "files": files}


def _content_of(path: Path) -> str:
    """SHA-256 of a file; "" of one that cannot be read."""
    with suppress(OSError):
        if os.path.isfile(path):  # a pipe would keep one waiting
            return sha256_of(path)
    return ""


def _ready_to_meter(settings: dict[str, Any]) -> tuple[Work, dict[str, Any]]:
    """The same for parts of a flow table; there is no model."""
    config, table = _config_of(settings), TableOptions(**settings["table"])
    from sensor.cli.flow_metering import compiled_meter

    meter = compiled_meter(config, table.compat, lambda: None, quiet=bool(settings["quiet"]))
    from flows.meter import NO_PACKETS

    load(OF_TABLES)
    meter.feed(NO_PACKETS)  # which loads its kernels
    if table.parquet:
        from sensor.flow_log.recorder import warm_flow_recorder

        warm_flow_recorder()
    return partial(_one, partial(meter_one, config, table)), UNJUDGED


def _one(work: Callable[[Task, Page, Result], None], task: Task, page: Page) -> Result:
    """What is known of a capture once its part is written. In a child."""
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    found: Result = {"code": INTERNAL, "problems": [], "remarks": [], "account": {}}
    page.move(0)
    try:
        work(task, page, found)
        found["sha256"] = sha256_of(task["part"], page.go_on)
        found["may_pass"] = not found["account"] or _cut_by_system(task["capture"], found["problems"])
    except (OutputError, OSError) as error:
        why = reason_of(error) if isinstance(error, OSError) else str(error)
        found["unwritten"] = f"{printable(task['part'], 200)}: cannot be written ({why})"
    return found | {"seconds": time.monotonic() - began_s, "cpu_s": time.process_time() - began_cpu_s}


def _cut_by_system(capture: str, problems: list[str]) -> bool:
    """Whether the system did not give all of a capture, which it may another time."""
    from flows.byte_stream import UNREADABLE

    return any(problem.startswith(f"{capture}: {UNREADABLE}") for problem in problems)


def read_one(
    config: "Config", judge: "Judge", site: Site, task: Task, page: Page, found: Result, *, count_hosts: bool = False
) -> None:
    """Read one capture into a file of lines. found: gets what is known of it then. Raises OutputError, OSError.

    count_hosts: found gets `hosts` too, 0 of a capture that cannot be read.
    """
    hosts = [_census()] if count_hosts else []
    if count_hosts:
        found["hosts"] = 0
    name, display = task["capture"], DisplayOptions(True, True, Color.NEVER)
    known = OneOfMany(name, site.notes, site.geo, page.go_on, flow_log_run=task.get("flow_log_run"))
    with whole_file(Path(task["part"])) as lines, _kept(config, task, known) as (own, one), _refusals(found):
        os.dup2(lines.fileno(), 1)
        with reading(own, [name], display, judge, [*hosts, Moving(page)], one) as assembled:
            assembled.run.run()
        if assembled.detection.outlet.lost_output:
            raise OutputError(assembled.detection.outlet.problems[0].removeprefix("stdout: "))  # its lines' file
        found["code"] = exit_code(assembled, None)
        found["problems"] = list(assembled.run.problems)
        found["remarks"] = list(assembled.run.turns.remarks)
        progress = assembled.run.progress
        found["account"] = account_of(progress)
        found["packet_files"] = progress.kept.files if progress.kept else 0
        found["flow_files"] = progress.logged.files if progress.logged else 0
        if hosts:
            found["hosts"] = len(hosts[0].hosts)


def meter_one(config: "Config", table: TableOptions, task: Task, page: Page, found: Result) -> None:
    """Meter one capture into a part of a flow table. found: as of read_one. Raises OutputError, OSError."""
    from flows.dialects import DIALECTS
    from sensor.flow_tables.background import in_background
    from sensor.flow_tables.table import part_of_table
    from sensor.metering.captures import CaptureTurns
    from sensor.run.export import Export
    from sensor.run.run import Run
    from sensor.sources.captures.stream import CaptureStream
    from sensor.terminal.plain_screens import NoScreen

    dialect = next(dialect for dialect in DIALECTS if dialect.name == table.dialect)
    part = part_of_table(Path(task["part"]), dialect, parquet=table.parquet)
    with part as writer, _refusals(found):
        source = CaptureStream([task["capture"]], config.capture.filter, moved=page.go_on)
        turns = CaptureTurns(source, build_table_meter(config, table.compat), as_reported=table.compat is not None)
        with in_background(writer) as rows:
            run = Run(turns, Export(rows, lambda: False, table.snapshots), NoScreen(), [Moving(page)])
            run.run()
        writer.flush()
        found["code"] = INPUT if run.problems else OK
        found["problems"] = list(run.problems)
        found["remarks"] = list(turns.remarks)
        found["account"] = account_of(replace(run.progress, flows=writer.written))


@contextmanager
def _kept(config: "Config", task: Task, one: OneOfMany) -> "Iterator[tuple[Config, OneOfMany]]":
    """The settings by which one capture is read, and what it knows of itself: nothing of an earlier attempt stays."""
    if one.flow_log_run is not None and config.flow_log.directory is not None:
        remove_logs(config.flow_log.directory, one.flow_log_run)
    if "packets" not in task:
        yield config, one
        return
    directory = Path(task["packets"])
    with whole_directory(directory) as making:
        section = config.keep_packets.model_copy(update={"directory": making})
        yield config.model_copy(update={"keep_packets": section}), replace(one, packets_in=f"{directory.name}/")


@contextmanager
def _refusals(found: Result) -> Iterator[None]:
    """Note why a capture cannot be read."""
    try:
        yield
    except OutputError:
        raise
    except SensorError as error:
        found["code"] = error.exit_code
        found["problems"] = [str(error), *(error.others if isinstance(error, InputError) else ())]


def _census() -> "HostCensus":
    from sensor.report.coverage import HostCensus

    return HostCensus()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
