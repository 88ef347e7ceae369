"""`flowvigil read`: captures in, alerts out."""

from typing import Annotated

import typer

from sensor.cli.exit_code import FailOnOption, exit_code
from sensor.cli.flags import Flags, with_flags
from sensor.cli.options import (
    Color,
    ColorOption,
    JsonOption,
    QuietOption,
)
from sensor.cli.refusals import refuse_to_overwrite

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

    Every input is read as far as it can be; a damaged one is named at the end and gives exit code 6.
    """
    loaded = flags.settings()
    refuse_to_overwrite(loaded.output.file, captures)
    from sensor.cli.assembly import DisplayOptions, reading
    from sensor.cli.beforehand import tell_skipped

    with reading(loaded, captures, DisplayOptions(json, quiet, color)) as assembled:
        if not quiet:
            tell_skipped(captures)  # not before: it loads kernels, whose cache is chosen by now
        assembled.run.run()
    return exit_code(assembled, fail_on)
