"""Where the commands that fit models find data: an option for runs of the lab, and what both are without options."""

from pathlib import Path
from typing import Annotated, Final

import typer

DATA: Final = Path("../shared/data")
LAB: Final = Path("runs/lab-sites")
LabOption = Annotated[
    Path,
    typer.Option(
        metavar="DIRECTORY",
        envvar="FLOWVIGIL_LAB",
        help="Of a recipe for several networks: where runs of flowvigil lab run lie, a directory each.",
        readable=False,
    ),
]
