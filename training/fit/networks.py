"""Fits a hybrid on flows of several networks: LSTM, random forest and Isolation Forest, each network counting once.

Flows have a context, or none that anybody knows: then its columns are masked (models.masking). What is fitted on and
what is held back is the caller's to say.
"""

from dataclasses import dataclass, replace

import numpy as np

from flows.columns import NAMES, feature_contract
from flows.context.columns import CONTEXT_NAMES, context_contract
from models.calibration import MIN_SCORES
from models.detector import ANY_ATTACK, Detector, Vector
from models.forest import IsolationForest, RandomForest
from models.fusion import Hybrid
from models.lstm import Lstm
from models.masking import Masking, fit_masking
from models.normal import NormalProfile
from models.scaling import Scaling, fit_scaling
from models.support import Group, Support, counted_groups
from training.arrays import Int64s, Mask, Strings, Values
from training.datasets.captures.splitting import NetworkSplit
from training.datasets.rows import blocks, stacked, taken
from training.datasets.table import FlowTable
from training.datasets.texts import coded_texts, texts_in
from training.errors import DatasetError
from training.fit.calibrating import NormalScores, calibrated, normal_scores, together
from training.fit.forests import ForestSize, fit_isolation_forest, grow_random_forest
from training.fit.hybrid import (
    SECOND_NS,
    as_detector,
    gap_scale,
    lanes_of,
    progress_of,
    settings_of,
    tenfold_stretch,
)
from training.fit.lstm import Disturbance, LearningCurve, fit_lstm
from training.fit.scaling import moved_rows, scaled_rows, scaling_of
from training.fit.weighting import capped, classes_of, flow_weights, network_weights
from training.labels import BENIGN, TECHNIQUES
from training.networks_recipe import NetworksRecipe
from training.reporting import Report
from training.sequences import Sequences, joined, of_each_group, rehomed, sequences

