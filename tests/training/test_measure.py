from dataclasses import replace

import numpy as np
import pytest

from flows.columns import INDEX, NAMES, feature_contract
from models.calibration import fit_calibration
from models.detector import FlowSteps, Vector
from models.fusion import Hybrid, Member
from models.normal import NormalProfile
from models.support import Group, Support
from training.datasets.table import FlowTable
from training.measure import Figure, measured, over_seeds, table_of

N = 4000


class FirstColumn:
    """Detector whose score stands in the table: what it finds is known beforehand."""

    def __init__(self, name: str, column: int) -> None:
        self.name = name
        self.column = column

    def score(self, steps: FlowSteps) -> Vector:
        return steps.values[:, self.column].copy()

    def forget(self) -> None:
        pass


def day(normal: int = N, scans: int = 200, floods: int = 100) -> FlowTable:
    """Normal scores are uniform in 0..1; scans stand out in the first column, half of the floods in the second."""
    rng = np.random.default_rng(2)
    n = normal + scans + floods
    values = np.zeros((n, len(NAMES)))
    values[:, :2] = rng.random((n, 2))
    values[normal : normal + scans, 0] = 2.0
    values[normal + scans : normal + scans + floods // 2, 1] = 2.0
    values[normal:, :2] = np.where(values[normal:, :2] < 2, 0.1, values[normal:, :2])
    family = np.array(["BENIGN"] * normal + ["PortScan"] * scans + ["DoS"] * floods)
    shuffled = rng.permutation(n)
    zeros = np.zeros(n, dtype=np.int64)
    table = FlowTable(values, np.zeros((n, 2), np.int64), zeros, zeros, family, family, family, (), {}, "", zeros)
    return table.take(shuffled)


def hybrid(table: FlowTable) -> Hybrid:
    members = [
        (Member(detector, fit_calibration(table.values[table.family == "BENIGN", detector.column])),)
        for detector in (FirstColumn("first", 0), FirstColumn("second", 1))
    ]
    flat = np.zeros(len(NAMES))
    return Hybrid(
        known=members[0],
        novel=members[1],
        labels=("BENIGN", "attack"),
        techniques=(None, "T1499"),
        thresholds={rate: (rate / 2, rate / 2) for rate in (0.01, 0.05)},
        normal=NormalProfile(NAMES, flat, flat, flat, flat),
        contract=feature_contract(),
        model_id="test",
        default_rate=0.01,
    )


def figures(seed: int = 1) -> dict[tuple[str, float, str], Figure]:
    table = day()
    found = measured(hybrid(table), table, 24, (0.01, 0.05), True, seed, "unseen families")
    return {(figure.detector, figure.rate, figure.hosts): figure for figure in found}


def test_the_actual_rate_is_near_the_nominal_one() -> None:
    found = figures()
    for rate in (0.01, 0.05):
        for detector in ("first", "second", "hybrid"):
            figure = found[detector, rate, "as is"]
            assert figure.normal_flows == N
            assert figure.false_positive_rate == pytest.approx(rate, rel=0.4)


def test_what_was_never_normal_is_not_found_by_the_hybrid() -> None:
    table = day()
    protocol, flood = table.values[:, 0], table.family == "DoS"
    table.values[:, [INDEX["fwd_packets"], INDEX["bwd_packets"]]] = np.where(flood, 1.0, 2.0)[:, None]
    judging = replace(hybrid(table), support=Support(NAMES, {Group(0, answered=True, several=True): N}))
    assert 0 <= protocol.min() < protocol[table.family == "BENIGN"].max() < 1 < protocol.max() == 2
    found = {f.detector: f for f in measured(judging, table, 24, (0.01,), True, 1, "later flows") if f.hosts == "as is"}
    # The scans, too: of another protocol than normal traffic.
    assert found["hybrid"].recall == 0
    assert found["first"].families["PortScan"][0] == 1.0
    assert found["second"].families["DoS"][0] == pytest.approx(0.5)


def test_recall_counts_all_attacks_and_each_family() -> None:
    found = figures()
    assert found["first", 0.01, "as is"].recall == pytest.approx(200 / 300)
    assert found["first", 0.01, "as is"].families == {"DoS": (0.0, 100), "PortScan": (1.0, 200)}
    assert found["second", 0.01, "as is"].families == {"DoS": (0.5, 100), "PortScan": (0.0, 200)}
    assert found["hybrid", 0.01, "as is"].recall == pytest.approx(250 / 300)


def test_flows_without_a_label_are_no_attacks_that_are_missed() -> None:
    table = day()
    judging = hybrid(table)
    unlabelled = replace(table, family=np.where(table.family == "DoS", "", table.family))
    found = {f.detector: f for f in measured(judging, unlabelled, 24, (0.01,), True, 1, "x") if f.hosts == "as is"}
    assert found["first"].recall == 1.0
    assert found["first"].families == {"PortScan": (1.0, 200)}


def test_without_attacks_there_is_a_rate_and_no_recall() -> None:
    figure = figures()["hybrid", 0.01, "24, no attacks"]
    assert figure.recall is None
    assert figure.families == {}
    assert figure.false_positive_rate == pytest.approx(0.01, rel=0.4)
    assert figure.as_dict()["recall"] is None


def test_seeds_are_told_as_mean_and_deviation() -> None:
    one, other = figures(seed=1), figures(seed=2)
    both = (*one.values(), *other.values())
    row = next(row for row in over_seeds(both) if row["detector"] == "first" and row["recall"])
    assert row["seeds"] == [1, 2]
    assert row["recall"] == {"mean": round(200 / 300, 5), "deviation": 0.0}
    assert "0.667 ± 0.000" in table_of(both)
    assert "±" not in table_of(tuple(one.values()))
