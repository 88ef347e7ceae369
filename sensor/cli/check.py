"""`flowvigil check`: would the sensor start here as it is set up, and how much would it take?"""

import json as json_
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from sensor import log
from sensor.checks.finding import Finding, Remark, Status, Subject, failure
from sensor.cli.build import build_judge, build_meter, load_model
from sensor.cli.flags import Flags, with_flags
from sensor.cli.kernels import tell_of_compiling
from sensor.cli.signals import ended_by_interrupt
from sensor.cli.watch import WriteOption
from sensor.errors import OK, SensorError
from sensor.printable import printable
from sensor.process.kernel_cache import VARIABLE, use_kernel_cache

if TYPE_CHECKING:
    from sensor.settings.config import Config

InterfacesOption = Annotated[
    list[str] | None,
    typer.Option("-i", "--interface", metavar="IFACE", help="Interface to check; more than one by repeating it."),
]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON object for each check, and one for all.")]
FailuresOption = Annotated[bool, typer.Option("-q", "--quiet", help="Failures only, on stderr; no measurement.")]

MAX_MESSAGE_CHARACTERS: Final = 1000  # characters of a message
NAME_CELLS: Final = 13
STYLES: Final = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "red", Status.SKIPPED: "dim"}
GLYPHS: Final = {Status.OK: "✓", Status.WARNING: "!", Status.FAILED: "✗", Status.SKIPPED: "-"}

Reporter = Callable[[Finding], None]


@with_flags()
def check(
    interfaces: InterfacesOption = None,
    write: WriteOption = None,
    *,
    flags: Flags,
    json: JsonLinesOption = False,
    quiet: FailuresOption = False,
) -> int:
    """Check whether the sensor would start as it is set up here, and measure what one core does.

    \b
    flowvigil check
    sudo flowvigil check -i eth0 --filter 'not port 22' -o /var/log/flowvigil/alerts.jsonl
    flowvigil check -c /etc/flowvigil.yaml -i eth0 -q        # as ExecStartPre= of a service
    flowvigil check --json | jq -r 'select(.status != "ok") | .message'

    Takes the settings as watch does. Every check is made, whatever the others found, and nothing is left behind but
    compiled kernels, which the sensor needs anyway: without them it takes half a minute, else a few seconds.

    The exit code is that of the first failure in the list, with which watch would stop: 3 settings, user, filter or
    metrics, 4 bundle, 5 capability, interface or ring, 7 output; 0 when there was none. Warnings do not count.
    """
    if sys.platform == "linux":
        from sensor.process.privileges import single_threaded_libraries

        single_threaded_libraries()

    from sensor.cli.live_capture import refuse_packets

    def read_settings() -> "Config":
        read = flags.settings()
        refuse_packets(write, read)
        return read

    report_finding = _reporter(json=json, quiet=quiet)
    code = OK
    with ended_by_interrupt():
        for finding in _findings(read_settings, tuple(dict.fromkeys(interfaces or ())), write, quiet=quiet):
            report_finding(finding)
            code = code or finding.exit_code
    if json and (code or not quiet):
        _write_json({"check": "all", "status": str(Status.FAILED if code else Status.OK), "exit_code": code})
    return code


def _findings(
    read_settings: Callable[[], "Config"], interfaces: tuple[str, ...], packets: Path | None, *, quiet: bool
) -> Iterator[Finding]:
    try:
        config = read_settings()
    except SensorError as error:
        yield failure("settings", error)
        return  # nothing else is known to be what was meant
    yield Finding("settings", Status.OK, "valid")
    cache = _kernel_cache(quiet=quiet)  # before the next import, which brings numba
    from sensor.checks.checks import findings

    subject = Subject(config, interfaces, cache, load_model, build_meter, build_judge, packets)
    yield from findings(subject, measured=not quiet)


def _kernel_cache(*, quiet: bool) -> Remark:
    """Choose the directory of compiled kernels; a remark on it."""
    with log.collected() as logged:
        compiled = use_kernel_cache()
    if logged:
        return Remark(logged[0], Status.WARNING)
    directory = os.environ.get(VARIABLE, "")
    if compiled:
        return Remark(directory)
    if not quiet:
        tell_of_compiling()
    return Remark(f"{directory}: not complete until now; this check compiles what is missing", Status.WARNING)


def _reporter(*, json: bool, quiet: bool) -> Reporter:
    """Reporter of findings: as JSON, in colours, or as plain text; with quiet only of failures, as text on stderr."""
    if not quiet:
        return _as_json if json else _in_colours() if sys.stdout.isatty() else _as_text
    report = _as_json if json else partial(_as_text, stream=sys.stderr)
    return lambda finding: report(finding) if finding.status is Status.FAILED else None


def _as_json(finding: Finding) -> None:
    fields: dict[str, object] = {"check": finding.name, "status": str(finding.status), "message": finding.message}
    if finding.detail:
        fields["detail"] = list(finding.detail)
    if finding.exit_code:
        fields["exit_code"] = finding.exit_code
    _write_json(fields)


def _write_json(fields: dict[str, object]) -> None:
    print(json_.dumps(fields), flush=True)  # noqa: T201


def _as_text(finding: Finding, stream: TextIO | None = None) -> None:
    print(f"{finding.status:8} {_text(finding)}", file=stream, flush=True)


def _in_colours() -> Reporter:
    from rich.console import Console
    from rich.text import Text

    from sensor.terminal.glyphs import glyphs_for

    console = Console()
    has_glyphs = glyphs_for(console).unicode

    def report_finding(finding: Finding) -> None:
        mark = GLYPHS[finding.status] + " " if has_glyphs else ""
        console.print(Text(f"{mark}{finding.status:8} ", STYLES[finding.status]) + Text(_text(finding)), soft_wrap=True)

    return report_finding


def _text(finding: Finding) -> str:
    """Name and message on one line, details below."""
    message = printable(" ".join(finding.message.split()), MAX_MESSAGE_CHARACTERS)
    lines = [
        f"{finding.name:{NAME_CELLS}} {message}",
        *(printable(line, MAX_MESSAGE_CHARACTERS) for line in finding.detail),
    ]
    return "\n    ".join(lines)