NOTHING_LEARNT = LearningCurve((), (), 0)  # of a model without an LSTM


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFlows:
    """Flows as the fits take them."""

    recipe: NetworksRecipe
    table: FlowTable
    network: Strings  # (n,) name of each flow's network
    columns: dict[str, int]  # name and position of each column used
    labels: tuple[str, ...]
    target: Int64s  # (n,) index into labels, -1 of what is not learnt
    chosen: Mask  # (n,) what is fitted on
    weight: Vector  # (n,) what each of these counts, mean 1; 0 of others
    masking: Masking | None

    def filled(self, values: Values) -> Values:
        """Rows with what stands for the context that nobody knows; where they are many, in a temporary file."""
        if self.masking is None:
            return values
        parts = (self.masking.filled(values[rows]) for rows in blocks(len(values)))
        return stacked(parts, values.shape, values.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Reports that forests are fitted on."""

    known: PreparedFlows
    source: Values  # (k, c) what reports hold, as it was metered
    place: Int64s  # (m,) of each report in it
    hidden: Mask  # (m,) whose context is hidden
    target: Int64s  # (m,)
    weight: Vector  # (m,)

    def values(self, rows: Int64s | slice) -> Values:
        """What the chosen ones hold, filled, (k, c)."""
        picked = np.array(self.source[self.place[rows]])
        if self.known.masking is not None:
            picked[np.ix_(self.hidden[rows], self.known.masking.index)] = np.nan
        return self.known.filled(picked)

    def all_values(self) -> Values:
        """What all of them hold, filled, (m, c); where they are many, in a temporary file."""
        parts = (self.values(rows) for rows in blocks(len(self.place)))
        return stacked(parts, (len(self.place), self.source.shape[1]), np.dtype(np.float64))


def fit_networks(recipe: NetworksRecipe, split: NetworkSplit, report: Report) -> Hybrid:
    """LSTM and random forest vote in the known lane, an Isolation Forest is the novel one.

    `about` of the model holds the training curve. Same flows and recipe, same bits. Raises DatasetError where there is
    too little to fit or to calibrate on.
    """
    known = prepared(recipe, split)
    _tell(known, report)
    fitted = _fitted(known, report)
    unseen = _crossed(known, report) if recipe.calibrate.folds else _of_held_back(known, split, fitted)
    found = len(unseen.novel.scores[0])
    counted = _counted(unseen.novel)
    if counted < MIN_SCORES:
        as_many = "" if counted == found else f", which count as {counted:,} by calibrate.networks"
        problem = f"has {found:,} reports of normal flows to calibrate on{as_many}; expected {MIN_SCORES} or more"
        raise DatasetError(split.train.path, problem)
    report(f"calibration on {found:,} reports of normal flows")
    lane = calibrated(fitted.known, fitted.voices, unseen.known, by_class=recipe.vote.by_class)
    novel = calibrated((fitted.novel,), (1.0,), unseen.novel)
    names = split.train.names if recipe.context else NAMES
    return Hybrid(
        known=lane.members,
        novel=novel.members,
        labels=known.labels,
        techniques=tuple(TECHNIQUES[label] for label in known.labels),
        thresholds={rate: (rate * recipe.known_share, rate * (1.0 - recipe.known_share)) for rate in recipe.rates},
        normal=_profile(names, fitted.normal).only(list(known.columns.values())),
        contract=context_contract() if recipe.context else feature_contract(),
        model_id=recipe.name,
        default_rate=recipe.rates[0],
        about={"training": fitted.curve.as_dict()},
        fusion=recipe.fusion,
        known_vote=lane.vote if lane.classes is not None or len(lane.members) > 1 else None,
        classes=lane.classes,
        support=Support(names, _normal_groups(split)),
        masking=known.masking,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """Detectors of both lanes, not yet calibrated."""

    known: tuple[Detector, ...]
    voices: tuple[float, ...]  # what the voice of each weighs
    novel: IsolationForest
    normal: Values  # (k, c) rows of normal traffic that the novel one was fitted on
    curve: LearningCurve


def _fitted(known: PreparedFlows, report: Report) -> _Fitted:
    members, voices, curve = _known_lane(known, report)
    normal = _drawn_normal(known)
    report(f"isolation forest: {known.recipe.iforest.trees} trees on {len(normal):,} rows of normal traffic")
    return _Fitted(members, voices, _isolation_forest(known, normal), normal, curve)


@dataclass(frozen=True, slots=True, eq=False)
class _Unseen:
    """What detectors of both lanes say of normal traffic that they were not fitted on."""

    known: NormalScores
    novel: NormalScores


def _of_held_back(known: PreparedFlows, split: NetworkSplit, fitted: _Fitted) -> _Unseen:
    return _scored(known, fitted, split.held_back, split.held_back_network)


def _crossed(known: PreparedFlows, report: Report) -> _Unseen:
    """Each group of networks scored by detectors that were fitted without it."""
    networks = texts_in(known.network)
    folds = min(known.recipe.calibrate.folds or 1, len(networks))
    parts = []
    for place in range(folds):
        out: Mask = np.any([known.network == name for name in networks[place::folds]], axis=0)
        report(f"calibration {place + 1} of {folds}: {', '.join(networks[place::folds].tolist())} left out")
        fitted = _fitted(_without(known, out), report)
        parts.append(_scored(known, fitted, known.table.take(out), taken(known.network, np.flatnonzero(out))))
    return _Unseen(together([part.known for part in parts]), together([part.novel for part in parts]))


def _counted(normal: NormalScores) -> int:
    """As how many alike the scores count by their weights: Kish's effective sample size."""
    counts = normal.counts
    if counts is None or not len(counts):
        return len(normal.scores[0])
    return int(round(counts.sum() ** 2 / (counts**2).sum(), 6))


def _scored(known: PreparedFlows, fitted: _Fitted, unseen: FlowTable, network: Strings) -> _Unseen:
    unseen, counts = filled_table(known, unseen), _normal_counts(known.recipe, unseen, network)
    return _Unseen(
        normal_scores(fitted.known, unseen, counts),
        normal_scores((fitted.novel,), unseen, counts),
    )


def _without(known: PreparedFlows, out: Mask) -> PreparedFlows:
    """The same of the other flows, with as many labels. Raises DatasetError where there is no normal traffic."""
    kept = ~out
    target, chosen, network = known.target[kept], known.chosen[kept], taken(known.network, np.flatnonzero(kept))
    if not (target[chosen] == 0).any():
        raise DatasetError(known.table.path, "has no normal flows of other networks; expected captures of more of them")
    weight = np.zeros(len(target))
    weight[chosen] = flow_weights(network[chosen], target[chosen], known.recipe.balance)
    return replace(known, table=known.table.take(kept), network=network, target=target, chosen=chosen, weight=weight)


def prepared(recipe: NetworksRecipe, split: NetworkSplit) -> PreparedFlows:
    """Which flows are fitted on, as what, and what each counts. Raises DatasetError where a class is missing."""
    table = split.train
    columns = {name: table.names.index(name) for name in recipe.columns}
    labels, target = classes_of(table, recipe.classes, recipe.smallest_family)
    chosen = capped(table, target, recipe.most_flows, recipe.seed)
    weight = np.zeros(len(table))
    weight[chosen] = flow_weights(split.train_network[chosen], target[chosen], recipe.balance)
    known = PreparedFlows(recipe, table, split.train_network, columns, labels, target, chosen, weight, None)
    context = {name: place for name, place in columns.items() if name in CONTEXT_NAMES}
    if not context:
        return known
    rows = _drawn(np.flatnonzero(target == 0), weight, recipe.iforest.rows, [recipe.seed, 5])
    try:
        return replace(known, masking=fit_masking(taken(table.values, rows), context))
    except ValueError as error:
        raise DatasetError(table.path, f"has normal flows of which the context is not known: {error}") from error


def filled_table(known: PreparedFlows, table: FlowTable) -> FlowTable:
    """A table, and what its reports hold, with what stands for the context that nobody knows."""
    told = table.reports()
    if told.values is not None:
        told = replace(told, values=known.filled(told.values))
    return replace(table, values=known.filled(table.values), reported=told)


def _tell(known: PreparedFlows, report: Report) -> None:
    of_class = [int((known.target[known.chosen] == k).sum()) for k in range(len(known.labels))]
    told = ", ".join(f"{name} {count:,}" for name, count in zip(known.labels, of_class, strict=True))
    report(f"{len(known.columns)} columns, {len(texts_in(known.network))} networks, flows fitted on: {told}")


def _normal_counts(recipe: NetworksRecipe, unseen: FlowTable, network: Strings) -> Vector:
    """What each flow counts in calibration, (n,). network: (n,) of each."""
    normal = unseen.family == BENIGN
    counts = np.ones(len(normal))
    own = recipe.calibrate
    counts[normal] = network_weights(network[normal], own.networks, own.least)
    return counts


def _known_lane(known: PreparedFlows, report: Report) -> tuple[tuple[Detector, ...], tuple[float, ...], LearningCurve]:
    """Detectors of the known lane, what the voice of each weighs, and how the LSTM's fit went."""
    recipe, curve = known.recipe, NOTHING_LEARNT
    members: list[Detector] = []
    if recipe.vote.lstm:
        lstm, curve = _fit_lstm(known, report)
        members.append(lstm)
    if recipe.vote.random_forest:
        size = recipe.random_forest
        report(f"random forest: {size.trees} trees of at most {size.leaves} leaves")
        members.append(_random_forest(known))
    voices = tuple(voice for voice in (recipe.vote.lstm, recipe.vote.random_forest) if voice)
    return tuple(members), voices, curve


def _drawn(rows: Int64s, weight: Vector, count: int, seed: list[int]) -> Int64s:
    """So many of these rows, drawn by their weights, one maybe several times; ascending. weight: (n,) of all rows."""
    own = weight[rows] / weight[rows].sum()
    drawn: Int64s = np.sort(np.random.default_rng(seed).choice(rows, count, p=own))
    return drawn


def _rows(known: PreparedFlows) -> _Rows:
    """The reports that forests are fitted on, the context hidden in some."""
    recipe, table = known.recipe, known.table
    if recipe.reports == "all":
        told = table.reports()
        row = told.row
        values = table.values if told.values is None else told.values
        place = np.arange(len(row)) if told.values is not None else row
    else:
        row = place = np.arange(len(table))
        values = table.values if recipe.reports == "last" else table.first_values()
    own = np.flatnonzero(known.chosen[row])
    row, place = row[own], place[own]
    hidden = np.random.default_rng([recipe.seed, 6]).random(len(place)) < recipe.augment.context_drop
    reports_of = np.bincount(row, minlength=len(table))
    return _Rows(known, values, place, hidden, known.target[row], known.weight[row] / reports_of[row])


def _drawn_normal(known: PreparedFlows) -> Values:
    """Rows of normal traffic, drawn by their weights: (k, c), filled."""
    rows = _rows(known)
    drawn = _drawn(np.flatnonzero(rows.target == 0), rows.weight, known.recipe.iforest.rows, [known.recipe.seed, 7])
    return rows.values(drawn)


def _random_forest(known: PreparedFlows) -> RandomForest:
    recipe, rows = known.recipe, _rows(known)
    own = recipe.random_forest
    size = ForestSize(own.trees, own.leaves, own.depth, own.columns, own.smallest_leaf, recipe.lstm.threads)
    values = rows.all_values()
    scaling = scaling_of(values, known.columns)
    labels, target = (known.labels, rows.target) if own.names else (ANY_ATTACK, np.minimum(rows.target, 1))
    weight = rows.weight / rows.weight.mean()
    return grow_random_forest(scaling, scaled_rows(scaling, values), target, weight, labels, size, recipe.seed)


def _isolation_forest(known: PreparedFlows, normal: Values) -> IsolationForest:
    own, columns = known.recipe.iforest, known.columns
    if own.columns == "context":
        columns = {name: place for name, place in columns.items() if name in CONTEXT_NAMES}
    return fit_isolation_forest(fit_scaling(normal, columns), normal, own.trees, own.sample, known.recipe.seed)


def _fit_lstm(known: PreparedFlows, report: Report) -> tuple[Lstm, LearningCurve]:
    recipe, table = known.recipe, known.table
    first = known.filled(table.first_values())
    drawn = _drawn(np.flatnonzero(known.chosen), known.weight, recipe.iforest.rows, [recipe.seed, 8])
    scaling = fit_scaling(taken(first, drawn), known.columns)
    source = _sources(known)
    gap = gap_scale(source, recipe.gaps.shorten_decades)
    most = recipe.lstm.network_steps
    _, group = coded_texts(known.network)

    def of_an_epoch(whole: Sequences, rng: np.random.Generator) -> Sequences:
        return whole if most is None else of_each_group(whole, group[whole.row], most, rng)

    report(f"lstm: {len(source):,} steps, at most {most or len(source):,} of a network in an epoch")
    weights, curve = fit_lstm(
        x=scaled_rows(scaling, first),
        moved=moved_rows(scaling, first),
        target=np.maximum(known.target, 0),
        classes=len(known.labels),
        weight=known.weight.astype(np.float32),
        source=source,
        lanes=lanes_of(recipe.lstm, recipe.gaps, recipe.augment, recipe.hosts),
        disturbance=_disturbance(known, scaling),
        gap=gap,
        settings=settings_of(recipe.lstm),
        epochs=recipe.lstm.epochs,
        seed=recipe.seed,
        progress=progress_of("lstm", recipe.lstm.epochs, report),
        path=table.path,
        drawn=of_an_epoch,
    )
    return as_detector(weights, scaling, known.labels, gap, int(recipe.hosts.reset_s * SECOND_NS)), curve


def _sources(known: PreparedFlows) -> Sequences:
    """The hosts' own sequences, and copies of all flows behind a few shared hosts of their capture. First reports."""
    table, own = known.table, known.recipe.hosts
    rng = np.random.default_rng([known.recipe.seed, 1])
    told = table.reports()
    hosts = [table.host]
    for _ in range(own.rehomed_copies):
        shared = rehomed(len(table), own.shared, rng)
        hosts.append(np.stack([table.host[:, 0], shared[:, 1]], axis=1))
    return joined([sequences(host, table.start_ns, told) for host in hosts])


def _disturbance(known: PreparedFlows, scaling: Scaling) -> Disturbance:
    augment = known.recipe.augment
    context = [place for place, name in enumerate(scaling.columns) if name in CONTEXT_NAMES]
    unknown: tuple[float, ...] = ()
    if known.masking is not None:
        row = known.masking.filled(np.full((1, len(known.table.names)), np.nan))
        unknown = tuple(scaling.transform(np.nan_to_num(row))[0, context].tolist())
    return Disturbance(
        noise=augment.noise,
        column_drop=augment.column_drop,
        fingerprint_drop=0.0,
        fingerprints=(),
        time_decades=augment.time_decades,
        time_unit=tenfold_stretch(scaling),
        context_drop=augment.context_drop,
        context=tuple(context),
        unknown_context=unknown,
    )


def _profile(names: tuple[str, ...], normal: Values) -> NormalProfile:
    return NormalProfile(names, *np.quantile(normal[:, : len(names)], (0.01, 0.5, 0.99, 0.999), axis=0))


def _normal_groups(split: NetworkSplit) -> dict[Group, int]:
    """How many normal flows there are of each group that a model can have met, in all networks."""
    groups: dict[Group, int] = {}
    for table in (split.train, split.held_back):
        for rows in blocks(len(table)):
            values = table.values[rows][table.family[rows] == BENIGN]
            for group, flows in counted_groups(values, table.names).items():
                groups[group] = groups.get(group, 0) + flows
    return dict(sorted(groups.items()))
