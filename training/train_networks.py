"""The run of a recipe for captures of several networks: sources in, bundle out. `report` is told what goes on."""

from pathlib import Path
from typing import Any, Final

from models.baselines import Baselines, save_baselines
from models.bundle import save_bundle
from models.codec import stored
from models.fusion import Hybrid
from training.datasets.captures.splitting import NetworkSplit
from training.datasets.sources import NetworkSources, Places, counts, read_sources
from training.errors import RecipeError
from training.fit.baselines import fit_baselines
from training.fit.networks import filled_table, fit_networks, prepared
from training.kept_fits import KeptFits
from training.label_map import LabelMap, recorded
from training.networks_recipe import NetworksRecipe
from training.putting import Put
from training.reporting import Report
from training.versions import made_by, versions

MOST_BYTES: Final = 2_000_000  # of weights: a bundle goes with the program


def train_networks(
    recipe: NetworksRecipe, places: Places, put: Put, report: Report, labels: LabelMap | None = None
) -> None:
    """Fit what the recipe says and have the bundle put in its place.

    Raises RecipeError for a bundle that is too large, and as read_sources does.
    """
    sources = read_sources(recipe, places, report, labels)
    split = sources.split(holds_back=recipe.calibrate.folds is None)
    fits = KeptFits(places.work, places.text, sources.key(labels), report)
    hybrid = fits.fitted("the fit of all networks", "shipped", lambda: fit_networks(recipe, split, report))
    _require_small(recipe, places, hybrid)
    baselines = None
    if recipe.baselines:
        report("baselines on the same flows")
        baselines = _baselines(recipe, sources.split())

    def write(directory: Path) -> None:
        save_bundle(directory, hybrid, _about(recipe, places.text, sources, split, hybrid, labels))
        if baselines is not None:
            save_baselines(directory, baselines, hybrid)

    put(write)
    fits.forget()


def weights_bytes(hybrid: Hybrid) -> int:
    """Size of the arrays of all detectors."""
    detectors = [stored(member.detector)[1] for member in (*hybrid.known, *hybrid.novel)]
    return sum(array.nbytes for detector in detectors for array in detector.arrays().values())


def _require_small(recipe: NetworksRecipe, places: Places, hybrid: Hybrid) -> None:
    size = weights_bytes(hybrid)
    if size > MOST_BYTES:
        problem = f"weights of {recipe.name} are {size:,} bytes, expected {MOST_BYTES:,} at most: fewer trees or leaves"
        raise RecipeError(places.recipe, problem)


def _baselines(recipe: NetworksRecipe, split: NetworkSplit) -> Baselines:
    known = prepared(recipe, split)
    train = filled_table(known, split.train).take(known.chosen)
    held_back = filled_table(known, split.held_back)
    return fit_baselines(train, held_back, known.columns, recipe.seed, forest=False)


def _about(
    recipe: NetworksRecipe,
    text: str,
    sources: NetworkSources,
    split: NetworkSplit,
    hybrid: Hybrid,
    labels: LabelMap | None,
) -> dict[str, Any]:
    flows = sources.captures.flows
    return {
        "made_by": made_by(recipe.name, labels),
        "recipe": text,
        "sources": list(sources.described),
        "sha256": sources.sha256,
        "parts": {"fitted": counts(split.train.family), "held_back": counts(split.held_back.family)},
        "repairs": dict(flows.repairs),
        "not_read_to_their_end": len(sources.captures.problems),
        **recorded(labels),
        "seed": recipe.seed,
        "training": hybrid.about["training"],
        "warnings": list(recipe.warnings),
        "versions": versions(),
    }
