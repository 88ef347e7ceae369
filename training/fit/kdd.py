"""Fits a hybrid on KDD connection records: a random forest that names families, an Isolation Forest on normal ones.

scikit-learn grows them, this product's kernels score them. It knows records, not where they come from.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flows.kdd.columns import SYMBOLS, kdd_columns, kdd_contract
from models.baselines import Baseline, Baselines, RowScorer
from models.calibration import MIN_SCORES
from models.encoding import Encoding, Feature
from models.forest import IsolationForest, RandomForest
from models.fusion import Hybrid, Member
from models.normal import NormalProfile
from models.rules import NO_PORT
from models.scaling import Matrix, Scaling, fit_scaling
from models.sklearn_trees import forest_from_sklearn
from training.arrays import Mask
from training.datasets.kdd import KddTable
from training.errors import DatasetError
from training.fit.baselines import FitRows, fit_plain
from training.fit.crossfit import Folds, calibrated, folds_of
from training.fit.forests import fit_isolation_forest
from training.labels import ANOMALY, BENIGN, TECHNIQUES
from training.recipe import KddRecipe
from training.recipe_sections import IsolationForestRecipe
from training.reporting import Report

SYN_ERRORS = ("serror_rate", "srv_serror_rate", "dst_host_serror_rate", "dst_host_srv_serror_rate")
REJECTIONS = ("rerror_rate", "srv_rerror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate")


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRecords:
    """A table as the fits take it. All but labels and target hang on its normal records alone."""

    recipe: KddRecipe
    table: KddTable
    labels: tuple[str, ...]
    encoding: Encoding
    features: NDArray[np.float64]  # (n, f) not yet scaled
    scaling: Scaling
    x: Matrix  # (n, f) scaled
    normal: Mask
    target: NDArray[np.int64]  # (n,) index into labels, -1 for what is not learnt
    fold: Folds  # (n,) of normal records
    profile: NormalProfile  # what is normal in each column
    seed: int

    @property
    def all(self) -> Mask:
        """Mask of every row."""
        return np.ones(len(self.x), dtype=np.bool_)

    def without(self, attack: str) -> "PreparedRecords":
        """The same where nobody has seen this attack. Raises DatasetError where no other can be learnt."""
        labels, target = _targets(self.recipe, self.table, self.table.label != attack)
        return replace(self, labels=labels, target=target)

    def redrawn(self, seed: int) -> "PreparedRecords":
        """The same with clusters, folds and fits drawn by another seed."""
        return replace(self, fold=_folds(self.recipe, self.table, self.x, self.normal, seed), seed=seed)


def prepared(recipe: KddRecipe, table: KddTable, seed: int) -> PreparedRecords:
    """What the fits share: encoding, scaling and folds. Raises DatasetError as fit_kdd."""
    if ANOMALY in table.label:
        raise DatasetError(table.path, "names no attacks, only anomaly: no family can be learnt; expected their names")
    records, normal = records_of(table, content=recipe.content), table.family == BENIGN
    least = max(2 * recipe.iforest.sample, 2 * recipe.calibrate.clusters, MIN_SCORES)
    if int(normal.sum()) < least:
        raise DatasetError(table.path, f"has {int(normal.sum()):,} normal records, the recipe needs {least:,}")
    labels, target = _targets(recipe, table, np.ones(len(table), dtype=np.bool_))
    encoding = fit_encoding(records[normal], content=recipe.content)
    features = encoding.encode(records)
    scaling = fit_scaling(features[normal], {name: i for i, name in enumerate(encoding.names)})
    x = scaling.transform(features)
    fold = _folds(recipe, table, x, normal, seed)
    profile = normal_profile(records[normal], content=recipe.content)
    return PreparedRecords(recipe, table, labels, encoding, features, scaling, x, normal, target, fold, profile, seed)


def _folds(recipe: KddRecipe, table: KddTable, x: Matrix, normal: Mask, seed: int) -> Folds:
    """As folds_of. Raises DatasetError where a fit without a fold would have fewer normal records than a tree takes."""
    fold = folds_of(x, normal, recipe.calibrate.clusters, recipe.calibrate.folds, seed)
    of_fold = np.bincount(fold[normal])
    left, sample = int(of_fold.sum() - of_fold.max()), recipe.iforest.sample
    if left < sample:
        problem = f"has {int(of_fold.sum()):,} normal records of few kinds: without a fold of them {left:,} are left"
        raise DatasetError(table.path, f"{problem}, the recipe's trees take {sample:,} each")
    return fold


def fit_kdd(recipe: KddRecipe, table: KddTable, seed: int, report: Report) -> Hybrid:
    """The hybrid, calibrated across clusters of normal records; see training.fit.crossfit.

    Raises DatasetError for a table without normal records, with too few of them or of their kinds for the recipe, or
    without an attack family of the recipe's smallest size.
    """
    known = prepared(recipe, table, seed)
    report(f"forests on {len(table):,} records ({len(known.encoding.names)} features), {', '.join(known.labels)}")
    report(f"calibration: {recipe.calibrate.folds} fits, each without a fold of clusters of normal records")
    return hybrid_of(known, fit_novel(known))


def fit_kdd_baselines(recipe: KddRecipe, table: KddTable, seed: int, report: Report) -> Baselines:
    """The baselines on the hybrid's features, calibrated in the same way. Raises DatasetError as fit_kdd."""
    report(f"baselines on the same records, and {recipe.calibrate.folds} times without a fold")
    return baselines_of(prepared(recipe, table, seed))


