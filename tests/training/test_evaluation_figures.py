"""Figures: equal to scikit-learn's and to what is counted by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from models.normal import NormalProfile
from tests.support.evaluations import RATES, hybrid, quiet, table
from training.datasets.texts import coded_texts
from training.evaluation.agreement import ablation, at_equal_false_alarms, decisions, lane_agreement, pairs
from training.evaluation.curves import FALSE_GRID, RECALL_GRID, curve
from training.evaluation.drift import drift_from_profile, drift_from_rows, psi
from training.evaluation.figures import confusion, curves, member_figures, per_class, shares
from training.evaluation.intervals import wilson
from training.evaluation.scored import ScoredRows, scored
from training.measure import HYBRID

flags = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def told() -> ScoredRows:
    flows = table()
    return scored(hybrid(flows), None, flows, flows.host, quiet)


@given(flags)
def test_shares_are_those_of_scikit_learn(rows: list[tuple[bool, bool]]) -> None:
    found, attack = np.array(rows).T
    got = shares(confusion(found, attack))
    assert got["accuracy"] == pytest.approx(metrics.accuracy_score(attack, found), abs=1e-6)
    if found.any():
        assert got["precision"] == pytest.approx(metrics.precision_score(attack, found, zero_division=0), abs=1e-6)
    else:
        assert got["precision"] is None
    if attack.any():
        assert got["recall"] == pytest.approx(metrics.recall_score(attack, found), abs=1e-6)
        assert got["f1"] == pytest.approx(metrics.f1_score(attack, found), abs=1e-6)
    assert (got["fpr"] is None) == bool(attack.all())


def test_a_handful_of_flows_counted_by_hand() -> None:
    attack = np.array([True, True, True, False, False, False, False, False])
    found = np.array([True, True, False, True, False, False, False, False])
    assert confusion(found, attack) == {"tp": 2, "fp": 1, "fn": 1, "tn": 4}
    assert shares(confusion(found, attack)) == {
        "accuracy": 0.75, "precision": 0.666667, "recall": 0.666667, "f1": 0.666667, "fpr": 0.2
    }  # fmt: skip
    classes = np.array(["a", "a", "b", "BENIGN", "BENIGN", "BENIGN", "BENIGN", "BENIGN"])
    rows = per_class(found, coded_texts(classes), attack)
    assert {name: (row["n"], row["recall"], row["few"]) for name, row in rows.items()} == {
        "a": (2, 1.0, True),
        "b": (1, 0.0, True),
    }


def test_members_have_the_agreed_keys_and_count_every_class(told: ScoredRows) -> None:
    members = member_figures(told, curves(told, 1))
    assert list(members) == ["hybrid", "lstm", "iforest"]
    for member in members.values():
        assert {"auc", "pr_auc", "at_0.5", "rates"} <= set(member)
        assert {"accuracy", "precision", "recall", "f1", "fpr"} <= set(member["at_0.5"])
        assert list(member["rates"]) == ["0.01", "0.05"]
        for row in member["rates"].values():
            assert {"threshold", "fpr", "recall", "precision", "f1", "per_class"} <= set(row)
            assert {label: own["n"] for label, own in row["per_class"].items()} == {"DoS Hulk": 40, "Portscan": 60}
    assert members["lstm"]["rates"]["0.01"]["per_class"]["Portscan"]["recall"] == 1.0
    assert members["iforest"]["rates"]["0.01"]["per_class"]["DoS Hulk"]["recall"] == 0.5
    assert members["hybrid"]["rates"]["0.01"]["recall"] == pytest.approx(0.8, abs=0.02)
    assert members["hybrid"]["rates"]["0.01"]["per_family"]["PortScan"]["n"] == 60


def test_only_a_probability_is_judged_at_one_half(told: ScoredRows) -> None:
    members = member_figures(told, curves(told, 1))
    assert members["iforest"]["at_0.5"]["accuracy"] is None
    assert members["iforest"]["at_0.5"]["rule"] == "score is no probability"
    assert members["lstm"]["at_0.5"]["recall"] == pytest.approx(0.6, abs=0.01)
    assert members["hybrid"]["at_0.5"]["recall"] == members["hybrid"]["rates"]["0.01"]["recall"]


def test_areas_and_curves_are_those_of_scikit_learn(told: ScoredRows) -> None:
    attack = told.family != "BENIGN"
    for name, member in member_figures(told, curves(told, 1)).items():
        score = told.scores[name]
        assert member["auc"] == pytest.approx(metrics.roc_auc_score(attack, score), abs=1e-6)
        assert member["pr_auc"] == pytest.approx(metrics.average_precision_score(attack, score), abs=1e-6)
        assert member["auc_interval"][0] <= member["auc"] <= member["auc_interval"][1]
    score = told.scores["iforest"]
    drawn = curve(score, attack, 1)
    false, recall, _ = metrics.roc_curve(attack, score, drop_intermediate=False)
    for place in (10, 40, 80):
        assert drawn.recall[0, place] == pytest.approx(recall[false <= FALSE_GRID[place] + 1e-12].max())
    precision, recalls, _ = metrics.precision_recall_curve(attack, score)
    reached = recalls >= RECALL_GRID[49] - 1e-12
    assert drawn.precision[0, 49] == pytest.approx(precision[reached][-1])
    assert (drawn.recall[1] <= drawn.recall[2]).all()


def test_very_many_scores_give_nearly_the_same_curve() -> None:
    rng = np.random.default_rng(1)
    attack = rng.random(40_000) < 0.3
    score = rng.normal(attack * 2.0, 1.0)
    drawn = curve(score, attack, 1)
    false, recall, _ = metrics.roc_curve(attack, score, drop_intermediate=False)
    exact = np.array([recall[false <= place + 1e-12].max() for place in FALSE_GRID])
    assert np.abs(drawn.recall[0] - exact).max() < 0.01
    assert drawn.auc[0] < metrics.roc_auc_score(attack, score) < drawn.auc[1]


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I: 81 of 263, and none of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) is None


def test_verdicts_lanes_and_pairs_count_each_flow_once(told: ScoredRows) -> None:
    counts = {"BENIGN": 900, "DoS Hulk": 40, "Portscan": 60}
    for rate in RATES:
        for rows in (decisions(told, rate), lane_agreement(told, rate)):
            assert {label: sum(row.values()) for label, row in rows.items()} == counts
        for row in pairs(told, rate):
            assert row["both"] + row["one only"] + row["other only"] + row["none"] == 100
    assert decisions(told, 0.01)["Portscan"] == {"benign": 0, "uncertain": 0, "attack": 60}
    assert decisions(told, 0.01)["DoS Hulk"]["uncertain"] == 20


def test_the_union_finds_all_that_a_voter_finds_and_the_cascade_loses_what_looks_normal(told: ScoredRows) -> None:
    rows = ablation(told, 0.01)
    assert rows["union of the voters"]["recall"] == pytest.approx(0.8, abs=0.02)
    assert rows["union of the voters"]["recall"] >= max(rows[name]["recall"] for name in ("lstm", "iforest"))
    assert rows["cascade"]["recall"] < 0.02
    assert rows["lanes (the hybrid)"]["recall"] == pytest.approx(0.8, abs=0.02)


def test_others_are_read_at_the_false_alarms_that_the_hybrid_made(told: ScoredRows) -> None:
    row = at_equal_false_alarms(told, 0.05)
    attack = told.family != "BENIGN"
    assert row["false_alarms"] == int((told.found(HYBRID, 0.05) & ~attack).sum())
    score = told.scores["lstm"]
    cut = np.sort(score[~attack])[-row["false_alarms"] - 1]
    assert row["members"]["lstm"] == pytest.approx((score[attack] > cut).mean())


def test_stability_index_by_hand() -> None:
    assert psi(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0
    expected = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert psi(np.array([0.5, 0.5]), np.array([0.8, 0.2])) == pytest.approx(expected)
    assert math.isfinite(psi(np.array([1.0, 0.0]), np.array([0.0, 1.0])))


def test_a_shifted_column_comes_first_whatever_it_is_compared_with() -> None:
    rng = np.random.default_rng(4)
    known, seen = rng.normal(size=(3000, 3)), rng.normal(size=(3000, 3))
    seen[:, 1] += 1.0
    known[:, 2] = seen[:, 2] = 0.0
    index = np.arange(3)
    by_rows = drift_from_rows(("a", "b", "c"), index, known, seen)
    quantiles: list[NDArray[np.float64]] = [np.quantile(known, q, axis=0) for q in (0.01, 0.5, 0.99, 0.999)]
    by_profile = drift_from_profile(NormalProfile(("a", "b", "c"), *quantiles), index, seen)
    for rows in (by_rows, by_profile):
        assert rows[0]["column"] == "b"
        assert rows[0]["psi"] > 0.25
        assert all(row["psi"] < 0.02 for row in rows[1:])
