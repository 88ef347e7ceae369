"""Flows of captures that are attacks as a whole: only those that a rightly named alert rests on get a label."""

from pathlib import Path

import numpy as np
import pytest

from flows.batch import FlowBatch
from tests.support.evaluations import hybrid, quiet
from tests.support.networks import ScriptedSensor, made_networks, raised
from training.datasets.captures.index import read_index
from training.datasets.captures.metered import CaptureTable, read_captures
from training.evaluation.networks.agreeing import with_agreeing_flows
from training.evaluation.networks.folds import network_folds
from training.evaluation.networks.judged import judged_captures
from training.evaluation.networks.sensor import RaisedAlert
from training.labels import BENIGN

pytestmark = pytest.mark.takes(6)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CaptureTable:
    index: Path = made_networks(tmp_path_factory.mktemp("networks"))
    return read_captures(read_index(index), ScriptedSensor().metered, quiet)


def agreed(table: CaptureTable, *alerts: tuple[list[int], str]) -> CaptureTable:
    """The table after such alerts on every capture: rows of records, and the technique named."""

    def script(records: FlowBatch) -> list[RaisedAlert]:
        return [raised(records, rows, technique) for rows, technique in alerts]

    model = hybrid(table.flows.take(table.flows.family == BENIGN)), None
    everything = range(len(table.index.captures))
    return with_agreeing_flows(table, judged_captures(model, table, everything, ScriptedSensor(script), quiet))


def test_only_flows_of_rightly_named_alerts_get_a_label(table: CaptureTable) -> None:
    told = agreed(table, ([0, 1, 2], "T1046"), ([5, 6], "T1071"), ([2, 8], "T1595"))
    rows = table.rows(len(table.index.captures) - 1)
    row = table.flows.reports().row[table.report_rows(len(table.index.captures) - 1)]
    changed = np.flatnonzero(told.flows.family != table.flows.family)
    assert changed.tolist() == sorted(row[[0, 1, 2, 8]].tolist())
    assert set(told.flows.family[changed]) == {"PortScan"}
    assert told.flows.label[row[2]] == "T1046"
    assert told.flows.label[row[8]] == "T1595"
    assert rows.start <= changed.min()
    assert changed.max() < rows.stop


def test_without_a_right_name_nothing_changes(table: CaptureTable) -> None:
    told = agreed(table, ([0, 1, 2], "T1110"), ([3], ""))
    assert np.array_equal(told.flows.family, table.flows.family)
    assert np.array_equal(told.flows.label, table.flows.label)


def test_what_was_labelled_to_be_fitted_on_is_no_truth_to_be_judged_by(table: CaptureTable) -> None:
    told, last = agreed(table, (list(range(50)), "T1046")), len(table.index.captures) - 1
    model = hybrid(table.flows.take(table.flows.family == BENIGN)), None
    (own,) = judged_captures(model, told, [last], ScriptedSensor(), quiet)
    assert own.flags.flows == {"": 1000}


def test_what_is_labelled_then_is_fitted_on_where_its_network_is_not_judged(table: CaptureTable) -> None:
    told = agreed(table, (list(range(50)), "T1046"))
    for fold in network_folds(told):
        fitted = (fold.train_network == "elsewhere").sum() + (fold.held_back_network == "elsewhere").sum()
        assert fitted == (0 if fold.left_out == "elsewhere" else 50)
