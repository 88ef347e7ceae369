"""Protocols: which flows are fitted on, calibrated on and judged; what is deleted, exchanged and warned of."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from flows.columns import INDEX
from models.attribution import Groups
from models.bundle import BundleError
from models.calibration import fit_calibration
from models.detector import FlowSteps
from models.fusion import ATTACK, BENIGN, Hybrid, Member
from tests.support.evaluations import DAYS, KNOWN_COLUMN, SECOND, FlowsOfHost, forests, hybrid, quiet, table
from training import measure
from training.arrays import Int64s
from training.datasets.table import FlowTable
from training.errors import DatasetError
from training.evaluation.deletion import Explain, deletion
from training.evaluation.importance import importance
from training.evaluation.outcome import Model
from training.evaluation.protocols import (
    TEST_SHARE,
    by_held_out,
    by_leaving_out,
    by_random_split,
    drawn_part,
    judged,
    normal_parts,
    own_split,
    rehomed_hosts,
    stored_recipe,
)
from training.evaluation.question import Question
from training.recipe import Recipe
from training.reporting import Report
from training.sequences import reports
from training.splits import random_split

Rows = NDArray[np.float64]
CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "training"
RECIPE = cast("Recipe", SimpleNamespace(random=None))  # the stand-in below looks at no recipe


class Fits:
    """Stands in for the fit and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[FlowTable, FlowTable]] = []

    def __call__(self, recipe: Recipe, train: FlowTable, held_back: FlowTable, seed: int, report: Report) -> Model:
        del recipe, seed, report
        self.given.append((train, held_back))
        return hybrid(held_back), None


def identities(flows: FlowTable) -> set[bytes]:
    return {row.tobytes() for row in flows.values}


def test_a_random_split_takes_every_label_in_proportion_and_no_flow_twice() -> None:
    flows = table()
    parts = random_split(flows, 0.3, 0.25, 1)
    assert sorted(np.concatenate(parts)) == list(range(len(flows)))
    train, held_back, test = (flows.take(rows) for rows in parts)
    for label, count in zip(*np.unique(flows.label, return_counts=True), strict=True):
        assert (test.label == label).sum() == round(0.3 * count)
    assert set(held_back.family) == {"BENIGN"}
    assert (random_split(flows, 0.3, 0.25, 1)[2] == parts[2]).all()
    assert not np.array_equal(random_split(flows, 0.3, 0.25, 2)[2], parts[2])
    assert (train.family != "BENIGN").sum() + (test.family != "BENIGN").sum() == 100


def test_the_random_protocol_judges_what_it_was_not_fitted_on_and_calls_itself_inflated() -> None:
    fits = Fits()
    outcome = by_random_split(RECIPE, table(), 24, 1, quiet, fits)
    ((train, held_back),) = fits.given
    test = outcome.whole.table
    assert not identities(test) & (identities(train) | identities(held_back))
    assert outcome.notes[0].startswith("INFLATED")


def test_leave_one_out_judges_each_family_by_a_fit_that_never_saw_it() -> None:
    flows = table()
    fits = Fits()
    outcome = by_leaving_out(RECIPE, flows, 24, 1, quiet, fits)
    assert list(outcome.left_out) == ["DoS", "PortScan"]
    for (family, own), (train, held_back) in zip(outcome.left_out.items(), fits.given, strict=True):
        assert family not in set(train.family)
        assert set(own.table.family) == {"BENIGN", family}
        assert not identities(own.table) & (identities(train) | identities(held_back))
        assert not identities(train) & identities(held_back.take(held_back.family == "BENIGN"))
        assert family not in set(held_back.family)
    attacks = outcome.whole.as_is.family != "BENIGN"
    assert attacks.sum() == 100
    assert (~attacks).sum() == 2 * (normal_parts(flows) == 2).sum()


def test_leave_one_out_needs_another_family_to_learn_from() -> None:
    with pytest.raises(DatasetError, match=r"has one attack family \(PortScan\)"):
        by_leaving_out(RECIPE, table(floods=0), 24, 1, quiet, Fits())


def test_normal_flows_are_divided_by_time_within_each_day() -> None:
    flows = table()
    part = normal_parts(flows)
    assert ((part == -1) == (flows.family != "BENIGN")).all()
    for day in DAYS:
        own = part[(flows.day == day) & (part >= 0)]
        assert (np.diff(own) >= 0).all()
        assert np.bincount(own) / len(own) == pytest.approx([0.6, 0.2, 0.2], abs=0.02)


