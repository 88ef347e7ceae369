"""Fits the baselines: plain models of attack against normal traffic, row by row, that the hybrid has to beat.

scikit-learn grows the learners, this product's own kernels score them. They know rows of scaled columns and destination
ports, not sequences. Attack families are one class here: a baseline says whether, not what.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.baselines import Baseline, Baselines, PlainModel, row_scores
from models.boosting import BoostedTrees, boosting_from_sklearn
from models.calibration import MIN_SCORES, fit_calibration
from models.detector import ANY_ATTACK, Vector
from models.forest import RandomForest
from models.logistic import LogisticRegression
from models.rules import NO_PORT, ColumnThreshold, PortTable
from models.scaling import CLIP, Matrix, Scaling
from training.datasets.table import FlowTable
from training.datasets.texts import counted_texts
from training.errors import DatasetError
from training.fit.forests import ForestSize, grow_random_forest
from training.fit.scaling import scaled_rows, scaling_of
from training.labels import BENIGN

SMALLEST_FAMILY = 100  # flows; a smaller one would teach a name, not an attack
LARGEST_FAMILY = 50_000  # flows drawn of a larger one: more change nothing but the time and memory it takes
# Bounded so that all baselines fit in 500 kB. Trees that choose among three columns found unseen attacks more surely
# than those of the usual choice: the square root of the columns in a forest, all of them in boosting.
FOREST_TREES, FOREST_LEAVES = 70, 64
BOOSTING_TREES, BOOSTING_LEAVES, BOOSTING_RATE, BOOSTING_L2 = 100, 15, 0.05, 1.0
TREE_COLUMNS = 3
SMOOTHING = 2.0  # flows of the prior's mixture that each port is taken to have had before: Laplace's rule


@dataclass(frozen=True, slots=True)
class FitRows:
    """Rows that a baseline is fitted on."""

    x: Matrix  # (n, d) scaled
    attack: NDArray[np.bool_]  # (n,) bool
    weight: Vector  # (n,) positive, mean 1
    dst_port: NDArray[np.int64]  # (n,), or -1


def fit_random_forest(train: FlowTable, columns: Mapping[str, int], seed: int) -> RandomForest:
    """The random forest alone, which also votes in the known lane. Raises DatasetError as fit_baselines."""
    scaling, rows = _rows(train, columns, seed)
    return _random_forest(scaling, rows, seed)


def fit_baselines(
    train: FlowTable, held_back: FlowTable, columns: Mapping[str, int], seed: int, forest: bool = True
) -> Baselines:
    """Baselines over these columns, calibrated on the normal flows of held_back.

    columns: name and position in the feature contract, in order. forest: False leaves out the random forest, where it
    is a member of the hybrid and need not be kept twice. There is no port_only where no training row knows its
    destination port. Same tables and seed, same bits. Raises DatasetError for a train without normal traffic or without
    an attack family of 100 flows, and for a held_back with fewer than 50 normal flows.
    """
    normal = held_back.take(held_back.family == BENIGN)
    if len(normal) < MIN_SCORES:
        raise DatasetError(held_back.path, f"{len(normal)} normal flows to calibrate on, expected {MIN_SCORES} or more")
    scaling, rows = _rows(train, columns, seed)
    held_rows = scaled_rows(scaling, normal.values)
    fitted = fit_plain(scaling, rows, seed, forest)
    members = []
    for name, detector in fitted.items():
        scores = row_scores(detector, held_rows, normal.dst_port)
        members.append(Baseline(name, detector, fit_calibration(scores)))
    return Baselines(scaling, tuple(members))


def fit_plain(scaling: Scaling, rows: FitRows, seed: int, forest: bool = True) -> dict[str, PlainModel]:
    """The learners and rules themselves, by name, not yet calibrated."""
    fitted: dict[str, PlainModel] = {
        "logistic_regression": _logistic(scaling, rows),
        **({"random_forest": _random_forest(scaling, rows, seed)} if forest else {}),
        "gradient_boosting": _boosting(scaling, rows, seed),
    }
    if (rows.dst_port != NO_PORT).any():
        fitted["port_only"] = _port_table(rows)
    fitted["one_column"] = _one_column(scaling, rows)
    return fitted


def _rows(train: FlowTable, columns: Mapping[str, int], seed: int) -> tuple[Scaling, FitRows]:
    drawn = train.take(_drawn(train, seed))
    scaling = scaling_of(drawn.values, columns)
    return scaling, FitRows(scaled_rows(scaling, drawn.values), drawn.family != BENIGN, _weights(drawn), drawn.dst_port)


def _drawn(train: FlowTable, seed: int) -> NDArray[np.int64]:
    """Rows to fit on, ascending: of each family that is large enough, at most LARGEST_FAMILY."""
    rng = np.random.default_rng([seed, 2])
    chosen = []
    families, counts = counted_texts(train.family)
    for family, count in zip(families, counts, strict=True):
        if family == "" or (family != BENIGN and count < SMALLEST_FAMILY):
            continue
        rows = np.flatnonzero(train.family == family)
        chosen.append(rows if count <= LARGEST_FAMILY else rng.choice(rows, LARGEST_FAMILY, replace=False))
    if BENIGN not in families or len(chosen) < 2:
        found = ", ".join(f"{family or 'unlabelled'} {count}" for family, count in zip(families, counts, strict=True))
        raise DatasetError(
            train.path,
            f"baselines need normal traffic and an attack family of {SMALLEST_FAMILY} flows to fit on, found {found}",
        )
    return np.sort(np.concatenate(chosen))


def _weights(drawn: FlowTable) -> Vector:
    """Weight of each row, mean 1: normal traffic as much as all attacks, each attack family as much as any other."""
    families, family, counts = np.unique(drawn.family, return_inverse=True, return_counts=True)
    total = np.where(families == BENIGN, len(families) - 1.0, 1.0)
    by_family = total / total.sum() * len(drawn) / counts
    weight: Vector = by_family[family]
    return weight


def _logistic(scaling: Scaling, rows: FitRows) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression as SklearnRegression

    model = SklearnRegression(max_iter=2000)
    # In double precision: scikit-learn would fit and score float32 rows with float32 weights.
    with _one_thread():
        model.fit(rows.x.astype(np.float64), rows.attack, rows.weight)
    return LogisticRegression(scaling, model.coef_[0].astype(np.float64), float(model.intercept_[0]))


def _random_forest(scaling: Scaling, rows: FitRows, seed: int) -> RandomForest:
    size = ForestSize(FOREST_TREES, FOREST_LEAVES, None, TREE_COLUMNS, 1)
    return grow_random_forest(scaling, rows.x, rows.attack.astype(np.int64), rows.weight, ANY_ATTACK, size, seed)


def _boosting(scaling: Scaling, rows: FitRows, seed: int) -> BoostedTrees:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=BOOSTING_TREES,
        max_leaf_nodes=BOOSTING_LEAVES,
        learning_rate=BOOSTING_RATE,
        l2_regularization=BOOSTING_L2,
        # A share, rounded up to columns: half a column less, or 3 of 93 might become 4.
        max_features=min((TREE_COLUMNS - 0.5) / rows.x.shape[1], 1.0),
        early_stopping=False,
        random_state=seed,
    )
    with _one_thread():
        model.fit(rows.x, rows.attack, rows.weight)
    return BoostedTrees(scaling, *boosting_from_sklearn(model))


def _one_thread() -> AbstractContextManager[object]:
    """Sums in one order, whatever the machine: neither fit takes a number of jobs."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # the package has no types

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def _port_table(rows: FitRows) -> PortTable:
    known = rows.dst_port != NO_PORT
    weight, attack = rows.weight[known], rows.attack[known]
    ports, place = np.unique(rows.dst_port[known], return_inverse=True)
    prior = float(weight[attack].sum() / weight.sum())
    flows = np.bincount(place, weights=weight)
    attacks = np.bincount(place, weights=weight * attack)
    return PortTable(ports.astype(np.int32), (attacks + SMOOTHING * prior) / (flows + SMOOTHING), prior)


def _one_column(scaling: Scaling, rows: FitRows) -> ColumnThreshold:
    """The column and direction of the largest area under the ROC curve, cut where hits less false alarms are most."""
    from sklearn.metrics import roc_auc_score, roc_curve

    areas = np.array([roc_auc_score(rows.attack, column, sample_weight=rows.weight) for column in rows.x.T])
    best = int(np.argmax(np.abs(areas - 0.5)))
    rises = bool(areas[best] >= 0.5)
    values = rows.x[:, best].astype(np.float64) * (1.0 if rises else -1.0)
    false, hits, cuts = roc_curve(rows.attack, values, sample_weight=rows.weight)
    from_here = float(cuts[1:][np.argmax((hits - false)[1:])])  # the first cut is infinite
    below = values[values < from_here]
    cut = (from_here + float(below.max())) / 2 if len(below) else from_here
    return ColumnThreshold(scaling, scaling.columns[best], rises, float(np.clip(cut if rises else -cut, -CLIP, CLIP)))