def fit_novel(known: PreparedRecords) -> Member:
    """The Isolation Forest, calibrated; attacks have no part in it."""
    size = known.recipe.iforest
    meaning = calibrated(known.x, known.fold, lambda rows: {"iforest": isolation_forest(known, rows, size).score_rows})
    return Member(isolation_forest(known, known.all, size), meaning["iforest"])


def isolation_forest(known: PreparedRecords, rows: Mask, size: IsolationForestRecipe) -> IsolationForest:
    """An Isolation Forest of this size on the normal ones of these rows, (n,)."""
    return fit_isolation_forest(known.scaling, known.features[rows & known.normal], size.trees, size.sample, known.seed)


def hybrid_of(known: PreparedRecords, novel: Member) -> Hybrid:
    """The random forest, calibrated, beside the novel lane's member."""
    recipe = known.recipe
    meaning = calibrated(known.x, known.fold, lambda rows: {"forest": _forest(known, rows).score_rows})
    return Hybrid(
        known=(Member(_forest(known, known.all), meaning["forest"]),),
        novel=(novel,),
        labels=known.labels,
        techniques=tuple(TECHNIQUES[label] for label in known.labels),
        thresholds={rate: (rate / 2, rate / 2) for rate in recipe.rates},
        normal=known.profile,
        contract=kdd_contract(content=recipe.content),
        model_id=recipe.name,
        default_rate=recipe.rates[0],
        encoding=known.encoding,
    )


def baselines_of(known: PreparedRecords) -> Baselines:
    """The baselines, calibrated."""
    fitted = _plain(known, known.all)
    meaning = calibrated(
        known.x, known.fold, lambda rows: {name: plain.score_rows for name, plain in _plain(known, rows).items()}
    )
    members = tuple(Baseline(name, detector, meaning[name]) for name, detector in fitted.items())
    return Baselines(known.scaling, members)


def records_of(table: KddTable, *, content: bool) -> NDArray[np.float64]:
    """(n, 41) or (n, 28) records in the order of flows.kdd.columns."""
    if content:
        return table.records
    kept = [i for i, column in enumerate(kdd_columns(content=True)) if column.group != "content"]
    result: NDArray[np.float64] = table.records[:, kept]
    return result


