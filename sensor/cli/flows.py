"""`flowvigil flows`: captures in, a flow table out."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from sensor import log
from sensor.cli.beforehand import refuse_metering, tell_skipped, tell_stream
from sensor.cli.extras import require_tables
from sensor.cli.flags import Flags, with_flags
from sensor.cli.flow_metering import compiled_meter, progress_text, summary
from sensor.cli.flow_search import By, SearchOptions, are_logs, search
from sensor.cli.island_options import (
    IndependentOption,
    IslandOptions,
    ResumeOption,
    RunOption,
    SchedulerOption,
    WorkersOption,
)
from sensor.cli.options import JsonOption, QuietOption
from sensor.cli.signals import stopped_by_signals
from sensor.cli.stdout import stdout_stream
from sensor.errors import INPUT, INTERRUPTED, OK
from sensor.printable import printable

if TYPE_CHECKING:
    from sensor.flow_tables.background import BackgroundWriter


class DialectName(StrEnum):
    """The headers a table may have (flows.dialects)."""

    NATIVE = "native"
    CIC2017 = "cic2017"
    TOT = "tot"
    V4 = "v4"
    PYTHON = "python"


class Compat(StrEnum):
    """Programs whose flows and values the meter can reproduce, errors included."""

    CICFLOWMETER_V4 = "cicflowmeter-v4"


InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="CAPTURE|LOG",
        help="pcap or pcapng, also .gz, .zst, .xz, .bz2, .lz4; a directory with all below; - is stdin. Or a flow log "
        "or flow tables to ask.",
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option("--where", metavar="QUERY", help="Of a log: the flows for which all terms hold, 'dport:445'."),
]
ByOption = Annotated[
    By | None,
    typer.Option("--by", metavar="SIDE", help="Of a log: counts by src, dst, sport, dport, proto, verdict or label."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="Of a log: at most so many rows, the first ones.")
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Table to write: .csv or .parquet. Without it, CSV on stdout.",
        readable=False,
    ),
]
DialectOption = Annotated[
    DialectName, typer.Option("--dialect", metavar="NAME", help="Header: native, cic2017, tot, v4 or python.")
]
CompatOption = Annotated[
    Compat | None,
    typer.Option("--compat", metavar="PROGRAM", help="Reproduce cicflowmeter-v4: its flows, values and errors."),
]
SnapshotsOption = Annotated[bool, typer.Option("--snapshots", help="Also what long flows looked like as they ran.")]
ProgressOption = Annotated[
    bool | None, typer.Option("--progress/--no-progress", help="Show on stderr how far it is; default: in a terminal.")
]


@with_flags("config", "overrides", "expression", "decap")
def flows(
    inputs: InputsArgument,
    where: WhereOption = None,
    by: ByOption = None,
    limit: LimitOption = None,
    output: TableOption = None,
    dialect: DialectOption = DialectName.NATIVE,
    compat: CompatOption = None,
    snapshots: SnapshotsOption = False,
    progress: ProgressOption = None,
    *,
    independent: IndependentOption = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    flags: Flags,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Meter captures into a table of their flows, or ask a flow log. A row is a flow.

    \b
    flowvigil flows capture.pcap -o flows.parquet
    flowvigil flows monday.pcap.gz tuesday.pcapng -o flows.csv --dialect cic2017
    flowvigil flows capture.pcap -o v4.csv --dialect v4 --compat cicflowmeter-v4
    flowvigil flows capture.pcap --filter 'tcp port 443' -o https.csv
    flowvigil flows captures/ --independent -o flows.parquet
    tcpdump -i eth0 -w - | flowvigil flows - | head

    \b
    native   our column names, addresses, start and end in ISO 8601, end reason
    cic2017  the published CIC-IDS-2017 files, blanks and doubled column included;
             its times have twelve hours and do not say which (in parquet the
             doubled column ends in .1)
    tot      CICFlowMeter of 2018 to 2020 and CSE-CIC-IDS-2018
    v4       CICFlowMeter since 2020
    python   cicflowmeter 0.2.0 from PyPI, times in microseconds

    A dialect changes names, order and the form of times (UTC) and labels; the values are the corrected ones unless
    --compat says otherwise. Every capture is read as far as it can be; a damaged one is named at the end and gives exit
    code 6. The file gets its name when it is whole; what stood there before is replaced. Several captures are one
    stream in the order of time; --independent ones are metered each for itself, on all cores: the rows of each in the
    order of the captures, behind native ones the path of their capture.

    A log of read --flows or watch --flows, or a table of this command in Parquet, is asked:

    \b
    flowvigil flows log/ --where 'src:10.0.0.9 dport:445'
    flowvigil flows log/ --where 'dst:10.0.0.2 answered:yes' --by dport
    flowvigil flows log/ --where 'after:2026-03-02T09:00' --by src | jq .src
    flowvigil flows log/ --where 'verdict:attack bytes:>1M' -o attacks.csv

    \b
    src: dst: host:      an address or a network
    port: dport: sport:  ports; port: is the target's
    proto: vlan:         tcp, udp, icmp ...; a tag
    bytes: packets:      of both directions
    duration:            seconds
    after: before:       when it began, UTC
    answered: judged:    yes, no
    verdict:             attack, uncertain, benign
    lane:                known, novel, both
    label:               what the known lane said
    p: score:            smaller p-value, highest score

    Numbers may stand behind >=, >, <=, < or =. Any other word is looked for in addresses, labels and ends.

    Each flow is shown once, by its latest report; --snapshots shows all. A terminal gets rows, a pipe JSON lines
    (schema logged-flow). Files that cannot be read are named at the end and give exit code 6.
    """
    if output is not None and output.suffix not in (".csv", ".parquet"):
        raise typer.BadParameter(f"{printable(str(output), 100)}: expected a name ending in .csv or .parquet")
    if output is not None and output.suffix == ".parquet":
        require_tables("a table in Parquet")
    asked = SearchOptions(where, by, limit, output, snapshots, json, quiet)
    if are_logs(inputs, asked=asked.asked):
        require_tables("a flow log, or a table in Parquet,")
        _refuse_metering_options(flags, dialect, compat, by, output, independent=independent)
        return search(inputs, asked)
    captures = inputs
    if compat is not None and snapshots:
        raise typer.BadParameter("--snapshots: cicflowmeter-v4 has none, expected it without --compat")
    loaded = flags.settings()
    if compat is not None and loaded.meter.decapsulate:
        raise typer.BadParameter("--decap: cicflowmeter-v4 does not look into tunnels, expected it without --compat")
    show_progress = (sys.stderr.isatty() if progress is None else progress) and not quiet
    options = IslandOptions(independent, workers, run, resume, scheduler)
    if independent:
        from sensor.cli.flow_islands import flows_of_islands
        from sensor.cli.island_run import Islands
        from sensor.cli.reading_pool import TableOptions

        program, parquet = compat and compat.value, output is not None and output.suffix == ".parquet"
        asked_table = TableOptions(dialect.value, program, snapshots, parquet)
        islands = Islands(loaded, captures, options, quiet, asked_table)
        return flows_of_islands(islands, output, show_progress=show_progress)
    options.refuse_alone()
    meter = compiled_meter(
        loaded, compat and compat.value, partial(refuse_metering, loaded, captures, output), quiet=quiet
    )
    from sensor.metering.captures import CaptureTurns
    from sensor.progress.hints import hints
    from sensor.progress.words import first_problems
    from sensor.run.export import Export
    from sensor.run.run import Run
    from sensor.sources.captures.stream import CaptureStream
    from sensor.terminal.progress_line import ProgressLine

    if not quiet:
        tell_skipped(captures)
        tell_stream(captures)
    source = CaptureStream(captures, loaded.capture.filter)
    screen = ProgressLine(sys.stderr if show_progress else None, progress_text)
    started = time.monotonic()
    called_off = Event()
    with _open_table(output, dialect, called_off.is_set) as table:
        turns = CaptureTurns(source, meter, as_reported=compat is not None)
        metering = Run(turns, Export(table, lambda: source.from_pipe, snapshots), screen)
        with stopped_by_signals(metering, called_off.set):
            metering.run()
    if not quiet:
        log.info(summary(metering.progress, table.written, time.monotonic() - started))
        for remark in (*turns.remarks, *(hint.message for hint in hints(metering.progress))):
            log.warning(remark)
    for problem in first_problems(metering.problems):
        log.warning(problem)
    if metering.stopping:
        return INTERRUPTED
    return INPUT if metering.problems else OK


