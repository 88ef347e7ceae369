"""The exit code of a run over captures or interfaces, for scripts also by what was found (--fail-on)."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sensor.errors import CAPTURE, FAIL_ON, INPUT, INTERRUPTED, OK, OUTPUT

if TYPE_CHECKING:
    from sensor.cli.assembly import AssembledRun
    from sensor.progress.progress import Progress


class FailOn(StrEnum):
    """The least severe verdict of an alert that makes a run fail."""

    ATTACK = "attack"
    UNCERTAIN = "uncertain"


FailOnOption = Annotated[
    FailOn | None,
    typer.Option("--fail-on", metavar="WHAT", help="Exit code 10 on an alert: attack, or uncertain for any."),
]


def exit_code(assembled: "AssembledRun", fail_on: FailOn | None) -> int:
    """The exit code of a run that has ended. Raises BrokenPipeError when stdout's reader has gone."""
    run, detection = assembled.run, assembled.detection
    if detection.outlet.reader_gone:
        raise BrokenPipeError
    live = not run.turns.ends_by_itself
    if live and run.turns.problems:
        return CAPTURE
    stored = run.totals is None or not run.totals.lost_packets
    if detection.outlet.lost_output or detection.lost_packets or detection.lost_flows or not stored:
        return OUTPUT
    if run.stopping and not live:
        return INTERRUPTED
    return code_of_findings(run.progress, fail_on, damaged=bool(run.turns.problems))


def code_of_findings(progress: "Progress", fail_on: FailOn | None, *, damaged: bool) -> int:
    """The exit code of a run in which nothing else went wrong. damaged: whether an input was not read to its end."""
    failing = {None: 0, FailOn.ATTACK: progress.attacks, FailOn.UNCERTAIN: progress.alerts}[fail_on]
    return FAIL_ON if failing else INPUT if damaged else OK
