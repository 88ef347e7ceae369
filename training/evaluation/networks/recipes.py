"""A recipe for several networks, judged by fits without each network and without each family in turn."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.datasets.sources import Places, read_sources
from training.errors import RecipeError
from training.evaluation.networks.evaluation import evaluate_folds
from training.evaluation.networks.folds import Fold, Folding
from training.evaluation.networks.sensor import Sensor
from training.evaluation.outcome import Model
from training.fit.networks import fit_networks
from training.kept_fits import KeptFits
from training.label_map import LabelMap
from training.networks_recipe import NetworksRecipe
from training.recipe import read_recipe
from training.reporting import Report


@dataclass(frozen=True, slots=True)
class RecipeQuestion:
    """Which recipe is to be judged, by what."""

    recipe: NetworksRecipe
    places: Places
    seed: int  # of the intervals
    labels: LabelMap | None = None  # by which labels of its tables are read


def _nowhere(content: dict[str, Any]) -> None:
    """Figures that are written nowhere."""
    del content


def networks_recipe(path: Path) -> tuple[NetworksRecipe, str]:
    """A recipe for captures of several networks, and its text. Raises RecipeError for any other."""
    recipe, text = read_recipe(path)
    if not isinstance(recipe, NetworksRecipe):
        raise RecipeError(path, "is a recipe for one dataset; expected one with captures of several networks", line=1)
    return recipe, text


def evaluate_recipe(
    question: RecipeQuestion, sensor: Sensor, report: Report, write: Callable[[dict[str, Any]], None] = _nowhere
) -> dict[str, Any]:
    """The figures of the recipe's fits, as JSON. Fits that an interrupted run has finished are taken over.

    write: told the figures before what was kept is dropped, so that a page that cannot be written costs no fit.
    Raises RecipeError and DatasetError, as training.datasets.sources.read_sources does and where a fold leaves nothing
    to fit on.
    """
    recipe, places = question.recipe, question.places
    lighter = recipe.lighter()
    sources = read_sources(recipe, places, report, question.labels)
    fits = KeptFits(places.work, places.text, sources.key(question.labels), report)

    folds = recipe.folds
    folding = Folding(folds.groups, folds.families, recipe.classes, holds_back=recipe.calibrate.folds is None)

    def fitted(fold: Fold, report: Report) -> Model:
        split = sources.with_tables(fold, fold.families, holds_back=folding.holds_back)
        what = f"the fit without {fold.left_out}"
        return fits.fitted(what, (fold.left_out, fold.families), lambda: fit_networks(lighter, split, report)), None

    content = evaluate_folds(sources.captures, fitted, sensor, question.seed, report, folding)
    content["recipe"] = {"name": recipe.name, "sources": list(sources.described)}
    content["notes"] += _notes(recipe, lighter, [name for name, _ in sources.tables])
    write(content)
    fits.forget()
    return content


def _notes(recipe: NetworksRecipe, lighter: NetworksRecipe, tables: list[str]) -> list[str]:
    notes = []
    if recipe.folds.groups is not None:
        notes.append(
            f"networks are left out in {recipe.folds.groups} groups: each is judged by a fit without its whole group"
        )
    if lighter != recipe:
        told = [f"{lighter.lstm.epochs} epochs instead of {recipe.lstm.epochs}"] * (recipe.vote.lstm > 0)
        told += [f"{lighter.random_forest.trees} trees instead of {recipe.random_forest.trees}"]
        notes.append(f"fits are not those of the bundle: {', '.join(told)}")
    if tables:
        notes.append(f"{', '.join(tables)}: fitted on without context in every fold, and not judged")
    return notes
