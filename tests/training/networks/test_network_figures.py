"""Figures over networks, counted by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets.captures.index import Kind, LabelledCapture
from training.datasets.captures.metered import TruthEpisode
from training.evaluation.intervals import exact, over_networks
from training.evaluation.networks.figures import network_figures
from training.evaluation.networks.judged import Flags, JudgedAlert, JudgedCapture, JudgedEpisode
from training.evaluation.networks.sensor import RaisedAlert
from training.labels import BENIGN
from training.measure import HYBRID

SECOND = 1_000_000_000


def capture(name: str, kind: Kind, network: str, group: str) -> LabelledCapture:
    return LabelledCapture(name, Path(name), kind, network, group, frozenset(), "", None, "0" * 64)


def alert(episode: TruthEpisode | None, *, right: bool = False, severity: int = 40, opened_s: float = 0) -> JudgedAlert:
    told = RaisedAlert(int(opened_s * SECOND), "attack", severity, "T1046", "somebody did something", ())
    return JudgedAlert(told, episode, right)


def normal(name: str, network: str, flows: int, false: int, severity: int = 40) -> JudgedCapture:
    flags = Flags({BENIGN: flows}, {(HYBRID, 0.01): {BENIGN: flows // 10}})
    alerts = tuple(alert(None, severity=severity) for _ in range(false))
    return JudgedCapture(capture(name, "benign", network, "desk"), flows, 0.5, alerts, (), flags)


def attack(
    name: str, network: str, *, right: tuple[bool, ...], severity: int = 40, opened_s: float = 3
) -> JudgedCapture:
    episode = TruthEpisode(0, name, "scan", "PortScan", frozenset({"T1046"}), 0, 7)
    alerts = tuple(alert(episode, right=own, severity=severity, opened_s=opened_s) for own in right)
    flags = Flags({"": 7}, {(HYBRID, 0.01): {"": 3}})
    return JudgedCapture(
        capture(name, "attack", network, "scan"), 7, 1.0, alerts, (JudgedEpisode(episode, alerts),), flags
    )


def labelled(name: str, network: str) -> JudgedCapture:
    episode = TruthEpisode(0, "sweep", "PortScan", "PortScan", frozenset({"T1046"}), 0, 20)
    alerts = (alert(episode, right=True, opened_s=9), alert(None, severity=70))
    flags = Flags({BENIGN: 100, "PortScan": 20}, {(HYBRID, 0.01): {BENIGN: 1, "PortScan": 15}})
    return JudgedCapture(
        capture(name, "labelled", network, "office"), 120, 0.25, alerts, (JudgedEpisode(episode, alerts[:1]),), flags
    )


JUDGED = [
    normal("a", "large", 10_000, 1),
    normal("b", "large", 10_000, 0),
    normal("c", "small", 100, 2),
    attack("d", "small", right=(True, False)),
    attack("e", "third", right=(False,), severity=80, opened_s=5),
    attack("f", "third", right=()),
    labelled("g", "fourth"),
]


def test_false_alerts_are_those_that_belong_to_nothing() -> None:
    own = network_figures(JUDGED, 1)["normal"]
    assert (own["captures"], own["networks"], own["flows"], own["alerts"], own["severe"]) == (4, 3, 20_200, 4, 1)
    assert own["captures_with"] == 3
    assert own["host_days"] == 1.75


def test_a_network_counts_once_however_long_it_is() -> None:
    rate = network_figures(JUDGED, 1)["normal"]["per_1000_flows"]
    assert rate["pooled"] == pytest.approx(4 / 20.2, abs=1e-6)
    assert rate["mean"] == pytest.approx((1 / 20 + 2 / 0.1 + 1 / 0.1) / 3, abs=1e-6)
    assert rate["networks"] == 3
    days = network_figures(JUDGED, 1)["normal"]["per_host_day"]
    assert days["mean"] == pytest.approx((1 / 1.0 + 2 / 0.5 + 1 / 0.25) / 3, abs=1e-6)


def test_a_capture_more_of_a_network_leaves_its_weight() -> None:
    """Twice the same traffic of one network: the mean of networks stays, the pooled rate moves to that network."""
    once, twice = network_figures(JUDGED, 1), network_figures([*JUDGED, normal("h", "small", 100, 2)], 1)
    rates = [told["normal"]["per_1000_flows"] for told in (once, twice)]
    assert rates[0]["mean"] == rates[1]["mean"]
    assert rates[0]["pooled"] < rates[1]["pooled"]


def test_episodes_are_found_by_any_alert_and_named_by_a_right_one() -> None:
    own = network_figures(JUDGED, 1)["attacks"]
    assert (own["episodes"], own["found"]["k"], own["named"]["k"]) == (4, 3, 2)
    assert own["found"]["interval"] == pytest.approx(exact(3, 4), abs=1e-6)
    assert own["found"]["mean"] == pytest.approx((1 + 1 / 2 + 1) / 3, abs=1e-6)
    assert own["named_of_found"]["share"] == pytest.approx(2 / 3, abs=1e-6)
    assert own["severe_wrong"] == 1
    assert own["seconds"] == {"n": 3, "median": 5.0, "quartiles": [4.0, 7.0]}


def test_groups_are_those_of_the_index_and_families_of_truths() -> None:
    groups = network_figures(JUDGED, 1)["by_group"]
    assert list(groups) == ["attack/PortScan", "attack/scan", "benign/desk", "labelled/office"]
    assert (groups["attack/scan"]["episodes"], groups["attack/scan"]["found"]) == (3, 2)
    assert (groups["attack/PortScan"]["flows"], groups["attack/PortScan"]["captures"]) == (20, 1)
    assert (groups["labelled/office"]["alerts"], groups["labelled/office"]["severe"]) == (1, 1)
    assert groups["labelled/office"]["flows"] == 100
    assert sum(row["alerts"] for row in groups.values()) == 4 + 4


def test_networks_have_their_own_lines() -> None:
    networks = network_figures(JUDGED, 1)["by_network"]
    assert list(networks) == ["fourth", "large", "small", "third"]
    assert networks["large"]["per_1000_flows"] == pytest.approx(1 / 20)
    assert networks["third"]["per_1000_flows"] is None
    assert (networks["small"]["alerts"], networks["small"]["episodes"], networks["small"]["named"]) == (2, 1, 1)


def test_flows_without_a_label_count_nowhere() -> None:
    own = network_figures(JUDGED, 1)["flow_by_flow"][HYBRID]["0.01"]
    assert (own["normal"]["n"], own["normal"]["k"]) == (20_200, 2_011)
    assert own["normal"]["mean"] == pytest.approx((0.1 + 0.1 + 0.01) / 3, abs=1e-6)
    assert own["families"]["PortScan"]["pooled"] == 0.75
    assert list(own["families"]) == ["PortScan"]


def test_alerts_to_look_at_are_listed() -> None:
    own = network_figures(JUDGED, 1)
    assert [told["capture"] for told in own["false_alerts"]] == ["a", "c", "c", "g"]
    assert [told["capture"] for told in own["severe_wrong_alerts"]] == ["e", "g"]


def test_episodes_are_listed_with_what_became_of_them() -> None:
    told = {own["capture"]: own for own in network_figures(JUDGED, 1)["episodes"]}
    assert list(told) == ["d", "e", "f", "g"]
    assert [(own["found"], own["named"], own["seconds"]) for own in told.values()] == [
        (True, True, 3.0),
        (True, False, 5.0),
        (False, False, None),
        (True, True, 9.0),
    ]
    assert (told["g"]["episode"], told["g"]["group"], told["f"]["alert"]) == ("sweep", "PortScan", None)
    assert told["d"]["alert"] == "somebody did something"


def test_what_there_is_nothing_of_is_not_told() -> None:
    assert network_figures([attack("d", "small", right=())], 1)["normal"] is None
    assert network_figures([normal("a", "large", 10, 0)], 1)["attacks"] is None
    assert network_figures([attack("d", "small", right=())], 1)["attacks"]["seconds"] is None


def test_the_exact_interval_is_the_published_one() -> None:
    # Clopper and Pearson 1934; the values of Agresti and Coull 1998 for 0 and 5 of 10.
    assert exact(0, 10) == pytest.approx((0.0, 0.3085), abs=5e-5)
    assert exact(5, 10) == pytest.approx((0.1871, 0.8129), abs=5e-5)
    assert exact(0, 0) is None


def test_networks_are_drawn_as_a_whole() -> None:
    parts, wholes = np.array([0.0, 10.0]), np.array([10.0, 10.0])
    assert over_networks(parts, wholes, 1) == (0.0, 1.0)
    assert over_networks(parts[:1], wholes[:1], 1) is None
    assert over_networks(parts * 0, wholes, 1) == (0.0, 0.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=2, max_size=12), st.integers(0, 9))
def test_an_interval_over_networks_lies_between_the_networks_own_ratios(rows: list[tuple[int, int]], seed: int) -> None:
    parts, wholes = np.array(rows, dtype=np.float64).T
    ends = over_networks(parts, wholes, seed)
    assert ends is not None
    low, high = (parts / wholes).min(), (parts / wholes).max()
    assert low - 1e-9 <= ends[0] <= ends[1] <= high + 1e-9
    assert over_networks(parts, wholes, seed) == ends
