"""`flowvigil report`: captures or alerts in, a page for people who were not there out."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensor import log
from sensor.alerts.spread import counted
from sensor.cli.beforehand import refuse_captures, tell_skipped, tell_stream
from sensor.cli.build import build_judge, build_names, geo_databases, site_notes
from sensor.cli.durations import duration_s
from sensor.cli.flags import Flags, with_flags
from sensor.cli.island_options import (
    CoresOption,
    IndependentOption,
    IslandOptions,
    ResumeOption,
    RunOption,
    SchedulerOption,
)
from sensor.cli.kernels import JUDGING, Kernels, cached
from sensor.cli.options import QuietOption
from sensor.cli.signals import stopped_by_signals
from sensor.errors import INPUT, INTERRUPTED, OK, InputError
from sensor.process.cores import usable_cores

if TYPE_CHECKING:
    from sensor.alerts.reading import NativeLine, Record
    from sensor.cli.report_fleet import FleetPage
    from sensor.report.digest import Digest
    from sensor.report.inputs import Inputs
    from sensor.report.recent import Since
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes
    from sensor.terminal.screen import Screen

InputsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="CAPTURE...|ALERTS.jsonl...", help="Captures as read takes them, or its JSONL; - is stdin."),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Alerts of the last 24h, 90m or 7d; without a file the sensor's own."),
]
FleetOption = Annotated[
    Path | None,
    typer.Option("--fleet", metavar="FLEET.yaml", help="List of sensors and sites: a page about them.", readable=False),
]
PageOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="X.html", help="Page to write.  [required]", readable=False),
]


@with_flags("model", "config", "overrides", "expression", "decap", "site")
def report(
    inputs: InputsArgument = None,
    output: PageOption = None,
    *,
    since: SinceOption = None,
    fleet: FleetOption = None,
    independent: IndependentOption = False,
    workers: CoresOption = None,
    scheduler: SchedulerOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    flags: Flags,
    quiet: QuietOption = False,
) -> int:
    """Write one HTML page about captures or alerts. It is for people who were not there.

    \b
    flowvigil report monday.pcap.gz -o monday.html
    flowvigil report /var/log/flowvigil/alerts.jsonl -o week.html
    flowvigil report --since 24h -c /etc/flowvigil/flowvigil.yaml -o today.html
    flowvigil report --fleet fleet.yaml /var/log/sensors -o fleet.html
    flowvigil read capture.pcap | flowvigil report - -o capture.html
    flowvigil report captures/ --independent -o captures.html
    tcpdump -i eth0 -c 100000 -w - | flowvigil report - -o now.html

    A verdict in one line, what was looked at, the alerts over time and one by one with their reasons, what to do next
    and filters that show their packets, and what this sensor could not see.

    Of captures the page is made as `read` finds it; of alerts (JSONL, also compressed) it tells what the sensor wrote,
    and the model and settings flags have no effect. Lines that hold no record are counted and give exit code 6.

    Several captures are one stream in the order of time; --independent ones are read each for itself, on all cores, and
    the page says which captures have alerts, and of each alert in which it was found.

    With --since it tells of alerts what came in the hours or days before now; without a file, of the one that the
    settings have them written to (output.file, or the first of outputs in our own format) and what was rotated.

    With --fleet it is about many sensors, whose alerts may be in directories: which to look at, whose hosts several
    tell of; an attack that several tell is told once.

    The page needs no network and no script, and prints. It gets its name when it is whole; what stood there before is
    replaced. Progress goes to stderr. The same input gives the same page, byte for byte.
    """
    loaded = flags.settings()
    kernels = cached(JUDGING, loaded)  # before anything that imports numba
    notes = site_notes(loaded)
    from sensor.report.recent import Since

    now_ns = time.time_ns()
    back = Since() if since is None else Since(since, now_ns - round(duration_s(since, "--since") * 1e9), now_ns)
    names = _names(inputs, loaded, back)
    many = None
    if fleet is not None:
        from sensor.alerts.line_files import with_directories
        from sensor.cli.report_fleet import FleetPage

        many, names = FleetPage.of(fleet, names), with_directories(names)
    from sensor.report.inputs import Inputs
    from sensor.report.publish import refuse_unwritable

    if output is None:  # told after what is wrong with the inputs: who names a table looks for another command
        if "-" not in names:
            Inputs(names, lines=many is not None or not inputs)
        raise typer.BadParameter("found no page to write, expected -o X.html")
    refuse_unwritable(output, names)
    found = Inputs(names, lines=many is not None or not inputs)  # its own are lines, whatever they begin with
    if found.kind == "captures":
        if back.words or fleet is not None:
            option = "--since" if back.words else "--fleet"
            raise typer.BadParameter(f"found the capture {names[0]}, expected alerts", param_hint=option)
        options = IslandOptions(independent, workers, run, resume, scheduler)
        if independent:
            from sensor.cli.island_run import Islands
            from sensor.cli.report_islands import page_of_islands

            islands = Islands(loaded, found.names, options, quiet, count_hosts=True)
            html, code = page_of_islands(islands, _screens(found, quiet), _site(loaded))
        else:
            replace(options, workers=None).refuse_alone()
            cores = usable_cores() if workers is None else workers
            html, code = _of_captures(loaded, found, kernels, notes, cores, quiet=quiet)
    else:
        html, code = _of_alerts(found, notes, loaded, back, many, quiet=quiet)
    from sensor.report.publish import publish

    publish(html, output)
    if not quiet:
        log.info(f"page written to {output} ({len(html.encode()) / 1e3:,.0f} kB)")
    return code


def _names(inputs: list[str] | None, config: "Config", since: "Since") -> list[str]:
    """The inputs as they were named, else the sensor's own files. Raises BadParameter where there are none."""
    if inputs:
        return inputs
    from sensor.report.recent import own_files

    if not since.words:
        raise typer.BadParameter("found none, expected captures, files of alerts, or --since", param_hint="inputs")
    found = own_files(config, since.time_ns)
    if not found:
        raise typer.BadParameter("found no file of alerts in the settings, expected output.file", param_hint="--since")
    return [str(path) for path in found]


