"""The whole run of a recipe: dataset in, bundle and figures out.

Fits that an interrupted run has finished are taken over by the next one. It prints nothing: what goes on is told to
`report`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.columns import INDEX, usable_by_models
from models.baselines import save_baselines
from models.bundle import save_bundle
from models.calibration import MIN_SCORES
from models.fusion import Hybrid
from training.datasets.collection import read_dataset
from training.datasets.sources import CaptureTools, Places
from training.datasets.table import FlowTable, require_both_classes
from training.datasets.texts import counted_texts, texts_in
from training.errors import DatasetError
from training.fit.baselines import fit_baselines
from training.fit.hybrid import Split, fit
from training.kept_fits import UNFINISHED, KeptFits, own_directory
from training.label_map import LabelMap, recorded
from training.labels import BENIGN
from training.measure import FITTED, LATER, UNSEEN, Figure, Figures, are_attacks, measured, over_seeds
from training.networks_recipe import NetworksRecipe
from training.putting import Put
from training.recipe import Days, KddRecipe, RandomSplit, Recipe, read_recipe
from training.reporting import Report
from training.splits import random_split
from training.train_kdd import train_kdd
from training.train_networks import train_networks
from training.versions import made_by, versions

SPLITS = {
    UNSEEN: (
        "fitted on days.fit alone, measured on days.calibrated, whose attack families are not among those fitted; "
        "calibration and false-positive rate from two halves of its normal traffic, exchanged"
    ),
    FITTED: "the shipped model, which has learnt the attacks that it is measured by: only its rates mean something",
    LATER: "fitted on the first half of each family of days.calibrated too, measured on the rest; halves as above",
}


def train(
    recipe_file: Path,
    data: Path,
    output: Path,
    report: Report,
    labels: LabelMap | None = None,
    captures: CaptureTools | None = None,
    put: Put | None = None,
) -> Figures:
    """Fit what the recipe says and write the bundle to the directory output; returns the figures in its manifest.

    A recipe for connection records, or for captures of several networks, gives none: `flowvigil evaluate` does.

    data: directory that the recipe's dataset lies below. labels: how its labels are read. captures: what meters and
    makes captures, needed by a recipe for them alone. put: the whole bundle where output is, once everything is fitted;
    None: its files are written there one after the other. Raises RecipeError, DatasetError, LabelMapError.
    """
    recipe, text = read_recipe(recipe_file)
    put = put or (lambda write: write(output))
    named = Path(os.path.abspath(output))  # of `.` and `..`, too
    unfinished = named.with_name(named.name + UNFINISHED)
    if isinstance(recipe, NetworksRecipe):
        if captures is None:
            raise ValueError("a recipe for captures needs a meter")
        places = Places(recipe_file, text, data, unfinished, captures)
        train_networks(recipe, places, put, report, labels)
        return ()
    if isinstance(recipe, KddRecipe):
        train_kdd(recipe, text, data, put, report, labels)
        return ()
    table = _read(recipe, data / recipe.dataset.file, report, labels)
    own_directory(unfinished)
    fits = _Fits(recipe, KeptFits(unfinished, text, _dataset_key(table), report), report)
    if recipe.random is not None:
        split, figures, shipped = _by_chance(recipe, recipe.random, table, fits)
    elif recipe.days is not None:
        split, figures, shipped = _by_day(recipe, recipe.days, table, fits)
    report("baselines on the same flows")
    columns = {name: INDEX[name] for name in usable_by_models(fingerprints=recipe.fingerprints)}
    baselines = fit_baselines(split.train, split.calibrate, columns, recipe.seed, forest=False)

    def write(directory: Path) -> None:
        save_bundle(directory, shipped, _about(recipe, text, table, shipped, figures))
        save_baselines(directory, baselines, shipped)

    put(write)
    fits.kept.forget()
    return figures


def _by_day(recipe: Recipe, days: Days, table: FlowTable, fits: "_Fits") -> tuple[Split, Figures, Hybrid]:
    """The shipped model, and figures of others that were kept from the attacks they are measured by."""
    known, later, whole = _splits(table, days)
    figures: list[Figure] = []
    epochs = recipe.lstm.epochs
    for fingerprints in (recipe.fingerprints, not recipe.fingerprints):
        for seed in (recipe.seed, *recipe.measure.seeds):
            hybrid = fits.fitted(UNSEEN, known, fingerprints, seed, None)
            if (fingerprints, seed) == (recipe.fingerprints, recipe.seed):
                epochs = int(hybrid.about["training"]["epoch"])
            figures += _measured(recipe, hybrid, known.calibrate, fingerprints, seed, UNSEEN)
    for seed in (recipe.seed, *recipe.measure.seeds):
        hybrid = fits.fitted(LATER, later, recipe.fingerprints, seed, epochs)
        figures += _measured(recipe, hybrid, later.calibrate, recipe.fingerprints, seed, LATER)
    split = whole if days.fit_its_attacks else known
    shipped = fits.fitted("shipped", split, recipe.fingerprints, recipe.seed, epochs)
    if days.fit_its_attacks:
        figures += _measured(recipe, shipped, split.calibrate, recipe.fingerprints, recipe.seed, FITTED)
    return split, tuple(figures), shipped


def _splits(table: FlowTable, days: Days) -> tuple[Split, Split, Split]:
    """Without the attacks of the day to calibrate on, with the first half of each family, and with all of them."""
    train = np.isin(table.day, [day.isoformat() for day in days.train])
    last = table.day == days.calibrate.isoformat()
    attack = last & are_attacks(table.family)
    early = np.zeros(len(table), dtype=np.bool_)
    for family in texts_in(table.family[attack]):
        rows = np.flatnonzero(attack & (table.family == family))
        early[rows[np.argsort(table.start_ns[rows], kind="stable")[: len(rows) // 2]]] = True
    day = table.take(last)
    return (
        Split(table.take(train), day),
        Split(table.take(train | early), table.take(last & ~early)),
        Split(table.take(train | attack), day),
    )


def _by_chance(recipe: Recipe, shares: RandomSplit, table: FlowTable, fits: "_Fits") -> tuple[Split, Figures, Hybrid]:
    train, held_back, _ = random_split(table, shares.test_share, shares.held_back_share, recipe.seed)
    split = Split(table.take(train), table.take(held_back))
    return split, (), fits.fitted("random", split, recipe.fingerprints, recipe.seed, None)


def _measured(
    recipe: Recipe, hybrid: Hybrid, day: FlowTable, fingerprints: bool, seed: int, split: str
) -> list[Figure]:
    return measured(hybrid, day, recipe.hosts.shared, recipe.rates, fingerprints, seed, split)


def _dataset_key(table: FlowTable) -> str:
    """What tells one dataset, with the labels it is read by, from another."""
    return table.sha256 if table.label_map is None else repr((table.sha256, table.label_map.record()))


def _read(recipe: Recipe, path: Path, report: Report, labels: LabelMap | None) -> FlowTable:
    report(f"reading {path}")
    table = read_dataset(path, report, labels)
    if table.sha256 != recipe.dataset.sha256:
        raise DatasetError(path, f"sha256 is {table.sha256}, the recipe expects {recipe.dataset.sha256}")
    for reason, count in table.repairs.items():
        report(f"  {count:6d} {reason}")
    if recipe.days is not None and not table.has_times:
        problem = "has no start times, the recipe's days cannot be told apart; a recipe with random needs no times"
        raise DatasetError(path, problem)
    require_both_classes(table)
    days = () if recipe.days is None else (recipe.days.train, (recipe.days.calibrate,))
    for part, chosen in zip(("train", "calibrate"), days, strict=False):
        names = [day.isoformat() for day in chosen]
        found = int((np.isin(table.day, names) & (table.family == BENIGN)).sum())
        if not found:
            raise DatasetError(path, f"has no normal traffic on {', '.join(names)}, the recipe's days.{part}")
        if part == "calibrate" and found < 2 * MIN_SCORES:  # thresholds come from one half, rates from the other
            problem = f"has {found:,} normal flows on {', '.join(names)}, the recipe's days.calibrate"
            raise DatasetError(path, f"{problem}; expected {2 * MIN_SCORES} or more")
    return table


@dataclass(frozen=True, slots=True)
class _Fits:
    """Fits of one recipe on parts of one dataset."""

    recipe: Recipe
    kept: KeptFits
    report: Report

    def fitted(self, name: str, split: Split, fingerprints: bool, seed: int, epochs: int | None) -> Hybrid:
        """A fit, or what an interrupted run has kept of it."""
        return self.kept.fitted(
            f"{name}, seed {seed}",
            (name, fingerprints, seed, epochs),
            lambda: fit(self.recipe, split, fingerprints, seed, self.report, epochs),
        )


def _about(recipe: Recipe, text: str, table: FlowTable, shipped: Hybrid, figures: Figures) -> dict[str, Any]:
    rows: dict[str, dict[str, int]] = {}
    for day in texts_in(table.day):
        labels, counts = counted_texts(table.label[table.day == day])
        rows[str(day)] = {str(label): int(count) for label, count in zip(labels, counts, strict=True)}
    return {
        "made_by": made_by(recipe.name, table.label_map),
        "recipe": text,
        "dataset": {
            "name": recipe.dataset.name,
            "sha256": table.sha256,
            "citation": recipe.dataset.citation,
            "rows": rows,
            "repairs": table.repairs,
            **recorded(table.label_map),
        },
        "days": None
        if recipe.days is None
        else {
            "fit": [day.isoformat() for day in recipe.days.train],
            "calibrated": recipe.days.calibrate.isoformat(),
            "its_attacks_are_fitted": recipe.days.fit_its_attacks,
        },
        "seed": recipe.seed,
        "training": shipped.about["training"],
        "warnings": [*recipe.dataset.warnings, *([f"fitted on flows with {table.left_out}"] if table.left_out else [])],
        "metrics": {
            "splits": SPLITS if figures else {},
            "this_model": [figure.as_dict() for figure in figures if figure.split == FITTED],
            "over_seeds": over_seeds(tuple(figure for figure in figures if figure.split != FITTED)),
        },
        "versions": versions(),
    }
