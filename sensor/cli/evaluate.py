"""flowvigil evaluate: judge a bundle by a labelled dataset. Training's packages load in here and nowhere else."""

import sys
from datetime import date
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensor.errors import ConfigError, InputError, ModelError, OutputError
from sensor.escape import printable

if TYPE_CHECKING:
    from training.evaluation.evaluation import Evaluation

NEEDS = ("polars", "sklearn", "matplotlib", "jinja2")
LONGEST_LINE = 1000
REFIT_NEEDS = (*NEEDS, "tensorflow")


class Protocol(StrEnum):
    """What is fitted and what is judged."""

    TIME = "time"
    RANDOM = "random"
    LEAVE_ONE_OUT = "leave-one-out"


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Directory of the model.")],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Labelled flows: a file, or a directory of days.")],
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="time: the bundle as it is. random: a fit by its recipe on a random split (inflated). "
            "leave-one-out: a fit without each attack family in turn."
        ),
    ] = Protocol.TIME,
    day: Annotated[
        list[str] | None, typer.Option(metavar="YYYY-MM-DD", help="Judge flows of this day only; may be repeated.")
    ] = None,
    rehome: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=65536, help="Shared hosts of the re-homed copy. [default: the recipe's, or 24]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 31) - 1, help="Of re-homing, splits, fits and resampling.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON on stdout instead of a table.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="X.html", help="Write the report as one HTML page.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", envvar="FLOWVIGIL_DATA", help="Where a relative DATASET lies, if not here."),
    ] = None,
) -> None:
    """Judge a model by labelled flows, at the thresholds that it brings along.

    \b
    flowvigil evaluate mine thursday.csv.gz -o report.html
    flowvigil evaluate mine improved/ --day 2017-07-06 --json
    flowvigil evaluate mine improved/ --protocol random      # inflated, to compare with published figures

    Every figure is given twice: for the flows as they stand, and re-homed onto a few shared hosts. Progress goes to
    stderr. Fitting protocols take minutes for each fit.
    """
    _refuse_missing_packages(protocol)
    from models.bundle import BundleError
    from training.errors import DatasetError, RecipeError
    from training.evaluation.evaluation import Question
    from training.evaluation.evaluation import evaluate as run
    from training.evaluation.table import table_of

    days = _days(day or [])
    _refuse_unwritable(output)
    question = Question(bundle, _found(dataset, data), protocol.value, rehome, seed, days)
    try:
        evaluation = run(question, _progress)
    except BundleError as error:
        raise ModelError(str(error)) from error
    except RecipeError as error:
        raise ConfigError(str(error)) from error
    except DatasetError as error:
        raise InputError(str(error)) from error
    if output is not None:
        _write(evaluation, output, _command(bundle, dataset, protocol, days, evaluation.content, output))
    if as_json:
        import orjson

        sys.stdout.write(orjson.dumps(evaluation.content, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        for line in table_of(evaluation.content).splitlines():
            typer.echo(printable(line, LONGEST_LINE))


def _refuse_missing_packages(protocol: Protocol) -> None:
    needed = NEEDS if protocol is Protocol.TIME else REFIT_NEEDS
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        raise typer.BadParameter(f"evaluation needs {', '.join(missing)}: pip install 'flowvigil[train]'")


def _days(texts: list[str]) -> tuple[str, ...]:
    for text in texts:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not a date, expected YYYY-MM-DD", param_hint="--day") from None
    return tuple(date.fromisoformat(text).isoformat() for text in texts)


def _found(dataset: Path, data: Path | None) -> Path:
    """The dataset here, else below the data directory."""
    if dataset.exists() or data is None or not (data / dataset).exists():
        return dataset
    return data / dataset


def _refuse_unwritable(output: Path | None) -> None:
    """Before minutes are spent on what could not be kept."""
    from training.page.write import refuse_unwritable

    if output is None:
        return
    try:
        refuse_unwritable(output)
    except OSError as error:
        raise OutputError(f"report {output} cannot be written: {error.strerror}") from error


def _command(
    bundle: Path, dataset: Path, protocol: Protocol, days: tuple[str, ...], content: dict[str, Any], output: Path
) -> str:
    """The line that gives the same page, defaults written out."""
    words = ["flowvigil", "evaluate", str(bundle), str(dataset), "--protocol", protocol.value]
    for day in days:
        words += ["--day", day]
    words += ["--rehome", str(content["rehomed"]["hosts"]), "--seed", str(content["seed"]), "-o", str(output)]
    return " ".join(quote(word) for word in words)


def _write(evaluation: "Evaluation", output: Path, command: str) -> None:
    from training.evaluation.report.document import document
    from training.page.render import html_of
    from training.page.write import write_page

    _progress("drawing the report")
    try:
        write_page(html_of(document(evaluation, command)), output)
    except OSError as error:
        raise OutputError(f"report {output} cannot be written: {error.strerror}") from error
    _progress(f"report written to {output}")


def _progress(line: str) -> None:
    typer.echo(printable(line, LONGEST_LINE), err=True)
