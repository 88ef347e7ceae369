"""flowvigil evaluate --protocol networks: a bundle, or a recipe's fits, by labelled captures of several networks."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from sensor import log
from sensor.cli.evaluation_output import command_of, print_figures, write_report
from sensor.cli.extras import require_packages
from sensor.cli.labels import label_map, stop
from sensor.errors import ConfigError, InputError, ModelError, OutputError, reason_of
from sensor.files.unfinished import scratch_directory

if TYPE_CHECKING:
    from models.signature import PublicKey


def evaluate_networks(
    bundle: Path,
    index: Path,
    seed: int,
    beside: Path | None,
    output: Path | None,
    *,
    as_json: bool,
    keys: "Sequence[PublicKey]" = (),
) -> None:
    """Judge a bundle by captures of several networks. Raises ModelError, InputError, OutputError.

    keys: one of which must have signed each bundle, none for bundles of anybody.
    """
    from models.bundle import BundleError
    from sensor.cli.build import bundle_directory
    from sensor.cli.replay import DefaultSensor
    from training.errors import DatasetError
    from training.evaluation.networks.evaluation import NetworksQuestion
    from training.evaluation.networks.evaluation import evaluate_networks as judged
    from training.evaluation.networks.table import networks_table
    from training.evaluation.report.networks import networks_document

    other = None if beside is None else bundle_directory(beside)
    try:
        question = NetworksQuestion(bundle_directory(bundle), index, seed, other, tuple(keys))
        content = judged(question, DefaultSensor(), log.progress)
    except BundleError as error:
        raise ModelError(str(error)) from error
    except DatasetError as error:
        raise stop(InputError, error) from error
    if output is not None:
        named = bundle, index, beside, None
        command = command_of(named, "networks", (), None, seed, output)
        write_report(networks_document(content, command), output)
    print_figures(content, networks_table, as_json=as_json)


def evaluate_recipe(
    recipe: Path,
    data: Path,
    lab: Path,
    labels: Path | None,
    seed: int,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Judge a recipe for several networks by fits without each network and each family.

    What is finished of an interrupted run is kept beside the page, where one is written, until that is there. Raises
    ConfigError, InputError, OutputError.
    """
    require_packages(("tensorflow",), "evaluation of a recipe", "train")
    from sensor.cli.made_traffic import capture_tools
    from sensor.cli.replay import DefaultSensor
    from training.datasets.rows import TemporaryFileError
    from training.datasets.sources import Places
    from training.errors import DatasetError, RecipeError
    from training.evaluation.networks.recipes import RecipeQuestion, networks_recipe
    from training.evaluation.networks.recipes import evaluate_recipe as judged
    from training.evaluation.networks.table import networks_table
    from training.evaluation.report.networks import networks_document
    from training.kept_fits import UNFINISHED

    def write(content: dict[str, Any]) -> None:
        if output is None:
            return
        words = ["--recipe", str(recipe), "--protocol", "networks", "--seed", str(seed)]
        words += [] if labels is None else ["--labels", str(labels)]
        words += ["--data", str(data), "--lab", str(lab), "-o", str(output)]
        write_report(networks_document(content, " ".join(map(quote, ["flowvigil", "evaluate", *words]))), output)

    try:
        read, text = networks_recipe(recipe)
        kept = scratch_directory() if output is None else nullcontext(output.with_name(output.name + UNFINISHED))
        with kept as work:
            places = Places(recipe, text, data, work, capture_tools(lab))
            question = RecipeQuestion(read, places, seed, label_map(labels))
            content = judged(question, DefaultSensor(), log.progress, write)
    except RecipeError as error:
        raise stop(ConfigError, error) from error
    except DatasetError as error:
        raise stop(InputError, error) from error
    except TemporaryFileError:
        raise
    except OSError as error:
        raise OutputError(f"what is metered and fitted cannot be kept: {reason_of(error)}") from error
    print_figures(content, networks_table, as_json=as_json)
