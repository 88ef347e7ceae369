"""The whole run of a recipe: dataset in, bundle and figures out.

It reads no clock but to tell how long is left, and prints nothing: what goes on is told to `report`.
"""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.columns import COLUMNS, INDEX, NAMES, feature_contract, usable_by_models
from models.bundle import save_bundle
from models.calibration import fit_calibration
from models.fusion import Hybrid, Member, NormalProfile
from models.lstm import Lstm
from models.scaling import Scaling, fit_scaling
from training.datasets.cic import read_cic
from training.datasets.table import FlowTable
from training.errors import DatasetError
from training.fit.forests import fit_isolation_forest
from training.fit.lstm import Disturbance, GapScale, LstmWeights, Settings, fit_lstm
from training.labels import BENIGN, TECHNIQUES
from training.measure import Figure, Figures, measured, over_seeds, steps_of
from training.recipe import Recipe, read_recipe
from training.sequences import Lanes, Sequences, joined, rehomed, reports, sequences

Report = Callable[[str], None]
SECOND_NS = 1_000_000_000
SPLIT = (
    "fitted on days.fit, measured on days.calibrated_and_measured, whose attack families are not among those fitted; "
    "calibration and false-positive rate from two halves of its normal traffic, exchanged"
)


@dataclass(frozen=True, slots=True)
class Split:
    """Days of a table by their part in the fit."""

    train: FlowTable
    calibrate: FlowTable


def train(recipe_file: Path, data: Path, output: Path, report: Report) -> Figures:
    """Fit what the recipe says and write the bundle to the directory output; returns the figures in its manifest.

    data: directory that the recipe's dataset file lies below. Raises RecipeError, DatasetError.
    """
    recipe, text = read_recipe(recipe_file)
    split = _read(recipe, data / recipe.dataset.file, report)
    shipped = fit(recipe, split, recipe.fingerprints, recipe.seed, report)
    figures = _figures(recipe, split, shipped, report)
    save_bundle(output, shipped, _about(recipe, text, split, figures))
    return figures


def fit(recipe: Recipe, split: Split, fingerprints: bool, seed: int, report: Report) -> Hybrid:
    """One LSTM and one Isolation Forest, calibrated on the normal traffic of the calibration day."""
    columns = {name: INDEX[name] for name in usable_by_models(fingerprints=fingerprints)}
    unfit = sorted(set(columns) & set(split.train.missing))
    if unfit:
        raise DatasetError(recipe.dataset.file, f"lacks columns that the recipe uses: {', '.join(unfit)}")
    normal = split.train.take(split.train.family == BENIGN)
    lstm = _fit_lstm(recipe, split.train, columns, seed, report)
    report(f"forest: {recipe.iforest.trees} trees on {len(normal)} normal flows")
    scaling = fit_scaling(normal.values, columns)
    forest = fit_isolation_forest(scaling, normal.values, recipe.iforest.trees, recipe.iforest.sample, seed)
    held_back = split.calibrate.take(split.calibrate.family == BENIGN)
    told = reports(held_back.values, held_back.start_ns, held_back.end_ns)
    steps = steps_of(held_back, held_back.host, told)
    members = [Member(detector, fit_calibration(detector.score(steps))) for detector in (lstm, forest)]
    lstm.forget()
    return Hybrid(
        known=(members[0],),
        novel=(members[1],),
        labels=lstm.labels,
        techniques=tuple(TECHNIQUES[label] for label in lstm.labels),
        thresholds={rate: (rate / 2, rate / 2) for rate in recipe.rates},
        normal=_profile(held_back, normal),
        contract=feature_contract(),
        model_id=recipe.name,
        default_rate=recipe.rates[0],
    )


