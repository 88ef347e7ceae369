"""`flowvigil check`: would the sensor start here as it is set up, and how much would it take?"""

import json as json_
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from sensor import log
from sensor.checks.result import CheckContext, CheckResult, CheckStatus, Observation, failed_result
from sensor.cli.build import build_judge, build_meter, load_model, observer, shifts_are_watched
from sensor.cli.flags import Flags, with_flags
from sensor.cli.kernels import JUDGING, Kernels, cached, tell_of_compiling
from sensor.cli.packet_options import (
    WriteEveryOption,
    WriteFilesOption,
    WriteOption,
    WriteSizeOption,
    packet_files,
)
from sensor.cli.signals import ended_by_interrupt
from sensor.cli.stdout import write_lines, write_stdout
from sensor.errors import OK, CaptureError, ConfigError, SensorError
from sensor.printable import printable
from sensor.process.kernel_cache import VARIABLE

if TYPE_CHECKING:
    from sensor.packets.packet_files import PacketFiles
    from sensor.settings.config import Config

InterfacesOption = Annotated[
    list[str] | None,
    typer.Option(
        "-i", "--interface", metavar="IFACE", help="Interface to check, repeatable; any: all that are up (Linux)."
    ),
]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON object for each check, and one for all.")]
FleetOption = Annotated[
    Path | None,
    typer.Option("--fleet", metavar="FLEET.yaml", help="The bundle must be the one wanted here.", readable=False),
]
FailuresOption = Annotated[bool, typer.Option("-q", "--quiet", help="Failures only, on stderr; no measurement.")]

MAX_MESSAGE_CHARACTERS: Final = 1000  # characters of a message
NAME_CELLS: Final = 13
STYLES: Final = {
    CheckStatus.OK: "green",
    CheckStatus.WARNING: "yellow",
    CheckStatus.FAILED: "red",
    CheckStatus.SKIPPED: "dim",
}
GLYPHS: Final = {CheckStatus.OK: "✓", CheckStatus.WARNING: "!", CheckStatus.FAILED: "✗", CheckStatus.SKIPPED: "-"}

Reporter = Callable[[CheckResult], None]


@with_flags()
def check(
    interfaces: InterfacesOption = None,
    write: WriteOption = None,
    write_size: WriteSizeOption = None,
    write_every: WriteEveryOption = None,
    write_files: WriteFilesOption = None,
    fleet: FleetOption = None,
    *,
    flags: Flags,
    json: JsonLinesOption = False,
    quiet: FailuresOption = False,
) -> int:
    """Check whether the sensor would start here, and measure it.

    \b
    flowvigil check
    sudo flowvigil check -i eth0 --filter 'not port 22' -o /var/log/alerts.jsonl
    sudo flowvigil check -i eth0 --write kept.pcapng -C 500 -W 48
    flowvigil check -c /etc/flowvigil.yaml -i eth0 -q    # as ExecStartPre=
    flowvigil check --json | jq -r 'select(.status != "ok").message'

    Takes the settings as watch does. Every check is made, whatever the others found, and nothing is left behind but
    compiled kernels, which the sensor needs anyway: with them it takes a few seconds (flowvigil warm-up makes them).

    The last line says whether the sensor would start. The exit code is that of the first failure in the list, with
    which watch would stop: 3 settings, user, filter or metrics, 4 bundle, 5 capability, interface or ring, 7 output; 0
    when there was none. Warnings do not count.

    With --fleet the bundle must be the one that the fleet wants this sensor to run on (flowvigil promote --fleet writes
    FLEET.wanted.json beside FLEET.yaml); 11 where it is another.
    """
    packets = packet_files(write, write_size, write_every, write_files)
    if sys.platform == "linux":
        from sensor.process.privileges import single_threaded_libraries

        single_threaded_libraries()

    from sensor.cli.live_capture import check_packet_settings, refuse_packets

    def read_settings() -> "Config":
        read = flags.settings()
        refuse_packets(packets, read)
        check_packet_settings(read)
        return read

    report_result = _reporter(json=json, quiet=quiet)
    code = OK
    with ended_by_interrupt():
        for result in _results(read_settings, _named(interfaces or ()), packets, fleet, quiet=quiet):
            report_result(result)
            code = code or result.exit_code
    if json and (code or not quiet):
        _write_json({"check": "all", "status": str(CheckStatus.FAILED if code else CheckStatus.OK), "exit_code": code})
    if not json and not quiet:
        write_stdout(f"would start: {f'no, exit code {code}' if code else 'yes'}\n")
    return code


