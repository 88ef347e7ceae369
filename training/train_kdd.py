"""The whole run of a recipe for KDD connection records: dataset in, bundle out."""

from pathlib import Path
from typing import Any

import numpy as np

from models.baselines import save_baselines
from models.bundle import save_bundle
from training.datasets.kdd import KddTable, read_kdd
from training.errors import DatasetError
from training.fit.kdd import fit_kdd, fit_kdd_baselines
from training.label_map import LabelMap, recorded
from training.putting import Put
from training.recipe import KddRecipe
from training.reporting import Report
from training.versions import made_by, versions


def train_kdd(
    recipe: KddRecipe, text: str, data: Path, put: Put, report: Report, labels: LabelMap | None = None
) -> None:
    """Fit what the recipe says and have the bundle put in its place.

    data: directory that the recipe's dataset lies below. labels: how its labels are read. Raises DatasetError,
    LabelMapError.
    """
    path = data / recipe.dataset.file
    table = read_kdd(path, report, labels)
    if table.sha256 != recipe.dataset.sha256:
        raise DatasetError(path, f"sha256 is {table.sha256}, the recipe expects {recipe.dataset.sha256}")
    hybrid = fit_kdd(recipe, table, recipe.seed, report)
    baselines = fit_kdd_baselines(recipe, table, recipe.seed, report)

    def write(directory: Path) -> None:
        save_bundle(directory, hybrid, _about(recipe, text, table))
        save_baselines(directory, baselines, hybrid)

    put(write)


def _about(recipe: KddRecipe, text: str, table: KddTable) -> dict[str, Any]:
    labels, counts = np.unique(table.label, return_counts=True)
    return {
        "made_by": made_by(recipe.name, table.label_map),
        "recipe": text,
        "dataset": {
            "name": recipe.dataset.name,
            "sha256": table.sha256,
            "citation": recipe.dataset.citation,
            "rows": {str(label): int(count) for label, count in zip(labels, counts, strict=True)},
            "repairs": table.repairs,
            **recorded(table.label_map),
        },
        "seed": recipe.seed,
        "warnings": list(recipe.dataset.warnings),
        "versions": versions(),
    }
