"""`flowvigil report`: captures or alerts in, a page for people who were not there out."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensor import log
from sensor.cli.assembly import capture_turns, ready_model
from sensor.cli.build import build_judge
from sensor.cli.flags import Flags
from sensor.cli.options import BundleOption, ConfigOption, DecapOption, FilterOption, QuietOption, SetOption
from sensor.cli.signals import stopped_by_signals
from sensor.errors import INPUT, INTERRUPTED, OK, InputError
from sensor.process.kernel_cache import use_kernel_cache

if TYPE_CHECKING:
    from sensor.report.inputs import Inputs
    from sensor.report.records import Lines
    from sensor.settings.config import Config
    from sensor.terminal.screen import Screen

InputsArgument = Annotated[
    list[str],
    typer.Argument(metavar="CAPTURE…|ALERTS.jsonl…", help="Captures as read takes them, or its JSONL; - is stdin."),
]
PageOption = Annotated[Path, typer.Option("-o", "--output", metavar="X.html", help="Page to write.", readable=False)]


def report(
    inputs: InputsArgument,
    output: PageOption,
    model: BundleOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    expression: FilterOption = None,
    decap: DecapOption = False,
    quiet: QuietOption = False,
) -> int:
    """Write one HTML page about captures or alerts, for people who were not there.

    \b
    flowvigil report monday.pcap.gz -o monday.html
    flowvigil report /var/log/flowvigil/alerts.jsonl -o week.html
    flowvigil read capture.pcap | flowvigil report - -o capture.html
    tcpdump -i eth0 -c 100000 -w - | flowvigil report - -o now.html

    A verdict in one line, what was looked at, the alerts over time and one by one with their reasons, what to do next
    and filters that show their packets, and what this sensor could not see.

    Of captures the page is made as `read` finds it; of alerts (JSONL, also .gz) it tells what the sensor wrote, and the
    model and settings flags have no effect. Lines that cannot be read are counted and give exit code 6.

    The page needs no network and no script, and prints. It gets its name when it is whole; what stood there before is
    replaced. Progress goes to stderr. The same input gives the same page, byte for byte.
    """
    loaded = Flags(model=model, config=config, overrides=overrides, expression=expression, decap=decap).settings()
    use_kernel_cache()  # before anything that imports numba
    from sensor.report.publish import refuse_unwritable

    refuse_unwritable(output, inputs)
    from sensor.report.inputs import Inputs

    found = Inputs(inputs)
    if found.kind == "captures":
        html, code = _of_captures(loaded, found, quiet=quiet)
    else:
        html, code = _of_alerts(found, quiet=quiet)
    from sensor.report.publish import publish

    publish(html, output)
    if not quiet:
        log.info(f"page written to {output} ({len(html.encode()) / 1e3:,.0f} kB)")
    return code


def _of_alerts(inputs: "Inputs", *, quiet: bool) -> tuple[str, int]:
    from sensor.report.coverage import Coverage
    from sensor.report.findings import Findings
    from sensor.report.page import page
    from sensor.report.records import Lines, lines_of
    from sensor.report.subject import Judging, Subject, command_of

    lines, findings = Lines(), Findings()
    for name in inputs.names:
        with inputs.lines_in(name) as stream:
            findings.take(lines.records(lines_of(stream), name))
    if lines.unreadable and not lines.read and not lines.passed_over:
        reason, number = lines.unreadable.most_common(1)[0]
        raise InputError(
            f"{inputs.names[0]}: found no record of flowvigil ({number:,} line{'s' * (number != 1)}: {reason}), "
            "expected a capture or flowvigil's alerts"
        )
    models = {(episode.last.model.id, episode.last.model.sha256) for episode in findings}
    subject = Subject(
        kind="alerts",
        inputs=inputs.names,
        judging=tuple(Judging(name, sha256) for name, sha256 in sorted(models) if name),
        command=command_of(inputs.names, None),
    )
    accounts = findings.accounts
    starts = [moment for moment in (findings.first_ns, accounts.first_ns) if moment]
    coverage = Coverage(
        accounts.total(), min(starts, default=0), max(findings.last_ns, accounts.last_ns), runs=accounts.runs
    )
    _tell_unreadable(lines)
    if not quiet:
        log.info(f"report: {lines.read:,} records, {len(findings):,} alerts")
    return page(findings, coverage, subject, lines), INPUT if lines.unreadable else OK


def _of_captures(config: "Config", inputs: "Inputs", *, quiet: bool) -> tuple[str, int]:
    hybrid = ready_model(config, quiet=quiet)
    from sensor.report.coverage import HostCensus, coverage_of
    from sensor.report.findings import Findings
    from sensor.report.folding import Folding
    from sensor.report.page import page
    from sensor.report.records import Lines
    from sensor.report.subject import Subject, command_of, judging_of, settings_of
    from sensor.run.detection import Detection
    from sensor.run.outlet import Outlet
    from sensor.run.run import Run

    inputs.put_back()
    findings, census = Findings(), HostCensus()
    detection = Detection(build_judge(config, hybrid), Outlet(()))
    run = Run(capture_turns(config, inputs.names), detection, Folding(findings, _screens(inputs, quiet)), [census])
    with stopped_by_signals(run):
        run.run()
    subject = Subject(
        kind="captures",
        inputs=inputs.names,
        judging=(judging_of(hybrid),),
        command=command_of(inputs.names, config),
        settings=settings_of(config),
        expression=config.capture.filter,
        decapsulated=config.meter.decapsulate,
        problems=tuple(run.problems),
    )
    code = INTERRUPTED if run.stopping else INPUT if run.problems else OK
    return page(findings, coverage_of(run.progress, census), subject, Lines()), code


def _screens(inputs: "Inputs", quiet: bool) -> "Sequence[Screen]":
    """How far it is, where stderr is a terminal, and the closing line."""
    from sensor.terminal.progress_line import ProgressLine
    from sensor.terminal.summary import Silent, SummaryLine

    if quiet:
        return [Silent(sys.stderr)]
    name = Path(inputs.names[0]).name if len(inputs.names) == 1 else f"{len(inputs.names)} captures"
    line = ProgressLine(
        sys.stderr if sys.stderr.isatty() else None,
        lambda progress: f"{progress.packets:,} packets, {progress.alerts:,} alerts",
    )
    return [line, SummaryLine(sys.stderr, "report", name)]


def _tell_unreadable(lines: "Lines") -> None:
    for reason, number in lines.unreadable.most_common(5):
        many, first = "s" * (number != 1), lines.first_unreadable[reason]
        log.warning(f"{number:,} line{many} could not be read: {reason} (first: {first})")
