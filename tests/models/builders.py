"""Small models that several of these tests need."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.contract import FeatureContract, digest
from models.boosting import BoostedTrees
from models.calibration import fit_calibration
from models.detector import FlowSteps
from models.forest import IsolationForest, RandomForest
from models.fusion import Hybrid, Member
from models.logistic import LogisticRegression
from models.lstm import Lstm
from models.normal import NormalProfile
from models.rules import ColumnThreshold
from models.scaling import Scaling, fit_scaling
from models.trees import Forest

WIDTH = 12  # columns of the pretended feature contract
USED = {f"column_{i}": i for i in (0, 2, 3, 5, 7, 8, 11)}
LABELS = ("BENIGN", "PortScan", "DoS")
FORMER = "0123456789abcdef"  # hash of all of the contract's columns
SECOND = 1_000_000_000


def contract_of(names: Iterable[str], **changed: str) -> FeatureContract:
    """A contract of rows with these columns. changed: other digests of some."""
    return FeatureContract("rows", {name: digest(name, 8) for name in names} | changed, FORMER)


CONTRACT = contract_of(f"column_{i}" for i in range(WIDTH))


def restate(manifest: dict[str, Any]) -> None:
    """Have the feature contract list the same columns as "normal"."""
    manifest["feature_contract"] = {entry["column"]: digest(entry["column"], 8) for entry in manifest["normal"]}


def raw_values(rows: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(3.0, 3.0, (rows, WIDTH))) * rng.choice([-1.0, 1.0, 1.0], (rows, WIDTH))
    values[rng.random(values.shape) < 0.3] = 0.0
    return values


def make_steps(rows: int, hosts: int, seed: int = 1) -> FlowSteps:
    """Interleaved flows of some hosts, a few out of order, a few after long silences, some not advancing."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(2.0, rows) + (rng.random(rows) < 0.01) * 700.0
    time_ns = ((np.cumsum(gaps) + rng.normal(0.0, 3.0, rows) + 1e9) * SECOND).astype(np.int64)
    words = rng.integers(-(1 << 62), 1 << 62, (hosts, 2))
    return FlowSteps(raw_values(rows, seed), words[rng.integers(0, hosts, rows)], time_ns, rng.random(rows) < 0.8)


def part(steps: FlowSteps, rows: slice | NDArray[np.int64]) -> FlowSteps:
    return FlowSteps(steps.values[rows], steps.host[rows], steps.time_ns[rows], steps.advances[rows])


def make_scaling() -> Scaling:
    return fit_scaling(raw_values(500, 0), USED)


def make_lstm(units: int = 8, hosts: int = 4096, seed: int | None = None, weights: int = 3) -> Lstm:
    rng = np.random.default_rng(weights)
    width, classes = len(USED) + 1, len(LABELS)
    return Lstm(
        make_scaling(),
        kernel=rng.normal(0.0, 0.5, (width, 4 * units)),
        recurrent=rng.normal(0.0, 0.5, (units, 4 * units)),
        bias=rng.normal(0.0, 0.5, 4 * units),
        head_kernel=rng.normal(0.0, 1.0, (units, classes)),
        head_bias=rng.normal(0.0, 1.0, classes),
        labels=LABELS,
        reset_ns=600 * SECOND,
        dt_center=0.7,
        dt_scale=1.3,
        hosts=hosts,
        seed=seed,
    )


def random_trees(trees: int, values: int, seed: int) -> Forest:
    """Complete trees of depth 4; a leaf's values are positive and sum to 1 where there are several."""
    rng = np.random.default_rng(seed)
    inner, nodes = 15, 31
    number = np.arange(nodes)
    base = np.repeat(np.arange(trees) * nodes, nodes)
    is_leaf = np.tile(number >= inner, trees)
    left = np.where(is_leaf, -1, base + np.tile(2 * number + 1, trees)).astype(np.int32)
    right = np.where(is_leaf, -1, base + np.tile(2 * number + 2, trees)).astype(np.int32)
    value = rng.random((trees * nodes, values)) + 0.01
    value = value / value.sum(axis=1, keepdims=True) if values > 1 else 4.0 + 8.0 * value
    return Forest(
        feature=rng.integers(0, len(USED), trees * nodes).astype(np.int32),
        threshold=rng.normal(0.0, 1.0, trees * nodes),
        left=left,
        right=right,
        value=value,
        roots=(np.arange(trees) * nodes).astype(np.int32),
        width=len(USED),
    )


def make_isolation_forest() -> IsolationForest:
    return IsolationForest(make_scaling(), random_trees(20, 1, 5), psi=256)


def make_random_forest() -> RandomForest:
    return RandomForest(make_scaling(), random_trees(10, len(LABELS), 6), LABELS)


def make_logistic() -> LogisticRegression:
    return LogisticRegression(make_scaling(), np.random.default_rng(7).normal(0.0, 1.0, len(USED)), bias=-0.4)


def make_boosted_trees() -> BoostedTrees:
    forest = random_trees(10, 1, 8)
    return BoostedTrees(make_scaling(), replace(forest, value=0.1 * (forest.value - 8.0)), baseline=-0.3)


def make_column_threshold() -> ColumnThreshold:
    return ColumnThreshold(make_scaling(), "column_5", rises=False, cut=0.25)


def make_hybrid() -> Hybrid:
    normal = np.sort(raw_values(1000, 9), axis=0)
    known = [make_lstm(), make_random_forest()]
    novel = [make_isolation_forest()]
    steps = make_steps(1000, 40, seed=8)
    members = {d.name: Member(d, fit_calibration(d.score(steps))) for d in (*known, *novel)}
    hybrid = Hybrid(
        known=tuple(members[d.name] for d in known),
        novel=tuple(members[d.name] for d in novel),
        labels=LABELS,
        techniques=(None, "T1046", "T1499"),
        thresholds={0.001: (0.0005, 0.0005), 0.01: (0.005, 0.005), 0.05: (0.025, 0.025)},
        normal=NormalProfile(tuple(CONTRACT.columns), normal[10], normal[500], normal[990], normal[999]),
        contract=CONTRACT,
        model_id="test-1",
    )
    hybrid.forget()
    return hybrid
