"""Folds over networks and families: what is judged was in no part of the fit."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.evaluations import forests, hybrid, quiet
from tests.support.networks import NETWORKS, ScriptedSensor, made_networks, raised, write_index
from training.datasets.captures.index import read_index
from training.datasets.captures.metered import CaptureTable, read_captures
from training.errors import DatasetError
from training.evaluation.networks.evaluation import evaluate_folds
from training.evaluation.networks.folds import Fold, Folding, by_families, by_networks, family_folds, network_folds
from training.evaluation.networks.table import networks_table
from training.evaluation.outcome import Model
from training.labels import BENIGN
from training.reporting import Report

pytestmark = pytest.mark.takes(12)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> CaptureTable:
    index = made_networks(tmp_path_factory.mktemp("networks"))
    return read_captures(read_index(index), ScriptedSensor().metered, quiet)


def fitted(fold: Fold, report: Report) -> Model:
    """Two small forests, or where there is no scan to learn two columns as they are."""
    del report
    return (forests if "PortScan" in fold.train.family else hybrid)(fold.train), None


def captures_of(table: CaptureTable, host: np.ndarray) -> set[int]:
    """Numbers of the captures that flows with these hosts are of: a host belongs to one capture alone."""
    of_host = {tuple(own): int(number) for own, number in zip(table.flows.host.tolist(), table.capture, strict=True)}
    return {of_host[tuple(own)] for own in host.tolist()}


def test_a_network_that_is_judged_is_in_no_part_of_the_fit(table: CaptureTable) -> None:
    folds = list(network_folds(table))
    assert [fold.left_out for fold in folds] == sorted([*NETWORKS, "elsewhere"])
    for fold in folds:
        own = {n for n, capture in enumerate(table.index.captures) if capture.network == fold.left_out}
        assert set(fold.judged) == own
        for part, networks in ((fold.train, fold.train_network), (fold.held_back, fold.held_back_network)):
            assert fold.left_out not in networks
            assert not captures_of(table, part.host) & own
            reported = part.reported
            assert reported is not None
            assert set(reported.row.tolist()) == set(range(len(part)))


def test_every_capture_is_judged_once(table: CaptureTable) -> None:
    judged = [number for fold in network_folds(table) for number in fold.judged]
    assert sorted(judged) == list(range(len(table.index.captures)))


def test_a_family_that_is_judged_is_in_no_part_of_the_fit(table: CaptureTable) -> None:
    folds = {fold.left_out: fold for fold in family_folds(table)}
    assert list(folds) == ["BruteForce", "PortScan"]
    for family, fold in folds.items():
        for part in (fold.train, fold.held_back):
            assert family not in part.family
            assert not captures_of(table, part.host) & set(fold.judged)
    names = [table.index.captures[number].name for number in folds["BruteForce"].judged]
    assert names == ["north-attacked.pcap"]
    assert "PortScan" in folds["BruteForce"].train.family


def test_families_that_are_learnt_as_one_are_left_out_together(table: CaptureTable) -> None:
    (fold,) = family_folds(table, Folding(classes={"BruteForce": "PortScan", "DoS": "PortScan", "Botnet": None}))
    assert fold.left_out == "PortScan"
    assert fold.families == ("BruteForce", "DoS", "PortScan")
    assert set(fold.train.family.tolist()) == {BENIGN}
    judged = by_families(table, fitted, ScriptedSensor(), quiet, Folding(classes={"BruteForce": "PortScan"}))
    assert [len(own.episodes) for own in judged["PortScan"]].count(2) == 1


def test_networks_may_be_left_out_in_groups(table: CaptureTable) -> None:
    folds = list(network_folds(table, Folding(groups=3)))
    assert [fold.left_out for fold in folds] == ["elsewhere, west", "north", "south"]
    assert sorted(number for fold in folds for number in fold.judged) == list(range(len(table.index.captures)))
    for fold in folds:
        assert not {*fold.train_network, *fold.held_back_network} & {*fold.left_out.split(", ")}
    assert len(list(network_folds(table, Folding(groups=99)))) == 4


def test_flows_without_a_label_are_not_fitted_on(table: CaptureTable) -> None:
    for fold in network_folds(table):
        assert "" not in fold.train.family
        assert "" not in fold.held_back.family


def test_what_is_held_back_is_not_fitted_on(table: CaptureTable) -> None:
    for fold in network_folds(table):
        moments = [
            set(zip(map(tuple, part.host.tolist()), part.start_ns.tolist(), part.dst_port.tolist(), strict=True))
            for part in (fold.train, fold.held_back)
        ]
        whole = [len(part) for part in (fold.train, fold.held_back)]
        assert len(moments[0] & moments[1]) <= 0.02 * min(whole)  # retries of one moment aside
        parts = fold.train, fold.held_back
        for network in set(fold.train_network.tolist()):
            of_network = [names == network for names in (fold.train_network, fold.held_back_network)]
            normal = [part.family[own] == BENIGN for part, own in zip(parts, of_network, strict=True)]
            assert normal[1].sum() == round(0.25 * (normal[0].sum() + normal[1].sum()))


def test_each_capture_is_judged_by_the_model_without_its_network(table: CaptureTable) -> None:
    models: dict[str, Model] = {}

    def remembered(fold: Fold, report: Report) -> Model:
        models[fold.left_out] = fitted(fold, report)
        return models[fold.left_out]

    sensor = ScriptedSensor()
    judged = by_networks(table, remembered, sensor, quiet)
    assert [own.capture for own in judged] == list(table.index.captures)
    asked = [
        capture.network for name in table.index.networks for capture in table.index.captures if capture.network == name
    ]
    assert [id(model) for model in sensor.models] == [id(models[network][0]) for network in asked]


def test_a_family_is_judged_by_its_own_episodes(table: CaptureTable) -> None:
    judged = by_families(table, fitted, ScriptedSensor(), quiet)
    assert {own.capture.name for own in judged["PortScan"]} == {*(f"{n}-attacked.pcap" for n in NETWORKS), "scan.pcap"}
    for family, captures in judged.items():
        assert all(episode.episode.family == family for own in captures for episode in own.episodes)
        assert all(own.episodes for own in captures)


def test_one_network_alone_leaves_nothing_to_fit_on(tmp_path: Path) -> None:
    made_networks(tmp_path)
    path = write_index(tmp_path, [{"path": "north.pcap", "kind": "benign", "network": "north"}])
    table = read_captures(read_index(path), ScriptedSensor().metered, quiet)
    with pytest.raises(DatasetError, match="has no normal flows to fit on without north"):
        list(network_folds(table))


def test_a_way_of_fitting_has_figures_of_networks_and_of_families(table: CaptureTable) -> None:
    sensor = ScriptedSensor(lambda records: [raised(records, list(range(len(records))))])
    content = evaluate_folds(table, fitted, sensor, 1, quiet)
    assert content["networks"]["captures"] == len(table.index.captures)
    assert content["families"]["PortScan"]["found"]["n"] == 4
    assert content["bundle"] is None
    text = networks_table(content)
    assert text.startswith("a fit for each network left out, protocol networks: ")
    assert "PortScan: found" in text
