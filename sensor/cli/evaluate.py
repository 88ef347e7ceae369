"""flowvigil evaluate: judge a bundle by a labelled dataset. Training's packages load in here and nowhere else."""

import os
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from sensor import log
from sensor.cli.evaluate_networks import evaluate_networks, evaluate_recipe
from sensor.cli.evaluation_output import command_of, print_figures, refuse_unwritable, write_report
from sensor.cli.extras import missing_packages, require_packages
from sensor.cli.flags import Flags
from sensor.cli.labels import LabelsOption, label_map, stop
from sensor.cli.memory_option import MemoryOption, within_memory
from sensor.cli.options import ConfigOption, SetOption
from sensor.cli.refusals import refuse_to_replace_inputs
from sensor.cli.training_data import DATA, LAB, LabOption
from sensor.errors import ConfigError, InputError, ModelError
from sensor.process.kernel_cache import use_kernel_cache

NEEDS = ("polars", "sklearn", "matplotlib", "jinja2")


class MissingArgumentError(typer.BadParameter):
    """An argument that is needed where --recipe does not stand in its place; as the command line's library says it."""

    def format_message(self) -> str:
        """The line for people."""
        return f"Missing argument '{self.message}'."


class EvaluationProtocol(StrEnum):
    """What is fitted and what is judged. FILE is the same as TIME, named for records, which have no time."""

    TIME = "time"
    FILE = "file"
    RANDOM = "random"
    LEAVE_ONE_OUT = "leave-one-out"
    NETWORKS = "networks"


QUESTION_PROTOCOLS: dict[EvaluationProtocol, Literal["time", "random", "leave-one-out"]] = {
    EvaluationProtocol.TIME: "time",
    EvaluationProtocol.FILE: "time",
    EvaluationProtocol.RANDOM: "random",
    EvaluationProtocol.LEAVE_ONE_OUT: "leave-one-out",
}


