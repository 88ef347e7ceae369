"""`--fail-on`: an exit code for scripts that want to know whether anything was found."""

from enum import StrEnum
from typing import Annotated

import typer

from sensor.errors import FAIL_ON, OK


class FailOn(StrEnum):
    """The least that counts as a find: an alert called an attack, or any alert."""

    ATTACK = "attack"
    UNCERTAIN = "uncertain"


FailOnOption = Annotated[
    FailOn | None,
    typer.Option("--fail-on", metavar="WHAT", help="Exit code 10 on an alert: attack, or uncertain for any."),
]


def found(fail_on: FailOn | None, alerts: int, attacks: int) -> int:
    """FAIL_ON when that was found, else OK. alerts: opened; attacks: of those, called an attack."""
    count = {None: 0, FailOn.ATTACK: attacks, FailOn.UNCERTAIN: alerts}[fail_on]
    return FAIL_ON if count else OK