def test_rehoming_is_drawn_from_its_seed_and_changes_no_member_without_state() -> None:
    flows = table()
    assert (rehomed_hosts(flows, 24, 1) == rehomed_hosts(flows, 24, 1)).all()
    assert len(np.unique(rehomed_hosts(flows, 24, 1), axis=0)) == 24
    for counting in (False, True):
        own = judged((hybrid(flows, counting=counting), None), flows, 24, 1, quiet)
        assert (own.as_is.scores["iforest"] == own.rehomed.scores["iforest"]).all()
        assert (own.as_is.p_known == own.rehomed.p_known).all() == (not counting)


def test_a_bundle_of_a_random_split_is_judged_by_its_own_held_out_rows() -> None:
    flows = table()
    by_days = (CONFIGS / "cic2017.yaml").read_text(encoding="utf-8")
    days = re.compile(r"^days:\n(?: .*\n)+", re.MULTILINE)
    by_chance = days.sub("random: {test_share: 0.4, held_back_share: 0.2}\n", by_days)
    about = {"recipe": by_chance, "dataset": {"sha256": flows.sha256}}
    fitted = replace(hybrid(flows), about=about)
    recipe = own_split(fitted, flows)
    assert recipe is not None
    assert own_split(fitted, replace(flows, sha256="1" * 64)) is None
    assert own_split(replace(fitted, about={**about, "recipe": by_days}), flows) is None
    asked = Question(Path(), Path(), "random", None, 1)
    assert drawn_part(fitted, flows, asked) == (0.4, recipe.seed)
    assert drawn_part(replace(fitted, about={**about, "recipe": by_days}), flows, asked) == (TEST_SHARE, 1)
    outcome = by_held_out((fitted, None), recipe, flows, 24, 1, quiet)
    held_out = random_split(flows, 0.4, 0.2, recipe.seed)[2]
    assert identities(outcome.whole.table) == identities(flows.take(held_out))
    assert outcome.notes[0].startswith("INFLATED")


@pytest.mark.parametrize(
    "about", [{}, {"recipe": "name: x"}, {"recipe": "a: ["}, {"recipe": "a: 2017-99-99"}, {"recipe": "[" * 5000}]
)
def test_a_bundle_without_a_recipe_cannot_be_fitted_again(about: dict[str, str]) -> None:
    with pytest.raises(BundleError, match="recipe"):
        stored_recipe(replace(hybrid(table()), about=about))


def test_exchanging_a_column_that_decides_costs_more_than_one_that_does_not() -> None:
    flows = table()
    before = flows.values.copy()
    rows = importance(forests(flows), flows, 0.05, 1, quiet)
    assert [row["column"] for row in rows["columns"]] == ["fwd_bytes", "bwd_bytes"]
    assert rows["columns"][0]["recall_loss"] > 0.2
    assert (flows.values == before).all()


def naming(*columns: str) -> Explain:
    """An explanation that names the same for every row."""

    def explain(hybrid: Hybrid, values: Rows, lanes: NDArray[np.bool_], groups: Groups) -> Int64s:
        del hybrid, groups
        assert lanes.any(axis=1).all()
        return np.tile([INDEX[column] for column in columns], (len(values), 1))

    return explain


columns_behind = naming("fwd_bytes", "bwd_bytes", "active_std")
other_columns = naming("flow_duration", "active_std", "idle_max")