def _read(recipe: Recipe, file: Path, report: Report) -> Split:
    report(f"reading {file}")
    table = read_cic(file)
    if table.sha256 != recipe.dataset.sha256:
        raise DatasetError(file, f"sha256 is {table.sha256}, the recipe expects {recipe.dataset.sha256}")
    for reason, count in table.repairs.items():
        report(f"  {count:6d} {reason}")
    parts = {}
    for part, days in (("train", recipe.days.train), ("calibrate", (recipe.days.calibrate,))):
        names = [day.isoformat() for day in days]
        rows = np.isin(table.day, names)
        if not (rows & (table.family == BENIGN)).any():
            raise DatasetError(file, f"has no normal traffic on {', '.join(names)}, the recipe's days.{part}")
        parts[part] = table.take(rows)
    return Split(**parts)


def _fit_lstm(recipe: Recipe, table: FlowTable, columns: dict[str, int], seed: int, report: Report) -> Lstm:
    scaling = fit_scaling(table.values, columns)
    labels, target, weight = _targets(table, recipe.lstm.smallest_family, recipe.lstm.balance)
    source = _sources(recipe, table, seed)
    gap = _gap_scale(source, recipe.gaps.shorten_decades)
    settings = Settings(
        units=recipe.lstm.units,
        learning_rate=recipe.lstm.learning_rate,
        clip_norm=recipe.lstm.clip_norm,
        dropout=recipe.lstm.dropout,
        average=recipe.lstm.average,
        threads=recipe.lstm.threads,
    )
    lanes = Lanes(
        lanes=recipe.lstm.lanes,
        steps=recipe.lstm.chunk,
        state_drop=recipe.augment.state_drop,
        gap_unknown=recipe.gaps.unknown,
        gap_decades=recipe.gaps.shorten_decades,
        reset_s=recipe.hosts.reset_s,
    )
    epochs = recipe.lstm.epochs
    began = time.monotonic()

    def progress(epoch: int, loss: float) -> None:
        left = (time.monotonic() - began) / epoch * (epochs - epoch)
        report(
            f"lstm ({len(columns)} columns, seed {seed}): epoch {epoch}/{epochs}, loss {loss:.5f}, {left:.0f} s left"
        )

    report(f"lstm ({len(columns)} columns, seed {seed}): {len(source)} steps an epoch, {', '.join(labels)}")
    weights = fit_lstm(
        x=scaling.transform(table.values),
        moved=table.values[:, list(columns.values())] != 0,
        target=target,
        weight=weight,
        source=source,
        lanes=lanes,
        disturbance=_disturbance(recipe, scaling),
        gap=gap,
        settings=settings,
        epochs=epochs,
        seed=seed,
        progress=progress,
    )
    return as_detector(weights, scaling, labels, gap, int(recipe.hosts.reset_s * SECOND_NS))


def as_detector(weights: LstmWeights, scaling: Scaling, labels: tuple[str, ...], gap: GapScale, reset_ns: int) -> Lstm:
    """The fitted weights as the sensor will run them."""
    return Lstm(
        scaling,
        kernel=weights.kernel,
        recurrent=weights.recurrent,
        bias=weights.bias,
        head_kernel=weights.head,
        head_bias=weights.head_bias,
        labels=labels,
        reset_ns=reset_ns,
        dt_center=gap.center,
        dt_scale=gap.scale,
    )


def _sources(recipe: Recipe, table: FlowTable, seed: int) -> Sequences:
    """The hosts' own sequences, and beside them copies of all flows behind a few shared hosts.

    First reports only: with later ones among them, unseen attacks were found less surely. Calibration knows them all.
    """
    rng = np.random.default_rng([seed, 1])
    told = reports(table.values, table.start_ns, table.end_ns)
    hosts = [table.host] + [rehomed(len(table), recipe.hosts.shared, rng) for _ in range(recipe.hosts.rehomed_copies)]
    return joined([sequences(host, table.start_ns, told) for host in hosts])


def _gap_scale(source: Sequences, decades: float) -> GapScale:
    """Mean and spread of log1p of the gaps, as the middle of the shortening leaves them."""
    level = np.log1p(source.gap_s[~source.first] * 10.0 ** (-decades / 2))
    return GapScale(float(level.mean()), float(level.std()) or 1.0)


