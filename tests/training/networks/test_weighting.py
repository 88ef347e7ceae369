"""What flows weigh: networks and classes alike as far as the powers say, caps, classes by a mapping."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.evaluations import table
from training.errors import DatasetError
from training.fit.weighting import capped, classes_of, flow_weights, network_weights
from training.networks_recipe import Balance

NETWORK = np.array(["long"] * 900 + ["short"] * 100 + ["long"] * 60 + ["short"] * 40)
TARGET = np.array([0] * 1000 + [1] * 60 + [2] * 40)


def balance(**changes: object) -> Balance:
    return Balance(**{"networks": 1.0, "least": 1, "classes": 1.0, "normal": None} | changes)  # type: ignore[arg-type]


def total(weight: np.ndarray, rows: np.ndarray) -> float:
    return float(weight[rows].sum() / weight.sum())


def test_networks_and_classes_weigh_alike_with_powers_of_one() -> None:
    weight = flow_weights(NETWORK, TARGET, balance())
    assert weight.mean() == pytest.approx(1.0)
    for k in range(3):
        assert total(weight, k == TARGET) == pytest.approx(1 / 3)
    normal = TARGET == 0
    assert total(weight, normal & (NETWORK == "long")) == pytest.approx(total(weight, normal & (NETWORK == "short")))


def test_counts_stay_as_they_are_with_powers_of_nothing() -> None:
    assert flow_weights(NETWORK, TARGET, balance(networks=0.0, classes=0.0)) == pytest.approx(np.ones(1100))


def test_normal_traffic_has_the_share_it_is_given() -> None:
    weight = flow_weights(NETWORK, TARGET, balance(normal=0.8, classes=0.0))
    assert total(weight, TARGET == 0) == pytest.approx(0.8)
    assert total(weight, TARGET == 1) == pytest.approx(0.2 * 0.6)


def test_a_handful_is_no_network() -> None:
    weight = network_weights(NETWORK[:1000], 1.0, 900)
    assert total(weight, NETWORK[:1000] == "short") == pytest.approx(0.1)
    assert total(network_weights(NETWORK[:1000], 1.0, 100), NETWORK[:1000] == "short") == pytest.approx(0.5)


def test_no_flows_have_no_weights() -> None:
    assert network_weights(NETWORK[:0], 1.0, 1).shape == (0,)


def test_families_may_be_learnt_as_others_or_not_at_all() -> None:
    flows = table(normal=50, scans=30, floods=20)
    labels, target = classes_of(flows, {}, 10)
    assert labels == ("BENIGN", "DoS", "PortScan")
    assert [int((target == k).sum()) for k in range(3)] == [50, 20, 30]
    labels, target = classes_of(flows, {"DoS": "PortScan"}, 10)
    assert labels == ("BENIGN", "PortScan")
    assert (target == 1).sum() == 50
    for other in ({"DoS": None}, {}):
        labels, target = classes_of(flows, other, 10 if other else 25)
        assert labels == ("BENIGN", "PortScan")
        assert (target[flows.family == "DoS"] == -1).all()


def test_nothing_to_learn_is_one_line() -> None:
    with pytest.raises(DatasetError, match="has to fit on BENIGN 50, DoS 20, PortScan 30; expected normal flows and"):
        classes_of(table(normal=50, scans=30, floods=20), {}, 40)


def test_of_a_class_in_a_capture_so_many_are_drawn() -> None:
    flows = table(normal=400, scans=60, floods=40)
    flows = replace(flows, host=np.stack([np.arange(500) % 2, np.arange(500)], axis=1))
    _, target = classes_of(flows, {"DoS": None}, 10)
    assert np.array_equal(capped(flows, target, None, 1), target >= 0)
    chosen = capped(flows, target, 50, 1)
    for capture in range(2):
        own = flows.host[:, 0] == capture
        assert (chosen & own & (target == 0)).sum() == 50
        assert np.array_equal(chosen[own & (target == 1)], np.ones((own & (target == 1)).sum(), dtype=np.bool_))
    assert not chosen[target < 0].any()
    assert np.array_equal(chosen, capped(flows, target, 50, 1))
    assert not np.array_equal(chosen, capped(flows, target, 50, 2))
