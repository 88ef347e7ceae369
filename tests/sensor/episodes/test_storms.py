"""Alert storms: however many hosts are flagged, the lines are few and their counts add up."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.episodes.storms import Storms
from tests.support.episodes import CUT, HULK, T0, Flow, S, alerts_of, episodes, guesses, judged
from tests.support.examples import examples

pytestmark = pytest.mark.ux

MINUTE = 60 * S


def attackers(n: int, flows: int = 4, every: float = 0.0001, **fields: object) -> list[Flow]:
    """Flows of n hosts, each of which an alert would open for, the hosts one after another."""
    flow = Flow(known=CUT / 9)._replace(**fields)
    return [
        flow._replace(
            source=f"10.{host >> 16}.{host >> 8 & 255}.{host & 255}",
            source_port=40000 + turn,
            at=flow.at + (host * flows + turn) * every,
        )
        for host in range(n)
        for turn in range(flows)
    ]


def last_lines(alerts: list[Alert]) -> list[Alert]:
    """The last line about each episode."""
    return list({alert.id: alert for alert in alerts}.values())


def test_ten_thousand_attackers_a_second_are_few_lines_whose_counts_add_up() -> None:
    alerts = alerts_of(attackers(10_000, every=0.000025), alerts_per_minute=100)
    opened = [alert for alert in alerts if alert.action == "opened"]
    assert len(opened) == 100 + 1 + 1  # at once, the budget that comes back in this second, the storm
    assert len(alerts) < 220
    ends = last_lines(alerts)
    assert {alert.action for alert in ends} == {"closed"}
    assert sum(max(1, alert.hosts_merged) for alert in ends) == 10_000
    assert sum(alert.spread.flows for alert in ends) == 40_000
    assert sum(alert.spread.packets for alert in ends) == 80_000
    storm = next(alert for alert in ends if alert.hosts_merged)
    assert storm.hosts_merged == 9_899
    assert storm.reason.startswith("storm, 9,899 hosts told as one: port 22 on one host")


def test_a_storm_is_told_on_a_log_scale() -> None:
    alerts = alerts_of(attackers(10_000, every=0.000025), alerts_per_minute=1)
    told = [alert.hosts_merged for alert in alerts if alert.hosts_merged]
    assert told == [1, 8, 78, 778, 7778, 9999]  # three flows opened the first: its flows grow tenfold at host 8


def test_hosts_that_are_only_unusual_cannot_use_up_what_is_kept_for_attacks() -> None:
    unusual = attackers(500, known=1.0, novel=CUT / 9)
    alerts = alerts_of([*unusual, *guesses(4, start=1, source="192.0.2.99")], alerts_per_minute=10)
    own = Counter(alert.verdict for alert in alerts if alert.action == "opened" and not alert.hosts_merged)
    assert own == {"uncertain": 5, "attack": 1}
    assert any(alert.source.ip == "192.0.2.99" and alert.verdict == "attack" for alert in alerts)


def test_another_technique_is_told_in_the_middle_of_a_storm() -> None:
    alerts = alerts_of([*attackers(500), *guesses(4, start=0.5, label=HULK, port=80)], alerts_per_minute=1)
    techniques = {alert.technique.id for alert in alerts if alert.action == "opened" and alert.technique}
    assert techniques == {"T1110.001", "T1499.002"}


def test_after_a_quiet_time_the_next_storm_has_another_id_and_the_budget_is_back() -> None:
    first, second = attackers(50), attackers(50, at=1000.0)
    alerts = alerts_of([*first, *second], alerts_per_minute=10)
    storms = [alert for alert in alerts if alert.hosts_merged and alert.action == "opened"]
    assert len({alert.id for alert in storms}) == len(storms) == 2
    assert sum(alert.action == "opened" for alert in alerts) == 22


def test_without_a_budget_each_host_has_its_alert() -> None:
    alerts = alerts_of(attackers(1000), alerts_per_minute=None)
    assert sum(alert.action == "opened" for alert in alerts) == 1000
    assert not any(alert.hosts_merged for alert in alerts)


def test_a_long_flow_of_a_merged_host_is_counted_once() -> None:
    long = [Flow(known=CUT / 9, source="10.9.9.9", lasts=10 + 60 * k, report=k, end=0) for k in range(1, 5)]
    alone = alerts_of([*attackers(20), *guesses(4, source="10.9.9.9")], alerts_per_minute=1)
    alerts = alerts_of([*attackers(20), *guesses(4, source="10.9.9.9"), *long], alerts_per_minute=1)
    flows = [next(a.spread.flows for a in reversed(lines) if a.hosts_merged) for lines in (alone, alerts)]
    assert flows[1] == flows[0] + 1


def test_the_budget_comes_back_with_traffic_time_and_never_goes_beyond_a_minute() -> None:
    storms = Storms(6)
    assert [storms.admits(T0, attack=True) for _ in range(8)] == [True] * 6 + [False] * 2
    assert not storms.admits(T0 + 9 * S, attack=True)
    assert storms.admits(T0 + 10 * S, attack=True)
    assert not storms.admits(T0, attack=True)
    assert sum(storms.admits(T0 + 60 * MINUTE, attack=True) for _ in range(20)) == 6


@pytest.mark.parametrize("budget", [1, 3])
@examples(30)
@given(
    order=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2)), max_size=150),
    cuts=st.lists(st.integers(0, 150), max_size=6),
    seed=st.integers(0, 2**64),
)
def test_any_storm_adds_up_and_does_not_depend_on_batches(
    budget: int, order: list[tuple[int, int]], cuts: list[int], seed: int
) -> None:
    kinds = [{"known": CUT / 99}, {"known": CUT / 99, "label": HULK, "port": 80}, {"novel": CUT / 99}]
    flows = [
        Flow(source=f"10.0.0.{host}", at=turn * 0.1, source_port=1024 + turn)._replace(**kinds[kind])
        for turn, (host, kind) in enumerate(order)
    ]
    changes = {"alerts_per_minute": budget}
    expected = alerts_of(flows, **changes)
    split, lines = episodes(seed, **changes), []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(flows)], strict=True):
        lines += split.observe(*judged(flows[low : max(low, high)]))
    lines += split.finish()
    assert [alert_line(alert) for alert in lines] == [alert_line(alert) for alert in expected]
    told = {alert.id: [a.action for a in lines if a.id == alert.id] for alert in lines}
    assert all(actions[0] == "opened" and actions.count("closed") == 1 for actions in told.values())
    ends = last_lines(lines)
    assert sum(alert.hosts_merged for alert in ends) == split.merged
    assert sum(alert.spread.flows for alert in ends) <= len(flows)