def _named(interfaces: Sequence[str]) -> tuple[str, ...]:
    """The interfaces that a watch would take, each once; as they are named where it would find none."""
    from sensor.cli.live_capture import named_interfaces

    try:
        return named_interfaces(interfaces)
    except CaptureError:  # which the check of the interfaces tells
        return tuple(dict.fromkeys(interfaces))


def _results(
    read_settings: Callable[[], "Config"],
    interfaces: tuple[str, ...],
    packets: "PacketFiles | None",
    fleet: Path | None,
    *,
    quiet: bool,
) -> Iterator[CheckResult]:
    try:
        config = read_settings()
        wanted = None if fleet is None else _wanted(fleet, config)
    except SensorError as error:
        yield failed_result("settings", error)
        return  # nothing else is known to be what was meant
    yield CheckResult("settings", CheckStatus.OK, "valid")
    kernels, cache = _kernel_cache(config, quiet=quiet)  # before the next import, which brings numba
    from sensor.checks.checks import run_checks

    context = CheckContext(
        config,
        interfaces,
        cache,
        load_model,
        build_meter,
        build_judge,
        packets,
        shifts_are_watched=shifts_are_watched(),
        kernels=kernels.name,
        wanted=wanted,
    )
    yield from run_checks(context, measured=not quiet)


def _wanted(fleet: Path, config: "Config") -> tuple[str, str]:
    """What a fleet wants this sensor to run on, and the file that says so. Raises ConfigError, InputError."""
    from sensor.fleet.wanted import read_wanted, wanted_path

    name, path = observer(config).name, wanted_path(fleet)
    sha256 = read_wanted(path).of(name)
    if sha256 is None:
        raise ConfigError(f"{path}: found no bundle for sensor {printable(name, 64)!r}, expected one (sensor.name)")
    return sha256, str(path)


def _kernel_cache(config: "Config", *, quiet: bool) -> tuple[Kernels, Observation]:
    """Choose the directory of compiled kernels; returns those wanted and the observation of its check."""
    with log.collected() as logged:
        kernels = cached(JUDGING, config)
    if logged:
        return kernels, Observation(logged[0], CheckStatus.WARNING)
    directory = os.environ.get(VARIABLE, "")
    if kernels.compiled:
        return kernels, Observation(directory)
    if not quiet:
        tell_of_compiling(kernels)
    return kernels, Observation(
        f"{directory}: not complete until now; this check compiles what is missing", CheckStatus.WARNING
    )


def _reporter(*, json: bool, quiet: bool) -> Reporter:
    """Reporter of results: as JSON, in colours, or as plain text; with quiet only of failures, as text on stderr."""
    if not quiet:
        return _as_json if json else _in_colours() if sys.stdout.isatty() else _as_text
    report = _as_json if json else partial(_as_text, stream=sys.stderr)
    return lambda result: report(result) if result.status is CheckStatus.FAILED else None


def _as_json(result: CheckResult) -> None:
    fields: dict[str, object] = {"check": result.name, "status": str(result.status), "message": result.message}
    if result.detail:
        fields["detail"] = list(result.detail)
    if result.exit_code:
        fields["exit_code"] = result.exit_code
    _write_json(fields)


def _write_json(fields: dict[str, object]) -> None:
    write_lines((json_.dumps(fields).encode() + b"\n",))


def _as_text(result: CheckResult, stream: TextIO | None = None) -> None:
    print(f"{result.status:8} {_text(result)}", file=stream, flush=True)


def _in_colours() -> Reporter:
    from rich.console import Console
    from rich.text import Text

    from sensor.terminal.glyphs import glyphs_for

    console = Console()
    has_glyphs = glyphs_for(console).unicode

    def report_result(result: CheckResult) -> None:
        mark = GLYPHS[result.status] + " " if has_glyphs else ""
        console.print(Text(f"{mark}{result.status:8} ", STYLES[result.status]) + Text(_text(result)), soft_wrap=True)

    return report_result


def _text(result: CheckResult) -> str:
    """Name and message on one line, details below."""
    message = printable(" ".join(result.message.split()), MAX_MESSAGE_CHARACTERS)
    lines = [
        f"{result.name:{NAME_CELLS}} {message}",
        *(printable(line, MAX_MESSAGE_CHARACTERS) for line in result.detail),
    ]
    return "\n    ".join(lines)