def _refuse_metering_options(
    flags: Flags,
    dialect: DialectName,
    compat: Compat | None,
    by: By | None,
    output: Path | None,
    *,
    independent: bool,
) -> None:
    """Raise typer.BadParameter for what only holds for captures: the flows of a log were metered before."""
    given = {
        "--dialect": dialect is not DialectName.NATIVE,
        "--compat": compat is not None,
        "--filter": flags.expression is not None,
        "--decap": flags.decap,
        "--independent": independent,
    }
    for name in (name for name, is_given in given.items() if is_given):
        raise typer.BadParameter("found a flow log or a flow table, expected captures to meter", param_hint=name)
    if by is not None and output is not None:
        raise typer.BadParameter(
            "found --by beside it, expected --where alone: a table has a row a flow", param_hint="-o"
        )


@contextmanager
def _open_table(output: Path | None, name: DialectName, called_off: Callable[[], bool]) -> Iterator["BackgroundWriter"]:
    """Open the table: a file that gets its name when it is whole, or CSV on stdout for no path.

    called_off: whether to wait for no reader any more that takes nothing.
    """
    from flows.dialects import DIALECTS
    from sensor.flow_tables.background import in_background
    from sensor.flow_tables.table import open_table, stream_table

    dialect = next(dialect for dialect in DIALECTS if dialect.name == name)
    if output is not None:
        with open_table(output, dialect, called_off) as writer, in_background(writer) as table:
            yield table
    else:
        with (
            stdout_stream(called_off) as stream,
            stream_table(stream, "stdout", dialect) as writer,
            in_background(writer) as table,
        ):
            yield table
