"""flowvigil evaluate with a bundle that uses context, by flows of which nobody knows any."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.columns import NAMES
from flows.context.columns import CONTEXT_NAMES, context_contract, without_context
from models.baselines import save_baselines
from models.bundle import save_bundle
from models.calibration import fit_calibration
from models.detector import FlowSteps
from models.forest import IsolationForest, RandomForest
from models.fusion import Hybrid, Member
from models.masking import fit_masking
from models.normal import NormalProfile
from models.scaling import fit_scaling
from models.sklearn_trees import forest_from_sklearn
from tests.support.command import flowvigil
from tests.support.evaluations import as_csv, forests, quiet, table
from training.datasets.table import FlowTable
from training.evaluation.deletion import Replay
from training.evaluation.scored import scored
from training.fit.baselines import fit_baselines

COLUMNS = (*NAMES, *CONTEXT_NAMES)
USED = {name: COLUMNS.index(name) for name in ("fwd_bytes", "bwd_bytes", "src_flows_10s", "pair_gaps")}


def with_context(flows: FlowTable) -> np.ndarray:
    """Rows of the flows with a context made up, larger where there is a scan."""
    rng = np.random.default_rng(1)
    context = rng.random((len(flows), len(CONTEXT_NAMES)))
    context[flows.family == "PortScan"] *= 10
    return np.concatenate([flows.values, context], axis=1)


def context_forests(flows: FlowTable) -> Hybrid:
    """A random forest and an Isolation Forest over two columns of the flows and two of their context."""
    from sklearn.ensemble import IsolationForest as SklearnIsolation
    from sklearn.ensemble import RandomForestClassifier

    rows, normal = with_context(flows), flows.family == "BENIGN"
    rows[::3, len(NAMES) :] = np.nan  # as of flows of a table, beside those of captures
    masking = fit_masking(rows, {name: place for name, place in USED.items() if place >= len(NAMES)})
    rows = masking.filled(rows)
    scaling = fit_scaling(rows, USED)
    x = scaling.transform(rows)
    known = RandomForestClassifier(20, max_leaf_nodes=16, random_state=1).fit(x, flows.family == "PortScan")
    novel = SklearnIsolation(n_estimators=50, max_samples=128, random_state=1).fit(x[normal])
    made = forests(flows)
    detectors = (
        RandomForest(scaling, forest_from_sklearn(known), made.labels, "random_forest"),
        IsolationForest(scaling, forest_from_sklearn(novel), 128),
    )
    members = [(Member(detector, fit_calibration(detector.score_rows(x[normal]))),) for detector in detectors]
    quantiles = np.nanquantile(rows[normal], (0.01, 0.5, 0.99, 0.999), axis=0)
    profile = NormalProfile(COLUMNS, *quantiles).only(list(USED.values()))
    return replace(
        made, known=members[0], novel=members[1], normal=profile, contract=context_contract(), masking=masking
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a bundle, its baselines, a bundle that cannot mask, and a file of flows."""
    for package in ("polars", "sklearn", "matplotlib", "jinja2"):
        pytest.importorskip(package)
    directory = tmp_path_factory.mktemp("evaluate")
    flows = table(scans=150, floods=120)
    hybrid = context_forests(flows)
    save_bundle(directory / "bundle", hybrid, {})
    save_bundle(directory / "strict", replace(hybrid, masking=None), {})
    assert hybrid.masking is not None
    filled = replace(flows, values=hybrid.filled(without_context(flows.values)))
    save_baselines(directory / "bundle", fit_baselines(filled, filled, USED, 1), hybrid)
    as_csv(table(seed=8), directory / "flows.csv")
    return directory


def test_flows_of_a_table_are_judged_with_their_context_masked(made: Path) -> None:
    result = flowvigil("evaluate", made / "bundle", made / "flows.csv", "--json", "-o", made / "page.html")
    assert result.code == 0, result.stderr
    content: dict[str, Any] = json.loads(result.stdout)
    assert content["n"] == 1000
    assert "2 columns that say so are masked" in content["notes"][0]
    assert content["members"]["hybrid"]["rates"]["0.05"]["per_class"]["Portscan"]["recall"] > 0.9
    assert {row["column"] for row in content["importance"]["columns"]} == {"fwd_bytes", "bwd_bytes"}
    assert {row["column"] for row in content["drift"]["columns"]} == {"fwd_bytes", "bwd_bytes"}
    assert content["deletion"]["columns"] == 2
    assert "2 columns that say so are masked" in (made / "page.html").read_text(encoding="utf-8")


def test_beside_a_bundle_without_context_both_judge_the_same_flows(made: Path) -> None:
    save_bundle(made / "plain", forests(table(scans=150, floods=120)), {})
    result = flowvigil("evaluate", made / "bundle", made / "flows.csv", "--beside", made / "plain", "--json")
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["beside"]["bundle"]["model_id"] == "made"


def test_a_bundle_that_cannot_mask_names_what_the_flows_lack(made: Path) -> None:
    result = flowvigil("evaluate", made / "strict", made / "flows.csv")
    assert result.code == 6
    assert "lacks columns that made was fitted on" in result.stderr[-1]
    assert "src_flows_10s, pair_gaps" in result.stderr[-1]


def test_a_masked_table_is_scored_as_if_its_rows_were_filled() -> None:
    pytest.importorskip("sklearn")
    flows = table()
    hybrid = context_forests(flows)
    told = flows.reports()
    filled = hybrid.filled(without_context(flows.values))[told.row]
    judgement = hybrid.judge(FlowSteps(filled, flows.host[told.row], flows.start_ns[told.row], told.advances))
    lowest = np.ones(len(flows))
    np.minimum.at(lowest, told.row, judgement.p_known)
    assert scored(hybrid, None, flows, flows.host, quiet).p_known.tolist() == lowest.tolist()


def test_a_table_that_has_its_context_is_scored_by_it() -> None:
    pytest.importorskip("sklearn")
    flows = table()
    hybrid = context_forests(flows)
    whole = replace(flows, values=with_context(flows))
    told = whole.reports()
    steps = FlowSteps(whole.values[told.row], flows.host[told.row], flows.start_ns[told.row], told.advances)
    lowest = np.ones(len(flows))
    np.minimum.at(lowest, told.row, hybrid.judge(steps).p_known)
    assert scored(hybrid, None, whole, flows.host, quiet).p_known.tolist() == lowest.tolist()
    assert len(Replay(hybrid, whole, flows.host, told).reasons) > len(Replay(hybrid, flows, flows.host, told).reasons)