def evaluate(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="BUNDLE",
            help="Directory of the model, or the name of a shipped one.",
            readable=False,
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATASET",
            help="Labelled flows: a file, or a directory of days. Of a KDD bundle: a file of records. Of --protocol "
            "networks: an index of labelled captures, or the directory with its index.csv.",
            readable=False,
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        EvaluationProtocol,
        typer.Option(
            help="time, or file: the bundle as it is; for NSL-KDD the official protocol, by the separate test file. "
            "random: a fit by its recipe on a random split (inflated). "
            "leave-one-out: a fit without each attack family in turn; of records, without each type of attack. "
            "networks: the bundle as it is, by labelled captures of several networks, flow by flow and by the alerts "
            "that read would give; with --recipe fits without each network and each family in turn."
        ),
    ] = EvaluationProtocol.TIME,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="RECIPE.yaml",
            help="Judge a recipe for several networks instead of a bundle, with --protocol networks.",
            readable=False,
        ),
    ] = None,
    day: Annotated[
        list[str] | None, typer.Option(metavar="YYYY-MM-DD", help="Judge flows of this day only; may be repeated.")
    ] = None,
    rehome: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=65536, help="Shared hosts of the re-homed copy. [default: the recipe's, or 24]"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=(1 << 31) - 1, help="Of re-homing, splits, fits and resampling.")
    ] = 1,
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE",
            help="Another model to judge by the same rows, class by class beside this one.",
            readable=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON on stdout instead of a table.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="X.html", help="Write the report as one HTML page.", readable=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            envvar="FLOWVIGIL_DATA",
            help="Where a relative DATASET lies, if not here, and where a KDD bundle's training file may lie: records "
            "that stand in both files are counted. Of --recipe: where its indices and tables lie below.",
            readable=False,
        ),
    ] = None,
    lab: LabOption = LAB,
    labels: LabelsOption = None,
    memory: MemoryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Judge a model by labelled flows or connection records. The thresholds are those that it brings along.

    \b
    flowvigil evaluate mine thursday.csv.gz -o report.html
    flowvigil evaluate mine improved/ --day 2017-07-06 --json
    flowvigil evaluate mine improved/ --protocol random   # inflated, as published
    flowvigil evaluate nsl-kdd KDDTest+.txt --beside nsl-kdd-flow -o kdd.html
    flowvigil evaluate mine ours.csv --labels map.yaml -o ours.html
    flowvigil evaluate mine captures/index.csv --protocol networks -o page.html
    flowvigil evaluate --recipe default.yaml --protocol networks --data ~/datasets

    Every figure of flows is given twice: as they stand, and re-homed onto a few shared hosts. Records have no hosts:
    theirs stand once, with recall of attacks that the fit had none of. Progress goes to stderr. Fitting protocols take
    minutes for each fit of flows, and minutes in all for records. Of the settings detection.bundle_keys
    alone counts: with keys, bundles and their baselines must be signed.
    """
    require_packages(NEEDS, "evaluation", "train")
    use_kernel_cache()  # before the next imports, which bring numba
    from sensor.cli.build import bundle_directory, bundle_keys

    days = _days(day or [])
    keys = bundle_keys(Flags(config=config, overrides=overrides).settings())
    refuse_to_replace_inputs(output, (bundle, beside, recipe, labels, dataset and _dataset_path(dataset, data)))
    refuse_unwritable(output)
    if protocol is EvaluationProtocol.NETWORKS and (days or rehome is not None or (labels and recipe is None)):
        raise typer.BadParameter("captures have no --day, --rehome or --labels: their index says what is in them")
    if recipe is not None:
        if protocol is not EvaluationProtocol.NETWORKS or bundle is not None or beside is not None:
            raise typer.BadParameter("--recipe goes with --protocol networks, without BUNDLE, DATASET and --beside")
        with within_memory(memory):
            evaluate_recipe(recipe, data or DATA, lab, labels, seed, output, as_json=as_json)
        return
    if bundle is None or dataset is None:
        raise MissingArgumentError("BUNDLE" if bundle is None else "DATASET")
    if protocol is EvaluationProtocol.NETWORKS:
        with within_memory(memory):
            evaluate_networks(bundle, _dataset_path(dataset, data), seed, beside, output, as_json=as_json, keys=keys)
        return
    directory, other = bundle_directory(bundle), None if beside is None else bundle_directory(beside)
    from models.bundle import BundleError  # these take seconds, and what is wrong is told at once
    from training.errors import DatasetError, LabelMapError, RecipeError
    from training.evaluation.evaluation import evaluate as run
    from training.evaluation.question import Question, QuestionError
    from training.evaluation.report.document import document
    from training.evaluation.table import table_of

    question = Question(
        directory,
        _dataset_path(dataset, data),
        QUESTION_PROTOCOLS[protocol],
        rehome,
        seed,
        days,
        other,
        data,
        label_map(labels),
        keys,
    )
    try:
        with within_memory(memory):
            evaluation = run(question, log.progress)
    except QuestionError as error:
        raise typer.BadParameter(str(error)) from error
    except ModuleNotFoundError as error:
        raise missing_packages([str(error.name)], "evaluation", "train") from error
    except BundleError as error:
        raise ModelError(str(error)) from error
    except (RecipeError, LabelMapError) as error:
        raise stop(ConfigError, error) from error
    except DatasetError as error:
        raise stop(InputError, error) from error
    if output is not None:
        named = bundle, dataset, beside, labels
        rehomed = evaluation.content["rehomed"]
        hosts = None if rehomed is None else rehomed["hosts"]
        command = command_of(named, protocol.value, days, hosts, evaluation.content["seed"], output, data)
        write_report(document(evaluation, command), output)
    print_figures(evaluation.content, table_of, as_json=as_json)


def _days(texts: list[str]) -> tuple[str, ...]:
    for text in texts:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not a date, expected YYYY-MM-DD", param_hint="--day") from None
    return tuple(date.fromisoformat(text).isoformat() for text in texts)


def _dataset_path(dataset: Path, data: Path | None) -> Path:
    """The dataset's path as given, else below the data directory."""
    if os.path.exists(dataset) or data is None or not os.path.exists(data / dataset):
        return dataset
    return data / dataset
