"""What flows of captures labelled as a whole are fitted on as."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.batch import DST_HIGH, DST_LOW, DST_PORT, IP_VERSION, PROTOCOL, SRC_LOW, SRC_PORT
from tests.support.evaluations import quiet
from tests.support.networks import ScriptedSensor, made_networks
from training.datasets.captures.index import read_index
from training.datasets.captures.metered import CaptureTable, read_captures
from training.datasets.captures.whole import with_labels

pytestmark = pytest.mark.takes(4)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CaptureTable:
    index = made_networks(tmp_path_factory.mktemp("networks"))
    return read_captures(read_index(index), ScriptedSensor().metered, quiet)


def whole(table: CaptureTable) -> int:
    return next(number for number, capture in enumerate(table.index.captures) if capture.kind == "attack")


def test_they_stay_without_a_label_where_the_recipe_leaves_them_out(table: CaptureTable) -> None:
    assert with_labels(table, "leave_out") is table


def test_they_are_the_attacks_and_no_other_flow_changes(table: CaptureTable) -> None:
    labelled = with_labels(table, "attack")
    own = table.rows(whole(table))
    assert set(labelled.flows.family[own].tolist()) == {"PortScan"}
    assert set(labelled.flows.label[own].tolist()) == {"scan"}
    others = np.ones(len(table), dtype=np.bool_)
    others[own] = False
    assert np.array_equal(labelled.flows.family[others], table.flows.family[others])


def test_they_are_those_of_some_families_alone_where_the_recipe_names_them(table: CaptureTable) -> None:
    assert np.array_equal(with_labels(table, ("DoS",)).flows.family, table.flows.family)
    labelled = with_labels(table, ("DoS", "PortScan"))
    assert np.array_equal(labelled.flows.family, with_labels(table, "attack").flows.family)


def changed(table: CaptureTable, family: str, **words: int) -> CaptureTable:
    """The first flow of the whole capture with other words of its identity, and the capture of another family."""
    number = whole(table)
    identity = table.identity.copy()
    flow = table.flows.reports().row[table.report_rows(number)][0]
    own = np.flatnonzero(table.flows.reports().row == flow)
    for word, value in words.items():
        identity[own, {"protocol": PROTOCOL, "port": DST_PORT, "target": DST_LOW}[word]] = value
    if "port" in words:
        identity[own, SRC_PORT] = 40_000
    assert (identity[own, IP_VERSION] == 4).all()
    assert (identity[own, DST_HIGH] == 0).all()
    assert (identity[own, SRC_LOW] != 0).all()
    captures = list(table.index.captures)
    captures[number] = replace(captures[number], family=family)
    return replace(table, identity=identity, index=replace(table.index, captures=tuple(captures)))


@pytest.mark.parametrize(
    ("family", "words", "label"),
    [
        ("PortScan", {"target": 0xE0000001}, ""),  # a group of hosts
        ("Botnet", {"protocol": 17, "port": 5353}, ""),
        ("Botnet", {"protocol": 6, "port": 53}, ""),
        ("Tunnel", {"protocol": 6, "port": 53}, "Tunnel"),
        ("Tunnel", {"protocol": 17, "port": 5353}, ""),
        ("Botnet", {"protocol": 1}, ""),
        ("PortScan", {"protocol": 1}, "PortScan"),
        ("Botnet", {"protocol": 6, "port": 443}, "Botnet"),
    ],
)
def test_what_every_network_sends_is_not_the_attacks(
    table: CaptureTable, family: str, words: dict[str, int], label: str
) -> None:
    made = changed(table, family, **words)
    labelled = with_labels(made, "attack")
    flow = int(table.flows.reports().row[table.report_rows(whole(table))][0])
    assert labelled.flows.family[flow] == label


def test_a_capture_whose_index_names_no_technique_stays_without(table: CaptureTable) -> None:
    made = changed(table, "")
    assert (with_labels(made, "attack").flows.family == made.flows.family).all()


def test_sources_do_not_touch_a_table_on_disk(tmp_path: Path) -> None:
    """The rule makes new labels and leaves the table that it was given as it was."""
    table = read_captures(read_index(made_networks(tmp_path)), ScriptedSensor().metered, quiet)
    before = table.flows.family.copy()
    with_labels(table, "attack")
    assert np.array_equal(table.flows.family, before)