def fit_encoding(normal: NDArray[np.float64], *, content: bool) -> Encoding:
    """Features of a record; how frequent a service is, is counted on these normal records."""
    columns = kdd_columns(content=content)
    index = {column.name: i for i, column in enumerate(columns)}
    features = [Feature(column.name, "value", (i,)) for i, column in enumerate(columns) if column.kind != "symbol"]
    for name in ("protocol_type", "flag"):
        features += [Feature(f"{name}={s}", "is", (index[name],), (float(k),)) for k, s in enumerate(SYMBOLS[name])]
    service = normal[:, index["service"]].astype(np.int64)
    counts = np.bincount(service[service >= 0], minlength=len(SYMBOLS["service"]))
    features.append(
        Feature("service_frequency", "frequency", (index["service"],), tuple((counts / len(normal)).tolist()))
    )
    both = (index["src_bytes"], index["dst_bytes"])
    features += [Feature("total_bytes", "sum", both), Feature("src_bytes_share", "share", both)]
    for name, parts in (("serror_mean", SYN_ERRORS), ("rerror_mean", REJECTIONS)):
        features.append(Feature(name, "mean", tuple(index[part] for part in parts)))
    return Encoding(len(columns), tuple(features))


def normal_profile(normal: NDArray[np.float64], *, content: bool) -> NormalProfile:
    """Quantiles of normal records; of a symbol, which has no order, the commonest in place of each."""
    quantiles = np.quantile(normal, (0.01, 0.5, 0.99, 0.999), axis=0)
    columns = kdd_columns(content=content)
    for i, column in enumerate(columns):
        if column.kind == "symbol":
            values, counts = np.unique(normal[:, i], return_counts=True)
            quantiles[:, i] = values[np.argmax(counts)]
    return NormalProfile(tuple(column.name for column in columns), *quantiles)


def _targets(recipe: KddRecipe, table: KddTable, seen: Mask) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Labels, and each record's class; -1 for what was not seen and families too small to be learnt."""
    families, counts = np.unique(table.family[seen], return_counts=True)
    large = [str(f) for f, n in zip(families, counts, strict=True) if n >= recipe.random_forest.smallest_family]
    labels = (BENIGN, *(family for family in TECHNIQUES if family in large and family != BENIGN))
    if len(labels) < 2:
        least = recipe.random_forest.smallest_family
        raise DatasetError(table.path, f"has no attack family of {least} records or more to learn from")
    target = np.full(len(table), -1, dtype=np.int64)
    for k, label in enumerate(labels):
        target[seen & (table.family == label)] = k
    return labels, target


def _forest(known: PreparedRecords, rows: Mask) -> RandomForest:
    from sklearn.ensemble import RandomForestClassifier

    recipe, kept = known.recipe, rows & (known.target >= 0)
    model = RandomForestClassifier(
        recipe.random_forest.trees, max_leaf_nodes=recipe.random_forest.leaves, random_state=known.seed, n_jobs=1
    )
    target = known.target[kept]
    model.fit(known.x[kept], target, _weights(target, len(known.labels), recipe.random_forest.balance))
    return RandomForest(known.scaling, forest_from_sklearn(model), known.labels, "random_forest")


def _plain(known: PreparedRecords, rows: Mask) -> dict[str, RowScorer]:
    kept = rows & (known.target >= 0)
    attack = known.target[kept] > 0
    ports = np.full(int(kept.sum()), NO_PORT)
    fitted = fit_plain(
        known.scaling,
        FitRows(known.x[kept], attack, _weights(attack.astype(np.int64), 2, 1.0), ports),
        known.seed,
        False,
    )
    return {name: plain for name, plain in fitted.items() if isinstance(plain, RowScorer)}


def _weights(target: NDArray[np.int64], classes: int, balance: float) -> NDArray[np.float64]:
    """Weight of each row, mean 1: its class's count to the power of -balance."""
    counts = np.bincount(target, minlength=classes).astype(np.float64)
    weight = counts[target] ** -balance
    result: NDArray[np.float64] = weight / weight.mean()
    return result