def bursts(silence_s: int = 0) -> FlowTable:
    """The table with each host's attacks ten seconds apart, after half of them a silence, and closed at once."""
    flows = table()
    start, values = flows.start_ns.copy(), flows.values.copy()
    attacks = np.flatnonzero(flows.family != "BENIGN")
    for host in np.unique(flows.host[:, 1]):
        own = attacks[flows.host[attacks, 1] == host]
        pause = np.where(np.arange(len(own)) < len(own) // 2, 0, silence_s)
        start[own] = flows.start_ns[0] + (np.arange(len(own)) * 10 + pause) * SECOND
    values[attacks, INDEX["rst_flag_count"]] = 1
    end = np.where(flows.family == "BENIGN", flows.end_ns, start + SECOND)
    made = replace(flows, start_ns=start, end_ns=end, values=values)
    return made.take(np.argsort(made.start_ns, kind="stable"))


def scans_of(flows: FlowTable) -> FlowTable:
    return flows.take(np.flatnonzero(flows.family == "PortScan"))


def of_alerts(flows: FlowTable, explain: Explain, model: Hybrid | None = None) -> dict[str, Any]:
    told = deletion(model or hybrid(table()), flows, {"as_is": flows.host}, explain, 1)
    return told["rates"]["0.01"]["as_is"]


def test_alerts_clear_where_the_reasons_are_right_and_none_where_they_are_not() -> None:
    flows = bursts()
    right = of_alerts(flows, columns_behind)
    # Of each of the five hosts the scans, which the known lane names, and the floods, which it does not.
    assert right["alerts"] == 10
    assert right["share"] == right["flows"] == 1.0
    assert right["by_class"] == {"DoS Hulk": {"n": 5, "share": 1.0}, "Portscan": {"n": 5, "share": 1.0}}
    assert right["instead"]["columns_alone"] == 1.0
    assert right["instead"]["other_reasons"] == 0.0
    wrong = of_alerts(flows, other_columns)
    assert wrong["alerts"] == 10
    assert wrong["share"] == wrong["flows"] == wrong["instead"]["columns_alone"] == 0.0


def test_a_reason_is_restored_with_the_columns_that_are_tied_to_it() -> None:
    told = of_alerts(bursts(), naming("packet_length_max", "active_std", "idle_max"))
    assert told["share"] == 1.0
    assert told["instead"]["columns_alone"] == 0.0


def test_a_long_silence_ends_an_alert_and_a_single_flow_is_none() -> None:
    together, apart = (scans_of(bursts(silence_s)) for silence_s in (200, 400))
    assert of_alerts(together, columns_behind)["alerts"] == 5
    assert of_alerts(apart, columns_behind)["alerts"] == 10
    assert of_alerts(together.take(np.arange(1)), columns_behind)["alerts"] == 0


class LargestOfHost:
    """A detector whose state is the largest value that a host has sent so far in a column."""

    name = "largest"

    def __init__(self) -> None:
        self.largest: dict[bytes, float] = {}

    def score(self, steps: FlowSteps) -> NDArray[np.float64]:
        scores = np.zeros(len(steps))
        for i, host in enumerate(steps.host):
            scores[i] = max(self.largest.get(host.tobytes(), 0.0), steps.values[i, KNOWN_COLUMN])
            if steps.advances[i]:
                self.largest[host.tobytes()] = scores[i]
        return scores

    def forget(self) -> None:
        self.largest.clear()


def test_an_alerts_reasons_are_restored_in_all_its_flows_so_the_hosts_state_holds_none_of_them() -> None:
    flows = scans_of(bursts())
    # Each of a host's flows is stronger than those before it, so that its alert shows the last.
    flows.values[:, KNOWN_COLUMN] = 0.499 + (flows.start_ns - flows.start_ns[0]) / SECOND * 2e-6
    model = replace(hybrid(table()), known=(Member(LargestOfHost(), fit_calibration(np.linspace(0.0, 0.5, 10000))),))
    told = deletion(model, flows, {"as_is": flows.host}, columns_behind, 1)
    assert told["rates"]["0.01"]["as_is"]["share"] == 1.0
    # One at a time: only the first of each host has nothing before it. Alone they all clear.
    strict = told["flow_by_flow"]
    assert 0 < strict["reasons"] * strict["flows"] <= 10
    assert strict["host_unknown"]["reasons"] == 1.0


def test_where_nothing_is_flagged_there_is_nothing_to_tell() -> None:
    flows = table()
    model = replace(hybrid(flows), thresholds={0.01: (0.0, 0.0)})
    told = deletion(model, flows, {"as_is": flows.host}, columns_behind, 1)
    assert told["rates"]["0.01"]["as_is"]["alerts"] == 0
    assert told["flow_by_flow"]["flows"] == 0


@pytest.mark.parametrize("chunk", [7, 1 << 16])
def test_deletion_judges_a_flow_in_the_state_that_its_host_then_had(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A detector that only counts its host's flows is moved by no column, and must not count the restored flow.
    flows = table()
    counter = Member(FlowsOfHost(falls=True), fit_calibration(np.linspace(0.0, 0.2, 100)))
    model = replace(hybrid(flows), known=(counter,))
    reported = reports(flows.values, flows.start_ns, flows.end_ns)
    row = reported.row
    judgement = model.judge(FlowSteps(flows.values[row], flows.host[row], flows.start_ns[row], reported.advances))
    flagged = np.flatnonzero(judgement.verdict != BENIGN)
    first = flagged[np.unique(row[flagged], return_index=True)[1]]
    by_novel_alone = judgement.verdict[first] != ATTACK
    assert 0 < by_novel_alone.sum() < len(first)
    monkeypatch.setattr(measure, "CHUNK", chunk)
    told = deletion(model, flows, {"as_is": flows.host}, columns_behind, 1)["flow_by_flow"]
    assert told["flows"] == len(first)
    assert told["reasons"] == pytest.approx(by_novel_alone.mean(), abs=1e-6)
