"""`flowvigil lab`: complete traffic of real programs with its truth. The lab loads in here and nowhere else."""

import os
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensor import log
from sensor.cli.labels import stop
from sensor.cli.signals import stopped_by_signals
from sensor.cli.stdout import write_stdout
from sensor.errors import (
    INTERNAL,
    OK,
    USAGE,
    CaptureError,
    ConfigError,
    OutputError,
    SensorError,
    reason_of,
)

if TYPE_CHECKING:
    from training.lab.scenario import Scenario

NAME_CELLS: Final = 14
MAX_SEED: Final = (1 << 31) - 1

app = typer.Typer(
    name="lab",
    help="Make traffic of real programs, with the truth of every flow.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ScenarioArgument = Annotated[
    Path, typer.Argument(metavar="SCENARIO.yaml", help="Site, users and attacks.", readable=False)
]
NoAttacksOption = Annotated[bool, typer.Option("--no-attacks", help="The site and its users alone: a normal run.")]


class MissingProgramsError(SensorError):
    """Programs that a scenario needs and that are not installed."""

    exit_code = USAGE


class _Stopping:
    """Whether a run is to end before its time."""

    def __init__(self) -> None:
        self.event = Event()

    @property
    def stopping(self) -> bool:
        return self.event.is_set()

    def stop(self) -> None:
        """End the run in order."""
        self.event.set()


@app.command("run")
def run(
    scenario: ScenarioArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Directory to write.", readable=False)],
    no_attacks: NoAttacksOption = False,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=MAX_SEED, help="Another seed: other actions and times."),
    ] = None,
) -> int:
    """Run a scenario as root. It writes captures, truth and a record of the run.

    \b
    flowvigil lab run configs/lab/office.yaml -o runs/office
    flowvigil lab run configs/lab/office.yaml --no-attacks -o runs/office-normal
    flowvigil read runs/office/router.pcap

    Hosts are network namespaces, their programs are those of Debian: flowvigil lab check names the packages. Nothing
    leaves the namespaces, and all of it is taken down whatever ends the run. The directory gets its name when it is
    whole: router.pcap has every packet once, truth.csv what each flow is, episodes.json each attack, run.json what ran.

    Exit code 1 when truth and capture do not agree; each disagreement is a line.
    """
    from training.lab.agreement import disagreements
    from training.lab.run import LabError, run_scenario

    found, digest = _read(scenario, seed)
    if no_attacks:
        found = found.model_copy(update={"attacks": ()})
    _refuse_missing(found)
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise CaptureError("the lab makes network namespaces, which needs Linux and root")
    _refuse_output(output)
    stopping = _Stopping()
    try:
        with stopped_by_signals(stopping):
            run_scenario(found, digest, output, log.progress, stopping.event)
    except LabError as error:
        raise CaptureError(str(error)) from error
    except OSError as error:
        raise OutputError(f"{output}: cannot be made: {reason_of(error)}") from error
    wrong = disagreements(output)
    for line in wrong:
        log.error(line)
    log.progress(f"run written to {output}")
    return INTERNAL if wrong else OK


@app.command("check")
def check(scenario: ScenarioArgument) -> int:
    """Check a scenario. Programs that it needs and that are not installed are named.

    \b
    flowvigil lab check configs/lab/office.yaml

    Exit code 2 when any is missing, with the Debian packages that bring them; 3 when the scenario is wrong.
    """
    from sensor.alerts.spread import counted

    found, _ = _read(scenario)
    _refuse_missing(found)
    hosts, attacks = counted(len(found.hosts), "host"), counted(len(found.attacks), "attack")
    write_stdout(f"{scenario}: valid, {hosts}, {attacks}, {found.duration_s / 60:g} min\n")
    return OK


@app.command("list")
def list_() -> None:
    """List the scenarios that come with it.

    \b
    flowvigil lab list
    """
    from importlib.resources import as_file, files

    with as_file(files("configs") / "lab") as directory:
        for path in sorted(directory.glob("*.yaml")):
            found, _ = _read(path)
            minutes = f"{found.duration_s / 60:>4g} min"
            write_stdout(f"{found.name:{NAME_CELLS}}{minutes}  {found.summary}\n{'':{NAME_CELLS}}{path}\n")


def _read(path: Path, seed: int | None = None) -> "tuple[Scenario, str]":
    """The scenario of a file, at another seed where one is given, and the file's digest. Raises ConfigError."""
    from training.errors import ScenarioError
    from training.lab.reading import read_scenario

    try:
        return read_scenario(path, seed)
    except ScenarioError as error:
        raise stop(ConfigError, error) from error


def _refuse_missing(scenario: "Scenario") -> None:
    """Raise MissingProgramsError where programs are not installed."""
    from training.lab.programs import missing_programs, packages_of

    missing = missing_programs(scenario)
    if missing:
        named = "; ".join(f"{', '.join(each.programs)} ({each.what})" for each in missing)
        error = MissingProgramsError(f"programs that this scenario needs are not installed: {named}")
        error.detail = (f"apt-get install {' '.join(packages_of(missing))}",)
        raise error


def _refuse_output(output: Path) -> None:
    """Raise OutputError where the directory could not get its name."""
    if os.path.exists(output):
        raise OutputError(f"{output}: exists, expected a new name")
    if not os.path.isdir(output.absolute().parent):
        raise OutputError(f"{output}: its directory does not exist")