def _of_alerts(
    inputs: "Inputs",
    notes: "SiteNotes | None",
    config: "Config",
    since: "Since",
    many: "FleetPage | None",
    *,
    quiet: bool,
) -> tuple[str, int]:
    from sensor.alerts.json_lines import lines_in
    from sensor.alerts.reading import ReadErrors, read_lines
    from sensor.report import recent
    from sensor.report.coverage import Coverage
    from sensor.report.digest import Digest
    from sensor.report.page import page
    from sensor.report.subject import Judging, ReportSubject, command_of

    errors, digest = ReadErrors(), Digest()
    inputs.put_back()
    for name in inputs.names:
        lines = read_lines(lines_in(name, errors.damage), name, errors)
        told = _noted(recent.since(lines, since.time_ns, digest.stats), notes)
        try:
            digest.add(told if many is None else many.hearing(told))
        except InputError as error:
            if many is None:
                raise
            errors.damage.append(str(error))
    if not (errors.whole or digest.records or digest.passed_over):
        raise InputError(f"{inputs.names[0]}: found no record of flowvigil ({'; '.join(errors.words())}), "
                         "expected a capture or flowvigil's alerts")  # fmt: skip
    site, named = _site(config), inputs.names if many is None else many.named
    fleet = None if many is None else many.report(digest)
    path = None if fleet is None else fleet.path
    models = {(episode.last.model.id, episode.last.model.sha256) for episode in (*digest, *digest.muted)}
    subject = ReportSubject(
        kind="alerts",
        inputs=named,
        judging=tuple(Judging(name, sha256) for name, sha256 in sorted(models) if name),
        command=command_of(named, None, site, since.words, path),
        site=site,
        since=since.words,
        until_ns=since.until_ns,
    )
    stats = digest.stats
    starts = [moment for moment in (digest.first_ns, stats.first_ns) if moment]
    coverage = Coverage(stats.total(), min(starts, default=0), max(digest.last_ns, stats.last_ns), runs=stats.runs)
    for words in errors.words():
        log.warning(words)
    if not quiet:
        log.info(f"report: {counted(digest.records, 'record')}, {counted(len(digest), 'alert')}{_muted(digest)}")
    return page(digest, coverage, subject, errors, fleet), OK if errors.whole else INPUT


