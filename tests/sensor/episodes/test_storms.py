"""Alert storms: however many hosts are flagged, the lines are few and their counts add up."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import SNAPSHOT
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.episodes.storms import Storms
from tests.support.episodes import CUT, ICMP, T0, Flow, S, alerts_of, episodes, judged, requests, scan
from tests.support.examples import examples

pytestmark = pytest.mark.ux

MINUTE = 60 * S


def attackers(n: int, flows: int = 5, every: float = 0.0001, **fields: object) -> list[Flow]:
    """Guesses of n hosts, each at a server of its own; the hosts one after another.

    Of five, the first is not told and the fifth opens an alert, which is uncertain yet.
    """
    flow = Flow(known=CUT / 9)._replace(**fields)
    return [
        flow._replace(
            source=f"10.0.{host // 250}.{1 + host % 250}",
            target=f"11.0.{host // 250}.{1 + host % 250}",
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
    alerts = alerts_of(attackers(10_000, every=0.00002), alerts_per_minute=100)
    opened = [alert for alert in alerts if alert.action == "opened"]
    # Half of the budget at once, the other half being kept for attacks, what comes back in this second, the storm.
    assert len(opened) == 50 + 1 + 1
    assert len(alerts) < 220
    ends = last_lines(alerts)
    assert {alert.action for alert in ends} == {"closed"}
    assert sum(max(1, alert.hosts_merged) for alert in ends) == 10_000
    assert sum(alert.spread.flows for alert in ends) == 40_000
    assert sum(alert.spread.packets for alert in ends) == 80_000
    storm = next(alert for alert in ends if alert.hosts_merged)
    assert storm.hosts_merged == 9_949
    assert storm.reason.startswith(
        "storm, 9,949 alerts told as one: port 22 on 4,096+ hosts: 39,796 flows from 4,096+ hosts"
    )


def test_a_storm_is_told_on_a_log_scale() -> None:
    alerts = alerts_of(attackers(10_000, every=0.00002), alerts_per_minute=1)
    told = [alert.hosts_merged for alert in alerts if alert.hosts_merged]
    assert told == [1, 10, 100, 1000, 10_000, 10_000]


def test_hosts_that_are_only_unusual_cannot_use_up_what_is_kept_for_attacks() -> None:
    odd = attackers(500, 10, known=1.0, novel=CUT / 99, port=8883)
    alerts = alerts_of([*odd, *requests(150, start=1, source="192.0.2.99")], alerts_per_minute=10)
    own = Counter(alert.verdict for alert in alerts if alert.action == "opened" and not alert.hosts_merged)
    assert own == {"uncertain": 5, "attack": 1}
    assert any(alert.source.ip == "192.0.2.99" and alert.verdict == "attack" for alert in alerts)


def test_another_technique_is_told_in_the_middle_of_a_storm() -> None:
    alerts = alerts_of([*attackers(500), *requests(150, start=0.5)], alerts_per_minute=1)
    techniques = {alert.technique.id for alert in alerts if alert.action == "opened" and alert.technique}
    assert techniques == {"T1110.001", "T1499.002"}


def test_a_storm_of_one_hosts_pairs_names_that_host_and_counts_alerts_not_hosts() -> None:
    sprayed = [flow._replace(source="10.0.0.9") for flow in attackers(200)]
    storm = last_lines(alerts_of(sprayed, alerts_per_minute=10))[-1]
    assert (storm.hosts_merged, storm.spread.targets, storm.origin) == (195, 195, "10.0.0.9")
    assert storm.reason.startswith("storm, 195 alerts told as one: port 22 on 195 hosts: 780 flows in ")


def test_each_kind_has_a_storm_of_its_own_whose_reason_is_that_of_its_flows() -> None:
    outside = {"port": 4444, "source": "10.0.0.3", "label": 0, "known": 1.0}
    beats = [
        Flow(**outside)._replace(
            target=f"198.51.{host}.1", source=f"10.0.0.{host}", at=host + 60.0 * turn, source_port=1024 + turn
        )
        for host in range(1, 4)
        for turn in range(26)
    ]
    kept = [
        Flow(**outside)._replace(
            target=f"198.51.{host}.1",
            source=f"10.0.0.{host}",
            at=1600.0 + host,
            sent=9000,
            answered=3000,
            packets=100,
            back=100,
            lasts=90.0,
            news=200,
        )
        for host in range(11, 14)
    ]
    storms = [alert for alert in last_lines(alerts_of([*beats, *kept], alerts_per_minute=1)) if alert.hosts_merged]
    assert {alert.technique.id for alert in storms if alert.technique} == {"T1571"}
    assert len({alert.id for alert in storms}) == 2
    assert [("in a beat" in alert.reason, "kept open" in alert.reason) for alert in storms] in (
        [(True, False), (False, True)],
        [(False, True), (True, False)],
    )


def test_after_a_quiet_time_the_next_storm_has_another_id_and_the_budget_is_back() -> None:
    first, second = attackers(50), attackers(50, at=6000.0)
    alerts = alerts_of([*first, *second], alerts_per_minute=10)
    storms = [alert for alert in alerts if alert.hosts_merged and alert.action == "opened"]
    assert len({alert.id for alert in storms}) == len(storms) == 2
    assert sum(alert.action == "opened" for alert in alerts) == 12


def test_a_storm_that_is_over_swallows_nothing_and_is_not_told_of_again() -> None:
    scanners = [
        Flow(
            sent=0, answered=0, source=f"10.0.0.{host}", target=f"11.0.0.{host}", port=1 + turn, at=300.0 * turn + host
        )
        for turn in range(13)
        for host in range(40)
    ]
    quick = [flow._replace(source="10.0.0.99", target="11.0.0.99", at=3550 + flow.at) for flow in scan(4000)]
    late = [flow._replace(at=5500.0 + host, port=99) for host, flow in enumerate(scanners[:40])]
    flows = sorted([*scanners, *quick, *late], key=lambda flow: flow.at)
    alerts = alerts_of(flows, alerts_per_minute=1)
    assert sum(alert.action == "closed" and alert.end_ns > T0 + 5500 * S for alert in alerts) == 1
    for identifier in {alert.id for alert in alerts}:
        told = [alert.action for alert in alerts if alert.id == identifier]
        assert (told[0], told[-1]) == ("opened", "closed")
        assert set(told[1:-1]) <= {"updated"}
    assert sorted(alert.time_ns for alert in alerts) == [alert.time_ns for alert in alerts]


def test_without_a_budget_each_host_has_its_alert() -> None:
    alerts = alerts_of(attackers(1000), alerts_per_minute=None)
    assert sum(alert.action == "opened" for alert in alerts) == 1000
    assert not any(alert.hosts_merged for alert in alerts)


def test_a_long_flow_of_a_merged_host_is_counted_once() -> None:
    tunnel = Flow(source="10.9.9.9", protocol=ICMP, port=0, source_port=0, sent=0, seen=600 << 24, end=SNAPSHOT)
    others = [
        tunnel._replace(source=f"10.9.9.{i}", target=f"11.0.0.{i}", packets=150, back=150, lasts=30.0) for i in (1, 2)
    ]
    long = [tunnel._replace(lasts=10 + 30.0 * k, report=k, packets=100 + 90 * k, back=100 + 90 * k) for k in range(5)]
    alerts = alerts_of([*others, *long], alerts_per_minute=1)
    storm = last_lines(alerts)[-1]
    assert storm.hosts_merged == 3
    assert (storm.spread.flows, storm.spread.packets) == (3, 2 * (2 + 5))


def test_the_budget_comes_back_with_traffic_time_and_never_goes_beyond_a_minute() -> None:
    storms = Storms(6)
    assert [storms.admits(T0, attack=True) for _ in range(8)] == [True] * 6 + [False] * 2
    assert not storms.admits(T0 + 9 * S, attack=True)
    assert storms.admits(T0 + 10 * S, attack=True)
    assert not storms.admits(T0, attack=True)
    assert sum(storms.admits(T0 + 60 * MINUTE, attack=True) for _ in range(20)) == 6


def by_the_scanner(alert: Alert) -> bool:
    return alert.source.ip.startswith("10.0.")


def told(flows: list[Flow], mutes: Callable[[Alert], bool] | None, budget: int) -> list[Alert]:
    watched = episodes(alerts_per_minute=budget)
    watched.mutes = mutes
    return [alert for alert in watched.observe(*judged(flows)) if isinstance(alert, Alert)]


def test_what_the_notes_mute_takes_no_other_alerts_place() -> None:
    others = attackers(3, at=0.2)
    others = [flow._replace(source="192.0.2.1" + flow.source[-1]) for flow in others]
    flows = sorted([*attackers(70), *others], key=lambda flow: flow.at)
    hidden = [
        alert for alert in told(flows, None, 10) if alert.source.ip.startswith("192.0.2.") and not alert.hosts_merged
    ]
    assert hidden == []
    alerts = [alert for alert in told(flows, by_the_scanner, 10) if alert.action == "opened"]
    own = Counter(by_the_scanner(alert) for alert in alerts if not alert.hosts_merged)
    assert own == {True: 10, False: 3}
    assert sum(bool(alert.hosts_merged) for alert in alerts) == 1  # what is muted is bounded too


def only_snmp(alert: Alert) -> bool:
    return alert.target_ports == (161,)


def polls(n: int, start: float = 0.0) -> list[Flow]:
    """Questions to hosts that are gone, one a second."""
    flow = Flow(protocol=17, port=161, sent=60, answered=0)
    return [flow._replace(at=start + i, source_port=1024 + i, target=f"10.0.{i >> 8}.{1 + i % 250}") for i in range(n)]


def test_what_goes_beyond_the_note_that_mutes_an_open_alert_is_told_soon() -> None:
    """Else a scan hides in the alert of a poller that misses its hosts, which is an attack already and never ends."""
    probes = [flow._replace(at=400.5 + flow.at) for flow in scan(30)]
    alerts = told(sorted([*polls(600), *probes], key=lambda flow: flow.at), only_snmp, 10)
    beyond = [alert for alert in alerts if not only_snmp(alert)]
    assert [(alert.action, alert.verdict) for alert in beyond] == [("updated", "attack")]
    assert T0 + 400 * S < beyond[0].time_ns <= T0 + 411 * S
    assert [alert.action for alert in alerts if only_snmp(alert)] == ["opened", "updated", "updated"]


def test_the_notes_are_asked_again_of_an_open_alert_every_ten_seconds_at_most() -> None:
    asked: list[Alert] = []
    told(polls(600), lambda alert: not asked.append(alert), 10)
    assert 50 <= len(asked) <= 61
    assert len({alert.id for alert in asked}) == 1


def test_notes_that_mute_nothing_change_nothing() -> None:
    flows = attackers(500)
    assert told(flows, lambda _: False, 10) == told(flows, None, 10)


def test_the_notes_are_asked_of_few_where_thousands_would_open() -> None:
    asked: list[Alert] = []
    told(attackers(2000, every=0.00001), lambda alert: bool(asked.append(alert)), 10)
    assert 10 <= len(asked) <= 8 * 10 + 2


def test_the_notes_are_asked_about_the_alert_that_would_open() -> None:
    asked: list[Alert] = []
    flows = attackers(5)
    opened = [alert for alert in told(flows, lambda alert: bool(asked.append(alert)), 10) if alert.action == "opened"]
    for draft, alert in zip(asked, opened, strict=True):
        about = (draft.id, draft.time_ns, draft.source, draft.destination, draft.technique, draft.spread)
        assert about == (alert.id, alert.time_ns, alert.source, alert.destination, alert.technique, alert.spread)


@pytest.mark.parametrize("budget", [1, 3])
@examples(30)
@given(
    order=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    seed=st.integers(0, 2**64),
)
def test_any_storm_adds_up_and_does_not_depend_on_batches(
    budget: int, order: list[tuple[int, int]], cuts: list[int], seed: int
) -> None:
    kinds = [{"known": CUT / 99}, {"sent": 0, "answered": 0, "target": "11.0.1.1"}, {"novel": CUT / 99, "port": 8883}]
    flow = Flow()
    flows = [
        flow._replace(
            source=f"10.0.0.{host}", target=f"11.0.0.{host}", at=turn * 0.1, source_port=1024 + turn
        )._replace(**kinds[kind], **({"port": 1 + turn} if kind == 1 else {}))
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
