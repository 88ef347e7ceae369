"""Fits one hybrid model: LSTM, random forest and Isolation Forest on one part of a table, calibrated on another.

It knows days and files only as tables that were split before. The causes of the split are the recipe's.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.columns import COLUMNS, INDEX, NAMES, feature_contract, usable_by_models
from models.calibration import MIN_SCORES
from models.fusion import Hybrid
from models.lstm import Lstm
from models.normal import NormalProfile
from models.scaling import Scaling
from models.support import Group, Support, counted_groups
from training.arrays import Float32s
from training.datasets.rows import blocks, column_blocks, stacked
from training.datasets.table import FlowTable
from training.datasets.texts import counted_texts
from training.errors import DatasetError
from training.fit.baselines import fit_random_forest
from training.fit.calibrating import calibrated, normal_scores
from training.fit.forests import fit_isolation_forest
from training.fit.lstm import Disturbance, GapScale, LearningCurve, LstmSettings, LstmWeights, Stopping, fit_lstm
from training.fit.scaling import moved_rows, scaled_rows, scaling_of
from training.labels import BENIGN, TECHNIQUES
from training.measure import are_attacks, ranked_above_normal
from training.recipe import Augment, Recipe
from training.recipe_sections import Disturbances, Gaps, Hosts, LstmSize
from training.reporting import Report
from training.sequences import Lanes, Sequences, joined, rehomed, sequences

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Split:
    """Parts of a table: flows to fit on, and flows whose normal ones give calibration and thresholds."""

    train: FlowTable
    calibrate: FlowTable


def fit(
    recipe: Recipe, split: Split, fingerprints: bool, seed: int, report: Report, epochs: int | None = None
) -> Hybrid:
    """LSTM and random forest vote in the known lane, an Isolation Forest is the novel one.

    `about` of the model holds the training curve.

    Raises DatasetError where there is too little to fit or to calibrate on.

    epochs: how many; None stops where the attacks of split.calibrate are found best, or after the recipe's number where
    it has none.
    """
    columns = {name: INDEX[name] for name in usable_by_models(fingerprints=fingerprints)}
    unfit = sorted(set(columns) & set(split.train.missing))
    if unfit:
        raise DatasetError(split.train.path, f"lacks columns that the recipe uses: {', '.join(unfit)}")
    _require_normal(split.train, "fit", recipe.iforest.sample)
    _require_normal(split.calibrate, "calibrate", MIN_SCORES)
    normal = split.train.take(split.train.family == BENIGN)
    lstm, curve = _fit_lstm(recipe, split, columns, seed, report, epochs)
    report(f"forest: {recipe.iforest.trees} trees on {len(normal)} normal flows")
    scaling = scaling_of(normal.values, columns)
    forest = fit_isolation_forest(scaling, normal.values, recipe.iforest.trees, recipe.iforest.sample, seed)
    trees = fit_random_forest(split.train, columns, seed)
    held_back = split.calibrate.take(split.calibrate.family == BENIGN)
    voters = (lstm, trees)
    known = calibrated(voters, (recipe.vote.lstm, recipe.vote.random_forest), normal_scores(voters, split.calibrate))
    novel = calibrated((forest,), (1.0,), normal_scores((forest,), split.calibrate))
    return Hybrid(
        known=known.members,
        novel=novel.members,
        labels=lstm.labels,
        techniques=tuple(TECHNIQUES[label] for label in lstm.labels),
        thresholds={rate: (rate / 2, rate / 2) for rate in recipe.rates},
        normal=_profile(columns, held_back, normal),
        contract=feature_contract(),
        model_id=recipe.name,
        default_rate=recipe.rates[0],
        about={"training": curve.as_dict()},
        fusion=recipe.fusion,
        known_vote=known.vote,
        support=Support(NAMES, _groups(normal, held_back)),
    )


def _require_normal(table: FlowTable, purpose: str, least: int) -> None:
    """Raise DatasetError for too few normal flows, before the LSTM takes its time."""
    found = int((table.family == BENIGN).sum())
    if found < least:
        raise DatasetError(table.path, f"has {found:,} normal flows to {purpose} on; expected {least:,} or more")


def _fit_lstm(
    recipe: Recipe, split: Split, columns: dict[str, int], seed: int, report: Report, epochs: int | None
) -> tuple[Lstm, LearningCurve]:
    table, first = split.train, split.train.first_values()
    scaling = scaling_of(first, columns)
    labels, target, weight = _targets(table, recipe.lstm.smallest_family, recipe.lstm.balance)
    source = _sources(recipe, table, seed)
    gap = gap_scale(source, recipe.gaps.shorten_decades)
    reset_ns = int(recipe.hosts.reset_s * SECOND_NS)

    def found(weights: LstmWeights) -> float:
        return ranked_above_normal(as_detector(weights, scaling, labels, gap, reset_ns), split.calibrate)

    unseen = epochs is None and bool(are_attacks(split.calibrate.family).any())
    stopping = Stopping(found, recipe.lstm.patience) if unseen else None
    epochs = epochs or recipe.lstm.epochs
    report(f"lstm ({len(columns)} columns, seed {seed}): {len(source)} steps an epoch, {', '.join(labels)}")
    weights, curve = fit_lstm(
        x=scaled_rows(scaling, first),
        moved=moved_rows(scaling, first),
        target=target,
        classes=len(labels),
        weight=weight,
        source=source,
        lanes=lanes_of(recipe.lstm, recipe.gaps, recipe.augment, recipe.hosts),
        disturbance=_disturbance(recipe.augment, scaling),
        gap=gap,
        settings=settings_of(recipe.lstm),
        epochs=epochs,
        seed=seed,
        progress=progress_of(f"lstm ({len(columns)} columns, seed {seed})", epochs, report),
        path=table.path,
        stopping=stopping,
    )
    return as_detector(weights, scaling, labels, gap, reset_ns), curve


def progress_of(name: str, epochs: int, report: Report) -> Callable[[int, float, float | None], None]:
    """What tells of each epoch of a fit with this name."""
    began = time.monotonic()

    def told(epoch: int, loss: float, validation: float | None) -> None:
        left = (time.monotonic() - began) / epoch * (epochs - epoch)
        found = "" if validation is None else f", unseen attacks above normal {validation:.4f}"
        report(f"{name}: epoch {epoch}/{epochs}, loss {loss:.5f}{found}, at most {left:.0f} s left")

    return told


def settings_of(lstm: LstmSize) -> LstmSettings:
    """Size and pace as the recipe says them."""
    return LstmSettings(
        units=lstm.units,
        learning_rate=lstm.learning_rate,
        clip_norm=lstm.clip_norm,
        dropout=lstm.dropout,
        average=lstm.average,
        threads=lstm.threads,
    )


def lanes_of(lstm: LstmSize, gaps: Gaps, augment: Disturbances, hosts: Hosts) -> Lanes:
    """How sequences are laid out and disturbed, as the recipe says it."""
    return Lanes(
        lanes=lstm.lanes,
        steps=lstm.chunk,
        state_drop=augment.state_drop,
        gap_unknown=gaps.unknown,
        gap_decades=gaps.shorten_decades,
        reset_s=hosts.reset_s,
    )


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
    told = table.reports()
    copies = recipe.hosts.rehomed_copies if table.has_hosts else 0
    hosts = [table.host] + [rehomed(len(table), recipe.hosts.shared, rng) for _ in range(copies)]
    return joined([sequences(host, table.start_ns, told) for host in hosts])


def gap_scale(source: Sequences, decades: float) -> GapScale:
    """Scale of gaps: mean and spread of log1p of the gaps, as the middle of the shortening leaves them."""
    level = np.log1p(source.gap_s[~source.first] * 10.0 ** (-decades / 2))
    if not len(level):  # no flow comes after another of its host
        return GapScale(0.0, 1.0)
    return GapScale(float(level.mean()), float(level.std()) or 1.0)


def _targets(
    table: FlowTable, smallest: int, balance: float
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.float32]]:
    """Labels of the head, each row's class, and its weight in the loss.

    A family's weight falls with its count to the power of balance; a family below smallest rows would teach a name, not
    an attack: its rows stay in their hosts' sequences and weigh nothing.
    """
    families, counts = counted_texts(table.family)
    kept = {str(family): int(count) for family, count in zip(families, counts, strict=True) if count >= smallest}
    labels = (BENIGN, *(family for family in TECHNIQUES if family in kept and family != BENIGN))
    target = np.zeros(len(table), dtype=np.int64)
    weight = np.zeros(len(table), dtype=np.float64)
    for k, label in enumerate(labels):
        rows = table.family == label
        target[rows] = k
        weight[rows] = float(kept[label]) ** -balance
    return labels, target, (weight / weight[weight > 0].mean()).astype(np.float32)


def _disturbance(augment: Augment, scaling: Scaling) -> Disturbance:
    fingerprints = [i for i, name in enumerate(scaling.columns) if COLUMNS[INDEX[name]].use == "site"]
    return Disturbance(
        noise=augment.noise,
        column_drop=augment.column_drop,
        fingerprint_drop=augment.fingerprint_drop,
        fingerprints=tuple(fingerprints),
        time_decades=augment.time_decades,
        time_unit=tenfold_stretch(scaling),
    )


def tenfold_stretch(scaling: Scaling) -> Float32s:
    """What times ten times as long add to each scaled column of a record, (d,); 0 to those of its context."""
    tenfold = np.zeros(len(scaling.columns), dtype=np.float32)
    for i, name in enumerate(scaling.columns):
        unit = COLUMNS[INDEX[name]].unit if name in INDEX else ""
        if unit == "µs":
            tenfold[i] = np.log(10.0) / scaling.scale[i]
        elif unit.endswith("/s"):
            tenfold[i] = -np.log(10.0) / scaling.scale[i]
    return tenfold


def _profile(columns: dict[str, int], *tables: FlowTable) -> NormalProfile:
    """Quantiles of these raw columns, by name and position, over all normal traffic of the recipe."""
    parts = (table.values[rows, : len(NAMES)] for table in tables for rows in blocks(len(table)))
    values = stacked(parts, (sum(map(len, tables)), len(NAMES)), np.dtype(np.float64))
    picked = column_blocks(values, range(len(NAMES)))
    quantiles = [np.quantile(some, (0.01, 0.5, 0.99, 0.999), axis=0) for _, some in picked]
    return NormalProfile(NAMES, *np.concatenate(quantiles, axis=1)).only(list(columns.values()))


def _groups(*tables: FlowTable) -> dict[Group, int]:
    """How many normal flows there are of each group, by ascending group."""
    counts: Counter[Group] = Counter()
    for table in tables:
        for rows in blocks(len(table)):
            counts.update(counted_groups(table.values[rows], NAMES))
    return dict(sorted(counts.items()))
