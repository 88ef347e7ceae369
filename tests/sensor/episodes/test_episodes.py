"""Episodes: from the claims about flows to the few lines an attack is worth."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import END_DETECTED, SNAPSHOT
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.episodes.shapes import GUESSES_AGREED
from tests.support.episodes import (
    BOTNET,
    CUT,
    HULK,
    ICMP,
    ODD,
    T0,
    THEFT,
    Flow,
    S,
    actions,
    alerts_of,
    episodes,
    guesses,
    judged,
    requests,
    scan,
    unusual,
)
from tests.support.examples import examples

pytestmark = pytest.mark.ux

HOUR = 3600.0


def techniques(alerts: list[Alert], action: str = "opened") -> list[str]:
    return [alert.technique.id for alert in alerts if alert.action == action and alert.technique]


def test_one_flagged_flow_opens_nothing() -> None:
    assert alerts_of(guesses(1)) == []
    assert alerts_of(unusual(1)) == []


def test_flows_of_a_kind_that_was_never_normal_are_counted_once_each_by_protocol() -> None:
    talk = [Flow(judged=False, label=0), Flow(judged=False, label=0, report=1), Flow(label=0)]
    echo, probe = Flow(judged=False, protocol=ICMP, label=0), Flow(judged=False, sent=0, answered=0, label=0)
    # To a group, and what is no act: neither is a model's matter, whatever it has met.
    others = [
        Flow(judged=False, protocol=2, target="224.0.0.22", answered=0, label=0),
        Flow(judged=False, protocol=ICMP, icmp_type=3, answered=0, label=0),
    ]
    watched = episodes()
    assert watched.unjudged == {}
    for flows in (talk, [echo, probe], others):
        watched.observe(*judged(flows))
    assert watched.unjudged == {1: 1, 2: 1, 6: 2}


def test_of_flows_that_no_model_judged_the_largest_is_shown_and_any_other_before_them() -> None:
    lone = [flow._replace(judged=False, packets=1 + at % 3) for at, flow in enumerate(scan(30, novel=1.0))]
    assert alerts_of(lone)[-1].source.packets == 3
    judged_one = lone[-1]._replace(judged=True, at=lone[-1].at + 1, port=9999, packets=1)
    assert alerts_of([*lone, judged_one])[-1].destination.port == 9999


def test_password_guessing_is_one_alert_that_names_who_what_and_where() -> None:
    alerts = alerts_of(guesses(200))
    assert actions(alerts) == ["opened", "updated", "updated", "closed"]
    first, sure, last = alerts[0], alerts[1], alerts[-1]
    assert first.technique is not None
    assert (first.technique.id, first.label, first.verdict, first.lane) == (
        "T1110.001",
        "SSH-Patator",
        "uncertain",
        "known",
    )
    assert (sure.verdict, sure.spread.flows) == ("attack", GUESSES_AGREED)
    assert (first.source.ip, first.destination.ip, first.destination.port) == ("192.0.2.10", "198.51.100.7", 22)
    assert last.spread.flows == 199
    assert last.reason.startswith("port 22 on one host: 199 flows in 99.0 s, 2 a second, 398 packets")


def test_a_scan_of_a_thousand_ports_is_one_opened_alert_and_a_handful_of_updates() -> None:
    alerts = alerts_of(scan())
    assert actions(alerts).count("opened") == actions(alerts).count("closed") == 1
    assert len(alerts) <= 6
    assert len({alert.id for alert in alerts}) == 1
    last = alerts[-1]
    assert last.technique is not None
    assert last.technique.id == "T1046"
    assert (last.spread.flows, last.spread.ports, last.spread.targets) == (999, 999, 1)
    assert last.reason.startswith("999 ports on one host: 999 flows in 10.0 s, 100 a second")
    assert "no data exchanged" in last.reason


def test_a_scan_that_the_known_lane_takes_for_several_attacks_is_still_one_scan() -> None:
    flows = scan()
    flows = [flow._replace(known=CUT / 9, label=1 + i % 3) for i, flow in enumerate(flows)]
    alerts = alerts_of(flows)
    assert actions(alerts).count("opened") == 1
    last = alerts[-1]
    assert last.technique is not None
    assert (last.technique.id, last.verdict, last.lane) == ("T1046", "attack", "shape")
    assert "services never tried before that do not answer" in last.reason
    assert "the model takes it for" not in last.reason


def test_an_alert_names_the_first_targets_and_ports() -> None:
    swept = [
        flow._replace(target=f"2001:db8::{i:x}", port=445) for i, flow in enumerate(scan(40, source="2001:db8:f::1"))
    ]
    last = alerts_of(swept)[-1]
    assert last.target_ips == tuple(f"2001:db8::{i:x}" for i in range(2, 10))  # two are told of no shape
    assert last.target_ports == (445,)
    assert alerts_of(scan(40))[-1].target_ports == tuple(range(2, 18))
    assert alerts_of(guesses(20))[-1].target_ips == ("198.51.100.7",)


def test_a_sweep_with_echo_requests_is_remote_system_discovery() -> None:
    flow = Flow(sent=0, answered=0, port=0, source_port=0, protocol=ICMP)
    alerts = alerts_of([flow._replace(target=f"198.51.100.{i}", at=i * 0.1) for i in range(1, 200)])
    last = alerts[-1]
    assert last.technique is not None
    assert last.technique.id == "T1018"
    assert "ICMP to 197 hosts" in last.reason


def test_many_half_open_connections_to_one_port_are_a_flood() -> None:
    flow = Flow(known=CUT / 9, label=HULK, sent=0, answered=0, port=80)
    alerts = alerts_of([flow._replace(at=i * 0.001, source_port=1024 + i) for i in range(3000)])
    assert techniques(alerts) == ["T1499.001"]
    assert alerts[-1].verdict == "attack"
    assert 2950 < alerts[-1].spread.flows <= 3000


def test_a_torrent_over_many_ports_of_one_host_is_a_flood_beside_the_scan_and_their_counts_are_bounded() -> None:
    flow = Flow(sent=0, answered=0)
    alerts = alerts_of([flow._replace(at=i * 0.0001, port=1 + i) for i in range(8000)])
    assert techniques(alerts) == ["T1046", "T1499.001"]
    ends = {alert.technique.id: alert for alert in alerts if alert.technique}
    assert ends["T1046"].spread.flows == 7999
    for last in ends.values():
        assert last.spread.ports_more
        assert "4,096+ ports" in last.reason


def test_an_attack_that_both_lanes_see_is_one_alert() -> None:
    flows = [
        flow._replace(known=CUT / 9 if i % 3 else 1.0, novel=CUT / 9 if i % 3 != 1 else 1.0)
        for i, flow in enumerate(guesses(300))
    ]
    alerts = alerts_of(flows)
    assert actions(alerts).count("opened") == 1
    assert (alerts[-1].verdict, alerts[-1].spread.flows) == ("attack", 298)


def test_a_session_that_no_lane_flags_counts_among_those_it_is_like() -> None:
    single = guesses(1, start=20, known=1.0)
    alerts = alerts_of(guesses(20) + single)
    assert (len(alerts), alerts[-1].spread.flows) == (3, 20)
    elsewhere = [flow._replace(port=8080) for flow in single]
    assert alerts_of(guesses(20) + elsewhere)[-1].spread.flows == 19


def test_what_was_told_long_ago_is_no_part_of_an_episode() -> None:
    opened = alerts_of(guesses(3) + guesses(10, start=5000))[0]
    assert (opened.action, opened.spread.flows, opened.start_ns) == ("opened", 4, T0 + 5000 * S + S // 2)
    opened = alerts_of(unusual(8) + unusual(20, start=2000))[0]
    assert (opened.spread.flows, opened.start_ns) == (10, T0 + 2000 * S)


def test_a_few_flows_spread_over_hours_are_nothing() -> None:
    assert alerts_of(guesses(30, every=HOUR)) == []
    assert alerts_of(unusual(30, every=HOUR)) == []


def test_what_its_shape_alone_says_becomes_an_attack_when_the_known_lane_agrees() -> None:
    alerts = alerts_of(guesses(25, known=1.0) + guesses(40, start=20))
    assert [alert.verdict for alert in alerts] == ["uncertain", "attack", "attack"]
    assert (alerts[0].lane, alerts[-1].lane) == ("shape", "known")
    assert actions(alerts) == ["opened", "updated", "closed"]
    assert {alert.id for alert in alerts} == {alerts[0].id}
    assert alerts[0].severity <= 50 < alerts[1].severity


def test_flags_of_a_lane_that_no_shape_accounts_for_are_unusual_traffic_and_never_more() -> None:
    alerts = alerts_of(unusual(100))
    assert actions(alerts) == ["opened", "updated", "closed"]
    assert {(alert.title, alert.technique, alert.verdict, alert.lane) for alert in alerts} == {
        ("Unusual traffic", None, "uncertain", "novel")
    }
    assert [alert.spread.flows for alert in alerts] == [10, 100, 100]
    assert max(alert.severity for alert in alerts) <= 50


def test_a_label_without_a_shape_names_nothing() -> None:
    odd = alerts_of(unusual(100, known=CUT / 99, novel=1.0))
    assert {(alert.title, alert.verdict, alert.lane) for alert in odd} == {("Unusual traffic", "uncertain", "known")}
    assert "the model takes it for Odd, which its shape does not show" in odd[-1].reason
    assert alerts_of(requests(60, every=1.0)) == []  # too few for an overload, which is all that Hulk could be


def test_what_most_labels_call_an_upload_is_named_where_no_shape_says_anything() -> None:
    theft = {"known": CUT / 99, "novel": 1.0, "label": THEFT, "port": 443}
    stolen = alerts_of(unusual(14, every=9.0, **theft))
    assert techniques(stolen) == ["T1048"]
    assert {(alert.verdict, alert.lane, alert.severity <= 50) for alert in stolen} == {("uncertain", "known", True)}
    mixed = [flow._replace(label=ODD if i % 2 else THEFT) for i, flow in enumerate(unusual(40, every=9.0, **theft))]
    assert {alert.title for alert in alerts_of(mixed)} == {"Unusual traffic"}


def test_what_a_claim_accounts_for_is_not_unusual_beside_it() -> None:
    odd = unusual(30, start=3.0, every=0.05)
    assert {alert.title for alert in alerts_of(odd)} == {"Unusual traffic"}
    assert techniques(alerts_of([*scan(200), *odd])) == ["T1046"]  # of the same source
    elsewhere = [flow._replace(source="192.0.2.99") for flow in odd]
    assert {alert.title for alert in alerts_of([*scan(200), *elsewhere])} > {"Unusual traffic"}
    after = [flow._replace(at=flow.at + 2000) for flow in odd]
    assert {alert.title for alert in alerts_of([*scan(200), *after])} > {"Unusual traffic"}
    known = [flow._replace(known=CUT / 99, novel=1.0) for flow in odd]
    assert {alert.title for alert in alerts_of([*scan(200), *known])} > {"Unusual traffic"}


def test_a_label_of_what_has_a_shape_says_nothing_by_itself() -> None:
    assert alerts_of(unusual(40, known=CUT / 99, novel=1.0, label=BOTNET)) == []


def test_a_beat_is_uncertain_though_the_known_lane_takes_it_for_a_beacon() -> None:
    flow = Flow(port=443, known=CUT / 99, label=BOTNET)
    beat = [flow._replace(source_port=1024 + i, at=i * 420.0 + (i % 3 == 2) * 40.0) for i in range(80)]
    assert {alert.verdict for alert in alerts_of(beat)} == {"uncertain"}


def test_the_known_lane_alone_is_believed_of_few_hosts_only() -> None:
    spread = [flow._replace(target=f"198.51.100.{i % 10}") for i, flow in enumerate(unusual(100, known=CUT / 99))]
    assert alerts_of([flow._replace(novel=1.0) for flow in spread]) == []
    assert actions(alerts_of(spread))[0] == "opened"


def test_two_techniques_of_one_host_are_two_alerts() -> None:
    alerts = alerts_of(guesses(20) + requests(150, start=20))
    assert techniques(alerts) == ["T1110.001", "T1499.002"]


def test_a_scan_and_guessing_from_one_host_stay_apart() -> None:
    alerts = alerts_of(scan(300) + guesses(50, start=5))
    assert sorted(techniques(alerts, "closed")) == ["T1046", "T1110.001"]


def test_a_scan_that_starts_on_the_guessed_port_is_still_named() -> None:
    alerts = alerts_of(guesses(20) + [flow._replace(port=22 + i) for i, flow in enumerate(scan(300, at=11.0))])
    assert sorted(techniques(alerts, "closed")) == ["T1046", "T1110.001"]


def test_guessing_at_two_services_at_the_same_time_is_two_alerts_with_two_names() -> None:
    both = [flow for ssh in guesses(20) for flow in (ssh, ssh._replace(port=21))]
    alerts = alerts_of(both)
    assert techniques(alerts) == ["T1110.001", "T1110.001"]
    assert len({alert.id for alert in alerts}) == 2


def test_an_episode_closes_after_its_quiet_time_and_a_new_one_has_another_id() -> None:
    watched = episodes()
    first = watched.observe(*judged(guesses(9)))
    second = watched.observe(*judged(guesses(9, start=1000)))
    assert actions(first) == ["opened"]
    assert actions(second) == ["closed", "opened"]
    assert second[0].id == first[0].id != second[1].id
    assert second[0].time_ns == T0 + round((8 * 0.5 + 0.001 + 300) * S)


def test_a_slow_scan_is_one_alert_that_outlasts_its_gaps_and_closes_before_a_day() -> None:
    flow = Flow(sent=0, answered=0)
    slow = [flow._replace(port=1 + i, at=i * 900.0) for i in range(60)]
    alerts = alerts_of([*slow, Flow(source="203.0.113.1", at=60 * 900.0 + 24 * HOUR)], finish=False)
    assert actions(alerts) == ["opened", "updated", "closed"]
    after_ns = alerts[-1].time_ns - (T0 + 59 * 900 * S)
    assert 8 * 900 * S <= after_ns <= 9 * 900 * S


def test_a_slow_scan_that_grew_fast_closes_by_the_gaps_that_it_has_then_and_the_next_is_told_anew() -> None:
    slow = [Flow(sent=0, answered=0, port=5000 + i, at=i * HOUR) for i in range(20)]
    fast = [flow._replace(at=flow.at + 20 * HOUR) for flow in scan(2000)]
    again = [flow._replace(at=flow.at + 22 * HOUR, port=10_000 + flow.port) for flow in scan(20)]
    alerts = alerts_of([*slow, *fast, *again])
    assert [action for action in actions(alerts) if action != "updated"] == ["opened", "closed"] * 2
    first = next(alert for alert in alerts if alert.action == "closed")
    gap_ns = (first.end_ns - first.start_ns) // first.spread.flows
    assert 299 * S + 8 * gap_ns <= first.time_ns - first.end_ns <= 601 * S + 8 * gap_ns


def test_a_slow_beacon_is_one_alert_and_counts_the_connections_before_it_opened() -> None:
    beat = [Flow(port=443, source_port=1024 + i, at=i * 420.0 + (i % 3 == 2) * 40.0) for i in range(200)]
    alerts = alerts_of(beat)
    assert actions(alerts) == ["opened", "updated", "closed"]
    assert techniques(alerts) == ["T1071.001"]
    assert alerts[0].spread.flows == 13
    assert alerts[-1].spread.flows == 188


def test_a_slow_scan_that_grew_fast_closes_and_time_does_not_run_back() -> None:
    slow = [Flow(sent=0, answered=0, port=5000 + i, at=i * 900.0) for i in range(30)]
    fast = [flow._replace(at=flow.at + 30 * 900.0) for flow in scan(2000)]
    beside = guesses(20, start=30 * 900.0 + 700, source="192.0.2.99")
    later = [Flow(source="203.0.113.1", at=30 * 900.0 + 3 * HOUR)]
    alerts = alerts_of([*slow, *fast, *beside, *later], finish=False)
    assert actions(alerts).count("closed") == 2
    assert sorted(alert.time_ns for alert in alerts) == [alert.time_ns for alert in alerts]


def test_other_traffic_moves_the_clock_that_closes_an_episode() -> None:
    alerts = alerts_of([*guesses(10), Flow(source="203.0.113.1", at=400)], finish=False)
    assert actions(alerts) == ["opened", "closed"]


def test_normal_flows_between_flagged_ones_outweigh_them() -> None:
    flows = [Flow(at=i * 0.1, novel=CUT / 2 if i % 100 == 0 else 1.0, port=8883) for i in range(5000)]
    assert alerts_of(flows) == []


def test_a_long_flow_reported_again_and_again_is_counted_once_and_does_not_open_an_episode_alone() -> None:
    reports = [
        Flow(lasts=10 + 60 * k, novel=CUT / 99, port=8883, report=k, end=SNAPSHOT if k < 30 else END_DETECTED)
        for k in range(31)
    ]
    assert alerts_of(reports) == []
    mixed = sorted(unusual(20) + [flow._replace(source_port=1) for flow in reports], key=lambda f: f.at + f.lasts)
    alerts = alerts_of(mixed)
    assert alerts[-1].spread.flows == 21
    assert alerts[-1].spread.packets == 2 * (20 + 31)


def test_a_flood_in_one_flow_is_told_in_its_first_report_and_counted_once() -> None:
    flow = Flow(protocol=17, port=9, answered=0, lasts=2.0, packets=20_000, end=SNAPSHOT)
    reports = [flow._replace(report=k, lasts=2.0 + 60 * k, packets=20_000 * (1 + 30 * k)) for k in range(5)]
    alerts = alerts_of(reports)
    assert (alerts[0].action, alerts[0].verdict) == ("opened", "attack")
    assert alerts[0].time_ns == T0 + 2 * S
    assert techniques(alerts) == ["T1498.001"]
    assert alerts[-1].spread.flows == 1


def test_of_a_flood_from_many_sources_the_alert_names_the_victim_and_how_many_they_are() -> None:
    flow = Flow(sent=0, answered=0, port=80)
    flood = [flow._replace(source=f"198.18.{i % 50}.{i % 199}", at=i * 0.005) for i in range(2000)]
    alerts = alerts_of(flood)
    assert techniques(alerts) == ["T1498.001"]
    last = alerts[-1]
    assert (last.destination.ip, last.spread.origins > 1000) == ("198.51.100.7", True)
    assert last.origin == f"{last.spread.origins:,} hosts"
    assert f"port 80 on one host: {last.spread.flows:,} flows from {last.spread.origins:,} hosts" in last.reason


FOUR_AT_ONCE = [
    *(("opened", f"10.0.0.{i}") for i in range(4)),
    *(told for i in range(4, 8) for told in (("closed", f"10.0.0.{i - 4}"), ("opened", f"10.0.0.{i}"))),
    ("closed", "10.0.0.4"),
    ("opened", "10.0.0.8"),
]


def test_an_episode_whose_place_another_took_closes_before_that_one_opens() -> None:
    flows = [
        flow for i in range(9) for flow in scan(8, at=20.0 * i, source=f"10.0.0.{i}", target=f"10.0.1.{i}", protocol=6)
    ]
    watched = episodes(capacity_hosts=8)  # and so four scanners with a target each
    alerts = watched.observe(*judged(flows))
    assert [(alert.action, alert.source.ip) for alert in alerts] == FOUR_AT_ONCE
    assert watched.evicted["open episodes"] == 0
    assert watched.evicted["hosts"] == 10


def test_where_as_many_are_open_as_may_be_the_one_that_moved_least_lately_closes_before_another_opens() -> None:
    flows = [flow for i in range(9) for flow in guesses(6, start=20.0 * i, source=f"10.0.0.{i}", target=f"10.0.1.{i}")]
    watched = episodes(capacity_hosts=4)  # and so sixteen pairs
    alerts = watched.observe(*judged(flows))
    assert [(alert.action, alert.source.ip) for alert in alerts] == FOUR_AT_ONCE
    assert watched.evicted["open episodes"] == 5
    first = guesses(30, start=0.0, every=8.0, source="10.0.0.0", target="10.0.1.0")  # goes on
    watched = episodes(capacity_hosts=4)
    alerts = watched.observe(*judged(sorted([*flows, *first], key=lambda flow: flow.at)))
    assert [alert.source.ip for alert in alerts if alert.action == "closed"] == [f"10.0.0.{i}" for i in range(1, 6)]


@pytest.mark.parametrize("flows_per_alert", [0, 10])
def test_what_is_remembered_of_hosts_is_bounded(flows_per_alert: int) -> None:
    watched = episodes(capacity_hosts=8, flows_per_alert=flows_per_alert)
    for turn in range(20):
        probes = [
            Flow(source=f"10.{turn}.{i >> 8}.{i & 255}", sent=0, answered=0, port=port, at=turn * 100 + i * 0.1)
            for i in range(500)
            for port in (1, 2, 3)
        ]
        watched.observe(*judged([flow._replace(target=flow.source.replace("10.", "11.", 1)) for flow in probes]))
        held = watched.held
        assert held.waiting <= 8
        assert held.alone <= 8
        assert held.merged <= 8
        assert held.waiting + held.alone + held.merged <= len(held) <= 3 * 8 + 1  # a storm of scans
        assert held.deadlines <= 2 * len(held) + 1024 + 1


def test_sequence_numbers_have_no_gap_and_time_never_runs_back() -> None:
    alerts = alerts_of(scan(300) + guesses(50, start=5) + unusual(40, start=10) + guesses(9, start=900))
    assert [alert.sequence for alert in alerts] == list(range(1, len(alerts) + 1))
    assert sorted(alert.time_ns for alert in alerts) == [alert.time_ns for alert in alerts]


def spread_out(flow: Flow, n: int, every: float, varied: str) -> list[Flow]:
    """The flow so many times, each with another value in one field."""
    host = {"source": "10.1.{}.{}", "target": "10.2.{}.{}"}
    values = [host[varied].format(i >> 6, 1 + i % 64) if varied in host else 1024 + i for i in range(n)]
    return [flow._replace(**{varied: value}, at=flow.at + i * every) for i, value in enumerate(values)]


hosts = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8:0:1::2"])
p_values = st.sampled_from([1.0, 0.3, CUT * 0.9, CUT / 3, CUT / 100])
bursts = st.builds(
    spread_out,
    st.tuples(
        hosts,
        st.sampled_from(["198.51.100.7", "198.51.100.8"]),
        st.sampled_from([22, 53, 80, 443, 3389, 50000]),
        st.floats(0, 2000).map(lambda x: round(x, 3)),
        st.sampled_from([0.0, 0.5, 30.0]),
        p_values,
        p_values,
        st.integers(1, 3),
        st.sampled_from([0, 0, 100]),
        st.sampled_from([0, 100]),
        st.sampled_from([40000, 53]),
        st.sampled_from([1, 6, 6, 17]),
        st.sampled_from([0, 0, 0, 1, 2]),
        st.sampled_from([SNAPSHOT, END_DETECTED]),
        st.sampled_from([1, 1, 200, 20_000]),
    ).map(lambda fields: Flow(*fields)),
    st.sampled_from([1, 3, 12, 40, 150]),
    st.sampled_from([0.001, 0.05, 3.0, 400.0]),
    st.sampled_from(["source_port", "port", "source", "target"]),
)
random_flows = st.lists(bursts, max_size=6).map(lambda parts: sorted(chain(*parts), key=lambda flow: flow.at))


def in_their_turn(flows: list[Flow], shuffled: bool) -> list[Flow]:
    """By time, or as they were told: records do not come in the order of their times."""
    return flows[::-1] if shuffled else flows


@examples(60)
@given(random_flows, st.lists(st.integers(0, 900), max_size=12), st.integers(0, 2**64), st.booleans())
def test_alerts_are_the_same_bytes_however_the_flows_are_cut_into_batches(
    flows: list[Flow], cuts: list[int], seed: int, backwards: bool
) -> None:
    flows = in_their_turn(flows, backwards)
    changes = {"capacity_hosts": 3}
    whole = episodes(1, **changes)
    expected = [alert_line(a) for a in whole.observe(*judged(flows)) + whole.finish()]
    split, lines = episodes(seed, **changes), []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(flows)], strict=True):
        lines += [alert_line(a) for a in split.observe(*judged(flows[low : max(low, high)]))]
    lines += [alert_line(a) for a in split.finish()]
    assert lines == expected
    assert len(set(lines)) == len(lines)


@examples(60)
@given(random_flows, st.sampled_from([1, 3, 1000]), st.sampled_from([None, 1, 3]), st.booleans())
def test_every_episode_opens_once_and_closes_once_and_time_never_runs_back(
    flows: list[Flow], capacity: int, budget: int | None, backwards: bool
) -> None:
    flows = in_their_turn(flows, backwards)
    alerts = alerts_of(flows, capacity_hosts=capacity, alerts_per_minute=budget)
    for identifier in {alert.id for alert in alerts}:
        told = [alert.action for alert in alerts if alert.id == identifier]
        assert told[0] == "opened"
        assert told[-1] == "closed"
        assert set(told[1:-1]) <= {"updated"}
    assert [alert.sequence for alert in alerts] == list(range(1, len(alerts) + 1))
    assert sorted(alert.time_ns for alert in alerts) == [alert.time_ns for alert in alerts]
