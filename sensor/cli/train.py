"""flowvigil train: fit a bundle from a recipe. Training's packages load in here and nowhere else."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sensor import log
from sensor.cli.bundle_output import put_bundle, refuse_other_directory
from sensor.cli.extras import require_packages
from sensor.cli.labels import LabelsOption, label_map, stop
from sensor.cli.memory_option import MemoryOption, within_memory
from sensor.cli.stdout import write_stdout
from sensor.cli.training_data import DATA, LAB, LabOption
from sensor.errors import ConfigError, InputError, OutputError, reason_of
from sensor.process.kernel_cache import use_kernel_cache

NEEDS = ("polars", "sklearn")
FLOWS_NEED = (*NEEDS, "tensorflow")


def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE.yaml", help="What to fit, on what, and how.", readable=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="BUNDLE", help="Directory to write.", readable=False)
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIRECTORY",
            envvar="FLOWVIGIL_DATA",
            help="Where the recipe's dataset file, or its indices of captures and tables, lie below.",
            readable=False,
        ),
    ] = DATA,
    lab: LabOption = LAB,
    labels: LabelsOption = None,
    memory: MemoryOption = None,
) -> None:
    """Fit a model from a recipe and a dataset, and write the bundle. It is measured, too.

    \b
    flowvigil train configs/training/cic2017.yaml -o mine --data ~/datasets
    flowvigil read capture.pcap -m mine
    flowvigil train ours.yaml -o ours --data ~/datasets --labels map.yaml
    flowvigil train configs/training/default.yaml -o runs/default --data data/

    Progress goes to stderr, the table of figures to stdout. The same recipe, dataset and machine give the same weights.
    The bundle keeps the map of labels that it was fitted by. BUNDLE is the old one or the new one at any moment; the
    old one is kept beside it. A run that was interrupted goes on where it was.
    """
    require_packages(NEEDS, "training", "train")
    use_kernel_cache()  # before the next imports, which bring numba
    from sensor.cli.made_traffic import capture_tools
    from training.errors import DatasetError, LabelMapError, RecipeError
    from training.measure import table_of
    from training.networks_recipe import NetworksRecipe
    from training.recipe import KddRecipe, read_recipe
    from training.train import train as run

    try:
        kind = type(read_recipe(recipe)[0])
        if kind is not KddRecipe:
            require_packages(FLOWS_NEED, "training", "train")
        if not os.path.lexists(output):
            output.absolute().parent.mkdir(parents=True, exist_ok=True)
        refuse_other_directory(output)  # before hours are spent
        put = partial(put_bundle, output, progress=log.progress)
        with within_memory(memory):
            figures = run(recipe, data, output, log.progress, label_map(labels), capture_tools(lab), put)
    except (RecipeError, LabelMapError) as error:
        raise stop(ConfigError, error) from error
    except DatasetError as error:
        raise stop(InputError, error) from error
    except OSError as error:
        raise OutputError(f"bundle {output} cannot be written: {reason_of(error)}") from error
    if figures:
        write_stdout(table_of(figures) + "\n")
    elif kind is NetworksRecipe:
        log.progress(f"flowvigil evaluate --recipe {recipe} --protocol networks measures fits without each network")
    elif kind is KddRecipe:
        log.progress(
            "fitted on the whole file: flowvigil evaluate measures it by another, or with --protocol leave-one-out"
        )
    else:
        log.progress("a random split: flowvigil evaluate with --protocol random measures it on the flows held back")
    log.progress(f"bundle written to {output}")
