"""`flowvigil read`: captures in, alerts out."""

from dataclasses import replace
from typing import Annotated

import typer

from sensor.cli.exit_code import FailOnOption, exit_code
from sensor.cli.flags import Flags, with_flags
from sensor.cli.island_options import (
    CoresOption,
    IndependentOption,
    IslandOptions,
    ResumeOption,
    RunOption,
    SchedulerOption,
)
from sensor.cli.options import (
    Color,
    ColorOption,
    JsonOption,
    QuietOption,
)
from sensor.cli.refusals import refuse_objects, refuse_to_overwrite

CapturesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="CAPTURE",
        help="pcap or pcapng, also .gz, .zst, .xz, .bz2, .lz4; a directory with all below; - is stdin.",
    ),
]


@with_flags("output", "model", "config", "overrides", "expression", "decap", "keep_packets", "flows", "site")
def read(
    captures: CapturesArgument,
    *,
    flags: Flags,
    json: JsonOption = False,
    fail_on: FailOnOption = None,
    independent: IndependentOption = False,
    workers: CoresOption = None,
    scheduler: SchedulerOption = None,
    run: RunOption = None,
    resume: ResumeOption = False,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> int:
    """Read captures and report what is anomalous in them.

    \b
    flowvigil read capture.pcap
    flowvigil read monday.pcap.gz tuesday.pcapng.zst -o alerts.jsonl
    flowvigil read /var/spool/captures --filter 'port 443 and not host 10.0.0.1'
    tcpdump -i eth0 -w - | flowvigil read - | jq .event.reason
    flowvigil read capture.pcap --keep-packets packets/
    flowvigil read x.pcap --flows log/ && flowvigil flows log/ --where dport:445
    flowvigil read x.pcap -q --fail-on attack > x.jsonl || echo 'look at x.jsonl'
    flowvigil read captures/ --independent --run work/ -o alerts.jsonl
    flowvigil read captures/ --independent --run work/ --resume -o alerts.jsonl

    Several captures are one stream in the order of time, as a sensor heard it, unless they are --independent: then each
    is a network of its own, read by a process of its own, on all cores; one that hangs or kills its process is tried
    twice and then named. Every input is read as far as it can be; a damaged one is named at the end and gives exit
    code 6.
    """
    loaded = flags.settings()
    from sensor.cli.display import DisplayOptions
    from sensor.cli.reading import reading

    refuse_to_overwrite(loaded.output.file, captures)
    display, options = DisplayOptions(json, quiet, color), IslandOptions(independent, workers, run, resume, scheduler)
    if independent:
        from sensor.cli.island_run import Islands
        from sensor.cli.islands import read_islands

        return read_islands(loaded, Islands(loaded, captures, options, quiet, keeps=True), display, fail_on)
    replace(options, workers=None).refuse_alone()
    from sensor.cli.beforehand import tell_skipped, tell_stream
    from sensor.process.cores import usable_cores

    refuse_objects(captures)
    cores = usable_cores() if workers is None else workers
    with reading(loaded, captures, display, cores=cores) as assembled:
        if not quiet:
            tell_skipped(captures)  # not before: it loads kernels, whose cache is chosen by now
            tell_stream(captures)
        assembled.run.run()
    return exit_code(assembled, fail_on)
