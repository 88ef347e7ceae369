"""The options of commands over captures that have nothing to do with one another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

IndependentOption = Annotated[
    bool,
    typer.Option("--independent/--stream", help="Each capture for itself, or all one stream by time."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=1, max=1024, help="With --independent captures read at once; the cores."
    ),
]
CoresOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", min=1, max=1024, help="Cores; with --independent captures at once."),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="A Dask cluster reads them, by tcp:// or tls://HOST:8786."),
]
RunOption = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="Keep what is done, to go on later.", readable=False)
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --run DIR.")]


@dataclass(frozen=True, slots=True)
class IslandOptions:
    """The options of the command line for captures that have nothing to do with one another."""

    independent: bool  # whether they are such
    workers: int | None  # captures read at once, None: one for each core
    run: Path | None  # directory that the run is kept in, None: nowhere
    resume: bool  # whether the run there is to go on
    scheduler: str | None = None  # address of the cluster that reads them, None: this machine

    def refuse_alone(self) -> None:
        """Raise typer.BadParameter for an option that means nothing without --independent."""
        others = {"--workers": self.workers, "--scheduler": self.scheduler, "--run": self.run}
        for name, given in {**others, "--resume": self.resume or None}.items():
            if given is not None:
                raise typer.BadParameter(
                    "expected it with --independent: several captures are one stream", param_hint=name
                )
