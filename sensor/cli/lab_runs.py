"""The option that says where runs of the lab are, of the commands that fit models."""

from pathlib import Path
from typing import Annotated, Final

import typer

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
