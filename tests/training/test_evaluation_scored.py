"""Scored flows: a flow counts once, thresholds come from the bundle alone, and states are carried."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import fit_calibration
from models.detector import FlowSteps, Labels, Vector
from models.fusion import ATTACK, BENIGN, FUSIONS, UNCERTAIN, Member
from tests.support.evaluations import DAYS, KNOWN_COLUMN, NOVEL_COLUMN, RATES, FlowsOfHost, hybrid, quiet, table
from tests.support.examples import examples
from training.datasets.table import FlowTable
from training.evaluation import scored as room
from training.evaluation.scored import ScoredRows, score_cut, scored
from training.measure import HYBRID
from training.sequences import reports


def judged(flows: FlowTable, *, counting: bool = False) -> ScoredRows:
    return scored(hybrid(table(), counting=counting), None, flows, flows.host, quiet)


def test_a_flow_counts_once_however_often_it_is_reported() -> None:
    flows = table()
    assert len(reports(flows.values, flows.start_ns, flows.end_ns)) > len(flows)
    told = judged(flows)
    assert len(told) == len(flows)
    assert all(len(values) == len(flows) for values in (*told.scores.values(), *told.p_values.values()))


@pytest.mark.parametrize("falls", [False, True])
def test_its_score_is_the_highest_over_its_reports_and_its_p_value_the_lowest(falls: bool) -> None:
    flows = table()
    counters = (FlowsOfHost("one", falls=falls), FlowsOfHost("other", falls=not falls))
    calibration = fit_calibration(np.linspace(0.0, 1.0, 100))
    lanes = [(Member(counter, calibration),) for counter in counters]
    model = dataclasses.replace(hybrid(flows), known=lanes[0], novel=lanes[1])
    told = reports(flows.values, flows.start_ns, flows.end_ns)
    judgement = model.judge(
        FlowSteps(flows.values[told.row], flows.host[told.row], flows.start_ns[told.row], told.advances)
    )
    found = scored(model, None, flows, flows.host, quiet)
    for flow in range(len(flows)):
        own = told.row == flow
        for name, scores in judgement.scores.items():
            assert found.scores[name][flow] == scores[own].max()
        assert found.p_known[flow] == judgement.p_known[own].min()
        assert found.p_novel[flow] == judgement.p_novel[own].min()


class NamingFlowsOfHost(FlowsOfHost):
    """Calls a flow by one name in its first report and by another in later ones."""

    labels = ("BENIGN", "first", "later")

    def score_labels(self, steps: FlowSteps) -> tuple[Vector, Labels]:
        return self.score(steps), np.where(steps.advances, 1, 2)


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("chunk", [37, 1 << 16])
@pytest.mark.parametrize("highest", [0.001, 1.0])  # with the lower one all reports are equally sure
def test_it_is_named_as_in_the_earliest_of_the_surest_reports(
    falls: bool, chunk: int, highest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CHUNK", chunk)
    flows = table()
    known = (Member(NamingFlowsOfHost(falls=falls), fit_calibration(np.linspace(0.0, highest, 100))),)
    model = dataclasses.replace(hybrid(flows), known=known, labels=NamingFlowsOfHost.labels, techniques=(None,) * 3)
    told = reports(flows.values, flows.start_ns, flows.end_ns)
    judgement = model.judge(
        FlowSteps(flows.values[told.row], flows.host[told.row], flows.start_ns[told.row], told.advances)
    )
    found = scored(model, None, flows, flows.host, quiet)
    for flow in range(len(flows)):
        own = np.flatnonzero(told.row == flow)
        assert found.named[flow] == judgement.label[own[np.argmin(judgement.p_known[own])]]
    assert (2 in found.named) == (not falls and highest == 1.0)


@pytest.mark.parametrize("counting", [False, True])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_verdicts_are_those_of_the_model_itself(counting: bool, fusion: str) -> None:
    flows = table()
    model = dataclasses.replace(hybrid(flows, counting=counting), fusion=fusion)
    found = scored(model, None, flows, flows.host, quiet)
    told = reports(flows.values, flows.start_ns, flows.end_ns)
    steps = FlowSteps(flows.values[told.row], flows.host[told.row], flows.start_ns[told.row], told.advances)
    for rate in RATES:
        model.forget()
        gravest = np.zeros(len(flows), dtype=np.int8)
        np.maximum.at(gravest, told.row, model.judge(steps, rate).verdict)
        assert (found.verdicts[rate] == gravest).all()
    assert set(np.unique(found.verdicts[RATES[0]])) <= {BENIGN, UNCERTAIN, ATTACK}


def test_states_are_carried_from_one_chunk_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    flows = table()
    whole = judged(flows, counting=True)
    monkeypatch.setattr(room, "CHUNK", 37)
    pieces = judged(flows, counting=True)
    for name in whole.scores:
        assert (whole.scores[name] == pieces.scores[name]).all()
    assert (whole.named == pieces.named).all()


def test_the_state_of_another_table_is_forgotten() -> None:
    flows = table()
    model = hybrid(flows, counting=True)
    first = scored(model, None, flows, flows.host, quiet)
    again = scored(model, None, flows, flows.host, quiet)
    assert (first.scores["counter"] == again.scores["counter"]).all()


@examples(15)
@given(st.integers(0, 200), st.integers(0, 200))
def test_attacks_added_to_the_table_change_nothing_for_the_normal_flows(scans: int, floods: int) -> None:
    few, many = table(scans=1, floods=1), table(scans=scans + 1, floods=floods + 1)
    model = hybrid(few)
    # The same normal flows among other attacks.
    normal = few.take(few.family == "BENIGN")
    attacks = many.take(many.family != "BENIGN")
    mixed = together(normal, attacks)
    alone = scored(model, None, normal, normal.host, quiet)
    among = scored(model, None, mixed, mixed.host, quiet)
    for rate in RATES:
        for member in alone.members:
            found = among.found(member, rate)[mixed.family == "BENIGN"]
            assert found.sum() == alone.found(member, rate).sum()


@examples(15)
@given(st.randoms(use_true_random=False))
def test_rows_of_equal_time_may_stand_in_any_order(random: object) -> None:
    flows = table(normal=200, scans=20, floods=20)
    flows = dataclasses.replace(flows, start_ns=np.full(len(flows), flows.start_ns[0]))
    flows = dataclasses.replace(flows, end_ns=flows.start_ns + flows.values[:, 1].astype(np.int64) * 1000)
    order = np.arange(len(flows))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = judged(flows), judged(flows.take(order))
    for name in one.scores:
        assert (one.scores[name][order] == other.scores[name]).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_hybrids_score_is_positive_exactly_where_it_speaks(fusion: str) -> None:
    flows = table()
    told = scored(dataclasses.replace(hybrid(flows), fusion=fusion), None, flows, flows.host, quiet)
    assert ((told.scores[HYBRID] > 0) == told.found(HYBRID, told.default_rate)).all()
    # Lanes have equal shares at every rate, so one cut on the score gives each rate's verdicts.
    wider = np.log10(RATES[0] / RATES[1])
    assert ((told.scores[HYBRID] > wider) == told.found(HYBRID, RATES[1])).all()


def test_a_score_cut_is_the_lowest_score_below_the_rate() -> None:
    model = hybrid(table())
    for member in (*model.known, *model.novel):
        for rate in RATES:
            cut = score_cut(member.calibration, rate)
            assert cut is not None
            assert member.calibration.p_value(np.array([cut]))[0] < rate
            assert member.calibration.p_value(np.array([cut - 1e-9]))[0] >= rate
    assert score_cut(model.known[0].calibration, 1e-12) is None


def test_the_gated_rule_needs_both_lanes_in_one_report() -> None:
    told = judged(table())
    assert (told.p_cascade >= np.maximum(told.p_known, told.p_novel)).all()
    assert not (told.p_cascade < RATES[0])[told.family == "PortScan"].any()


def test_taking_and_joining_keep_flows_whole() -> None:
    told = judged(table())
    first, last = told.take(np.arange(10)), told.take(np.arange(10, len(told)))
    again = first.joined(last)
    assert again.members == told.members
    assert (again.label == told.label).all()
    assert (again.p_novel == told.p_novel).all()
    assert (again.verdicts[RATES[0]] == told.verdicts[RATES[0]]).all()


def test_names_of_two_fits_stay_the_names_they_were_when_joined() -> None:
    flows = table()
    told = judged(flows)
    other = dataclasses.replace(told, labels=("BENIGN", "DoS", "PortScan"), named=np.full(len(told), 1))
    both = told.joined(other)
    assert both.labels == ("BENIGN", "PortScan", "DoS")
    assert {both.labels[i] for i in both.named[len(told) :]} == {"DoS"}
    assert {both.labels[i] for i in both.named[: len(told)]} == {"PortScan"}
    assert both.score_cuts["lstm"] == dict.fromkeys(RATES)


def together(one: FlowTable, other: FlowTable) -> FlowTable:
    arrays = ("values", "host", "start_ns", "end_ns", "label", "family", "day", "dst_port")
    both = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in arrays}
    joined = dataclasses.replace(one, **both)
    return joined.take(np.argsort(joined.start_ns, kind="stable"))


def test_the_made_table_is_what_the_tests_take_it_for() -> None:
    flows = table()
    assert sorted(set(flows.day)) == sorted(DAYS)
    assert (np.diff(flows.start_ns) >= 0).all()
    assert (flows.values[flows.family == "PortScan", KNOWN_COLUMN] == 0.9).all()
    assert (flows.values[flows.family == "DoS", NOVEL_COLUMN] == 0.9).mean() == 0.5
