"""Episodes: from flagged flows to the few lines an attack is worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import END_DETECTED, SNAPSHOT
from sensor.alerts.alert_record import alert_line
from tests.support.episodes import CUT, HULK, T0, Flow, S, actions, alerts_of, episodes, guesses, judged, scan
from tests.support.examples import examples

pytestmark = pytest.mark.ux


def test_one_flagged_flow_opens_nothing() -> None:
    assert alerts_of(guesses(1)) == []


def test_password_guessing_is_one_alert_that_names_who_what_and_where() -> None:
    alerts = alerts_of(guesses(200))
    assert actions(alerts) == ["opened", "updated", "closed"]
    first, last = alerts[0], alerts[-1]
    assert first.technique is not None
    assert (first.technique.id, first.label, first.verdict, first.lane) == (
        "T1110.001",
        "SSH-Patator",
        "attack",
        "known",
    )
    assert (first.source.ip, first.destination.ip, first.destination.port) == ("192.0.2.10", "198.51.100.7", 22)
    assert last.spread.flows == 200
    assert last.reason.startswith("port 22 on one host in 99.5 s: 200 flows, 400 packets")


def test_a_scan_of_a_thousand_ports_is_one_opened_alert_and_a_handful_of_updates() -> None:
    alerts = alerts_of(scan())
    assert actions(alerts).count("opened") == actions(alerts).count("closed") == 1
    assert len(alerts) <= 6
    assert len({alert.id for alert in alerts}) == 1
    last = alerts[-1]
    assert last.technique is not None
    assert last.technique.id == "T1046"
    assert (last.spread.flows, last.spread.ports, last.spread.targets) == (1000, 1000, 1)
    assert last.reason.startswith("1,000 ports on one host in 10.0 s: 1,000 flows")
    assert "no data exchanged" in last.reason


def test_a_scan_that_the_known_lane_takes_for_several_attacks_is_still_one_scan() -> None:
    flows = scan()
    flows = [flow._replace(known=CUT / 9, label=1 + i % 3) for i, flow in enumerate(flows)]
    alerts = alerts_of(flows)
    assert actions(alerts).count("opened") == 1
    last = alerts[-1]
    assert last.technique is not None
    assert (last.technique.id, last.lane) == ("T1046", "both")
    assert (
        "the model took it for SSH-Patator, its number and spread are those of Network Service Discovery" in last.reason
    )


def test_an_alert_names_the_first_targets_and_ports() -> None:
    swept = [flow._replace(target=f"2001:db8::{i:x}") for i, flow in enumerate(scan(40, source="2001:db8:ffff::1"))]
    last = alerts_of(swept)[-1]
    assert last.target_ips == tuple(f"2001:db8::{i:x}" if i else "2001:db8::" for i in range(8))
    assert last.target_ports == tuple(range(1, 17))
    assert alerts_of(guesses(20))[-1].target_ips == ("198.51.100.7",)


def test_a_sweep_with_echo_requests_is_remote_system_discovery() -> None:
    flow = Flow(novel=CUT / 9, sent=0, answered=0, port=0, source_port=0, protocol=1)
    alerts = alerts_of([flow._replace(target=f"198.51.100.{i}", at=i * 0.1) for i in range(1, 200)])
    last = alerts[-1]
    assert last.technique is not None
    assert last.technique.id == "T1018"
    assert "ICMP to 199 hosts" in last.reason


def test_many_half_open_connections_to_one_port_are_a_flood() -> None:
    flow = Flow(known=CUT / 9, label=HULK, sent=0, answered=0, port=80)
    alerts = alerts_of([flow._replace(at=i * 0.001, source_port=1024 + i) for i in range(3000)])
    assert actions(alerts).count("opened") == 1
    last = alerts[-1]
    assert last.technique is not None
    assert last.technique.id == "T1499.001"
    assert last.spread.flows == 3000


def test_a_torrent_over_many_ports_of_one_host_ends_as_a_flood() -> None:
    flow = Flow(novel=CUT / 9, sent=0, answered=0)
    alerts = alerts_of([flow._replace(at=i * 0.0001, port=1 + i) for i in range(8000)])
    last = alerts[-1]
    assert last.technique is not None
    assert last.technique.id == "T1499.001"
    assert last.spread.ports_more
    assert "4,096+ ports" in last.reason


def test_an_attack_that_both_lanes_see_is_one_alert() -> None:
    flows = [
        flow._replace(known=CUT / 9 if i % 3 else 1.0, novel=CUT / 9 if i % 3 != 1 else 1.0)
        for i, flow in enumerate(guesses(300))
    ]
    alerts = alerts_of(flows)
    assert actions(alerts).count("opened") == 1
    assert (alerts[-1].lane, alerts[-1].verdict, alerts[-1].spread.flows) == ("both", "attack", 300)


def test_a_single_flow_of_the_other_lane_joins_the_episode_that_has_its_service() -> None:
    single = guesses(1, start=20, known=1.0, novel=CUT / 9)
    alerts = alerts_of(guesses(20) + single)
    assert (len(alerts), alerts[-1].spread.flows) == (2, 21)
    elsewhere = [flow._replace(port=8080) for flow in single]
    assert alerts_of(guesses(20) + elsewhere)[-1].spread.flows == 20


def test_a_flow_that_normal_traffic_outweighed_long_ago_is_no_part_of_an_episode() -> None:
    normal_flows = [Flow(at=1 + i * 0.1) for i in range(500)]
    opened = alerts_of(guesses(1) + normal_flows + guesses(5, start=100))[0]
    assert (opened.spread.flows, opened.start_ns) == (3, T0 + 100 * S)


def test_what_only_the_novel_lane_flagged_gets_its_name_when_the_known_lane_speaks() -> None:
    unnamed = guesses(5, known=1.0, novel=CUT / 9)
    alerts = alerts_of(unnamed + guesses(50, start=10))
    assert alerts[0].technique is None
    assert alerts[0].verdict == "uncertain"
    named = [alert for alert in alerts if alert.technique is not None]
    assert {alert.id for alert in alerts} == {alerts[0].id}
    assert named[0].action == "updated"
    assert named[0].verdict == "attack"
    assert alerts[-1].spread.flows == 55


def test_two_techniques_of_one_host_are_two_alerts() -> None:
    alerts = alerts_of(guesses(20) + guesses(20, start=20, label=HULK, port=80))
    opened = [alert.technique.id for alert in alerts if alert.action == "opened" and alert.technique]
    assert opened == ["T1110.001", "T1499.002"]


def test_a_scan_and_guessing_from_one_host_stay_apart() -> None:
    alerts = alerts_of(scan(300) + guesses(50, start=5))
    opened = {alert.id: alert.technique.id for alert in alerts if alert.action == "closed" and alert.technique}
    assert sorted(opened.values()) == ["T1046", "T1110.001"]


def test_a_scan_that_starts_on_the_guessed_port_is_still_named() -> None:
    alerts = alerts_of(guesses(20) + [flow._replace(port=22 + i) for i, flow in enumerate(scan(300))])
    assert sorted(a.technique.id for a in alerts if a.action == "closed" and a.technique) == ["T1046", "T1110.001"]


def test_an_episode_closes_after_its_quiet_time_and_a_new_one_has_another_id() -> None:
    later = guesses(10, start=1000)
    watched = episodes()
    first = watched.observe(*judged(guesses(10)))
    second = watched.observe(*judged(later))
    assert actions(first) == ["opened"]
    assert actions(second) == ["closed", "opened"]
    assert second[0].id == first[0].id != second[1].id
    assert second[0].time_ns == first[0].time_ns + 300 * S + round((10 - 1 - 2) * 0.5 * S)


def test_other_traffic_moves_the_clock_that_closes_an_episode() -> None:
    alerts = alerts_of([*guesses(10), Flow(source="203.0.113.1", at=400)], finish=False)
    assert actions(alerts) == ["opened", "closed"]


def test_normal_flows_between_flagged_ones_outweigh_them() -> None:
    flows = [Flow(at=i * 0.1, known=CUT / 2 if i % 100 == 0 else 1.0) for i in range(5000)]
    assert alerts_of(flows) == []


def test_a_long_flow_reported_again_and_again_is_counted_once_and_does_not_open_an_episode_alone() -> None:
    reports = [
        Flow(lasts=10 + 60 * k, known=CUT / 9, report=k, end=SNAPSHOT if k < 30 else END_DETECTED) for k in range(31)
    ]
    assert alerts_of(reports) == []
    alerts = alerts_of(guesses(10) + [flow._replace(source_port=1) for flow in reports])
    assert alerts[-1].spread.flows == 11


def test_the_hosts_remembered_are_bounded_and_a_forgotten_one_closes() -> None:
    other = [Flow(source=f"10.0.{i // 250}.{i % 250}", at=20 + i * 0.01, novel=CUT / 2) for i in range(100)]
    alerts = alerts_of(guesses(10) + other, finish=False, capacity_hosts=50)
    assert actions(alerts) == ["opened", "closed"]


def test_sequence_numbers_have_no_gap_and_time_never_runs_back() -> None:
    alerts = alerts_of(scan(300) + guesses(50, start=5) + guesses(9, start=900))
    assert [alert.sequence for alert in alerts] == list(range(1, len(alerts) + 1))
    assert sorted(alert.time_ns for alert in alerts) == [alert.time_ns for alert in alerts]


hosts = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8:0:1::2"])
p_values = st.sampled_from([1.0, 0.3, CUT * 0.9, CUT / 3, CUT / 100])
random_flows = st.lists(
    st.builds(
        Flow,
        source=hosts,
        target=st.sampled_from(["198.51.100.7", "198.51.100.8"]),
        port=st.integers(20, 50),
        at=st.floats(0, 2000).map(lambda x: round(x, 3)),
        known=p_values,
        novel=p_values,
        label=st.integers(1, 3),
        lasts=st.sampled_from([0.0, 0.5, 30.0]),
        sent=st.sampled_from([0, 0, 100]),
        answered=st.sampled_from([0, 100]),
        source_port=st.integers(40000, 40003),
        protocol=st.sampled_from([1, 6, 17]),
        report=st.integers(0, 2),
        end=st.sampled_from([SNAPSHOT, END_DETECTED]),
    ),
    max_size=120,
)


@examples(60)
@given(random_flows, st.lists(st.integers(0, 120), max_size=12), st.integers(0, 2**64), st.booleans())
def test_alerts_are_the_same_bytes_however_the_flows_are_cut_into_batches(
    flows: list[Flow], cuts: list[int], seed: int, in_time_order: bool
) -> None:
    if in_time_order:
        flows = sorted(flows, key=lambda flow: flow.at)
    changes = {"capacity_hosts": 3}
    whole = episodes(1, **changes)
    expected = [alert_line(a) for a in whole.observe(*judged(flows)) + whole.finish()]
    split, lines = episodes(seed, **changes), []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(flows)], strict=True):
        lines += [alert_line(a) for a in split.observe(*judged(flows[low : max(low, high)]))]
    lines += [alert_line(a) for a in split.finish()]
    assert lines == expected
    assert len(set(lines)) == len(lines)


@examples(40)
@given(random_flows)
def test_every_episode_opens_once_and_closes_once(flows: list[Flow]) -> None:
    alerts = alerts_of(flows, capacity_hosts=3)
    for identifier in {alert.id for alert in alerts}:
        told = [alert.action for alert in alerts if alert.id == identifier]
        assert told[0] == "opened"
        assert told[-1] == "closed"
        assert set(told[1:-1]) <= {"updated"}