def _noted(
    lines: "Iterable[tuple[NativeLine, Record | None]]", notes: "SiteNotes | None"
) -> "Iterator[tuple[NativeLine, Record | None]]":
    """Records with what the site's notes make of the alerts among them."""
    from sensor.alerts.alert import Alert

    for native, record in lines:
        yield native, notes.of(record) if notes is not None and isinstance(record, Alert) else record


def _of_captures(
    config: "Config", inputs: "Inputs", kernels: Kernels, notes: "SiteNotes | None", cores: int, *, quiet: bool
) -> tuple[str, int]:
    from sensor.cli.reading import judged_turns, model_beside_metering

    geo = geo_databases(config)  # before anybody waits for the compiler
    beforehand = partial(refuse_captures, config, inputs.names)
    with ExitStack() as stack:
        hybrid, metered = model_beside_metering(
            stack, config, inputs.names, kernels, beforehand, cores=cores, quiet=quiet
        )
        from sensor.alerts.reading import ReadErrors
        from sensor.report.coverage import HostCensus, coverage_of
        from sensor.report.digest import Digest
        from sensor.report.folding import Folding
        from sensor.report.page import page
        from sensor.report.subject import ReportSubject, command_of, judging_of
        from sensor.run.detection import Detection
        from sensor.run.outlet import Outlet
        from sensor.run.run import Run
        from sensor.settings.bearing import bearing_settings

        site = _site(config)
        if not quiet:
            tell_skipped(inputs.names)
            tell_stream(inputs.names)
        inputs.put_back()
        digest, census = Digest(), HostCensus()
        judge = build_judge(config, hybrid)
        detection = Detection(judge, Outlet(()), notes=notes, geo=geo, names=build_names(config))
        stack.callback(detection.close_files)
        turns = judged_turns(stack, config, inputs.names, metered, judge)
        run = Run(turns, detection, Folding(digest, _screens(inputs, quiet)), [census])
        with stopped_by_signals(run):
            run.run()
    subject = ReportSubject(
        kind="captures",
        inputs=inputs.names,
        judging=(judging_of(hybrid),),
        command=command_of(inputs.names, config, site),
        site=site,
        settings=bearing_settings(config),
        expression=config.capture.filter,
        decapsulated=config.meter.decapsulate,
        problems=tuple(run.problems),
    )
    code = INTERRUPTED if run.stopping else INPUT if run.problems else OK
    return page(digest, coverage_of(run.progress, census), subject, ReadErrors()), code


def _site(config: "Config") -> str | None:
    return None if config.site.file is None else str(config.site.file)


def _muted(digest: "Digest") -> str:
    muted = len(digest.muted)
    return f", {muted:,} muted by site notes" if muted else ""


def _screens(inputs: "Inputs", quiet: bool) -> "Sequence[Screen]":
    """Progress on stderr where that is a terminal, and a summary line; problems only with quiet."""
    from sensor.progress.words import worker_rates
    from sensor.terminal.plain_screens import SilentScreen, SummaryLine
    from sensor.terminal.progress_line import ProgressLine

    if quiet:
        return [SilentScreen(sys.stderr)]
    name = Path(inputs.names[0]).name or inputs.names[0] if len(inputs.names) == 1 else f"{len(inputs.names)} captures"
    line = ProgressLine(
        sys.stderr if sys.stderr.isatty() else None,
        lambda progress: (
            f"{counted(progress.packets, 'packet')}, {counted(progress.alerts, 'alert')}"
            f"{worker_rates(progress.workers)}"
        ),
    )
    return [line, SummaryLine(sys.stderr, "report", name)]