def _targets(
    table: FlowTable, smallest: int, balance: float
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.float32]]:
    """Labels of the head, each row's class, and its weight in the loss.

    A family's weight falls with its count to the power of balance; a family below smallest rows would teach a name, not
    an attack: its rows stay in their hosts' sequences and weigh nothing.
    """
    families, counts = np.unique(table.family, return_counts=True)
    kept = {str(family): int(count) for family, count in zip(families, counts, strict=True) if count >= smallest}
    labels = (BENIGN, *(family for family in TECHNIQUES if family in kept and family != BENIGN))
    target = np.zeros(len(table), dtype=np.int64)
    weight = np.zeros(len(table), dtype=np.float64)
    for k, label in enumerate(labels):
        rows = table.family == label
        target[rows] = k
        weight[rows] = float(kept[label]) ** -balance
    return labels, target, (weight / weight[weight > 0].mean()).astype(np.float32)


def _disturbance(recipe: Recipe, scaling: Scaling) -> Disturbance:
    tenfold = np.zeros(len(scaling.columns), dtype=np.float32)
    fingerprints = []
    for i, name in enumerate(scaling.columns):
        column = COLUMNS[INDEX[name]]
        if column.unit == "µs":
            tenfold[i] = np.log(10.0) / scaling.scale[i]
        elif column.unit.endswith("/s"):
            tenfold[i] = -np.log(10.0) / scaling.scale[i]
        if column.use == "site":
            fingerprints.append(i)
    return Disturbance(
        noise=recipe.augment.noise,
        column_drop=recipe.augment.column_drop,
        fingerprint_drop=recipe.augment.fingerprint_drop,
        fingerprints=tuple(fingerprints),
        time_decades=recipe.augment.time_decades,
        time_unit=tenfold,
    )


def _profile(*tables: FlowTable) -> NormalProfile:
    """Quantiles of the raw columns over all normal traffic of the recipe."""
    values = np.concatenate([table.values for table in tables])
    return NormalProfile(NAMES, *np.quantile(values, (0.01, 0.5, 0.99, 0.999), axis=0))


def _figures(recipe: Recipe, split: Split, shipped: Hybrid, report: Report) -> Figures:
    """Figures of the shipped model, of others that differ in their seed, and without fingerprint columns."""
    figures = []
    for fingerprints in (recipe.fingerprints, not recipe.fingerprints):
        for seed in (recipe.seed, *recipe.measure.seeds):
            own = (fingerprints, seed) == (recipe.fingerprints, recipe.seed)
            hybrid = shipped if own else fit(recipe, split, fingerprints, seed, report)
            figures += measured(hybrid, split.calibrate, recipe.hosts.shared, recipe.rates, fingerprints, seed)
    return tuple(figures)


def _about(recipe: Recipe, text: str, split: Split, figures: Figures) -> dict[str, Any]:
    rows: dict[str, dict[str, int]] = {}
    for table in (split.train, split.calibrate):
        for day in np.unique(table.day):
            labels, counts = np.unique(table.label[table.day == day], return_counts=True)
            rows[str(day)] = {str(label): int(count) for label, count in zip(labels, counts, strict=True)}
    packages = ("flowvigil", "numpy", "numba", "tensorflow-cpu", "keras", "scikit-learn", "polars")
    return {
        "made_by": f"flowvigil train {recipe.name}.yaml",
        "recipe": text,
        "dataset": {
            "name": recipe.dataset.name,
            "sha256": split.train.sha256,
            "citation": recipe.dataset.citation,
            "rows": rows,
            "repairs": split.train.repairs,
        },
        "days": {
            "fit": [day.isoformat() for day in recipe.days.train],
            "calibrated_and_measured": recipe.days.calibrate.isoformat(),
        },
        "seed": recipe.seed,
        "warnings": list(recipe.dataset.warnings),
        "metrics": {
            "split": SPLIT,
            "this_model": [figure.as_dict() for figure in figures if _is_shipped(recipe, figure)],
            "over_seeds": over_seeds(figures),
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
    }


def _is_shipped(recipe: Recipe, figure: Figure) -> bool:
    return (figure.fingerprints, figure.seed) == (recipe.fingerprints, recipe.seed)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
